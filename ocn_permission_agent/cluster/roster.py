"""The agents that use one store: who they are, when they were last seen, and whose spool is not empty."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ocn_permission_agent.store.database import Connection, Database, Row
from ocn_permission_agent.store.sql import Sql

#: who was not seen for so long is not listed any more
_KEPT = timedelta(days=7)
#: in a gathering; an agent that was killed is started again by then, as a rule
AWAITED_SECONDS = 20.0
#: between two looks of somebody who sees
_BLIND_SECONDS = 5.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRow:
    """One agent. `seen_at` is by its own clock; `beat` grows whenever it is seen.

    `spool_bytes` wait in its spool; `met` is the newest gathering to which it has brought all that waited.
    """

    id: str
    host: str
    version: str
    started_at: datetime
    seen_at: datetime
    beat: int
    spool_bytes: int = 0
    met: int = 0


class Roster:
    """The table of agents. Every method raises `StoreUnavailable` when the database cannot be used.

    Args:
        database: open.
        agent: id of this agent, the same after a restart.
        host: the name of its machine, for people.
        version: of its program.
        started_at: of this process.
    """

    def __init__(self, database: Database, *, agent: str, host: str, version: str, started_at: datetime) -> None:
        self._database = database
        self._own = {"id": agent, "host": host, "version": version, "started_at_us": _us(started_at)}
        self._sql = Sql.of("cluster", database.dialect)

    async def be_seen(self, *, now: datetime, spool_bytes: int, met: int) -> tuple[AgentRow, ...]:
        """Tell that this agent lives and how it is doing; gives the others."""
        values = self._own | {"seen_at_us": _us(now), "spool_bytes": spool_bytes, "met": met}
        before_us = _us(now - _KEPT)

        def work(connection: Connection) -> list[Row]:
            self._sql.do(connection, "be_seen", **values)
            self._sql.do(connection, "forget_agents", before_us=before_us)
            return self._sql.rows(connection, "agents")

        rows = await self._database.write(work)
        return tuple(_agent(row) for row in rows if row["id"] != self._own["id"])

    async def leave(self) -> None:
        """This agent ends in good order, with nothing in its spool: nobody need wait for it."""
        await self._database.write(lambda connection: self._sql.do(connection, "leave", id=self._own["id"]))

    async def all(self) -> tuple[AgentRow, ...]:
        """Every agent that was seen lately, this one too."""
        rows = await self._database.read(lambda connection: self._sql.rows(connection, "agents"))
        return tuple(_agent(row) for row in rows)


class Peers:
    """The other agents, as far as they must be waited for.

    Whether one lives is told by its beat, on this agent's monotonic clock. Time in which nobody could be seen, because
    the store was away, does not count.

    Args:
        seconds: whoever was not seen for so long is not waited for.
    """

    def __init__(self, seconds: float = AWAITED_SECONDS) -> None:
        self._seconds = seconds
        self._seen: dict[str, tuple[int, float]] = {}
        self._looked_at: float | None = None

    def look(self, rows: Sequence[AgentRow], now: float) -> None:
        """Take in what the roster says; `now` is monotonic."""
        blind = self._looked_at is None or now - self._looked_at > _BLIND_SECONDS
        known = {} if blind else self._seen
        self._seen = {
            row.id: known[row.id] if row.id in known and known[row.id][0] == row.beat else (row.beat, now)
            for row in rows
        }
        self._looked_at = now

    def awaited(self, rows: Sequence[AgentRow], gathering: int, now: float) -> tuple[AgentRow, ...]:
        """Those that live and have not brought all that they have."""
        return tuple(row for row in rows if row.met < gathering and now - self._seen[row.id][1] < self._seconds)


def _agent(row: Row) -> AgentRow:
    return AgentRow(
        id=row["id"],
        host=row["host"],
        version=row["version"],
        started_at=_at(row["started_at_us"]),
        seen_at=_at(row["seen_at_us"]),
        beat=row["beat"],
        spool_bytes=row["spool_bytes"],
        met=row["met"],
    )


def _us(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND


def _at(microseconds: int) -> datetime:
    return _EPOCH + microseconds * _MICROSECOND
