"""One SQLite file: opened, owned, brought up to date, written by one thread and read by another."""

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.errors import StoreMismatch, StoreUnavailable
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.store.gathering import PACE_SECONDS
from ocn_permission_agent.store.lock import take_lock
from ocn_permission_agent.store.migrations import Migration, shipped_migrations
from ocn_permission_agent.store.sqlite_connection import SqliteConnection
from ocn_permission_agent.store.sqlite_migrations import migrate
from ocn_permission_agent.store.writer import Writer

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741  an item

#: how long a statement waits for a lock of another program, such as an operator's `sqlite3` shell
BUSY_TIMEOUT_SECONDS = 5.0
#: more than there are, so that none is ever compiled twice
_CACHED_STATEMENTS = 512
_CACHE_KIB = 16 * 1024
#: of a new store: a request with a session of 2 kB leaves half of a page of 4096 unused, and each page is written twice
_PAGE_BYTES = 8192
#: STRICT tables
_OLDEST_SQLITE = (3, 37, 0)


class SqliteDatabase:
    """See `database.Database`; made by `open`.

    One process owns a file at a time: a second one is told `StoreUnavailable`. The lock ends with the process, however
    it ends.
    """

    dialect = "sqlite"

    def __init__(self, *, writer: Writer, reading: SqliteConnection, lock: int) -> None:
        self._writer = writer
        self._reading = reading
        self._lock = lock
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store-reader")
        self._closed = False
        #: the steps that its opening took
        self.migrated: tuple[Migration, ...] = ()

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        metrics: Metrics,
        clock: Clock,
        migrations: Sequence[Migration] | None = None,
        pace_seconds: float = PACE_SECONDS,
    ) -> "SqliteDatabase":
        """Open the file, made if it is not there (readable by its owner only), and migrate it.

        Args:
            path: the file; its folder must exist.
            metrics: takes the duration of each group commit.
            clock: dates the migrations and measures the commits.
            migrations: those of this agent, unless a test says otherwise.
            pace_seconds: from one commit to the next; 0 for who measures single ones.

        Raises:
            StoreUnavailable: cannot be opened or locked now.
            StoreMismatch: another program's file, or a schema this agent does not know.
        """
        steps = shipped_migrations("sqlite") if migrations is None else migrations
        writing, reading, lock, taken = await asyncio.to_thread(_open_file, path, steps, clock)
        database = cls(
            writer=Writer(writing, clock=clock, metrics=metrics, pace_seconds=pace_seconds), reading=reading, lock=lock
        )
        database.migrated = tuple(steps[len(steps) - taken :])
        return database

    async def write(
        self,
        work: Callable[[SqliteConnection], T],
        told: Callable[[T | None], None] | None = None,
        *,
        patient: bool = False,
    ) -> T:
        """Run `work` in the writer thread, in a transaction shared with others; returns once it is on disk.

        If `work` raises, only what it did is undone and the exception comes back. It must not begin, commit or roll
        back anything itself, may be run twice (what it did the first time is undone before), and runs even when the
        caller is cancelled meanwhile: `told` hears of its result in any case, and gets None where there is none. What
        is `patient` may wait for a few milliseconds until others share its transaction.

        Raises:
            StoreUnavailable: any error of the engine; nothing of `work` is stored.
        """
        self._demand_open()
        result: T = await self._writer.submit(work, told, patient=patient)
        return result

    async def write_together(
        self,
        together: Callable[[SqliteConnection, Sequence[I]], Sequence[T]],
        item: I,
        told: Callable[[T | None], None] | None = None,
        *,
        patient: bool = False,
    ) -> T:
        """As `write`, for an item that is done together with those of its kind that share its transaction.

        Args:
            together: does them in the order in which they came, and tells the outcome of each; the same object for all
                of a kind. If it raises, they are undone and each is tried on its own.
            item: given to `together`.
            told: as for `write`.
            patient: as for `write`.

        Raises:
            StoreUnavailable: as for `write`.
        """
        self._demand_open()
        result: T = await self._writer.submit_together(together, item, told, patient=patient)
        return result

    async def read(self, work: Callable[[SqliteConnection], T]) -> T:
        """Run `work` in the reader thread on one consistent snapshot; writing there fails.

        Raises:
            StoreUnavailable: any error of the engine.
        """
        self._demand_open()
        return await asyncio.get_running_loop().run_in_executor(self._reader, _read, self._reading, work)

    def make_at_hand(self, statements: Sequence[str]) -> None:
        """Have temporary views and triggers made on the writing connection, before the next transaction."""
        self._writer.make_at_hand(statements)

    def on_undone(self, told: Callable[[], None]) -> None:
        """Tell `told`, in the writer's thread, whenever something that was written is undone: a piece, or a group.

        For those who remember what they have written.
        """
        self._writer.on_undone(told)

    async def dump(self) -> str:
        """All tables as SQL text, the same for the same content: two stores can be compared by it."""
        return await self.read(lambda connection: "\n".join(connection.iterdump()))

    async def close(self) -> None:
        """Finish what was handed in, fold the log into the file, free the lock. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._writer.hand_over()
        await asyncio.to_thread(self._shut)

    def _shut(self) -> None:
        self._reader.shutdown(wait=True)
        self._reading.close()
        self._writer.close()
        os.close(self._lock)

    def _demand_open(self) -> None:
        if self._closed:
            raise StoreUnavailable("the store is closed")


def _open_file(
    path: Path, steps: Sequence[Migration], clock: Clock
) -> tuple[SqliteConnection, SqliteConnection, int, int]:
    """(writing connection, reading connection, lock, steps taken), the schema up to date."""
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise StoreUnavailable(f"SQLite {sqlite3.sqlite_version} is too old: 3.37 or later is needed")
    with contextlib.ExitStack() as undo:
        # SQLite's own locks are too short-lived to tell who owns the file.
        lock = take_lock(path.with_name(path.name + ".lock"), of=f"the store {path}")
        undo.callback(os.close, lock)
        try:
            # WAL files get the permissions of the main file.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            writing = _connect(path, undo)
            writing.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
            writing.execute("PRAGMA journal_mode = WAL")
            writing.execute("PRAGMA synchronous = FULL")
            writing.execute("PRAGMA journal_size_limit = 67108864")
            # Erased payloads are overwritten, not just unlinked.
            writing.execute("PRAGMA secure_delete = ON")
            taken = migrate(writing, steps, now=clock.now())
            reading = _connect(path, undo)
            reading.execute("PRAGMA query_only = ON")
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise StoreUnavailable(f"the store {path} cannot be opened: {error}") from error
            raise StoreMismatch(f"{path} cannot be used as a store: {error}") from error
        except OSError as error:
            raise StoreUnavailable(f"the store {path} cannot be opened: {error.strerror}") from error
        undo.pop_all()
    return writing, reading, lock, taken


def _connect(path: Path, undo: contextlib.ExitStack) -> SqliteConnection:
    connection = sqlite3.connect(
        path,
        factory=SqliteConnection,
        timeout=BUSY_TIMEOUT_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_CACHED_STATEMENTS,
    )
    undo.callback(connection.close)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    return connection


def _read(connection: SqliteConnection, work: Callable[[SqliteConnection], T]) -> T:
    try:
        connection.execute("BEGIN")
        try:
            return work(connection)
        finally:
            connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise StoreUnavailable(f"the store cannot be read: {error}") from error
