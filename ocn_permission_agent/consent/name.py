"""How people name a party: ``DE*CPO``, or by its address."""

from typing import TypeAlias

from ocn_permission_agent.consent.address import Address, address
from ocn_permission_agent.ocpi.party import Party

Name: TypeAlias = Party | Address


def read_name(text: str) -> Name:
    """Read either form.

    Raises:
        ValueError: neither; the message says what is missing.
    """
    return address(text) if text[:2] in {"0x", "0X"} and text[2:3] != "*" else Party.parse(text)


def is_named(name: Name, *, party: Party | None, account: Address) -> bool:
    """Whether somebody is meant; letter case of parties does not matter (consent.md C1)."""
    if isinstance(name, Party):
        return party is not None and party.folded == name.folded
    return name == account
