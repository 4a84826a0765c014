"""Recording plans in PostgreSQL: a whole group of them at once, inside one transaction.

A group costs the same few round trips however many plans it has. Whatever is decided is decided by rows that are
locked, and nothing is remembered from one group to the next, so that several agents may record at once:

1. scopes: found, or made;
2. lanes: made or locked, all in the order of their keys, so that two agents never wait for each other; then ids are
   given out, so that they grow in each lane in the order of commits;
3. lanes that are not new: what in them is alike (skipped if there is none);
4. every copy is judged (`grouping.py`), and what is due is written.
"""

from collections.abc import Sequence

from ocn_permission_agent.outbox.grouping import (
    Before,
    Grouping,
    Item,
    LockedLane,
    Scope,
    SharedIds,
    Verdicts,
    since_us,
)
from ocn_permission_agent.outbox.policy import DeliveryClass
from ocn_permission_agent.outbox.prepared import Planning, Prepared, ScopeKey
from ocn_permission_agent.outbox.spool import Mark
from ocn_permission_agent.store.database import Connection, Row
from ocn_permission_agent.store.sql import Sql


class GroupRecording:
    """Puts groups of plans down.

    Args:
        sql: the named statements of ``sql/postgres_recording.sql``.
        planning: knows how long parked payloads are kept.
    """

    def __init__(self, sql: Sql, planning: Planning) -> None:
        self._sql = sql
        self._planning = planning

    def put_down(self, connection: Connection, group: Sequence[Prepared], *, again: bool = False) -> list[Verdicts]:
        """Record plans, in order; tells what the deliveries of each turned out to be.

        Args:
            connection: its transaction.
            group: the plans.
            again: they may have been recorded before, by a commit of which nobody knows: what is there already, of
                the same moment and content, is a duplicate and not noted.
        """
        items = [
            [
                Item(prepared, planned, key, scope_key)
                for planned, (key, scope_key) in zip(prepared.plan.deliveries, prepared.keys, strict=True)
            ]
            for prepared in group
        ]
        every = [item for of_plan in items for item in of_plan]
        if not every:
            return [() for _ in group]
        connection.execute(self._sql["keep_scopes"])
        scopes = self._scopes(connection, every)
        lanes, ids = self._lanes(connection, every, scopes)
        before = self._look_back(connection, every, lanes, again=again)
        grouping = Grouping(self._planning, scopes, lanes, ids)
        verdicts = [
            grouping.add(prepared, [(item, before.get(id(item))) for item in of_plan])
            for prepared, of_plan in zip(group, items, strict=True)
        ]
        self._write(connection, grouping)
        return verdicts

    def keep_mark(self, connection: Connection, mark: Mark) -> None:
        """Write how far the spool is emptied."""
        connection.execute(self._sql["keep_spool_mark"], ("spool", str(mark)))

    # --- scopes and lanes -----------------------------------------------------------------------------------------

    def _scopes(self, connection: Connection, items: Sequence[Item]) -> dict[ScopeKey, Scope]:
        newest = {item.scope_key: item for item in items}
        rows = self._find_scopes(connection, newest)
        if len(rows) < len(newest):
            self._make_scopes(connection, [item for key, item in sorted(newest.items()) if key not in rows])
            rows = self._find_scopes(connection, newest)
        parties = {
            newest[key].planned.provider_address: str(newest[key].planned.provider)
            for key, row in sorted(rows.items())
            if row["party"] != str(newest[key].planned.provider)
        }
        if parties:
            connection.execute(self._sql["rename_providers"], (list(parties), list(parties.values())))
        return {
            key: Scope(
                row["scope_id"], row["channel_id"], row["provider_id"], row["still_since_us"], row["stood_still_us"]
            )
            for key, row in rows.items()
        }

    def _find_scopes(self, connection: Connection, items: dict[ScopeKey, Item]) -> dict[ScopeKey, Row]:
        keys = list(items)
        columns = _columns([_scope_columns(item) for item in items.values()])
        rows = connection.execute(self._sql["find_scopes"], columns).fetchall()
        return {keys[row["n"] - 1]: row for row in rows}

    def _make_scopes(self, connection: Connection, items: Sequence[Item]) -> None:
        providers = {item.planned.provider_address: str(item.planned.provider) for item in items}
        connection.execute(self._sql["add_providers"], (list(providers), list(providers.values())))
        channels = {
            (item.planned.provider_address, item.prepared.plan.envelope.request.module.value): item for item in items
        }
        rows = [(*place, item.prepared.recorded_at_us) for place, item in channels.items()]
        connection.execute(self._sql["add_channels"], _columns(rows))
        scopes = [(*_scope_columns(item), item.planned.agreement_block) for item in items]
        connection.execute(self._sql["add_scopes"], _columns(scopes))

    def _lanes(
        self, connection: Connection, items: Sequence[Item], scopes: dict[ScopeKey, Scope]
    ) -> tuple[dict[bytes, LockedLane], SharedIds]:
        """The lanes by key, locked; and ids that are larger than all in them."""
        rows = [
            (
                key,
                scopes[item.scope_key].channel_id,
                item.planned.lane.customer_address,
                item.planned.lane.owner,
                _storable(item.planned.lane.object_id),
            )
            for key, item in sorted({item.key: item for item in items}.items())
        ]
        found = connection.execute(self._sql["lock_lanes"], [*_columns(rows), len(items)]).fetchall()
        lanes = {
            row["key"]: LockedLane(row["id"], row["newest_id"], row["stood_still_us"], row["held_since_us"])
            for row in found
        }
        return lanes, SharedIds(found[0]["ids"], lambda many: self._more_ids(connection, many))

    def _more_ids(self, connection: Connection, many: int) -> Sequence[int]:
        ids: Sequence[int] = connection.execute(self._sql["more_ids"], (many,)).fetchall()[0]["ids"]
        return ids

    # --- what was before, and what is now -------------------------------------------------------------------------

    def _look_back(
        self, connection: Connection, items: Sequence[Item], lanes: dict[bytes, LockedLane], *, again: bool
    ) -> dict[int, Before]:
        """What lanes that are not new tell about an item, by the identity of the item."""
        old = [item for item in items if lanes[item.key].newest_id]
        if not old:
            return {}
        rows = [
            (
                lanes[item.key].id,
                lanes[item.key].newest_id,
                item.prepared.digest,
                since_us(item.prepared),
                item.prepared.delivery_class is DeliveryClass.CDR,
                item.prepared.recorded_at_us if again else None,
            )
            for item in old
        ]
        found = connection.execute(self._sql["look_back"], _columns(rows)).fetchall()
        return {
            id(old[row["n"] - 1]): Before(
                newest_at_us=row["newest_at_us"] if row["same_again"] else None,
                alike=None if row["alike_id"] is None else (row["alike_id"], row["alike_at_us"]),
                any_earlier=row["any_earlier"],
                known=row["known"],
            )
            for row in found
        }

    def _write(self, connection: Connection, grouping: Grouping) -> None:
        rows = grouping.rows
        if rows.envelopes:
            connection.execute(self._sql["add_envelopes"], _columns(rows.envelopes))
            tallies = [(*place, count) for place, count in rows.tallies.items()]
            grown = [(lane.id, *lane.growth) for lane in grouping.grown()]
            columns = [*_columns(rows.deliveries), *_columns(tallies), *_columns(grown)]
            connection.execute(self._sql["add_deliveries"], columns)
        if rows.duplicates:
            connection.execute(self._sql["add_duplicates"], _columns(rows.duplicates))


def _columns(rows: Sequence[tuple[object, ...]]) -> list[list[object]]:
    """The same by columns, which become arrays."""
    return [list(column) for column in zip(*rows, strict=True)]


def _scope_columns(item: Item) -> tuple[str, str, str, str, str, str]:
    planned, envelope = item.planned, item.prepared.plan.envelope
    return (
        envelope.customer_address,
        planned.provider_address,
        str(planned.provider),
        str(planned.agreement),
        envelope.request.module.value,
        envelope.request.route.interface_role.value,
    )


def _storable(text: str) -> str:
    """PostgreSQL keeps any text but NUL; the lane's key is of the text as it was."""
    return text.replace("\0", "\N{SYMBOL FOR NULL}")
