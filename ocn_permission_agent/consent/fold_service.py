"""What an event about a service changes of what is known."""

from dataclasses import replace

from ocn_permission_agent.consent.address import ZERO, Address
from ocn_permission_agent.consent.events import (
    DeletionsCounted,
    Evidence,
    Sent,
    ServiceListed,
    ServiceObserved,
    ServiceUnreadable,
)
from ocn_permission_agent.consent.facts import Doubt, Facts, ServiceFacts, with_end

ServiceEvent = ServiceListed | ServiceObserved | ServiceUnreadable | DeletionsCounted


def apply_to_service(facts: Facts, event: ServiceEvent) -> Facts:
    """The very same facts when the event changes nothing."""
    if event.provider == ZERO:
        return facts
    before = facts.services.get(event.provider)
    after = _service_after(before, event)
    if after is before or after is None:
        return facts
    return replace(facts, services=facts.services.set(event.provider, after))


def _service_after(before: ServiceFacts | None, event: ServiceEvent) -> ServiceFacts | None:
    match event:
        case ServiceListed():
            return _listed(before, event)
        case ServiceUnreadable():
            if event.evidence.observed and before is not None and before.doubt is not None:
                return before  # known already
            # A deletion's log repeats the listing's ids, so a log too large to read may be one: fail closed (C5).
            base = before or _empty_service(event.provider, event.evidence)
            return replace(
                base,
                updated=event.evidence,
                ends=with_end(base.ends, event.evidence, confirmable=False),
                deletions=base.deletions + (0 if event.evidence.observed else 1),
                doubt=Doubt(why=event.why, evidence=event.evidence),
            )
        case DeletionsCounted():
            return _counted(before, event)
        case _:
            return _observed(before, event)


def _listed(before: ServiceFacts | None, event: ServiceListed) -> ServiceFacts:
    old = before or _empty_service(event.provider, event.evidence)
    listing = replace(
        old,
        name=event.name,
        url=event.url,
        permissions=event.permissions,
        unknown_ids=event.unknown_ids,
        listed=not event.nameless,
        updated=event.evidence,
        doubt=None,
    )
    if not event.nameless:
        return listing
    return replace(
        listing,
        ends=with_end(old.ends, event.evidence, confirmable=event.sent in {Sent.RELAYED, Sent.INNER}),
        deletions=old.deletions + 1,
    )


def _counted(before: ServiceFacts | None, event: DeletionsCounted) -> ServiceFacts | None:
    """More deletions than logs that could be one: what customers agreed to before this look has ended (C5)."""
    if before is None or event.deletions <= before.deletions:
        return before
    return replace(before, ends=with_end(before.ends, event.evidence, confirmable=False), deletions=event.deletions)


def _observed(before: ServiceFacts | None, event: ServiceObserved) -> ServiceFacts | None:
    """What a look at `getService` adds to what the logs said."""
    if before is None:
        if not event.listed:
            return None
        why = "the service is listed, but no log of its listing was seen"
        unseen = replace(_empty_service(event.provider, event.evidence), listed=True)
        return replace(unseen, doubt=Doubt(why=why, evidence=event.evidence))
    if not event.listed:
        return before if not before.listed else _found_deleted(before, event.evidence)
    seen = before if before.listed else replace(before, listed=True)
    if before.permissions == event.permissions or before.doubt is not None:
        return seen
    # A log was lost, so what customers agreed to since is unknown: those agreements end, as with a deletion.
    why = "the service lists other permissions than its logs said"
    return replace(
        seen,
        ends=with_end(seen.ends, event.evidence, confirmable=False),
        doubt=Doubt(why=why, evidence=event.evidence),
    )


def _found_deleted(before: ServiceFacts, evidence: Evidence) -> ServiceFacts:
    return replace(before, listed=False, ends=with_end(before.ends, evidence, confirmable=False))


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
