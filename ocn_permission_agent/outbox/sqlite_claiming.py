"""Taking what is due, and making fewer of what waits in a lane before it is tried again; inside one transaction."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby, takewhile

import msgspec

from ocn_permission_agent.consent.address import Address
from ocn_permission_agent.outbox.after_attempt import Decision
from ocn_permission_agent.outbox.model import Delivery, DeliveryState
from ocn_permission_agent.outbox.object_merge import Change, still_to_send
from ocn_permission_agent.outbox.policy import DeliveryClass, class_of_route
from ocn_permission_agent.outbox.rows import read_delivery, read_route, to_us
from ocn_permission_agent.outbox.session_merge import Said, full_put
from ocn_permission_agent.outbox.sqlite_settling import Settling
from ocn_permission_agent.store.database import Connection, Row
from ocn_permission_agent.store.sql import Sql

#: later than anything that is due
_END_OF_TIME_US = 2**62
#: of one lane, merged in one transaction, so that those who record do not wait for it
_RUN = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """What may be tried now, and how many copies others stand for, by (provider, module)."""

    deliveries: tuple[Delivery, ...]
    superseded: Counter[tuple[str, str]] = field(default_factory=Counter)


class Claiming:
    """Claims.

    Args:
        sql: the named statements of ``sql/sqlite.sql``.
        settling: ends what is superseded.
    """

    def __init__(self, sql: Sql, settling: Settling) -> None:
        self._sql = sql
        self._settling = settling

    def claim(
        self, connection: Connection, *, now: datetime, room: Mapping[Address, int], default_room: int
    ) -> Claimed:
        """See `OutboxStore.claim`."""
        now_us = to_us(now)
        heads: list[int] = []
        superseded: Counter[tuple[str, str]] = Counter()
        channels = self._sql.rows(connection, "channels_with_due", now=now_us)
        for _, group in groupby(channels, key=lambda row: row["provider_id"]):
            of_provider = list(group)
            allowed = room.get(Address(of_provider[0]["address"]), default_room)
            for channel, lane in self._lanes(connection, of_provider, allowed, now_us):
                head_id = lane["head_id"]
                probing = channel["provider_paused"] or channel["module_paused"]
                if probing or lane["collapse"] or lane["due_at_us"] < channel["returned_at_us"]:
                    head_id, count = self._collapse(connection, lane, now)
                    superseded[channel["party"], channel["module"]] += count
                self._sql.do(connection, "mark_in_flight", lane_id=lane["id"], head_id=head_id)
                heads.append(head_id)
        deliveries = tuple(self.get(connection, head_id, now_us) for head_id in sorted(heads))
        return Claimed(deliveries=deliveries, superseded=superseded)

    def get(self, connection: Connection, delivery_id: int, now_us: int) -> Delivery:
        """A delivery as it stands."""
        row = self._sql.row(connection, "get_delivery", id=delivery_id, now=now_us)
        if row is None:
            raise LookupError(f"delivery {delivery_id} is not in the store")
        return read_delivery(row)

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
