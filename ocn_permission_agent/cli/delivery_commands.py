"""`deliveries …` and `explain`, as the command line sees them. Heavy imports happen inside."""

# ruff: noqa: PLC0415

from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

_CONFIG = click.option(
    "--config",
    "config_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    envvar="OCN_AGENT_CONFIG",
    help="The configuration file of the agent.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
_CHOICE = (
    click.option("--customer", metavar="PARTY", help="Only this customer's (DE*CPO or an address)."),
    click.option("--provider", metavar="PARTY", help="Only those for this provider."),
    click.option("--module", metavar="NAME", help="Only those of this OCPI module, such as sessions."),
    click.option("--state", metavar="STATES", help="Only those in these states, with commas: parked,refused."),
    click.option("--since", metavar="TIME", help="Only what was recorded from then on (2026-03-01T10:00:00Z)."),
    click.option("--until", metavar="TIME", help="Only what was recorded before that."),
)
_BULK = (
    click.argument("ids", nargs=-1, type=click.IntRange(1), metavar="[ID]..."),
    *_CHOICE,
    click.option("--all", "everything", is_flag=True, help="Mean all deliveries where nothing else chooses."),
    click.option("--dry-run", is_flag=True, help="Only tell how many it would be."),
    click.option("--yes", is_flag=True, help="Do not ask."),
)


def _with(options: tuple[Callable[[F], F], ...]) -> Callable[[F], F]:
    return lambda command: reduce(lambda decorated, option: option(decorated), reversed(options), command)


@click.group()
def deliveries() -> None:
    """Show what is owed and what became of it; retry or discard what waits for a decision."""


@deliveries.command("list")
@_with(_CHOICE)
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="The newest so many.")
@_CONFIG
@_JSON
def deliveries_list(config_file: Path | None, *, limit: int, as_json: bool, **choice: str | None) -> None:
    """The newest deliveries of a choice."""
    from ocn_permission_agent.cli import handling

    handling.show_list(config_file, as_json=as_json, limit=limit, choice=choice)


@deliveries.command("show")
@click.argument("delivery_id", metavar="ID", type=click.IntRange(1))
@_CONFIG
@_JSON
def deliveries_show(config_file: Path | None, delivery_id: int, *, as_json: bool) -> None:
    """Everything about one delivery but its payload."""
    from ocn_permission_agent.cli import handling

    handling.show_one(config_file, delivery_id, as_json=as_json)


@deliveries.command("retry")
@_with(_BULK)
@_CONFIG
@_JSON
def deliveries_retry(config_file: Path | None, **asked: Any) -> None:
    """Try again what is parked, refused or unconfirmed, while its payload is kept.

    Consent is judged anew, for the agreement that each was planned under.
    """
    from ocn_permission_agent.cli import handling

    handling.act(config_file, handling.RETRY, **asked)


@deliveries.command("discard")
@_with(_BULK)
@_CONFIG
@_JSON
def deliveries_discard(config_file: Path | None, **asked: Any) -> None:
    """Let go of deliveries for good: their payload is erased, and what is pending or parked never leaves."""
    from ocn_permission_agent.cli import handling

    handling.act(config_file, handling.DISCARD, **asked)


@click.command()
@click.argument("correlation_id", metavar="CORRELATION_ID")
@_CONFIG
@_JSON
def explain(config_file: Path | None, correlation_id: str, *, as_json: bool) -> None:
    """Tell what became of a request: why it was copied or not, and each attempt to deliver it."""
    from ocn_permission_agent.cli import handling

    handling.explain(config_file, correlation_id, as_json=as_json)
