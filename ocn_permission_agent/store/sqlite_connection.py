"""A connection to a SQLite file."""

import sqlite3
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class SqliteConnection(sqlite3.Connection):
    """See `database.Connection`."""

    def leave_to_the_end(self, place: str, item: T, work: Callable[[list[T]], None]) -> None:  # noqa: ARG002
        """See `Connection.leave_to_the_end`: there is one writer."""
        work([item])

    def at_its_own_risk(self, work: Callable[[], T]) -> T | None:
        """See `Connection.at_its_own_risk`.

        Raises:
            sqlite3.Error: the store itself fails.
        """
        self.execute("SAVEPOINT risk")
        try:
            value = work()
        except (sqlite3.OperationalError, sqlite3.InternalError):
            raise
        except Exception as error:  # whatever is wrong with one of many must not stop the others
            if type(error) is sqlite3.DatabaseError or not self.in_transaction:
                raise
            self.execute("ROLLBACK TO risk")
            value = None
        self.execute("RELEASE risk")
        return value
