"""Recording plans in SQLite: a whole group of them at once, inside one transaction.

This is what every copied request waits for, and it is done beside an event loop that has other things to do. So the
engine is asked in few, large statements, in which the loop is not disturbed (store/many.py): one finds the lanes and
what in them is alike, and one for each table writes. Providers, channels and scopes, which are few, are remembered, and
ids are given out here. Every copy is judged as on PostgreSQL (`grouping.py`).
"""

from collections.abc import Sequence

import msgspec

from ocn_permission_agent.outbox.grouping import Before, Grouping, Item, LockedLane, Scope, Verdicts, since_us
from ocn_permission_agent.outbox.model import PlannedDelivery
from ocn_permission_agent.outbox.policy import DeliveryClass
from ocn_permission_agent.outbox.prepared import Planning, Prepared, ScopeKey
from ocn_permission_agent.outbox.put_down import PutDown, ToPutDown, items_of, outcomes
from ocn_permission_agent.outbox.spool import Mark
from ocn_permission_agent.store.database import Connection
from ocn_permission_agent.store.many import run_many
from ocn_permission_agent.store.sql import Sql


class _Found(msgspec.Struct, array_like=True):
    """What `find_lanes` tells of an item whose lane is not new."""

    place: int
    lane_id: int
    newest_id: int
    stood_still_us: int
    held_since_us: int | None
    clear_from_us: int | None
    merged_scope_id: int | None
    newest_at_us: int | None
    same_again: int | None
    alike_id: int | None
    alike_at_us: int | None
    any_earlier: int | None


_READ_FOUND = msgspec.json.Decoder(list[_Found]).decode


class _Counted:
    """Ids that nobody else gives out; see `grouping.Ids`."""

    def __init__(self, newest: int) -> None:
        self.newest = newest

    def take(self, many: int) -> int:
        first = self.newest + 1
        self.newest += many
        return first


