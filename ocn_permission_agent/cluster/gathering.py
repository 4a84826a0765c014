"""Bringing the spools of several agents together, so that each object keeps its order over an outage.

::

    agent a: spool ──┐
    agent b: spool ──┼──▶ gathered ──everybody who lives has brought all──▶ recorded, by the time of each
    new copies ──────┘    (in the store)                                    then closed: new copies are recorded at once

A customer that waits for its answer may say one thing to one agent, while the store is away, and the next to another
agent, when the store is back. What the first has in its spool must be recorded before. So while a gathering is open no
agent records anything past it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ocn_permission_agent.errors import GatheringOpen
from ocn_permission_agent.store.database import Connection, Database
from ocn_permission_agent.store.sql import Sql


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """A copy that waits to be recorded in its turn: when it was said (microseconds since 1970), and what."""

    said_at_us: int
    payload: bytes
    id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The newest gathering."""

    number: int
    open: bool


class Gathering:
    """Its tables. Every method raises `StoreUnavailable` when the database cannot be used.

    Args:
        database: open.
        agent: id of this agent; how far its spool is emptied is kept by it.
    """

    def __init__(self, database: Database, *, agent: str) -> None:
        self._database = database
        self._agent = agent
        self._sql = Sql.of("cluster", database.dialect)

    async def state(self) -> State:
        """Whether one is open; a database that was started anew begins one."""
        row = await self._database.read(lambda connection: self._sql.rows(connection, "gathering")[0])
        return State(number=row["number"], open=bool(row["open"]))

    async def begin(self) -> None:
        """Open one, if the database was started anew."""
        await self._database.write(lambda connection: self._sql.do(connection, "open_gathering_anew"))

    async def call(self) -> None:
        """Open a new one, whether one is open or not: this agent is about to spool, and all must wait for it."""
        await self._database.write(lambda connection: self._sql.do(connection, "call_gathering"))

    async def bring(self, copies: Sequence[Gathered], *, mark: str) -> None:
        """Bring copies of this agent's spool, and with them how far it is emptied; opens a gathering."""

        def work(connection: Connection) -> None:
            self._sql.do(connection, "open_gathering")
            if not self._sql.rows(connection, "share_gathering")[0]["open"]:
                self._sql.do(connection, "open_gathering")  # somebody has closed it this very moment
            self._gather(connection, copies)
            self._sql.do(connection, "keep_mark", key=self.mark_key, value=mark)

        await self._database.write(work)

    async def add(self, copy: Gathered) -> bool:
        """Put a new copy behind the others while a gathering is open; False, and nothing is done, once it is not."""

        def work(connection: Connection) -> bool:
            self._sql.do(connection, "open_gathering_anew")
            if not self._sql.rows(connection, "share_gathering")[0]["open"]:
                return False
            self._gather(connection, [copy])
            return True

        return await self._database.write(work)

    def guard(self, connection: Connection) -> None:
        """First in a transaction that records new copies: raises GatheringOpen while they must wait for their turn."""
        if self._sql.rows(connection, "gathering")[0]["open"]:
            raise GatheringOpen("copies of several agents are brought together first")

    async def first(self, most: int) -> tuple[Gathered, ...]:
        """The copies that were said first."""
        rows = await self._database.read(lambda connection: self._sql.rows(connection, "first_gathered", most=most))
        return tuple(
            Gathered(id=row["id"], said_at_us=row["said_at_us"], payload=bytes(row["payload"])) for row in rows
        )

    async def drop(self, copies: Sequence[Gathered]) -> None:
        """They are recorded."""
        rows: list[dict[str, object]] = [{"id": copy.id} for copy in copies]
        await self._database.write(lambda connection: self._sql.do_each(connection, "drop_gathered", rows))

    async def close(self, number: int) -> bool:
        """Close the gathering of that number, if nothing waits any more; nobody adds anything meanwhile."""

        def work(connection: Connection) -> bool:
            self._sql.rows(connection, "own_gathering")
            return self._sql.do(connection, "close_gathering", number=number) > 0

        return await self._database.write(work)

    async def waiting(self) -> int:
        """How many copies wait."""
        rows = await self._database.read(lambda connection: self._sql.rows(connection, "count_gathered"))
        return int(rows[0]["n"])

    @property
    def mark_key(self) -> str:
        """The row of ``meta`` that tells how far this agent's spool is emptied."""
        return f"spool:{self._agent}"

    def _gather(self, connection: Connection, copies: Sequence[Gathered]) -> None:
        rows: list[dict[str, object]] = [{"said_at_us": copy.said_at_us, "payload": copy.payload} for copy in copies]
        self._sql.do_each(connection, "gather", rows)
