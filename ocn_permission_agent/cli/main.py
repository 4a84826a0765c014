"""The commands. Heavy imports happen inside them, so that ``--help`` is instant."""

# ruff: noqa: PLC0415

import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from ocn_permission_agent import __version__
from ocn_permission_agent.cli.contract_commands import agreement, service
from ocn_permission_agent.cli.decision_commands import agreements_confirm, parties_confirm, stop
from ocn_permission_agent.cli.delivery_commands import deliveries, explain
from ocn_permission_agent.cli.index_commands import agreements, parties, services
from ocn_permission_agent.compiled import is_compiled

_CONFIG = click.option(
    "--config",
    "config_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    envvar="OCN_AGENT_CONFIG",
    help="The configuration file; every key can also come from the environment (OCN_AGENT_<SECTION>_<KEY>).",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 fine, 1 failed, 2 bad usage or configuration.",
)
@click.version_option(
    f"{__version__} (compiled)" if is_compiled() else __version__, "--version", prog_name="ocn-permission-agent"
)
def commands() -> None:
    """Copies a customer's OCPI requests to the services it agreed to on chain, and stops when it revokes."""


@commands.command()
@_CONFIG
def run(config_file: Path | None) -> None:
    """Run the agent in front of an OCN node."""
    from ocn_permission_agent.cli import running

    running.run(config_file)


@commands.command()
@_CONFIG
def sync(config_file: Path | None) -> None:
    """Read the chain once, before the proxy is put into the path."""
    from ocn_permission_agent.cli import running

    running.sync(config_file)


@commands.command("check-config")
@_CONFIG
@_JSON
def check_config(config_file: Path | None, *, as_json: bool) -> None:
    """Tell every problem of the configuration at once."""
    from ocn_permission_agent.cli import checking

    checking.check_config(config_file, as_json=as_json)


@commands.command()
@_CONFIG
@_JSON
def status(config_file: Path | None, *, as_json: bool) -> None:
    """Show what the running agent knows and owes.

    When no agent runs, its store is read instead, without changing it.
    """
    from ocn_permission_agent.cli import asking

    asking.status(config_file, as_json=as_json)


@commands.command()
@click.argument("target", metavar="FILE", type=click.Path(path_type=Path))
@_CONFIG
def backup(config_file: Path | None, target: Path) -> None:
    """Copy the store into a new file, whether an agent runs or not.

    A running agent writes the file itself, under its own account.
    """
    from ocn_permission_agent.cli import storing

    storing.backup(config_file, target)


@commands.command()
@_CONFIG
def migrate(config_file: Path | None) -> None:
    """Bring the store's schema up to date, and say what was done.

    `run` does the same at its start.
    """
    from ocn_permission_agent.cli import storing

    storing.migrate(config_file)


@commands.command()
@click.option("--once", is_flag=True, help="End after the story: exit 0 only if every step held, else 1.")
@click.option("--proxy-port", type=click.IntRange(0, 65535), metavar="N", help="Where the demo's agent listens.")
@click.option("--admin-port", type=click.IntRange(0, 65535), metavar="N", help="Where its admin listener listens.")
@click.option("--info-file", type=click.Path(path_type=Path), metavar="FILE", help="Write all addresses as JSON.")
def demo(*, once: bool, proxy_port: int | None, admin_port: int | None, info_file: Path | None) -> None:
    """Tell the agent's story live, on a network of its own."""
    from ocn_permission_agent.cli import showing

    sys.exit(showing.demo(once=once, proxy_port=proxy_port, admin_port=admin_port, info_file=info_file))


agreements.add_command(agreements_confirm)
parties.add_command(parties_confirm)
for group in (services, agreements, parties, service, agreement, stop, deliveries, explain):
    commands.add_command(group)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and leave with its exit code; whatever goes wrong is one sentence on standard error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that cannot show a character, of a service's name perhaps, is told which one it would be.
        sys.stdout.reconfigure(errors="backslashreplace")
    code = _run(arguments)
    sys.exit(code if _is_handed_on() else code or 1)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        commands.main(arguments, prog_name="ocn-permission-agent", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return 130
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else int(leave.code is not None)
    except Exception as error:  # noqa: BLE001  the last resort: told, logged, and turned into an exit code
        if isinstance(error, OSError) and not _is_handed_on():
            return 1
        from ocn_permission_agent.cli.failing import tell

        return tell(error)
    return 0


def _is_handed_on() -> bool:
    """Whether all that was printed has arrived, or nobody reads any more (``| head``); if not, that is told."""
    if not isinstance(sys.stdout, io.TextIOWrapper):  # closed, or somebody's own
        return True
    try:
        sys.stdout.flush()
    except OSError as error:
        # What is left goes nowhere, lest Python tries again when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            print(f"Standard output cannot be written: {error.strerror}.", file=sys.stderr)
            return False
    return True
