"""Taking what is due, and making fewer of what waits in a lane before it is tried again; inside one transaction.

Who takes a delivery holds its lane. On SQLite there is one agent, and that is all. On PostgreSQL it is a lease: it
ends, and whoever writes about a delivery shows its number (store/migrations/postgres/0001_outbox.sql).
"""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby, takewhile

import msgspec

from ocn_permission_agent.consent.address import Address
from ocn_permission_agent.errors import LeaseLost
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.outbox.after_attempt import Decision
from ocn_permission_agent.outbox.model import Delivery, DeliveryState
from ocn_permission_agent.outbox.object_merge import Change, still_to_send
from ocn_permission_agent.outbox.policy import DeliveryClass, class_of_route
from ocn_permission_agent.outbox.rows import from_us, read_delivery, read_route, span_us, to_us
from ocn_permission_agent.outbox.session_merge import Said, full_put
from ocn_permission_agent.outbox.settings import DeliverySettings
from ocn_permission_agent.outbox.settling import Settling
from ocn_permission_agent.outbox.shared_limits import RecentStarts, room_of_provider
from ocn_permission_agent.outbox.store import Interrupted
from ocn_permission_agent.store.database import Connection, Row
from ocn_permission_agent.store.sql import Sql

#: later than anything that is due
_END_OF_TIME_US = 2**62
#: of one lane, merged in one transaction, so that those who record do not wait for it
_RUN = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """What may be tried now, and how many copies others stand for, by (provider, module).

    `limited` are those of whom more may be due than the room over all agents allows.
    """

    deliveries: tuple[Delivery, ...]
    superseded: Counter[tuple[str, str]] = field(default_factory=Counter)
    limited: frozenset[Address] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """How an agent holds lanes.

    `holder` is its name; what a former run of the same name has left behind is its own. `shared` are the limits that
    hold over all agents of the store; None when there is only one.
    """

    holder: str
    lease: timedelta = timedelta(seconds=120)
    shared: DeliverySettings | None = None


