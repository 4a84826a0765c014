"""Which entries of the contracts must be looked at after some events. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from ocn_permission_agent.consent.address import ZERO, Address
from ocn_permission_agent.consent.events import (
    AgreementObserved,
    AgreementToggled,
    DeletionsCounted,
    Event,
    GrantsCounted,
    KeyObserved,
    PartyChanged,
    PartyUnreadable,
    PinsBegun,
    RevokeReorganised,
    ServiceListed,
    ServiceObserved,
    ServiceUnreadable,
)
from ocn_permission_agent.consent.facts import Facts
from ocn_permission_agent.ocpi.party import Party


@dataclass(frozen=True, slots=True, kw_only=True)
class Touched:
    """What to read at the head. `pairs` are (customer, provider)."""

    pairs: frozenset[tuple[Address, Address]] = frozenset()
    services: frozenset[Address] = frozenset()
    parties: frozenset[Address] = frozenset()
    keys: frozenset[Party] = frozenset()
    operators: frozenset[Address] = frozenset()


def touched_by(events: Iterable[Event]) -> Touched:
    """Everything the events name. The zero address is never looked at (T13)."""
    pairs, services, parties, operators = set(), set(), set(), set()
    keys: set[Party] = set()
    for event in events:
        match event:
            case AgreementToggled() | AgreementObserved() | GrantsCounted() | RevokeReorganised():
                pairs.add((event.customer, event.provider))
                services.add(event.provider)
                parties |= {event.customer, event.provider}
            case ServiceListed() | ServiceObserved() | ServiceUnreadable() | DeletionsCounted():
                services.add(event.provider)
                parties.add(event.provider)
            case PartyChanged():
                parties.add(event.address)
                if event.party is not None:
                    keys.add(event.party)
            case PartyUnreadable():
                parties.add(event.address)
            case KeyObserved():
                keys.add(event.party)
            case PinsBegun():
                pass
            case _:
                operators.add(event.operator)
    return Touched(
        pairs=frozenset(pair for pair in pairs if ZERO not in pair),
        services=frozenset(services - {ZERO}),
        parties=frozenset(parties - {ZERO}),
        keys=frozenset(keys),
        operators=frozenset(operators - {ZERO}),
    )


def everything(facts: Facts) -> Touched:
    """All that is known: after a first sync, and after a gap too wide to follow block by block."""
    pairs = frozenset((customer, provider) for customer, pairs in facts.pairs.items() for provider in pairs)
    services = frozenset(facts.services) | {provider for _, provider in pairs}
    return Touched(
        pairs=pairs,
        services=services,
        parties=frozenset(facts.parties) | services | frozenset(facts.pairs),
        keys=frozenset(facts.keys),
        operators=frozenset(facts.operators),
    )


def keys_of(parties: Iterable[Address], *facts: Facts) -> frozenset[Party]:
    """The (country_code, party_id) of these addresses, as known at several times."""
    found = (each.parties.get(account) for account in parties for each in facts)
    return frozenset(party.party for party in found if party is not None and party.party is not None)


def unknown_operators(parties: Iterable[Address], facts: Facts) -> frozenset[Address]:
    """Operators that these parties name and of which nothing is known yet."""
    found = (facts.parties.get(account) for account in parties)
    named = {party.operator for party in found if party is not None}
    return frozenset(operator for operator in named - {ZERO} if operator not in facts.operators)
