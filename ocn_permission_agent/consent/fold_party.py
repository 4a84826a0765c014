"""What an event about a party or an operator changes of what is known."""

from dataclasses import replace

from immutables import Map

from ocn_permission_agent.consent.address import ZERO, Address
from ocn_permission_agent.consent.events import (
    KeyObserved,
    OperatorChanged,
    OperatorUnreadable,
    PartyChanged,
    PartyUnreadable,
)
from ocn_permission_agent.consent.facts import Doubt, Facts, OperatorFacts, PartyFacts, with_end
from ocn_permission_agent.ocpi.party import Party


def apply_to_party(facts: Facts, event: PartyChanged | PartyUnreadable) -> Facts:
    """The very same facts when the event changes nothing."""
    if event.address == ZERO:
        return facts
    before = facts.parties.get(event.address)
    if isinstance(event, PartyUnreadable):
        if event.evidence.observed and before is not None and before.doubt is not None:
            return facts  # known already
        after = _party_unreadable(before, event)
    elif event.party is None:
        if before is None or before.party is None:
            return facts
        departures = with_end(before.departures, event.evidence, confirmable=True)
        after = replace(before, party=None, operator=ZERO, departures=departures)
    else:
        after = _party_entry(before, event, event.party)
        if after == before:
            return facts
    return _pinned(_with_party(facts, before, after), after)


def apply_key(facts: Facts, event: KeyObserved) -> Facts:
    """The registry's backward direction."""
    if facts.key(event.party) == event.address:
        return facts
    return replace(facts, keys=facts.keys.set(event.party, event.address))


def begin_pins(facts: Facts) -> Facts:
    """Bind every registered party to the address it has now (C1)."""
    if facts.pins is not None:
        return facts
    pins: dict[tuple[Party, Address], Address] = {}
    for party in facts.parties.values():
        if party.party is not None:
            pins.setdefault((party.party.folded, party.operator), party.address)
    return replace(facts, pins=Map(pins))


def _pinned(facts: Facts, party: PartyFacts) -> Facts:
    """The first address that a party with this operator registers at stays its address until somebody confirms."""
    if facts.pins is None or party.party is None:
        return facts
    key = (party.party.folded, party.operator)
    return facts if key in facts.pins else replace(facts, pins=facts.pins.set(key, party.address))


def _party_unreadable(before: PartyFacts | None, event: PartyUnreadable) -> PartyFacts:
    """An entry that may say anything, even that the party left: what it agreed to before has ended."""
    doubt = Doubt(why=event.why, evidence=event.evidence)
    if before is None:
        return PartyFacts(address=event.address, party=None, operator=ZERO, registered=event.evidence, doubt=doubt)
    return replace(before, departures=with_end(before.departures, event.evidence, confirmable=True), doubt=doubt)


def _party_entry(before: PartyFacts | None, event: PartyChanged, party: Party) -> PartyFacts:
    if before is None:
        return PartyFacts(address=event.address, party=party, operator=event.operator, registered=event.evidence)
    doubt = before.doubt if event.evidence.observed else None  # only a readable log lifts a quarantine
    if before.party is None:
        return replace(before, party=party, operator=event.operator, registered=event.evidence, doubt=doubt)
    renamed = before.party != party
    redirected = renamed or before.operator != event.operator
    return replace(
        before,
        party=party,
        operator=event.operator,
        renames=with_end(before.renames, event.evidence, confirmable=True) if renamed else before.renames,
        redirected=event.evidence if redirected else before.redirected,
        doubt=doubt,
    )


def _with_party(facts: Facts, before: PartyFacts | None, after: PartyFacts) -> Facts:
    """Put the party in, and keep the two ways of finding it in step with it."""
    old = None if before is None else before.party
    keys, spellings = facts.keys, facts.spellings
    if old is not None and old != after.party:
        if after.party is None and keys.get(old) == after.address:
            keys = keys.set(old, ZERO)  # a renamed party keeps its old key, one that left does not (T10)
        others = tuple(found for found in spellings.get(old.folded, ()) if found != after.address)
        spellings = spellings.set(old.folded, others) if others else spellings.delete(old.folded)
    if after.party is not None and old != after.party:
        keys = keys.set(after.party, after.address)
        folded = after.party.folded
        spellings = spellings.set(folded, (*spellings.get(folded, ()), after.address))
    return replace(facts, parties=facts.parties.set(after.address, after), keys=keys, spellings=spellings)


def apply_to_operator(facts: Facts, event: OperatorChanged | OperatorUnreadable) -> Facts:
    """The very same facts when the event changes nothing."""
    if event.operator == ZERO:
        return facts
    before = facts.operators.get(event.operator)
    if isinstance(event, OperatorUnreadable):
        if event.evidence.observed and before is not None and before.doubt is not None:
            return facts  # known already
        after = OperatorFacts(
            operator=event.operator,
            domain="",
            changed=event.evidence,
            doubt=Doubt(why=event.why, evidence=event.evidence),
        )
    else:
        doubt = before.doubt if before is not None and event.evidence.observed else None
        if before is not None and (before.domain, before.doubt) == (event.domain, doubt):
            return facts
        after = OperatorFacts(operator=event.operator, domain=event.domain, changed=event.evidence, doubt=doubt)
    return replace(facts, operators=facts.operators.set(event.operator, after))