class Claiming:
    """Claims.

    Args:
        sql: the named statements of ``sql/``, for its engine.
        settling: ends what is superseded.
        holding: how lanes are held.
    """

    def __init__(self, sql: Sql, settling: Settling, holding: Holding) -> None:
        self._sql = sql
        self._settling = settling
        self._shared = holding.shared
        self._lease = {"holder": holding.holder, "lease_us": span_us(holding.lease)}

    def claim(
        self, connection: Connection, *, now: datetime, room: Mapping[Address, int], default_room: int
    ) -> Claimed:
        """See `OutboxStore.claim`."""
        now_us = to_us(now)
        marks: list[dict[str, object]] = []
        superseded: Counter[tuple[str, str]] = Counter()
        limited: set[Address] = set()
        locked = {row["id"] for row in self._sql.rows(connection, "lock_providers_due", now=now_us)}
        channels = self._sql.rows(connection, "channels_with_due", now=now_us)
        if self._shared is not None:
            # What became due between the two is left for the next time: nobody has locked its provider.
            channels = [row for row in channels if row["provider_id"] in locked]
        for _, group in groupby(channels, key=lambda row: row["provider_id"]):
            of_provider = list(group)
            address = Address(of_provider[0]["address"])
            offered = room.get(address, default_room)
            allowed = self._within(of_provider[0], offered, now)
            taken = list(self._lanes(connection, of_provider, allowed, now_us))
            if len(taken) >= allowed < offered:
                limited.add(address)
            for channel, lane in taken:
                head_id = lane["head_id"]
                probing = channel["provider_paused"] or channel["module_paused"]
                if probing or lane["collapse"] or lane["due_at_us"] < channel["returned_at_us"]:
                    head_id, count = self._collapse(connection, lane, now)
                    superseded[channel["party"], channel["module"]] += count
                marks.append({"lane_id": lane["id"], "head_id": head_id, **self._lease})
            self._note_starts(connection, of_provider[0], len(taken), now)
        self._sql.do_each(connection, "mark_in_flight", marks)
        deliveries = self._get(connection, [mark["head_id"] for mark in marks], now_us)
        return Claimed(deliveries=deliveries, superseded=superseded, limited=frozenset(limited))

    # --- holding --------------------------------------------------------------------------------------------------

    def renew(self, connection: Connection, under_way: Collection[Delivery]) -> None:
        """Hold the lanes of these for a whole lease from now on, but for those that were taken over."""
        ids = json.dumps([delivery.id for delivery in under_way])
        self._sql.do(connection, "renew_leases", delivery_ids=ids, **self._lease)

    def left_behind(self, connection: Connection, now: datetime, *, own: bool) -> tuple[Interrupted, ...]:
        """Take over the lanes whose lease is over, and with `own` all that this agent has held.

        What had not begun to be sent is due again; attempts that had are returned, their lanes held.
        """
        begun: dict[int, datetime] = {}
        for row in self._sql.rows(connection, "left_behind", own=own, holder=self._lease["holder"]):
            if row["started_at_us"] is None:
                self._sql.do(connection, "unmark_in_flight", lane_id=row["lane_id"])
                continue
            self._sql.do(connection, "take_over", lane_id=row["lane_id"], **self._lease)
            begun[row["head_id"]] = from_us(row["started_at_us"])
        deliveries = self._get(connection, list(begun), to_us(now))
        return tuple(Interrupted(delivery=each, started_at=begun[each.id]) for each in deliveries)

    def _within(self, provider: Row, allowed: int, now: datetime) -> int:
        if self._shared is None or allowed <= 0:
            return allowed
        room = room_of_provider(
            self._shared,
            Party.parse(provider["party"]),
            in_flight=provider["in_flight"],
            recent=RecentStarts.parse(provider["recent_starts"]),
            now=now,
        )
        return min(allowed, room)

    def _note_starts(self, connection: Connection, provider: Row, count: int, now: datetime) -> None:
        if self._shared is None or not count:
            return
        rate = self._shared.max_rate_of(Party.parse(provider["party"]))
        recent = RecentStarts.parse(provider["recent_starts"]).with_more(count, rate, now)
        self._sql.do(connection, "note_starts", provider_id=provider["provider_id"], recent_starts=str(recent))

    def _get(self, connection: Connection, ids: Sequence[object], now_us: int) -> tuple[Delivery, ...]:
        """Deliveries as they stand, oldest first."""
        if not ids:
            return ()
        rows = self._sql.rows(connection, "get_deliveries", ids=json.dumps(ids), now=now_us)
        return tuple(map(read_delivery, rows))

    def _lanes(
        self, connection: Connection, channels: Sequence[Row], allowed: int, now_us: int
    ) -> Iterator[tuple[Row, Row]]:
        """The lanes of one provider that may be tried, oldest first, each with its channel."""
        if allowed <= 0:
            return
        probing_provider = channels[0]["provider_paused"]
        found: list[tuple[Row, Row]] = []
        for channel in channels:
            probing = probing_provider or channel["module_paused"]
            rows = self._sql.rows(
                connection,
                "lanes_due",
                channel_id=channel["id"],
                due_by=_END_OF_TIME_US if probing else now_us,
                now=now_us,
                room=1 if probing else allowed,
            )
            found.extend((channel, row) for row in rows)
        if probing_provider:
            # With a module that is not paused for itself, if there is one.
            found.sort(key=lambda pair: (pair[0]["module_paused"], pair[1]["due_at_us"], pair[1]["head_id"]))
            yield from found[:1]
            return
        found.sort(key=lambda pair: (pair[1]["due_at_us"], pair[1]["head_id"]))
        yield from found[:allowed]

    # --- collapsing -----------------------------------------------------------------------------------------------

    def _collapse(self, connection: Connection, lane: Row, now: datetime) -> tuple[int, int]:
        """Make fewer of what waits; the delivery that is the head now, and how many it and others supersede."""
        rows = self._sql.rows(connection, "pending_of_lane", lane_id=lane["id"], head_id=lane["head_id"], most=_RUN)
        first = rows[0]
        delivery_class = _class_of(first)
        run = list(
            takewhile(lambda row: row["scope_id"] == first["scope_id"] and _class_of(row) is delivery_class, rows)
        )
        if delivery_class is DeliveryClass.SESSION:
            return self._collapse_session(connection, lane["id"], run, now)
        if delivery_class is DeliveryClass.OBJECT and len(run) > 1:
            return self._collapse_object(connection, run, now)
        return first["id"], 0

    def _collapse_session(self, connection: Connection, lane_id: int, run: list[Row], now: datetime) -> tuple[int, int]:
        newest = run[-1]
        base = self._settling.merged_of(connection, lane_id, scope_id=newest["scope_id"])
        put = full_put(base, [Said(id=row["id"], method=row["method"], body=row["body"]) for row in run])
        if put is None:
            return run[0]["id"], 0
        if newest["method"] != "PUT" or put.merged.through_id != newest["id"]:
            self._settling.put_merged(connection, lane_id, newest["scope_id"], put.merged, now)
            self._send_instead(connection, newest["id"], "PUT", put.merged.body)
        self._supersede(connection, run, by=newest, superseded=put.superseded, now=now)
        return newest["id"], len(put.superseded)

    def _collapse_object(self, connection: Connection, run: list[Row], now: datetime) -> tuple[int, int]:
        by_id = {row["id"]: row for row in run}
        kept = still_to_send([_change(row) for row in run])
        for each in kept:
            if each.merged:
                self._send_instead(connection, each.change.id, "PATCH", each.change.body)
            self._supersede(connection, run, by=by_id[each.change.id], superseded=each.superseded, now=now)
        return kept[0].change.id, len(run) - len(kept)

    def _send_instead(self, connection: Connection, delivery_id: int, method: str, body: bytes) -> None:
        self._sql.do(connection, "put_collapsed", delivery_id=delivery_id, method=method, body=body)

    def _supersede(
        self,
        connection: Connection,
        run: Sequence[Row],
        *,
        by: Row,
        superseded: Sequence[int],
        now: datetime,
    ) -> None:
        """End those that another one stands for; it takes over how often they were tried."""
        if not superseded:
            return
        decision = Decision(state=DeliveryState.SUPERSEDED, decided_at=now, reason=f"delivery {by['id']} stands for it")
        for delivery_id in superseded:
            self._settling.decide(connection, delivery_id, decision)
        attempts = max(row["attempts"] for row in run if row["id"] == by["id"] or row["id"] in superseded)
        self._sql.do(connection, "inherit_attempts", id=by["id"], attempts=attempts)


def lost_to_another(delivery: Delivery) -> LeaseLost:
    """What who has lost a lane is told."""
    return LeaseLost(f"the lane of delivery {delivery.id} was taken over by another agent")


def _class_of(row: Row) -> DeliveryClass:
    return class_of_route(row["method"], read_route(row))


def _change(row: Row) -> Change:
    """A change as it would be sent: one that stands for others already, with what they came to."""
    return Change(
        id=row["id"],
        method=row["method"],
        segments=msgspec.json.decode(row["segments"], type=tuple[str, ...]),
        query=msgspec.json.decode(row["query"], type=tuple[tuple[str, str], ...]),
        body=row["body"] if row["collapsed_body"] is None else row["collapsed_body"],
    )
