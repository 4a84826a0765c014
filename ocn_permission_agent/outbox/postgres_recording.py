"""Recording plans in PostgreSQL: a whole group of them at once, inside one transaction.

A group costs the same few round trips however many plans it has. Whatever is decided is decided by rows that are
locked, and no row is remembered from one group to the next, so that several agents may record at once:

1. scopes: found, or made;
2. lanes: made or locked, all in the order of their keys, so that two agents never wait for each other; then ids are
   given out, so that they grow in each lane in the order of commits;
3. lanes that are not new: what in them is alike (skipped if there is none);
4. providers towards whom attempts may begin: locked, unless somebody else takes of their room just now, and how much
   there is; what does not fit, or whose provider is locked, is claimed later. It comes late, for others are shut out
   until the commit;
5. every copy is judged (`grouping.py`), and what is due is written.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.outbox.claiming import Holding
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
from ocn_permission_agent.outbox.prepared import Planning, ScopeKey
from ocn_permission_agent.outbox.put_down import PutDown, ToPutDown, items_of, outcomes
from ocn_permission_agent.outbox.rows import from_us, span_us
from ocn_permission_agent.outbox.settings import DeliverySettings
from ocn_permission_agent.outbox.shared_limits import RecentStarts, room_of_provider
from ocn_permission_agent.outbox.spool import Mark
from ocn_permission_agent.store.database import Connection, Row
from ocn_permission_agent.store.sql import Sql

#: while something has been due for longer, nothing leaves past it, whichever agent is to claim it
_PATIENCE_US = 1_000_000
#: customers wait for the look for room: where it takes longer, so many groups go without, and all of them is claimed
_SLOW_US, _WITHOUT = 10_000, 50


@dataclass(slots=True)
class _Room:
    """What is left of a provider's limits."""

    party: Party
    recent: RecentStarts
    left: int


class GroupRecording:
    """Puts groups of plans down.

    Args:
        sql: the named statements of ``sql/postgres_recording.sql``.
        planning: knows how long parked payloads are kept.
        holding: how lanes are held.
        settings: the limits, which hold over all agents.
    """

    def __init__(self, sql: Sql, planning: Planning, holding: Holding, settings: DeliverySettings) -> None:
        self._sql = sql
        self._planning = planning
        self._held_as = (holding.holder, span_us(holding.lease))
        self._settings = settings
        #: groups that are still to go without a look for room
        self._without = 0

    def put_down(self, connection: Connection, group: Sequence[ToPutDown], *, again: bool = False) -> list[PutDown]:
        """Record plans, in order; begin attempts where that is allowed and nothing stands in the way.

        Args:
            connection: its transaction.
            group: the plans.
            again: they may have been recorded before, by a commit of which nobody knows: what is there already, of
                the same moment and content, is a duplicate and not noted.
        """
        plans = items_of(group)
        every = [item for of_plan in plans for item in of_plan]
        if not every:
            return [PutDown(()) for _ in group]
        connection.execute(self._sql["keep_scopes"])
        scopes = self._scopes(connection, every)
        lanes, ids = self._lanes(connection, every, scopes)
        before = self._look_back(connection, every, lanes, again=again)
        rooms = self._rooms(connection, every, scopes)
        grouping = Grouping(self._planning, scopes, lanes, ids)
        told: list[tuple[Verdicts, int]] = []
        for each, of_plan in zip(group, plans, strict=True):
            items = [(_fitting(item, rooms, scopes), before.get(id(item))) for item in of_plan]
            told.append((grouping.add(each.prepared, items), len(grouping.rows.begun)))
        self._write(connection, grouping, rooms)
        return list(outcomes(grouping, told))

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
            row["key"]: LockedLane(
                row["id"],
                row["newest_id"],
                row["stood_still_us"],
                row["held_since_us"],
                row["clear_from_us"],
                next_lease=row["lease_number"] + 1,
            )
            for row in found
        }
        return lanes, SharedIds(found[0]["ids"], lambda many: self._more_ids(connection, many))

    def _more_ids(self, connection: Connection, many: int) -> Sequence[int]:
        ids: Sequence[int] = connection.execute(self._sql["more_ids"], (many,)).fetchall()[0]["ids"]
        return ids

    # --- room -----------------------------------------------------------------------------------------------------

    def _rooms(self, connection: Connection, items: Sequence[Item], scopes: dict[ScopeKey, Scope]) -> dict[int, _Room]:
        """Of providers of whom nobody else takes any meanwhile, by their ids; locked."""
        wanted = sorted({scopes[item.scope_key].provider_id for item in items if item.may_begin})
        if not wanted:
            return {}
        if self._without:
            self._without -= 1
            return {}
        free = [row["id"] for row in connection.execute(self._sql["lock_free_providers"], (wanted,))]
        if not free:
            return {}
        now_us = max(item.prepared.recorded_at_us for item in items)
        rooms = {}
        for row in connection.execute(self._sql["rooms"], (free, now_us - _PATIENCE_US)):
            if row["took_us"] > _SLOW_US:
                self._without = _WITHOUT
            if row["others_wait"]:
                continue
            party, recent = Party.parse(row["party"]), RecentStarts.parse(row["recent_starts"])
            left = room_of_provider(
                self._settings, party, in_flight=row["in_flight"], recent=recent, now=from_us(now_us)
            )
            rooms[row["id"]] = _Room(party, recent, left)
        return rooms

    def _starts(self, grouping: Grouping, rooms: dict[int, _Room]) -> list[tuple[int, str]]:
        """Of each provider towards whom something begins: when it was called lately, as it is kept."""
        begun = grouping.rows.begun
        if not begun:
            return []
        counts = Counter(grouping.scopes[item.scope_key].provider_id for _, _, item in begun)
        now = from_us(max(item.prepared.recorded_at_us for _, _, item in begun))
        return [
            (place, str(rooms[place].recent.with_more(count, self._settings.max_rate_of(rooms[place].party), now)))
            for place, count in counts.items()
        ]

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
        for row in found:
            lanes[old[row["n"] - 1].key].merged_scope_id = row["merged_scope_id"]
        return {
            id(old[row["n"] - 1]): Before(
                newest_at_us=row["newest_at_us"] if row["same_again"] else None,
                alike=None if row["alike_id"] is None else (row["alike_id"], row["alike_at_us"]),
                any_earlier=row["any_earlier"],
                known=row["known"],
            )
            for row in found
        }

    def _write(self, connection: Connection, grouping: Grouping, rooms: dict[int, _Room]) -> None:
        rows = grouping.rows
        if rows.envelopes:
            tallies = [(*place, count) for place, count in rows.tallies.items()]
            grown = [(lane.id, *lane.growth, lane.begins) for lane in grouping.grown()]
            starts = self._starts(grouping, rooms)
            columns = [
                *_columns(rows.envelopes),
                *_columns(rows.deliveries),
                *_columns(tallies),
                *_columns(grown),
                *self._held_as,
                [place for place, _ in starts],
                [text for _, text in starts],
            ]
            connection.execute(self._sql["put_down"], columns)
        if rows.duplicates:
            connection.execute(self._sql["add_duplicates"], _columns(rows.duplicates))


def _fitting(item: Item, rooms: dict[int, _Room], scopes: dict[ScopeKey, Scope]) -> Item:
    """An item that may begin only if its provider has room left, which it takes."""
    if not item.may_begin:
        return item
    room = rooms.get(scopes[item.scope_key].provider_id)
    if room is None or room.left <= 0:
        return item._replace(may_begin=False)
    room.left -= 1
    return item


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
