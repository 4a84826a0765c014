"""A connection to PostgreSQL, as work functions see it; and what its errors mean to us."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from ocn_permission_agent.errors import StoreMismatch, StoreUnavailable
from ocn_permission_agent.store.bridge import wait
from ocn_permission_agent.store.parameters import numbered
from ocn_permission_agent.store.postgres_causes import cause_of

T = TypeVar("T")
Values = Mapping[str, object] | Sequence[object]

#: one of a pool, or one of its own
Link: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"

#: another transaction was in the way: the same again finds things as they are now
_IN_THE_WAY = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError, asyncpg.UniqueViolationError)
#: what was to be stored is at fault; asyncpg complains in the same way about a value that it cannot send
_CONTENT = (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError)
#: what may come out of asyncpg, and of the network below it
FOREIGN = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)


class Again(StoreUnavailable):
    """Undone because of another transaction: worth another try at once."""


class Unstorable(StoreUnavailable):
    """Undone because of the values: another try is worth nothing."""


@contextlib.contextmanager
def translated(doing: str) -> Iterator[None]:
    """The one place where errors of asyncpg, and of the network below it, become ours; see `ours`.

    Args:
        doing: what the store cannot be: ``written``, ``read``, ``opened``.

    Raises:
        StoreUnavailable: for each of them, `Again` and `Unstorable` among them.
    """
    try:
        yield
    except FOREIGN as error:
        raise ours(error, doing) from error


@contextlib.contextmanager
def understood() -> Iterator[None]:
    """Around connecting, where asyncpg reads the URL, and complains about parts of it in its own way or in Python's.

    Raises:
        StoreMismatch: nobody understands it; nothing of it is repeated, not even as the cause.
    """
    try:
        yield
    except (ValueError, OverflowError):
        sentence = "its port, its host or one of its parameters (sslmode, target_session_attrs, …) is none"
        raise StoreMismatch(f"store.url cannot be used: {sentence}") from None


def ours(error: Exception, doing: str) -> StoreUnavailable:
    """What an error means to those who want to store or read something."""
    sentence = f"the store cannot be {doing}: {cause_of(error)}"
    if isinstance(error, _IN_THE_WAY):
        return Again(sentence)
    return Unstorable(sentence) if isinstance(error, _CONTENT) else StoreUnavailable(sentence)


class Result:
    """See `database.Cursor`."""

    def __init__(self, rows: Sequence[asyncpg.Record], rowcount: int) -> None:
        self._rows = iter(rows)
        self._first = rows[0] if rows else None
        self.rowcount = rowcount

    @property
    def lastrowid(self) -> int | None:
        """What RETURNING gave first."""
        return None if self._first is None else int(self._first[0])

    def fetchone(self) -> Any:
        """See `Cursor.fetchone`."""
        return next(self._rows, None)

    def fetchall(self) -> list[Any]:
        """See `Cursor.fetchall`."""
        return list(self._rows)

    def __iter__(self) -> Iterator[Any]:
        return self._rows


class PostgresConnection:
    """See `database.Connection`; to be used inside `bridge.run`.

    A statement that begins with WITH gives rows: where it changes something, it says what by RETURNING.

    Args:
        link: in a transaction.
        doing: as for `translated`.
    """

    def __init__(self, link: Link, *, doing: str) -> None:
        self._link = link
        self._doing = doing
        self._left: dict[str, tuple[Callable[[list[Any]], None], list[Any]]] = {}
        self._risky = False

    def execute(self, sql: str, values: Values = (), /) -> Result:
        """See `Connection.execute`.

        Raises:
            StoreUnavailable: any error of the engine.
        """
        statement = numbered(sql)
        given = statement.values(values)
        try:  # not `translated`, which would cost each statement some microseconds
            if statement.gives_rows:
                rows = wait(self._link.fetch(statement.sql, *given))
                return Result(rows, len(rows))
            status = wait(self._link.execute(statement.sql, *given))
        except FOREIGN as error:
            raise ours(error, self._doing) from error
        count = status.rpartition(" ")[2]
        return Result((), int(count) if count.isdigit() else 0)

    def executemany(self, sql: str, values: Iterable[Values], /) -> None:
        """See `Connection.executemany`; a statement that is made for it gets all values at once, by columns.

        Raises:
            StoreUnavailable: any error of the engine.
        """
        statement = numbered(sql)
        given = [statement.values(each) for each in values]
        if statement.for_many:
            if given:
                self.execute(sql, [list(column) for column in zip(*given, strict=True)])
            return
        with translated(self._doing):
            wait(self._link.executemany(statement.sql, given))

    def leave_to_the_end(self, place: str, item: T, work: Callable[[list[T]], None], /) -> None:
        """See `Connection.leave_to_the_end`; what is done at its own risk is done there and then."""
        if self._risky:
            work([item])
        else:
            self._left.setdefault(place, (work, []))[1].append(item)

    def finish(self) -> None:
        """Do what was left to the end.

        Raises:
            StoreUnavailable: any error of the engine.
        """
        for _, (work, items) in sorted(self._left.items(), key=lambda each: each[0]):
            work(items)

    def at_its_own_risk(self, work: Callable[[], T], /) -> T | None:
        """See `Connection.at_its_own_risk`.

        Raises:
            StoreUnavailable: the store itself fails, or the whole piece must run again.
        """
        self.execute("SAVEPOINT risk")
        self._risky = True
        try:
            value = work()
        except Exception as error:  # whatever is wrong with one of many must not stop the others
            if isinstance(error, StoreUnavailable) and not isinstance(error, Unstorable):
                raise
            self.execute("ROLLBACK TO SAVEPOINT risk")
            value = None
        finally:
            self._risky = False
        self.execute("RELEASE SAVEPOINT risk")
        return value
