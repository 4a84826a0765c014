"""What a group of plans comes to in rows, once its scopes and lanes are known and locked. Pure.

Every copy is judged by the same rule as one that is recorded alone (`repetition.py`): by what its lane had before, and
by what the group has added to it.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from ocn_permission_agent.outbox.model import DeliveryState, PlannedDelivery
from ocn_permission_agent.outbox.policy import DeliveryClass, brings_periods
from ocn_permission_agent.outbox.prepared import Planning, Prepared, ScopeKey, going_on
from ocn_permission_agent.outbox.repetition import PERIODS_SPAN, Earlier, Repetition, judge_repetition
from ocn_permission_agent.outbox.rows import from_us, span_us

#: what each delivery of a plan turned out to be
Verdicts = tuple[Repetition, ...]
_PERIODS_SPAN_US = span_us(PERIODS_SPAN)


@dataclass(frozen=True, slots=True)
class Scope:
    """A scope's row, its channel's and its provider's, and how that channel stands still."""

    scope_id: int
    channel_id: int
    provider_id: int
    still_since_us: int | None
    stood_still_us: int


@dataclass(slots=True)
class LockedLane:
    """A lane, and what this group adds to it, oldest first: (id, content, when). `head` is the first that is due.

    Something may leave at once if nothing was owed before, from `clear_from_us` on (None: not), and nothing is by this
    group. `begins`: something does. `newest_id` is 0 for a new lane; `merged_scope_id` is its session's, if it has one.
    `next_lease` is the number under which it is held by who begins; always 0 where there is one agent.
    """

    id: int
    newest_id: int
    stood_still_us: int
    held_since_us: int | None
    clear_from_us: int | None = None
    merged_scope_id: int | None = None
    next_lease: int = 0
    added: list[tuple[int, bytes, int]] = field(default_factory=list)
    head: tuple[int, int] | None = None
    begins: bool = False

    @property
    def growth(self) -> tuple[int, int | None, int | None]:
        """Of one to which something was added: its newest, and the first that is due, and since when."""
        return self.added[-1][0], *(self.head or (None, None))


class Item(NamedTuple):
    """One planned delivery of a group. With `may_begin` its first attempt begins with it, if it is clear to leave."""

    prepared: Prepared
    planned: PlannedDelivery
    key: bytes
    scope_key: ScopeKey
    may_begin: bool = False


class Before(NamedTuple):
    """What a lane had before a group came, as far as it matters to one item.

    `newest_at_us` is set if the newest copy has the same content; `alike` is the newest that has. `known`: this very
    copy is there already.
    """

    newest_at_us: int | None
    alike: tuple[int, int] | None
    any_earlier: bool
    known: bool


_NOTHING = Before(newest_at_us=None, alike=None, any_earlier=False, known=False)


class Ids(Protocol):
    """Ids to give out, growing."""

    def take(self, many: int) -> int:
        """The first of so many without a hole between them."""
        ...


class SharedIds:
    """See `Ids`. Other agents take some meanwhile, so there may be holes between them.

    Args:
        ids: enough, if there are no holes.
        more: gets so many more.
    """

    def __init__(self, ids: Sequence[int], more: Callable[[int], Sequence[int]]) -> None:
        self._ids = deque(sorted(ids))
        self._more = more

    def take(self, many: int) -> int:
        """See `Ids`."""
        while True:
            while len(self._ids) < many:
                self._ids.extend(sorted(self._more(many)))
            if self._ids[many - 1] - self._ids[0] == many - 1:
                first = self._ids[0]
                for _ in range(many):
                    self._ids.popleft()
                return first
            self._ids.popleft()


@dataclass(slots=True)
class Rows:
    """What is to be written. `begun`: the deliveries whose first attempt has begun, by id, with their envelope's."""

    envelopes: list[tuple[object, ...]] = field(default_factory=list)
    deliveries: list[tuple[object, ...]] = field(default_factory=list)
    begun: list[tuple[int, int, Item]] = field(default_factory=list)
    duplicates: list[tuple[object, ...]] = field(default_factory=list)
    tallies: Counter[tuple[int, str]] = field(default_factory=Counter)


