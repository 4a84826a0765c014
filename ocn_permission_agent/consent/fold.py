"""One event after another: from what was known to what is known now.

`apply` gives back the very same `Facts` when an event changes nothing; the watcher keeps only observations that do.
The zero address is never let in: anybody can register it and agree in its name (permissions-contract.md T13).
"""

from dataclasses import replace

from immutables import Map

from ocn_permission_agent.consent.address import ZERO, Address
from ocn_permission_agent.consent.events import (
    AgreementObserved,
    AgreementToggled,
    Event,
    Evidence,
    KeyObserved,
    OperatorChanged,
    OperatorUnreadable,
    PartyChanged,
    PartyUnreadable,
    RevokeReorganised,
    ServiceListed,
    ServiceObserved,
    ServiceUnreadable,
)
from ocn_permission_agent.consent.facts import (
    Doubt,
    Facts,
    Grant,
    OperatorFacts,
    PairFacts,
    PartyFacts,
    ServiceFacts,
)
from ocn_permission_agent.ocpi.party import Party


def apply(facts: Facts, event: Event) -> Facts:
    """What is known after the event. Events come in the order of their positions."""
    match event:
        case AgreementToggled():
            return _toggle(facts, event)
        case AgreementObserved():
            return _observe_agreement(facts, event)
        case RevokeReorganised():
            return _wait_anew(facts, event)
        case ServiceListed() | ServiceObserved() | ServiceUnreadable():
            return _apply_to_service(facts, event)
        case PartyChanged() | PartyUnreadable():
            return _apply_to_party(facts, event)
        case KeyObserved():
            if facts.key(event.party) == event.address:
                return facts
            return replace(facts, keys=facts.keys.set(event.party, event.address))
        case _:
            return _apply_to_operator(facts, event)


# --- agreements -------------------------------------------------------------------------------------------------------


def _with_pair(facts: Facts, pair: PairFacts) -> Facts:
    providers: Map[Address, PairFacts] = facts.pairs.get(pair.customer, Map())
    return replace(facts, pairs=facts.pairs.set(pair.customer, providers.set(pair.provider, pair)))


def _toggle(facts: Facts, event: AgreementToggled) -> Facts:
    """Grant or revoke, by parity; a grant is for what the service lists at this moment (C3)."""
    if ZERO in (event.customer, event.provider):
        return facts
    before = facts.pair(event.customer, event.provider)
    if before is not None and before.agreed:
        return _with_pair(facts, replace(before, toggles=before.toggles + 1, newest=event.evidence))
    grant = Grant(evidence=event.evidence, agreed=_ids_on_offer(facts.services.get(event.provider)))
    return _with_pair(
        facts,
        PairFacts(
            customer=event.customer,
            provider=event.provider,
            toggles=1 if before is None else before.toggles + 1,
            newest=event.evidence,
            grant=grant,
            waits_from=event.evidence.block_number,
            contradicted=None if before is None else before.contradicted,
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
    return _with_pair(facts, replace(pair, contradicted=contradicted))


def _wait_anew(facts: Facts, event: RevokeReorganised) -> Facts:
    pair = facts.pair(event.customer, event.provider)
    if pair is None:
        return facts
    return _with_pair(facts, replace(pair, waits_from=max(pair.waits_from, event.evidence.block_number)))


# --- services ---------------------------------------------------------------------------------------------------------


def _apply_to_service(facts: Facts, event: ServiceListed | ServiceObserved | ServiceUnreadable) -> Facts:
    if event.provider == ZERO:
        return facts
    before = facts.services.get(event.provider)
    after = _service_after(before, event)
    if after is before or after is None:
        return facts
    return replace(facts, services=facts.services.set(event.provider, after))


def _service_after(
    before: ServiceFacts | None, event: ServiceListed | ServiceObserved | ServiceUnreadable
) -> ServiceFacts | None:
    match event:
        case ServiceListed():
            return _listed(before, event)
        case ServiceUnreadable():
            # A deletion's log repeats the listing's ids, so a log too large to read may be one: fail closed (C5).
            base = before or _empty_service(event.provider, event.evidence)
            return replace(
                base,
                updated=event.evidence,
                deleted=event.evidence,
                doubt=Doubt(why=event.why, evidence=event.evidence),
            )
        case _:
            return _observed(before, event)


def _listed(before: ServiceFacts | None, event: ServiceListed) -> ServiceFacts:
    deleted = event.evidence if event.nameless else (before.deleted if before is not None else None)
    return ServiceFacts(
        provider=event.provider,
        name=event.name,
        url=event.url,
        permissions=event.permissions,
        unknown_ids=event.unknown_ids,
        listed=not event.nameless,
        updated=event.evidence,
        deleted=deleted,
    )


def _observed(before: ServiceFacts | None, event: ServiceObserved) -> ServiceFacts | None:
    """What a look at `getService` adds to what the logs said."""
    if before is None:
        if not event.listed:
            return None
        why = "the service is listed, but no log of its listing was seen"
        unseen = replace(_empty_service(event.provider, event.evidence), listed=True)
        return replace(unseen, doubt=Doubt(why=why, evidence=event.evidence))
    if not event.listed:
        return before if not before.listed else replace(before, listed=False, deleted=event.evidence)
    seen = before if before.listed else replace(before, listed=True)
    if before.permissions == event.permissions or before.doubt is not None:
        return seen
    # A log was lost, so what customers agreed to since is unknown: those agreements end, as with a deletion.
    why = "the service lists other permissions than its logs said"
    return replace(seen, deleted=event.evidence, doubt=Doubt(why=why, evidence=event.evidence))


def _empty_service(provider: Address, evidence: Evidence) -> ServiceFacts:
    return ServiceFacts(
        provider=provider,
        name="",
        url="",
        permissions=frozenset(),
        unknown_ids=0,
        listed=False,
        updated=evidence,
    )


# --- parties and operators --------------------------------------------------------------------------------------------


def _apply_to_party(facts: Facts, event: PartyChanged | PartyUnreadable) -> Facts:
    if event.address == ZERO:
        return facts
    before = facts.parties.get(event.address)
    if isinstance(event, PartyUnreadable):
        after = _party_unreadable(before, event)
    elif event.party is None:
        if before is None or before.party is None:
            return facts
        after = replace(before, party=None, operator=ZERO, left=event.evidence)
    else:
        after = _party_entry(before, event, event.party)
        if after == before:
            return facts
    return _with_party(facts, before, after)


def _party_unreadable(before: PartyFacts | None, event: PartyUnreadable) -> PartyFacts:
    """An entry that may say anything, even that the party left: what it agreed to before has ended."""
    doubt = Doubt(why=event.why, evidence=event.evidence)
    if before is None:
        return PartyFacts(address=event.address, party=None, operator=ZERO, registered=event.evidence, doubt=doubt)
    return replace(before, left=event.evidence, doubt=doubt)


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
        renamed=event.evidence if renamed else before.renamed,
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


def _apply_to_operator(facts: Facts, event: OperatorChanged | OperatorUnreadable) -> Facts:
    if event.operator == ZERO:
        return facts
    before = facts.operators.get(event.operator)
    if isinstance(event, OperatorUnreadable):
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
