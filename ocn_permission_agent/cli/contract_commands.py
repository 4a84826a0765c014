"""The commands that write to the contracts, as the command line sees them. Heavy imports happen inside."""

# ruff: noqa: PLC0415

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from ocn_permission_agent.cli.writing import WriteOptions

F = TypeVar("F", bound=Callable[..., object])

#: enough for every quiet chain, and for agreeing less than a hundredth of a coin
_MAX_FEE_GWEI = 20.0
_TIMEOUT_SECONDS = 600.0

_FILE = click.Path(path_type=Path)
_COMMON = (
    click.option(
        "--config",
        "config_file",
        metavar="FILE",
        type=_FILE,
        envvar="OCN_AGENT_CONFIG",
        help="The configuration file; only its section [chain] is needed, which can come from the environment as well.",
    ),
    click.option(
        "--key-file",
        metavar="FILE",
        type=_FILE,
        help="Your key: 64 hex digits or a V3 keystore. Without it OCN_AGENT_WALLET_KEY_FILE or OCN_AGENT_WALLET_KEY.",
    ),
    click.option(
        "--password-file",
        metavar="FILE",
        type=_FILE,
        help="Holds the keystore's password; it is asked for otherwise.",
    ),
    click.option("--yes", is_flag=True, help="Go on without a question."),
    click.option(
        "--max-fee-gwei",
        type=click.FloatRange(min=0, min_open=True),
        default=_MAX_FEE_GWEI,
        show_default=True,
        help="The most that one gas may cost.",
    ),
    click.option(
        "--nonce", type=click.IntRange(min=0), help="Replace your transaction of this number, still in no block."
    ),
    click.option(
        "--timeout",
        "timeout_seconds",
        type=click.FloatRange(min=1),
        default=_TIMEOUT_SECONDS,
        show_default=True,
        metavar="SECONDS",
        help="How long to wait for a block without any progress.",
    ),
)
_RAW = (
    click.option(
        "--raw",
        is_flag=True,
        help="Sign for others to send; prints calldata. Anybody can use such a signature again, for ever.",
    ),
    click.option(
        "--payer-key-file", metavar="FILE", type=_FILE, help="With --raw: send it, paid by this key, not by your own."
    ),
    click.option(
        "--payer-password-file", metavar="FILE", type=_FILE, help="Holds the password of the payer's keystore."
    ),
)
_PROVIDER = click.option(
    "--provider", metavar="0x…", required=True, help="The provider's address, or its party as in DE*PAY."
)


def _with(*options: Callable[[F], F]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


@click.group()
def service() -> None:
    """List your service, change it, or delete it (a provider's key)."""


@service.command("set")
@click.option("--name", required=True, help="At most 64 bytes.")
@click.option("--url", required=True, help="Where customers read what you do with their data.")
@click.option("--permissions", required=True, metavar="IDS", help="What you ask for: ids from 0 to 16, as in 6,8.")
@_with(*_COMMON, *_RAW)
def service_set(name: str, url: str, permissions: str, **options: Any) -> None:
    """List your service, or change the listing."""
    from ocn_permission_agent.cli import writing

    writing.service_set(_options(options), name=name, url=url, permissions=_numbers(permissions))


@service.command("delete")
@click.option("--raw", is_flag=True, hidden=True)
@_with(*_COMMON)
def service_delete(*, raw: bool, **options: Any) -> None:
    """Delete your service: every agreement with it ends."""
    from ocn_permission_agent.cli import writing

    if raw:
        raise click.UsageError(
            "A deletion is never signed for others to send: whoever sees that signature can also unregister your party."
        )
    writing.service_delete(_options(options))


@click.group()
def agreement() -> None:
    """Agree to a provider's service, or revoke (a customer's key)."""


@agreement.command("create")
@_PROVIDER
@_with(*_COMMON, *_RAW)
def agreement_create(provider: str, **options: Any) -> None:
    """Agree to what a service lists now."""
    from ocn_permission_agent.cli import writing

    writing.agreement_create(_options(options), provider=provider)


@agreement.command("revoke")
@_PROVIDER
@_with(*_COMMON, *_RAW)
def agreement_revoke(provider: str, **options: Any) -> None:
    """End an agreement."""
    from ocn_permission_agent.cli import writing

    writing.agreement_revoke(_options(options), provider=provider)


def _numbers(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise click.UsageError("--permissions: must be numbers with commas between them, as in 6,8.")
    return tuple(int(part[:80]) for part in parts)


def _options(given: dict[str, Any]) -> "WriteOptions":
    from ocn_permission_agent.cli.wallet import KeyFiles
    from ocn_permission_agent.cli.writing import WriteOptions

    raw = bool(given.pop("raw", False))
    payer = KeyFiles(key=given.pop("payer_key_file", None), password=given.pop("payer_password_file", None))
    if payer.key is not None and not raw:
        raise click.UsageError("--payer-key-file goes with --raw only: without it you send and pay yourself.")
    key = KeyFiles(key=given.pop("key_file"), password=given.pop("password_file"))
    return WriteOptions(key=key, payer=payer, raw=raw, **given)