class Grouping:
    """Judges the items of a group and makes up their rows.

    Args:
        planning: knows how long parked payloads are kept.
        scopes: of all items.
        lanes: of all items.
        ids: for what is due.
    """

    def __init__(
        self, planning: Planning, scopes: Mapping[ScopeKey, Scope], lanes: Mapping[bytes, LockedLane], ids: Ids
    ) -> None:
        self._planning = planning
        self.scopes = scopes
        self.lanes = lanes
        self._ids = ids
        self.rows = Rows()

    def add(self, prepared: Prepared, items: Sequence[tuple[Item, Before | None]]) -> Verdicts:
        """Add the items of one plan; tells what they turned out to be."""
        judged = [(item, self._judge(item, before or _NOTHING)) for item, before in items]
        due = [(item, verdict) for item, verdict in judged if verdict is not Repetition.DUPLICATE]
        if due:
            envelope_id = self._ids.take(len(due))
            at_us = prepared.recorded_at_us
            self.rows.envelopes.append((envelope_id, len(due), len(due), at_us, *prepared.columns))
            for delivery_id, (item, verdict) in enumerate(due, start=envelope_id):
                self._owe(item, delivery_id, envelope_id, conflict=verdict is Repetition.CONFLICT)
        return tuple(verdict for _, verdict in judged)

    def grown(self) -> Iterator[LockedLane]:
        """The lanes to which something was added."""
        return (lane for lane in self.lanes.values() if lane.added)

    def _judge(self, item: Item, before: Before) -> Repetition:
        """Tell what a copy is to those before it in its lane; a repetition is noted here."""
        if before.known:
            return Repetition.DUPLICATE
        prepared, lane = item.prepared, self.lanes[item.key]
        request = prepared.plan.envelope.request
        alike = _alike(prepared, lane, before)
        verdict = judge_repetition(
            request,
            alike=alike,
            newest=lane.added[-1][0] if lane.added else lane.newest_id or None,
            any_earlier=bool(lane.added) or before.any_earlier,
            now=prepared.plan.envelope.recorded_at,
        )
        if verdict is Repetition.DUPLICATE and alike is not None:
            self.rows.duplicates.append(
                (alike.delivery_id, prepared.recorded_at_us, request.correlation_id, str(request.receiver))
            )
        return verdict

    def _owe(self, item: Item, delivery_id: int, envelope_id: int, *, conflict: bool) -> None:
        prepared, scope, lane = item.prepared, self.scopes[item.scope_key], self.lanes[item.key]
        at_us = prepared.recorded_at_us
        fleeting = prepared.delivery_class is DeliveryClass.EPHEMERAL
        end = self._planning.conflict(prepared) if conflict else Planning.PENDING
        begins = item.may_begin and not conflict and _is_clear(scope, lane, at_us)
        if begins:
            lane.begins = True
            self.rows.begun.append((delivery_id, envelope_id, item))
        self.rows.deliveries.append(
            (
                delivery_id,
                envelope_id,
                lane.id,
                scope.scope_id,
                end.state,
                fleeting,
                at_us,
                at_us,
                at_us + prepared.window_us - (0 if fleeting else _stood_still_us(scope, lane, at_us)),
                end.ended_at_us,
                end.reason,
                prepared.digest,
                end.payload_until_us,
                end.forget_at_us,
                begins,
            )
        )
        self.rows.tallies[scope.scope_id, end.state] += 1
        lane.added.append((delivery_id, prepared.digest, at_us))
        if end.state == DeliveryState.PENDING.value and lane.head is None:
            lane.head = (delivery_id, at_us)


def since_us(prepared: Prepared) -> int | None:
    """How far back a copy with the same content matters; None: only the newest does."""
    if prepared.delivery_class is DeliveryClass.CDR:
        return 0
    if brings_periods(prepared.plan.envelope.request):
        return prepared.recorded_at_us - _PERIODS_SPAN_US
    return None


def _is_clear(scope: Scope, lane: LockedLane, now_us: int) -> bool:
    """Whether what is added to a lane may leave at once."""
    return (
        scope.still_since_us is None
        and lane.head is None
        and lane.clear_from_us is not None
        and lane.clear_from_us <= now_us
    )


def _alike(prepared: Prepared, lane: LockedLane, before: Before) -> Earlier | None:
    """The newest copy with the same content, as far back as it matters."""
    for delivery_id, digest, at_us in reversed(lane.added):
        if digest != prepared.digest:
            continue
        since = since_us(prepared)
        if delivery_id == lane.added[-1][0] or (since is not None and at_us >= since):
            return Earlier(delivery_id=delivery_id, recorded_at=from_us(at_us))
    if before.newest_at_us is not None and not lane.added:
        return Earlier(delivery_id=lane.newest_id, recorded_at=from_us(before.newest_at_us))
    if before.alike is None:
        return None
    return Earlier(delivery_id=before.alike[0], recorded_at=from_us(before.alike[1]))


def _stood_still_us(scope: Scope, lane: LockedLane, now_us: int) -> int:
    """A wait that goes on will be added as a whole; a new delivery shares only what is still to come of it."""
    channel = scope.stood_still_us + going_on(scope.still_since_us, now_us)
    return channel + lane.stood_still_us + going_on(lane.held_since_us, now_us)
