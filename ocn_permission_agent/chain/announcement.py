"""What the agent that watches the chain tells those that follow it."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from ocn_permission_agent.chain.blocks import Header
from ocn_permission_agent.chain.cursor import Link, Window
from ocn_permission_agent.chain.endpoints import EndpointState
from ocn_permission_agent.chain.links import links_of
from ocn_permission_agent.consent.address import Address
from ocn_permission_agent.consent.events import Event
from ocn_permission_agent.consent.facts import Facts
from ocn_permission_agent.consent.index import ConsentIndex
from ocn_permission_agent.consent.settings import ConsentSettings
from ocn_permission_agent.store.database import Row

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ENDPOINTS = msgspec.json.Decoder(tuple[EndpointState, ...])


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """One publication. The block and all events up to it are in the chain's tables.

    Attributes:
        block_number: of the block that the index is of.
        block_hash: of the same.
        polled_at: when, by the wall clock of the one who tells.
        head_age_seconds: then, since its head had advanced; None when it had not polled yet.
        distrust: why everything is closed (C12).
        doubt: why everything is held (C8).
        endpoints: how the endpoints of the one who tells are doing.
        revision: counts announcements; given by the store.
    """

    block_number: int
    block_hash: str
    polled_at: datetime
    head_age_seconds: float | None
    distrust: str | None
    doubt: str | None
    endpoints: tuple[EndpointState, ...] = ()
    revision: int = 0

    def row(self) -> dict[str, object]:
        """As it is written."""
        return {
            "block_number": self.block_number,
            "block_hash": self.block_hash,
            "polled_at_us": (self.polled_at - _EPOCH) // _MICROSECOND,
            "head_age_us": None if self.head_age_seconds is None else int(self.head_age_seconds * 1_000_000),
            "distrust": self.distrust,
            "doubt": self.doubt,
            "endpoints": msgspec.json.encode(self.endpoints).decode(),
        }


def announcement_of(
    index: ConsentIndex, *, polled_at: datetime, head_age_seconds: float, endpoints: tuple[EndpointState, ...]
) -> Announcement:
    """Of what was published."""
    return Announcement(
        block_number=index.block_number,
        block_hash=index.block_hash,
        polled_at=polled_at,
        head_age_seconds=None if math.isinf(head_age_seconds) else head_age_seconds,
        distrust=index.distrust,
        doubt=index.doubt,
        endpoints=endpoints,
    )


def read_announcement(row: Row) -> Announcement:
    """From a row."""
    head_age_us = row["head_age_us"]
    return Announcement(
        block_number=row["block_number"],
        block_hash=row["block_hash"],
        polled_at=_EPOCH + row["polled_at_us"] * _MICROSECOND,
        head_age_seconds=None if head_age_us is None else head_age_us / 1_000_000,
        distrust=row["distrust"],
        doubt=row["doubt"],
        endpoints=_ENDPOINTS.decode(row["endpoints"]),
        revision=row["revision"],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An announcement and what is new since a window: blocks on top of its block `base`, or all of them (None).

    `rewrites` counts changes behind the newest block: while it stays the same, what is known up to `base` still holds.
    """

    announcement: Announcement
    rewrites: int
    base: int | None
    headers: tuple[Header, ...]
    events: tuple[Event, ...]

    def onto(self, window: Window) -> Window:
        """What is known with it; the window must be that which `base` is of."""
        if self.base is None:
            return Window(tuple(links_of(Facts.none(), self.headers, self.events)))
        kept = window.cut_to(self.base)
        facts = Facts.none() if kept.tip is None else kept.tip.facts
        return kept.extended(links_of(facts, self.headers, self.events))


@dataclass(frozen=True, slots=True, kw_only=True)
class Perspective:
    """By what this agent makes an index of facts: whose node it is, and what its operator decided."""

    operator: Address
    confirmations: int
    consent: ConsentSettings

    def index(self, tip: Link, *, distrust: str | None = None, doubt: str | None = None) -> ConsentIndex:
        """The index of a block."""
        return ConsentIndex(
            facts=tip.facts,
            block_number=tip.header.number,
            block_hash=tip.header.hash,
            block_time=tip.header.time,
            own_operator=self.operator,
            confirmations=self.confirmations,
            settings=self.consent,
            distrust=distrust,
            doubt=doubt,
        )
