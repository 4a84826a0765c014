"""What the rest of the agent knows of a store's engine: work on a connection, in a transaction.

Work is written once, as a plain function of a `Connection`, and runs on either engine: SQLite (store/sqlite.py) or
PostgreSQL (store/postgres.py). Only the SQL differs, see `Sql`.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from ocn_permission_agent.store.migrations import Migration

T = TypeVar("T")


class Row(Protocol):
    """A row of a result: its values in order, and by the name of their column."""

    def __getitem__(self, name: str, /) -> Any: ...
    def __iter__(self) -> Iterator[Any]: ...


class Cursor(Protocol):
    """What came of one statement."""

    @property
    def rowcount(self) -> int:
        """How many rows it changed."""
        ...

    @property
    def lastrowid(self) -> int | None:
        """The id of the row that it inserted; on PostgreSQL what its RETURNING gave first."""
        ...

    def fetchone(self) -> Any:
        """The next row; None after the last."""
        ...

    def fetchall(self) -> list[Any]:
        """All rows that were not fetched yet."""
        ...

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """One transaction of a store, for a piece of work.

    Values are None, bool, int, str and bytes, given by name (``:name``) or in order (``?`` in SQLite, ``$1`` in
    PostgreSQL).
    """

    def execute(self, sql: str, values: Any = ..., /) -> Cursor:
        """Run one statement."""
        ...

    def executemany(self, sql: str, values: Any, /) -> object:
        """Run one statement, which gives no rows, with each of several sets of values."""
        ...

    def leave_to_the_end(self, place: str, item: T, work: Callable[[list[T]], None], /) -> None:
        """Have `work` called last, with all items that were left to the end at one place, in their order.

        For what locks a row that many wait for as long as the transaction lasts, and costs less for many items than for
        each. Where others write too, places come in their order, so that no two transactions wait for each other.
        """
        ...

    def at_its_own_risk(self, work: Callable[[], T], /) -> T | None:
        """Run a part of a piece of work; if it fails by its content's fault, only it is undone, and None comes back.

        Raises the engine's error if the store itself fails: disk full, locked, damaged, gone.
        """
        ...


class Database(Protocol):
    """A store's engine, open.

    Work may be run twice (what it did the first time is undone before). It must not begin, commit or roll back anything
    itself, nor do anything but speak to its connection.
    """

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgres``: which files of SQL are meant."""
        ...

    @property
    def migrated(self) -> Sequence[Migration]:
        """The steps that its opening took."""
        ...

    async def write(self, work: Callable[[Connection], T], /) -> T:
        """Run `work` in a transaction; returns once it is durable. If it raises, what it did is undone.

        On SQLite nothing else runs meanwhile. On PostgreSQL others may, in this agent and elsewhere: work that decides
        by what it reads locks the rows first (``FOR UPDATE``). A row that others have inserted meanwhile, a deadlock
        and the like make it run again.

        Raises:
            StoreUnavailable: nothing is stored; or, if the connection broke in the commit, perhaps all of it.
        """
        ...

    async def read(self, work: Callable[[Connection], T], /) -> T:
        """Run `work` on one consistent snapshot; writing there fails.

        Raises:
            StoreUnavailable: not now.
        """
        ...

    def on_undone(self, told: Callable[[], None], /) -> None:
        """Tell `told` whenever something that was written is undone. For those who remember what they have written."""
        ...

    async def dump(self) -> str:
        """All that is kept as text, the same for the same content: two stores can be compared by it."""
        ...

    async def close(self) -> None:
        """Finish what was handed in and let go. A second call does nothing."""
        ...