class Recording:
    """Puts plans down; it belongs to the writer's thread.

    Args:
        sql: the named statements of ``sql/sqlite_recording.sql``.
        planning: knows how long parked payloads are kept.
    """

    def __init__(self, sql: Sql, planning: Planning) -> None:
        self._sql = sql
        self._planning = planning
        self._scopes: dict[ScopeKey, Scope] = {}
        self._ids: _Counted | None = None
        self._lane_ids: _Counted | None = None

    def forget(self) -> None:
        """What was remembered may be wrong: a channel or a provider stands otherwise than before."""
        self._scopes.clear()

    def undo(self) -> None:
        """What was written last is rolled back."""
        self._scopes.clear()
        self._ids = self._lane_ids = None

    def keep_mark(self, connection: Connection, mark: Mark) -> None:
        """Write how far the spool is emptied."""
        self._sql.do(connection, "keep_spool_mark", mark=str(mark))

    def put_down(self, connection: Connection, group: Sequence[ToPutDown]) -> list[PutDown]:
        """Record plans, in order; begin attempts where that is allowed and nothing stands in the way."""
        plans = items_of(group)
        items = [item for of_plan in plans for item in of_plan]
        scopes = {item.scope_key: self._scope_of(connection, item) for item in items}
        lanes, before = self._find_lanes(connection, items)
        made = self._make_lanes(connection, items, lanes)
        grouping = Grouping(self._planning, scopes, lanes, self._ids_of(connection))
        told: list[tuple[Verdicts, int]] = []
        remaining = iter(before)
        for each, of_plan in zip(group, plans, strict=True):
            verdicts = grouping.add(each.prepared, [(item, next(remaining)) for item in of_plan])
            told.append((verdicts, len(grouping.rows.begun)))
        self._write(connection, grouping, made)
        return list(outcomes(grouping, told))

    # --- scopes ---------------------------------------------------------------------------------------------------

    def _scope_of(self, connection: Connection, item: Item) -> Scope:
        scope = self._scopes.get(item.scope_key)
        if scope is None:
            scope = self._scopes[item.scope_key] = self._find_scope(connection, item.planned, item.prepared)
        return scope

    def _find_scope(self, connection: Connection, planned: PlannedDelivery, prepared: Prepared) -> Scope:
        sql, envelope = self._sql, prepared.plan.envelope
        route, party = envelope.request.route, str(planned.provider)
        provider = sql.row(connection, "find_provider", address=planned.provider_address)
        if provider is None:
            sql.add(connection, "add_provider", address=planned.provider_address, party=party)
            return self._find_scope(connection, planned, prepared)
        if provider["party"] != party:
            sql.do(connection, "rename_provider", id=provider["id"], party=party)
        channel = sql.row(connection, "find_channel", provider_id=provider["id"], module=route.module.value)
        if channel is None:
            still_since_us = None if provider["paused_since_us"] is None else prepared.recorded_at_us
            sql.add(
                connection,
                "add_channel",
                provider_id=provider["id"],
                module=route.module.value,
                still_since_us=still_since_us,
            )
            return self._find_scope(connection, planned, prepared)
        values = {
            "channel_id": channel["id"],
            "customer_address": envelope.customer_address,
            "provider": party,
            "agreement": str(planned.agreement),
            "interface_role": route.interface_role.value,
        }
        scope = sql.row(connection, "find_scope", **values)
        if scope is None:
            scope_id = sql.add(connection, "add_scope", agreement_block=planned.agreement_block, **values)
        else:
            scope_id = scope["id"]
        return Scope(scope_id, channel["id"], provider["id"], channel["still_since_us"], channel["stood_still_us"])

    # --- lanes ----------------------------------------------------------------------------------------------------

    def _find_lanes(
        self, connection: Connection, items: Sequence[Item]
    ) -> tuple[dict[bytes, LockedLane], list[Before | None]]:
        """The lanes that are not new, and what each item finds in its own."""
        rows = [
            (
                place,
                item.key,
                item.prepared.digest,
                since_us(item.prepared),
                item.prepared.delivery_class is DeliveryClass.CDR,
            )
            for place, item in enumerate(items)
        ]
        lanes: dict[bytes, LockedLane] = {}
        before: list[Before | None] = [None] * len(items)
        for cursor in run_many(connection, self._sql["find_lanes"], rows):
            for found in _READ_FOUND(cursor.fetchone()[0]):
                before[found.place] = _before(found)
                lanes[items[found.place].key] = LockedLane(
                    found.lane_id,
                    found.newest_id,
                    found.stood_still_us,
                    found.held_since_us,
                    found.clear_from_us,
                    found.merged_scope_id,
                )
        return lanes, before

    def _make_lanes(
        self, connection: Connection, items: Sequence[Item], lanes: dict[bytes, LockedLane]
    ) -> dict[bytes, Item]:
        """Adds those that are new to `lanes`; returns the first item of each."""
        if self._lane_ids is None:
            self._lane_ids = _Counted(connection.execute(self._sql["newest_lane"]).fetchone()["id"])
        made: dict[bytes, Item] = {}
        for item in items:
            if item.key not in lanes:
                lanes[item.key] = LockedLane(self._lane_ids.take(1), 0, 0, None, clear_from_us=0)
                made[item.key] = item
        return made

    def _ids_of(self, connection: Connection) -> _Counted:
        if self._ids is None:
            self._ids = _Counted(connection.execute(self._sql["newest_delivery"]).fetchone()["id"])
        return self._ids

    # --- what is written ------------------------------------------------------------------------------------------

    def _write(self, connection: Connection, grouping: Grouping, made: dict[bytes, Item]) -> None:
        rows, sql = grouping.rows, self._sql
        connection.executemany(sql["add_envelopes"], rows.envelopes)
        connection.executemany(sql["add_lanes"], [_new_lane(grouping, item) for item in made.values()])
        grown = [(lane.id, *lane.growth, lane.begins) for lane in grouping.grown() if lane.newest_id]
        connection.executemany(sql["grow_lanes"], grown)
        connection.executemany(sql["add_deliveries"], rows.deliveries)
        connection.executemany(sql["add_tallies"], [(*place, count) for place, count in rows.tallies.items()])
        begun = [(delivery_id, 1, item.prepared.recorded_at_us) for delivery_id, _, item in rows.begun]
        connection.executemany(sql["begin_attempts"], begun)
        connection.executemany(sql["add_duplicates"], rows.duplicates)


def _before(found: _Found) -> Before:
    alike = None
    if found.alike_id is not None and found.alike_at_us is not None:
        alike = (found.alike_id, found.alike_at_us)
    return Before(
        newest_at_us=found.newest_at_us if found.same_again else None,
        alike=alike,
        any_earlier=bool(found.any_earlier),
        known=False,
    )


def _new_lane(grouping: Grouping, item: Item) -> tuple[object, ...]:
    lane, planned = grouping.lanes[item.key], item.planned.lane
    return (
        lane.id,
        item.key,
        grouping.scopes[item.scope_key].channel_id,
        planned.customer_address,
        planned.owner,
        planned.object_id,
        *lane.growth,
        lane.begins,
    )
