"""Settling in PostgreSQL: a whole group at once. One statement reads how all stands, and one writes how all ends."""

from collections.abc import Iterator, Sequence

from ocn_permission_agent.outbox.session_merge import MergedSession
from ocn_permission_agent.outbox.settlement import Settlement, Standing, read_still
from ocn_permission_agent.outbox.settling import AloneColumns
from ocn_permission_agent.outbox.store import Settled
from ocn_permission_agent.store.database import Connection, Row
from ocn_permission_agent.store.sql import Sql


class AllAtOnce:
    """A statement for all; see `settlement.Means`. Their lanes are locked.

    Args:
        sql: the statements of ``sql/postgres_groups.sql``.
    """

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    def standings(self, connection: Connection, group: Sequence[Settlement]) -> Iterator[Standing | None]:
        """See `Means`."""
        asked = [
            (
                each.delivery.place.lane_id,
                each.delivery.id,
                each.delivery.lease,
                each.delivery.envelope.request.method == "PATCH",
            )
            for each in group
        ]
        standings: list[Standing | None] = [None] * len(group)
        still: dict[int, Settled] = {}
        columns = [list(column) for column in zip(*asked, strict=True)]
        for row in connection.execute(self._sql["standings"], columns):
            if not row["held"]:
                continue
            channel_id, place = row["channel_id"], row["n"] - 1
            if channel_id not in still:
                still[channel_id] = read_still(row)
            scope_id = group[place].delivery.place.scope_id
            standings[place] = Standing(still[channel_id], row["alone"], _base(row, scope_id))
        return iter(standings)

    def end_alone(self, connection: Connection, ends: Sequence[AloneColumns]) -> None:
        """See `Means`."""
        connection.executemany(self._sql["end_alone"], [tuple(columns.values()) for columns in ends])


def _base(row: Row, scope_id: int) -> MergedSession | None:
    if row["merged_scope_id"] != scope_id:
        return None
    return MergedSession(through_id=row["merged_through_id"], body=row["merged_body"] or b"")
