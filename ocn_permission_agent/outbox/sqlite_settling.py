"""Settling in SQLite: a whole group at once. One statement reads how all stands, and one writes how all ends."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from ocn_permission_agent.outbox.session_merge import MergedSession
from ocn_permission_agent.outbox.settlement import Settlement, Standing, read_still
from ocn_permission_agent.outbox.settling import AloneColumns
from ocn_permission_agent.store.database import Connection
from ocn_permission_agent.store.many import run_many
from ocn_permission_agent.store.sql import Sql


class _Found(msgspec.Struct, array_like=True):
    """What `standings` tells of a lane; the session's body, in hexadecimal, only where it is needed."""

    place: int
    alone: int | None
    scope_id: int | None
    through_id: int | None
    body: str | None


#: lanes, and the columns of `read_still` for each of their channels
_READ_FOUND = msgspec.json.Decoder(tuple[list[_Found], list[dict[str, Any]]]).decode


class AllAtOnce:
    """A statement for all; see `settlement.Means`.

    Args:
        sql: the statements of ``sql/sqlite_groups.sql``.
    """

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    def standings(self, connection: Connection, group: Sequence[Settlement]) -> Iterator[Standing | None]:
        """See `Means`."""
        asked = []
        for place, each in enumerate(group):
            where, delivery_id = each.delivery.place, each.delivery.id
            patches = each.delivery.envelope.request.method == "PATCH"
            asked.append((place, where.lane_id, where.channel_id, delivery_id, patches))
        standings: list[Standing | None] = [None] * len(group)
        for cursor in run_many(connection, self._sql["standings"], asked):
            lanes, channels = _READ_FOUND(cursor.fetchone()[0])
            still = {row["channel_id"]: read_still(row) for row in channels}
            for found in lanes:
                where = group[found.place].delivery.place
                base = _base(found) if found.scope_id == where.scope_id else None
                standings[found.place] = Standing(still[where.channel_id], bool(found.alone), base)
        return iter(standings)

    def end_alone(self, connection: Connection, ends: Sequence[AloneColumns]) -> None:
        """See `Means`."""
        connection.executemany(self._sql["end_alone"], [tuple(columns.values()) for columns in ends])


def _base(found: _Found) -> MergedSession | None:
    if found.through_id is None:
        return None
    return MergedSession(through_id=found.through_id, body=bytes.fromhex(found.body or ""))
