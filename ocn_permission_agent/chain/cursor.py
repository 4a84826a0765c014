"""The newest blocks we stand on, and what was known at each: how a reorganisation is noticed and undone. Pure.

::

    window   … ── 97 ── 98 ── 99 ── 100              tip = 100
                         └── 99' ── 100' ── 101'      the endpoint's head: its 99' has our 98 for a parent
    fork point 98: back to what was known there, then on along the endpoint's blocks

What was known at a block shares its structure with the next block, so 256 of them cost little more than one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ocn_permission_agent.chain.blocks import Header
from ocn_permission_agent.consent.address import Address
from ocn_permission_agent.consent.events import AgreementToggled, Event, RevokeReorganised
from ocn_permission_agent.consent.facts import Facts
from ocn_permission_agent.consent.fold import apply

#: blocks remembered; a deeper reorganisation is never overwritten silently
WINDOW_BLOCKS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A block, its events (logs first, then observations) and what was known after it."""

    header: Header
    events: tuple[Event, ...]
    facts: Facts


@dataclass(frozen=True, slots=True)
class Window:
    """The newest links, oldest first, each the parent of the next; at most 256."""

    links: tuple[Link, ...] = ()

    @property
    def tip(self) -> Link | None:
        """The newest block we stand on; None before the first sync."""
        return self.links[-1] if self.links else None

    def holds(self, header: Header) -> bool:
        """Whether we stand on this very block."""
        return any(link.header.hash == header.hash for link in reversed(self.links))

    def cut_to(self, number: int) -> "Window":
        """Without the blocks above the number."""
        return Window(tuple(link for link in self.links if link.header.number <= number))

    def above(self, number: int) -> tuple[Link, ...]:
        """The blocks above the number."""
        return tuple(link for link in self.links if link.header.number > number)

    def extended(self, links: Sequence[Link]) -> "Window":
        """With newer blocks on top, and the oldest ones forgotten."""
        return Window((*self.links, *links)[-WINDOW_BLOCKS:])


def fork_point(window: Window, theirs: Sequence[Header]) -> int | None:
    """The highest block that both have; None when none of these headers is ours."""
    ours = {link.header.number: link.header.hash for link in window.links}
    return max((header.number for header in theirs if ours.get(header.number) == header.hash), default=None)


def is_chain(headers: Sequence[Header]) -> bool:
    """Whether each header is the parent of the next."""
    return all(one.hash == two.parent_hash and one.number + 1 == two.number for one, two in pairwise(headers))


def pairs_that_lost_a_revoke(base: Facts, dropped: Sequence[Event]) -> frozenset[tuple[Address, Address]]:
    """(customer, provider) whose revoke is among the dropped events: their older grant must wait anew (C4).

    Args:
        base: what was known at the fork point.
        dropped: events of the blocks that are gone, in their order.
    """
    facts, lost = base, set[tuple[Address, Address]]()
    for event in dropped:
        if isinstance(event, RevokeReorganised):
            lost.add((event.customer, event.provider))
        elif isinstance(event, AgreementToggled):
            pair = facts.pair(event.customer, event.provider)
            if pair is not None and pair.agreed:
                lost.add((event.customer, event.provider))
        facts = apply(facts, event)
    return frozenset(lost)
