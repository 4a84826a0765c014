"""A connection to a SQLite file."""

import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar

from ocn_permission_agent.store.many import is_for_many, run_many

T = TypeVar("T")


class SqliteConnection(sqlite3.Connection):
    """See `database.Connection`."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._left: dict[str, tuple[Callable[[list[Any]], None], list[Any]]] = {}
        self._risky = False

    def executemany(self, sql: str, values: Any, /) -> Any:
        """See `Connection.executemany`; a statement that is made for it gets all values at once (store/many.py)."""
        if not is_for_many(sql):
            return super().executemany(sql, values)
        return list(run_many(self, sql, values))

    def leave_to_the_end(self, place: str, item: T, work: Callable[[list[T]], None]) -> None:
        """See `Connection.leave_to_the_end`; what is done at its own risk is done there and then."""
        if self._risky:
            work([item])
        else:
            self._left.setdefault(place, (work, []))[1].append(item)

    def finish(self) -> None:
        """Do what was left to the end of the transaction, or of a piece of it."""
        left, self._left = self._left, {}
        for work, items in left.values():
            work(items)

    def drop_left(self) -> None:
        """What was left to the end belongs to what is undone."""
        self._left = {}

    def at_its_own_risk(self, work: Callable[[], T]) -> T | None:
        """See `Connection.at_its_own_risk`.

        Raises:
            sqlite3.Error: the store itself fails.
        """
        self.execute("SAVEPOINT risk")
        self._risky = True
        try:
            value = work()
        except (sqlite3.OperationalError, sqlite3.InternalError):
            raise
        except Exception as error:  # whatever is wrong with one of many must not stop the others
            if type(error) is sqlite3.DatabaseError or not self.in_transaction:
                raise
            self.execute("ROLLBACK TO risk")
            value = None
        finally:
            self._risky = False
        self.execute("RELEASE risk")
        return value
