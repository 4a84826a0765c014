"""What is written once it is known what becomes of a delivery that was taken: inside one transaction, often of many.

Most end alone: nothing else waits in their lane, and neither provider nor module stand otherwise than before. What must
be read before, and such ends, go to the engine all at once, in its own way (`Means`).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

import msgspec
from msgspec.structs import replace

from ocn_permission_agent.errors import LeaseLost
from ocn_permission_agent.outbox.after_attempt import Decision
from ocn_permission_agent.outbox.breaker import Breaker
from ocn_permission_agent.outbox.claiming import lost_to_another
from ocn_permission_agent.outbox.ending import Ending, ending_of
from ocn_permission_agent.outbox.model import Attempt, Delivery
from ocn_permission_agent.outbox.module_pause import ModulePause
from ocn_permission_agent.outbox.rows import read_breaker, read_module_pause
from ocn_permission_agent.outbox.session_merge import MergedSession
from ocn_permission_agent.outbox.settling import AloneColumns, Settling
from ocn_permission_agent.outbox.store import Settled
from ocn_permission_agent.store.database import Connection, Row
from ocn_permission_agent.store.sql import Sql


class Settlement(msgspec.Struct, frozen=True):
    """See the arguments of `OutboxStore.settle`."""

    delivery: Delivery
    decision: Decision
    attempt: Attempt | None
    breaker_step: Callable[[Breaker], Breaker]
    pause_step: Callable[[ModulePause | None], ModulePause | None]


class Standing(NamedTuple):
    """How all stands that a settlement touches.

    `still`: provider and module, if that changes nothing. `alone`: nothing else of the lane was ever recorded after the
    delivery, or came before it again. `base`: the session of the lane, as far as it was said under the same scope.
    """

    still: Settled
    alone: bool
    base: MergedSession | None


class Means(Protocol):
    """How an engine reads what settling needs, and writes what nearly always follows."""

    def standings(self, connection: Connection, group: Sequence[Settlement]) -> Iterator[Standing | None]:
        """Of each, as it is at the beginning; None if its lane is no longer held."""
        ...

    def end_alone(self, connection: Connection, ends: Sequence[AloneColumns]) -> None:
        """Write the ends of deliveries that had their lanes for themselves."""
        ...


class Settlements:
    """Writes settlements.

    Args:
        sql: the named statements of ``sql/``, for its engine.
        settling: writes decisions.
        means: the engine's.
        on_changed: told, inside the transaction, that a provider or a module stands otherwise than before.
    """

    def __init__(self, sql: Sql, settling: Settling, means: Means, on_changed: Callable[[], None]) -> None:
        self._sql = sql
        self._settling = settling
        self._means = means
        self._on_changed = on_changed

    def settle(self, connection: Connection, group: Sequence[Settlement]) -> list[Settled | LeaseLost]:
        """Write a group, in order; about a delivery whose lane was lost nothing is written."""
        outcomes: list[Settled | LeaseLost] = []
        ends: list[AloneColumns] = []
        changed = False
        for each, early in zip(group, self._means.standings(connection, group), strict=True):
            # What this group has changed was not seen by who read everything at its beginning.
            standing = standing_of(self._sql, connection, each.delivery) if changed else early
            if standing is None:
                outcomes.append(lost_to_another(each.delivery))
                continue
            settled = self._settled(connection, each, standing.still)
            waits = self._write(connection, each, standing, ends)
            if settled is not standing.still and settled.changed:
                changed = True
                self._means.end_alone(connection, ends)
                ends = []
                self._settling.stand(connection, each.delivery.place, settled, now=each.decision.decided_at)
                self._on_changed()
            outcomes.append(replace(settled, waits=True) if waits else settled)
        self._means.end_alone(connection, ends)
        return outcomes

    def _write(self, connection: Connection, each: Settlement, standing: Standing, ends: list[AloneColumns]) -> bool:
        """Write one, or add it to those that end alone; whether somebody waits in its lane."""
        delivery, decision, attempt = each.delivery, each.decision, each.attempt
        ending = ending_of(delivery, decision) if decision.due_at is None else None
        if ending is None or attempt is None or not standing.alone:
            return self._in_steps(connection, each, ending)
        ends.append(self._settling.alone(connection, attempt, decision, ending=ending, base=standing.base))
        return False

    def _in_steps(self, connection: Connection, each: Settlement, ending: Ending | None) -> bool:
        """Write an attempt, a decision and whose turn it is in the lane; whether that is anybody's."""
        delivery, decision, attempt = each.delivery, each.decision, each.attempt
        if attempt is None:
            self._settling.drop_open_attempt(connection, delivery)
        else:
            self._settling.end_attempt(connection, delivery, attempt)
        self._settling.decide(connection, delivery.id, decision, attempt=attempt, known=ending)
        return self._settling.free_lane(connection, delivery.place.lane_id, decision)

    def _settled(self, connection: Connection, each: Settlement, still: Settled) -> Settled:
        """How provider and module stand, and are to stand; if that is something else, nobody changes it meanwhile."""
        before, paused = still.before, still.pause_before
        after, pause_after = each.breaker_step(before), each.pause_step(paused)
        if after == before and pause_after == paused:
            return still
        sql, place = self._sql, each.delivery.place
        before = read_breaker(sql.rows(connection, "lock_breaker", provider_id=place.provider_id)[0])
        paused = read_module_pause(sql.rows(connection, "get_module_pause", channel_id=place.channel_id)[0])
        after, pause_after = each.breaker_step(before), each.pause_step(paused)
        return Settled(before=before, after=after, pause_before=paused, pause_after=pause_after)


def standing_of(sql: Sql, connection: Connection, delivery: Delivery) -> Standing | None:
    """How all stands that a settlement of a delivery touches; None if its lane is no longer held, or gone."""
    row = sql.row(connection, "standing_of", lane_id=delivery.place.lane_id, id=delivery.id, lease=delivery.lease)
    if row is None or not row["held"]:
        return None
    base = None
    if row["merged_scope_id"] == delivery.place.scope_id:
        base = MergedSession(through_id=row["merged_through_id"], body=row["merged_body"])
    return Standing(read_still(row), bool(row["alone"]), base)


def read_still(row: Row) -> Settled:
    """How a provider and a module of it stand, and go on to."""
    breaker, pause = read_breaker(row, of="provider_"), read_module_pause(row)
    return Settled(before=breaker, after=breaker, pause_before=pause, pause_after=pause)
