"""The store's file for looking only: beside a running agent or without one. Nothing in it changes."""

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from ocn_permission_agent.errors import StoreUnavailable
from ocn_permission_agent.store.sqlite import SqliteDatabase
from ocn_permission_agent.store.sqlite_connection import SqliteConnection

T = TypeVar("T")


class ReadOnlyDatabase(SqliteDatabase):
    """Answers reads as `SqliteDatabase` does; the engine refuses whatever would write. For short-lived commands."""

    def __init__(self, connection: SqliteConnection) -> None:
        self._connection = connection
        self.migrated = ()

    @classmethod
    def look(cls, path: Path) -> "ReadOnlyDatabase":
        """Open a file that is there.

        Raises:
            StoreUnavailable: it cannot be read.
        """
        try:
            connection = sqlite3.connect(
                f"{path.as_uri()}?mode=ro",
                uri=True,
                factory=SqliteConnection,
                isolation_level=None,
                check_same_thread=False,
            )
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the store {path} cannot be read: {error}") from error
        connection.row_factory = sqlite3.Row
        return cls(connection)

    async def read(self, work: Callable[[SqliteConnection], T]) -> T:
        """See `SqliteDatabase.read`."""
        return self._in_snapshot(work)

    async def write(
        self,
        work: Callable[[SqliteConnection], T],
        told: Callable[[T | None], None] | None = None,  # noqa: ARG002  nothing is ever written
        *,
        patient: bool = False,  # noqa: ARG002
    ) -> T:
        """Run what may turn out to be reading only.

        Raises:
            StoreUnavailable: it was writing.
        """
        return self._in_snapshot(work)

    def make_at_hand(self, statements: Sequence[str]) -> None:
        """Nothing is ever written."""

    def on_undone(self, told: Callable[[], None]) -> None:
        """Nothing is ever written, nor undone."""

    async def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _in_snapshot(self, work: Callable[[SqliteConnection], T]) -> T:
        try:
            self._connection.execute("BEGIN")
            try:
                return work(self._connection)
            finally:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the store cannot be read: {error}") from error
