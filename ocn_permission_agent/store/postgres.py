"""A PostgreSQL database: a pool of connections, each piece of work a transaction on one of them.

Commits of pieces that run side by side are grouped by the server. Work is undone and runs again when another
transaction was in the way.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
from asyncpg.transaction import Transaction

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.errors import StoreUnavailable
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.store import bridge
from ocn_permission_agent.store.database import Connection
from ocn_permission_agent.store.lock import take_lock
from ocn_permission_agent.store.migrations import Migration, shipped_migrations
from ocn_permission_agent.store.postgres_connection import Again, Link, PostgresConnection, translated, understood
from ocn_permission_agent.store.postgres_migrations import demand_current, migrate
from ocn_permission_agent.store.postgres_server import examine

T = TypeVar("T")

#: of one agent
CONNECTIONS = 10
_CONNECT_SECONDS = 5.0
#: for one statement: the server gives it up first, and tells why; then we do, whether the server can be heard or not
_STATEMENT_SECONDS = 10.0
_ANSWER_SECONDS = 12.0
#: how long all connections may be in use before somebody who wants one is told so
_WAIT_SECONDS = 10.0
_SESSION = {
    "application_name": "ocn-permission-agent",
    "statement_timeout": f"{_STATEMENT_SECONDS:.0f}s",
    "lock_timeout": "5s",
    # An agent that stands still must not hold up the others.
    "idle_in_transaction_session_timeout": "15s",
    "timezone": "UTC",
    # Statements that are compiled take twenty milliseconds more, and these are over in less than one.
    "jit": "off",
}
#: more than there are, so that none is ever prepared twice on a connection
_CACHED_STATEMENTS = 512
_TRIES = 10
#: while no connection can be made, one call in so long tries; it doubles from the first to the last
_SHORTEST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 2.0
_CLOSING_SECONDS = 5.0


class PostgresDatabase:
    """See `database.Database`; made by `open` or `look`."""

    dialect = "postgres"

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", *, clock: Clock, metrics: Metrics) -> None:
        self._pool = pool
        self._clock = clock
        self._metrics = metrics
        self._undone: list[Callable[[], None]] = []
        self._writing: set[asyncio.Task[Any]] = set()
        self._closed = False
        self._pause_seconds = 0.0
        self._no_try_before = 0.0
        self._lock: int | None = None
        #: the steps that its opening took
        self.migrated: tuple[Migration, ...] = ()

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        metrics: Metrics,
        clock: Clock,
        migrations: Sequence[Migration] | None = None,
        connections: int = CONNECTIONS,
        lock: Path | None = None,
    ) -> "PostgresDatabase":
        """Connect, and bring the schema up to date.

        Args:
            url: ``postgresql://agent:secret@db.example/agent?sslmode=verify-full``, all that asyncpg knows.
            metrics: takes the duration of each commit.
            clock: dates the migrations and measures the commits.
            migrations: those of this agent, unless a test says otherwise.
            connections: at most.
            lock: a file that is locked as long as the store is open: whoever has it owns the folder that it lies in.

        Raises:
            StoreUnavailable: cannot be reached now.
            StoreMismatch: another program's database, a schema this agent does not know, or a server that would not
                keep what it has acknowledged.
        """
        steps = shipped_migrations(cls.dialect) if migrations is None else migrations
        database = await cls._connected(url, connections, read_only=False, clock=clock, metrics=metrics)
        async with _or_closed(database):
            if lock is not None:
                database._lock = take_lock(lock, of=f"the folder {lock.parent}")
            async with database._link("opened") as link:
                with translated("opened"):
                    taken = await migrate(link, steps, now=clock.now())
        database.migrated = tuple(steps[len(steps) - taken :])
        return database

    @classmethod
    async def look(cls, url: str, *, clock: Clock) -> "PostgresDatabase":
        """Connect for looking only, beside running agents or without any: nothing can be changed, nor is migrated.

        Raises:
            StoreUnavailable: cannot be reached now, or has no tables yet.
            StoreMismatch: a schema this agent does not know.
        """
        database = await cls._connected(url, 1, read_only=True, clock=clock, metrics=Metrics())
        async with _or_closed(database), database._link("read") as link:
            with translated("read"):
                await demand_current(link, shipped_migrations(cls.dialect))
        return database

    @classmethod
    async def _connected(
        cls, url: str, connections: int, *, read_only: bool, clock: Clock, metrics: Metrics
    ) -> "PostgresDatabase":
        with translated("opened"), understood():
            pool = asyncpg.create_pool(
                url,
                min_size=0,
                max_size=connections,
                timeout=_CONNECT_SECONDS,
                command_timeout=_ANSWER_SECONDS,
                statement_cache_size=_CACHED_STATEMENTS,
                max_cached_statement_lifetime=0,
                reset=_nothing_to_reset,
                server_settings=_SESSION | ({"default_transaction_read_only": "on"} if read_only else {}),
            )
            await pool
        database = cls(pool, clock=clock, metrics=metrics)
        async with _or_closed(database), database._link("opened") as link:
            with translated("opened"):
                await examine(link, read_only=read_only)
        return database

    async def write(self, work: Callable[[Connection], T]) -> T:
        """See `database.Database.write`. Goes on to its end even when the caller is cancelled meanwhile.

        Raises:
            StoreUnavailable: any error of the engine.
        """
        self._demand_open()
        return await self._to_its_end(self._until_undisturbed(work))

    async def read(self, work: Callable[[Connection], T]) -> T:
        """See `database.Database.read`.

        Raises:
            StoreUnavailable: any error of the engine.
        """
        self._demand_open()
        async with self._link("read") as link:
            with translated("read"):
                transaction = link.transaction(isolation="repeatable_read", readonly=True)
                async with _undone_after_failure(link, transaction):
                    value = await bridge.run(lambda: work(PostgresConnection(link, doing="read")))
                await transaction.commit()
                return value

    def see_through(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine to its end, whoever is cancelled meanwhile; `close` waits for it. It must not raise."""
        self._begun(work)

    def on_undone(self, told: Callable[[], None]) -> None:
        """See `database.Database.on_undone`."""
        self._undone.append(told)

    async def dump(self) -> str:
        """See `database.Database.dump`: each table with its rows as JSON."""
        return await self.read(_dumped)

    async def close(self) -> None:
        """See `database.Database.close`."""
        if self._closed:
            return
        self._closed = True
        if self._writing:
            await asyncio.wait(self._writing)
        try:
            async with asyncio.timeout(_CLOSING_SECONDS):
                await self._pool.close()
        except (TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            self._pool.terminate()
        if self._lock is not None:
            os.close(self._lock)

    # --------------------------------------------------------------------------------------------------------------

    async def _to_its_end(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.shield(self._begun(work))

    def _begun(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Do it in a task of its own: this database is its parent, and waits for it when it closes."""
        task = asyncio.get_running_loop().create_task(work)
        self._writing.add(task)
        task.add_done_callback(self._written)
        return task

    def _written(self, task: asyncio.Task[Any]) -> None:
        self._writing.discard(task)
        if not task.cancelled():
            task.exception()  # whoever was interested has it; a cancelled caller is not

    async def _until_undisturbed(self, work: Callable[[Connection], T]) -> T:
        for _ in range(_TRIES - 1):
            with contextlib.suppress(Again):
                return await self._in_transaction(work)
        return await self._in_transaction(work)

    async def _in_transaction(self, work: Callable[[Connection], T]) -> T:
        try:
            async with self._link("written") as link:
                with translated("written"):
                    transaction = link.transaction()
                    async with _undone_after_failure(link, transaction):
                        value = await bridge.run(lambda: self._whole(link, work))
                    started = self._clock.monotonic()
                    await transaction.commit()
                    self._metrics.store_commit_seconds.observe(self._clock.monotonic() - started)
        except BaseException:
            for told in self._undone:
                told()
            raise
        return value

    def _whole(self, link: Link, work: Callable[[Connection], T]) -> T:
        connection = PostgresConnection(link, doing="written")
        value = work(connection)
        connection.finish()
        return value

    @contextlib.asynccontextmanager
    async def _link(self, doing: str) -> AsyncIterator[Link]:
        """A connection of the pool; while none can be made, most callers are told so at once."""
        if self._clock.monotonic() < self._no_try_before:
            raise StoreUnavailable(f"the store cannot be {doing}: PostgreSQL was not reached a moment ago")
        try:
            with translated(doing), understood():
                link = await self._pool.acquire(timeout=_WAIT_SECONDS)
        except StoreUnavailable:
            self._pause_seconds = min(max(_SHORTEST_PAUSE_SECONDS, 2 * self._pause_seconds), _LONGEST_PAUSE_SECONDS)
            self._no_try_before = self._clock.monotonic() + self._pause_seconds
            raise
        self._pause_seconds = 0.0
        try:
            yield link
        except StoreUnavailable as error:
            if isinstance(error.__cause__, TimeoutError):
                link.terminate()  # to ask the server to forget the statement would take as long again
            raise
        finally:
            with translated(doing):
                await self._pool.release(link)

    def _demand_open(self) -> None:
        if self._closed:
            raise StoreUnavailable("the store is closed")


@contextlib.asynccontextmanager
async def _or_closed(database: PostgresDatabase) -> AsyncIterator[None]:
    try:
        yield
    except BaseException:
        await database.close()
        raise


@contextlib.asynccontextmanager
async def _undone_after_failure(link: Link, transaction: Transaction) -> AsyncIterator[None]:
    """Begin it; whoever leaves without an error commits."""
    await transaction.start()
    try:
        yield
    except BaseException as error:
        await _undo(link, transaction, because=error)
        raise


async def _undo(link: Link, transaction: Transaction, *, because: BaseException) -> None:
    """Roll back; where that cannot be said any more, the server does it when it finds the connection gone."""
    if isinstance(because.__cause__, TimeoutError):
        return
    try:
        if not link.is_closed():
            await transaction.rollback()
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        # A connection that was lost is out of the pool already, and even to be asked about that is an error to it.
        with contextlib.suppress(asyncpg.InterfaceError):
            link.terminate()


async def _nothing_to_reset(link: Link) -> None:
    """Work leaves nothing behind in its session; asyncpg's own way would cost each piece a round trip more."""


def _dumped(connection: Connection) -> str:
    tables = connection.execute(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema() ORDER BY table_name"
    )
    lines = []
    for (table,) in tables:
        lines.append(f"TABLE {table}")
        rows = connection.execute(f'SELECT to_jsonb(t)::text COLLATE "C" FROM "{table}" t ORDER BY 1')  # noqa: S608
        lines.extend(text for (text,) in rows)
    return "\n".join(lines)
