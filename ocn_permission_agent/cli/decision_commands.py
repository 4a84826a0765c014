"""`stop …`, `parties confirm` and `agreements confirm`, as the command line sees them. Heavy imports happen inside."""

# ruff: noqa: PLC0415

from pathlib import Path

import click

_CONFIG = click.option(
    "--config",
    "config_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    envvar="OCN_AGENT_CONFIG",
    help="The configuration file of the agent.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
_CUSTOMER = click.option("--customer", metavar="PARTY", help="Whose requests are not copied (DE*CPO or an address).")
_PROVIDER = click.option("--provider", metavar="PARTY", help="To whom nothing is copied (DE*PAY or an address).")
_MODULE = click.option("--module", metavar="NAME", help="Only requests of this OCPI module, such as sessions.")


@click.group()
def stop() -> None:
    """The local stop list: what is on it is never copied, whatever the chain says."""


@stop.command("add")
@_CUSTOMER
@_PROVIDER
@_MODULE
@_CONFIG
@_JSON
def stop_add(
    config_file: Path | None, customer: str | None, provider: str | None, module: str | None, *, as_json: bool
) -> None:
    """Stop a customer, a provider, or the pair. What is pending for them is withdrawn for good."""
    from ocn_permission_agent.cli import deciding

    deciding.add_stop(config_file, as_json=as_json, customer=customer, provider=provider, module=module)


@stop.command("remove")
@_CUSTOMER
@_PROVIDER
@_MODULE
@_CONFIG
@_JSON
def stop_remove(
    config_file: Path | None, customer: str | None, provider: str | None, module: str | None, *, as_json: bool
) -> None:
    """Take a stop off the list, named as it was added. What it withdrew stays withdrawn."""
    from ocn_permission_agent.cli import deciding

    deciding.remove_stop(config_file, as_json=as_json, customer=customer, provider=provider, module=module)


@stop.command("list")
@click.option("--audit", is_flag=True, help="Show every decision that was ever taken instead.")
@_CONFIG
@_JSON
def stop_list(config_file: Path | None, *, audit: bool, as_json: bool) -> None:
    """Show the stops that hold, when they were added and by whom."""
    from ocn_permission_agent.cli import deciding

    deciding.show(config_file, audit=audit, as_json=as_json)


@click.command("confirm")
@click.argument("customer")
@click.argument("provider")
@click.option("--tx", "transaction_hash", required=True, metavar="HASH", help="As `agreements show` names it.")
@_CONFIG
@_JSON
def agreements_confirm(
    config_file: Path | None, customer: str, provider: str, transaction_hash: str, *, as_json: bool
) -> None:
    """Confirm what one transaction did to one agreement, after asking the customer."""
    from ocn_permission_agent.cli import deciding

    deciding.confirm_agreement(
        config_file, as_json=as_json, customer=customer, provider=provider, transaction_hash=transaction_hash
    )


@click.command("confirm")
@click.argument("party")
@click.option("--address", "account", required=True, metavar="0x…", help="Where the party is now.")
@_CONFIG
@_JSON
def parties_confirm(config_file: Path | None, party: str, account: str, *, as_json: bool) -> None:
    """Confirm that a party of this node is at another address than before."""
    from ocn_permission_agent.cli import deciding

    deciding.confirm_party(config_file, as_json=as_json, party=party, address=account)
