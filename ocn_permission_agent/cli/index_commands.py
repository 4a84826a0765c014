"""The commands that read the index, as the command line sees them. Heavy imports happen inside."""

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


@click.group()
def services() -> None:
    """Show what providers list."""


@services.command("list")
@_CONFIG
@_JSON
def services_list(config_file: Path | None, *, as_json: bool) -> None:
    """Every service that was ever listed."""
    from ocn_permission_agent.admin.asked import Asked
    from ocn_permission_agent.cli import listing

    listing.show(config_file, Asked.SERVICES, as_json=as_json)


@services.command("show")
@click.argument("provider")
@_CONFIG
@_JSON
def services_show(config_file: Path | None, provider: str, *, as_json: bool) -> None:
    """One provider's service and its agreements; PROVIDER is DE*PAY or an address."""
    from ocn_permission_agent.admin.asked import Asked
    from ocn_permission_agent.cli import listing

    listing.show(config_file, Asked.SERVICE, as_json=as_json, provider=provider)


@click.group()
def agreements() -> None:
    """Show who agreed to what, and whether it counts."""


@agreements.command("list")
@click.option("--customer", metavar="PARTY", help="Only this customer's (DE*CPO or an address).")
@click.option("--provider", metavar="PARTY", help="Only those with this provider.")
@click.option("--standing", type=click.Choice(["open", "held", "closed"]), help="Only those that stand so.")
@_CONFIG
@_JSON
def agreements_list(
    config_file: Path | None, customer: str | None, provider: str | None, standing: str | None, *, as_json: bool
) -> None:
    """The newest agreement of every pair, with the reason of its verdict."""
    from ocn_permission_agent.admin.asked import Asked
    from ocn_permission_agent.cli import listing

    listing.show(
        config_file, Asked.AGREEMENTS, as_json=as_json, customer=customer, provider=provider, standing=standing
    )


@agreements.command("show")
@click.argument("customer")
@click.argument("provider")
@_CONFIG
@_JSON
def agreements_show(config_file: Path | None, customer: str, provider: str, *, as_json: bool) -> None:
    """One agreement, interface by interface; both are named as DE*CPO or by address."""
    from ocn_permission_agent.admin.asked import Asked
    from ocn_permission_agent.cli import listing

    listing.show(config_file, Asked.AGREEMENT, as_json=as_json, customer=customer, provider=provider)


@click.group()
def parties() -> None:
    """Show parties of the Registry."""


@parties.command("show")
@click.argument("party")
@_CONFIG
@_JSON
def parties_show(config_file: Path | None, party: str, *, as_json: bool) -> None:
    """What is known of a party (DE*CPO or an address), and all its agreements."""
    from ocn_permission_agent.admin.asked import Asked
    from ocn_permission_agent.cli import listing

    listing.show(config_file, Asked.PARTY, as_json=as_json, party=party)
