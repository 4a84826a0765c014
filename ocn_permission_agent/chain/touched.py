"""Which entries of the contracts must be looked at after some events. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

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
    """What to read at the head. `pairs` are (customer, provider).

    `customers` are those whose grants are counted, `listings` the providers whose deletions are.
    """

    pairs: frozenset[tuple[Address, Address]] = frozenset()
    services: frozenset[Address] = frozenset()
    parties: frozenset[Address] = frozenset()
    keys: frozenset[Party] = frozenset()
    operators: frozenset[Address] = frozenset()
    customers: frozenset[Address] = frozenset()
    listings: frozenset[Address] = frozenset()

    def __bool__(self) -> bool:
        """Whether there is anything to read."""
        return any(getattr(self, name) for name in self.__dataclass_fields__)

    def __or__(self, other: "Touched") -> "Touched":
        """Both."""
        return Touched(**{name: getattr(self, name) | getattr(other, name) for name in self.__dataclass_fields__})

    def pieces(self, size: int) -> Iterator["Touched"]:
        """The same in pieces of about so many entries, so that long work can give way between them."""
        for name in self.__dataclass_fields__:
            entries = sorted(getattr(self, name))
            for start in range(0, len(entries), size):
                yield Touched(**{name: frozenset(entries[start : start + size])})


def touched_by(events: Iterable[Event]) -> Touched:
    """Everything the events name. The zero address is never looked at (T13)."""
    found: dict[str, set[Any]] = defaultdict(set)
    for event in events:
        for kind, entry in _named_by(event):
            found[kind].add(entry)
    pairs = frozenset(pair for pair in found.pop("pairs", set()) if ZERO not in pair)
    return Touched(pairs=pairs, **{kind: frozenset(entries - {ZERO}) for kind, entries in found.items()})


def _named_by(event: Event) -> Iterator[tuple[str, object]]:
    """(field of `Touched`, entry) for everything that an event names."""
    match event:
        case AgreementToggled() | AgreementObserved() | GrantsCounted() | RevokeReorganised():
            yield "pairs", (event.customer, event.provider)
            yield "services", event.provider
            yield from (("parties", account) for account in (event.customer, event.provider))
            if isinstance(event, GrantsCounted):
                yield "customers", event.customer
        case ServiceListed() | ServiceObserved() | ServiceUnreadable() | DeletionsCounted():
            yield "services", event.provider
            yield "parties", event.provider
            if not isinstance(event, ServiceObserved):
                yield "listings", event.provider
        case PartyChanged() | PartyUnreadable():
            yield "parties", event.address
            if isinstance(event, PartyChanged) and event.party is not None:
                yield "keys", event.party
        case KeyObserved():
            yield "keys", event.party
        case PinsBegun():
            pass
        case _:
            yield "operators", event.operator


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
        listings=services,
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
