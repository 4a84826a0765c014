"""One event after another: from what was known to what is known now.

`apply` gives back the very same `Facts` when an event changes nothing; the watcher keeps only observations that do.
The zero address is never let in: anybody can register it and agree in its name (permissions-contract.md T13).
"""

from dataclasses import replace
from sys import intern

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
    Sent,
    ServiceListed,
    ServiceObserved,
    ServiceUnreadable,
)
from ocn_permission_agent.consent.facts import Facts, ServiceFacts
from ocn_permission_agent.consent.fold_party import apply_key, apply_to_operator, apply_to_party, begin_pins
from ocn_permission_agent.consent.fold_service import apply_to_service
from ocn_permission_agent.consent.pair import Grant, PairFacts


def apply(facts: Facts, event: Event) -> Facts:
    """What is known after the event. Events come in the order of their positions."""
    match event:
        case AgreementToggled():
            return _toggle(facts, event)
        case AgreementObserved():
            return _observe_agreement(facts, event)
        case GrantsCounted():
            return _count_grants(facts, event)
        case RevokeReorganised():
            return _wait_anew(facts, event)
        case ServiceListed() | ServiceObserved() | ServiceUnreadable() | DeletionsCounted():
            return apply_to_service(facts, event)
        case PartyChanged() | PartyUnreadable():
            return apply_to_party(facts, event)
        case KeyObserved():
            return apply_key(facts, event)
        case PinsBegun():
            return begin_pins(facts)
        case _:
            return apply_to_operator(facts, event)


def _toggle(facts: Facts, event: AgreementToggled) -> Facts:
    """Grant or revoke, by parity; a grant is for what the service lists at this moment (C3)."""
    if ZERO in (event.customer, event.provider):
        return facts
    before = facts.pair(event.customer, event.provider)
    relayed = event.sent is not Sent.DIRECT
    if before is not None:
        before = replace(before, relayed=before.relayed or relayed, replayed=before.relayed and relayed)
    if before is not None and before.agreed:
        return facts.with_pair(replace(before, toggles=before.toggles + 1, newest=event.evidence))
    grant = Grant(
        evidence=event.evidence,
        agreed=_ids_on_offer(facts.services.get(event.provider)),
        sent=event.sent,
        first=before is None,
    )
    if before is None:
        before = PairFacts(
            # One text for all agreements of a party: there may be a million.
            customer=Address(intern(event.customer)),
            provider=Address(intern(event.provider)),
            toggles=0,
            newest=event.evidence,
            grant=grant,
            waits_from=event.evidence.block_number,
            relayed=relayed,
        )
    return facts.with_pair(
        replace(
            before,
            toggles=before.toggles + 1,
            newest=event.evidence,
            grant=grant,
            waits_from=event.evidence.block_number,
        ),
    )


def _ids_on_offer(service: ServiceFacts | None) -> frozenset[int] | None:
    """What a customer sees at this moment; None when we do not know.

    A nameless listing counts with its ids: that the contract accepted an agreement proves that it was no deletion.
    """
    if service is None or service.doubt is not None:
        return None
    return service.permissions


def _observe_agreement(facts: Facts, event: AgreementObserved) -> Facts:
    pair = facts.pair(event.customer, event.provider)
    if pair is None or (event.stands != pair.agreed) == (pair.contradicted is not None):
        return facts
    contradicted = event.evidence if event.stands != pair.agreed else None
    return facts.with_pair(replace(pair, contradicted=contradicted))


def _count_grants(facts: Facts, event: GrantsCounted) -> Facts:
    """A revoke and the grant after it, both lost, leave the flag as it was; only the count tells (C2)."""
    pair = facts.pair(event.customer, event.provider)
    if pair is None or (event.grants != pair.grants) == (pair.miscounted is not None):
        return facts
    miscounted = event.evidence if event.grants != pair.grants else None
    return facts.with_pair(replace(pair, miscounted=miscounted))


def _wait_anew(facts: Facts, event: RevokeReorganised) -> Facts:
    pair = facts.pair(event.customer, event.provider)
    if pair is None:
        return facts
    return facts.with_pair(replace(pair, waits_from=max(pair.waits_from, event.evidence.block_number)))
