"""From blocks and events to the links of a window. Pure."""

from collections.abc import Sequence

from ocn_permission_agent.chain.blocks import Header, RawLog
from ocn_permission_agent.chain.cursor import Link, pairs_that_lost_a_revoke
from ocn_permission_agent.chain.touched import Touched, touched_by
from ocn_permission_agent.consent.address import Position
from ocn_permission_agent.consent.events import FIRST_OBSERVATION, Event, Evidence, RevokeReorganised
from ocn_permission_agent.consent.facts import Facts
from ocn_permission_agent.consent.fold import apply
from ocn_permission_agent.errors import ChainReorganised


def touched_of(dropped: Sequence[Event], links: Sequence[Link]) -> Touched:
    """Whom new and dropped blocks name."""
    return touched_by([*dropped, *(event for link in links for event in link.events)])


def waits(base: Facts, dropped: Sequence[Event], head: Header) -> tuple[Event, ...]:
    """A revoke that was reorganised makes its grant wait anew, from the head on (C4)."""
    pairs = sorted(pairs_that_lost_a_revoke(base, dropped))
    return tuple(
        RevokeReorganised(
            evidence=Evidence(position=Position(head.number, FIRST_OBSERVATION + place)),
            customer=customer,
            provider=provider,
        )
        for place, (customer, provider) in enumerate(pairs)
    )


def links_of(base: Facts, headers: Sequence[Header], events: Sequence[Event]) -> list[Link]:
    """What was known after each block; events before the first block are folded into its base."""
    links, facts, place = [], base, 0
    for header in headers:
        start = place
        while place < len(events) and events[place].evidence.block_number <= header.number:
            facts = apply(facts, events[place])
            place += 1
        own = tuple(event for event in events[start:place] if event.evidence.block_number == header.number)
        links.append(Link(header=header, events=own, facts=facts))
    return links


def demand_logs_of(headers: Sequence[Header], logs: Sequence[RawLog]) -> None:
    """Every log must be of one of these very blocks; raises ChainReorganised."""
    hashes = {header.number: header.hash for header in headers}
    if any(hashes.get(log.block_number) != log.block_hash for log in logs):
        raise ChainReorganised("logs and blocks are not of the same chain")
