"""The one thread that writes, and its group commit.

Coroutines hand in work; the thread takes all that waits, runs it in one transaction, commits once (one fsync), and only
then tells the coroutines. While it commits, the next group gathers.

Nearly always every piece of a group succeeds, so nothing is spent on the other case: when one fails, the group is
rolled back and run again, each piece under a savepoint of its own. A piece may therefore run twice.

Pieces of the same kind can be done together: their kind gets all of a group at once, and can tell the engine in one
statement what would be many (store/many.py).

Beside a large group the loop stands aside until its statements are done: both would need the interpreter all the time,
and each would wait for the other at every statement. It goes on while the group is committed, and in any case after
some milliseconds, the more the larger the group, however slow the disk is; where that is not enough it does not stand
aside for a while (ADR 0019).

The thread sleeps nowhere but in the queue's own `get`, so there is no "active" flag that an arriving piece could see
a moment too early or too late: a wake-up cannot be lost (performance.md tells of one that was).
"""

import asyncio
import contextlib
import math
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.errors import StoreUnavailable
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.store.gathering import PACE_SECONDS, Gathering
from ocn_permission_agent.store.sqlite_connection import SqliteConnection

#: does pieces of one kind, in the order in which they came; tells the outcome of each
Together = Callable[[SqliteConnection, Sequence[Any]], Sequence[Any]]

#: pieces of one transaction, or a few more; bounds how long the first of a group waits for the last
_GROUP_LIMIT = 1_000
#: pieces beside which the loop stands aside
_LARGE = 16
#: for how long at most beside so many pieces or more; beside fewer, for their share of that
_ASIDE_SECONDS, _ASIDE_PIECES = 0.02, 100
#: for how long it does not any more where that was not enough
_NOT_ASIDE_SECONDS = 1.0


@dataclass(slots=True)
class _Job:
    """A piece of work, on its own or (`item`) together with others, and where its result is awaited."""

    work: Callable[[SqliteConnection], Any] | None
    together: Together | None
    item: Any
    loop: asyncio.AbstractEventLoop
    result: asyncio.Future[Any]
    told: Callable[[Any], None] | None

    def alone(self, connection: SqliteConnection) -> Any:
        """Do it on its own."""
        if self.together is not None:
            return self.together(connection, [self.item])[0]
        return None if self.work is None else self.work(connection)


class _Handed(NamedTuple):
    """Pieces that were handed over together; `done` is released when their statements are done."""

    jobs: list[_Job]
    done: "threading.Lock | None"


@dataclass(frozen=True, slots=True)
class _Failed:
    """Outcome of a piece that raised."""

    error: BaseException


class _TransactionLost(Exception):
    """The engine has rolled back the whole transaction by itself (disk full, IO error)."""


class Writer:
    """Runs work on the writing connection, grouped.

    Args:
        connection: in autocommit mode, usable from any thread; the writer closes it.
        clock: measures the commit.
        metrics: takes `store_commit_seconds`.
        pace_seconds: see `Gathering`.
        aside_seconds: how long the loop stands aside at most beside a hundred pieces; beside fewer less.
    """

    def __init__(
        self,
        connection: SqliteConnection,
        *,
        clock: Clock,
        metrics: Metrics,
        pace_seconds: float = PACE_SECONDS,
        aside_seconds: float = _ASIDE_SECONDS,
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._metrics = metrics
        self._handed: queue.SimpleQueue[_Handed | None] = queue.SimpleQueue()
        #: of those who stand aside
        self._aside: list[threading.Lock] = []
        self._aside_seconds = aside_seconds
        self._aside_again_at = -math.inf
        self._gathering: Gathering[_Job] = Gathering(self._take, pace_seconds=pace_seconds)
        self._undone: list[Callable[[], None]] = []
        self._to_make: list[str] = []
        self._thread = threading.Thread(target=self._serve, name="store-writer", daemon=True)
        self._thread.start()

    def submit(
        self,
        work: Callable[[SqliteConnection], Any],
        told: Callable[[Any], None] | None = None,
        *,
        patient: bool = False,
    ) -> asyncio.Future[Any]:
        """Queue a piece of work; the future is done once its group is on disk.

        What is submitted in one turn of the loop, or before the pace allows the next hand-over, is handed over
        together: the thread neither begins with the first piece alone nor contends for the interpreter with those who
        still submit. The work is done even if the future is cancelled meanwhile.

        Args:
            work: the piece.
            told: gets its result in any case, in the loop, after all futures of the group; None where it failed.
            patient: nobody waits for it: it goes with the next that is not, or after a pause.
        """
        return self._gather(work, None, None, told, patient=patient)

    def submit_together(
        self, together: Together, item: Any, told: Callable[[Any], None] | None = None, *, patient: bool = False
    ) -> asyncio.Future[Any]:
        """As `submit`, for an item that is done together with others of its kind, after all that is not."""
        return self._gather(None, together, item, told, patient=patient)

    def _gather(
        self,
        work: Callable[[SqliteConnection], Any] | None,
        together: Together | None,
        item: Any,
        told: Callable[[Any], None] | None,
        *,
        patient: bool,
    ) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        result = loop.create_future()
        self._gathering.add(_Job(work, together, item, loop, result, told), patient=patient)
        return result

    def hand_over(self) -> None:
        """Give the thread what was gathered in the running loop."""
        self._gathering.hand_over()

    def on_undone(self, told: Callable[[], None]) -> None:
        """See `database.Database.on_undone`."""
        self._undone.append(told)

    def make_at_hand(self, statements: Sequence[str]) -> None:
        """See `sqlite.SqliteDatabase.make_at_hand`."""
        self._to_make = [*self._to_make, *statements]

    def close(self) -> None:
        """Finish what was handed over, then close the connection. Blocks; nothing may be submitted any more."""
        self._handed.put(None)
        self._thread.join()

    def _take(self, jobs: list[_Job]) -> None:
        """Called in the loop, which stands aside here."""
        done = None
        if len(jobs) >= _LARGE and self._clock.monotonic() >= self._aside_again_at:
            done = threading.Lock()
            done.acquire()
        for begin in range(0, len(jobs), _GROUP_LIMIT):
            self._handed.put(_Handed(jobs[begin : begin + _GROUP_LIMIT], done if begin == 0 else None))
        share = min(1.0, len(jobs) / _ASIDE_PIECES)
        if done is not None and not done.acquire(timeout=share * self._aside_seconds):
            self._aside_again_at = self._clock.monotonic() + _NOT_ASIDE_SECONDS

    def _let_go_on(self) -> None:
        """Those who stand aside."""
        for done in self._aside:
            done.release()
        self._aside = []

    def _serve(self) -> None:
        open_ = True
        while open_:
            group, open_ = self._next_group()
            if group:
                self._commit(group)
        self._connection.close()

    def _next_group(self) -> tuple[list[_Job], bool]:
        """All that waits, at least one piece; False with the last group."""
        group: list[_Job] = []
        try:
            handed = self._handed.get()
            while handed is not None:
                group.extend(handed.jobs)
                if handed.done is not None:
                    self._aside.append(handed.done)
                if len(group) >= _GROUP_LIMIT:
                    return group, True
                handed = self._handed.get_nowait()
        except queue.Empty:
            return group, True
        return group, False

    def _commit(self, group: list[_Job]) -> None:
        started = self._clock.monotonic()
        outcomes = self._all_at_once(group)
        if outcomes is None:
            outcomes = self._one_by_one(group)
        self._let_go_on()
        took = self._gathering.commit_took = self._clock.monotonic() - started
        self._metrics.store_commit_seconds.observe(took)
        for loop in {job.loop for job in group}:
            done = [(job, outcome) for job, outcome in zip(group, outcomes, strict=True) if job.loop is loop]
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_resolve, done, self._gathering.returned)

    def _all_at_once(self, group: list[_Job]) -> list[Any] | None:
        """Run a group whose pieces all succeed; None, and nothing done, where one of them did not."""
        connection = self._connection
        try:
            while self._to_make:
                # Outside of a transaction: what is rolled back would take it along.
                connection.execute(self._to_make[0])
                self._to_make = self._to_make[1:]
            connection.execute("BEGIN IMMEDIATE")
            try:
                outcomes = _done(connection, group)
                connection.finish()
            except BaseException as error:  # whose fault it was is found out one by one
                if not connection.in_transaction:
                    raise _TransactionLost(str(error)) from error
                connection.execute("ROLLBACK")
                self._tell_undone()
                return None
            self._let_go_on()
            connection.execute("COMMIT")
        except (sqlite3.Error, _TransactionLost) as error:
            return self._give_up([], error, len(group))
        return outcomes

    def _one_by_one(self, group: list[_Job]) -> list[Any]:
        """Run a group of which a piece fails: that one is undone, the others are not."""
        outcomes: list[Any] = []
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for job in group:
                outcomes.append(self._perform(job))  # noqa: PERF401  what came before an error must be kept
            self._connection.execute("COMMIT")
        except (sqlite3.Error, _TransactionLost) as error:
            outcomes = self._give_up(outcomes, error, len(group))
        return outcomes

    def _perform(self, job: _Job) -> Any:
        connection = self._connection
        connection.execute("SAVEPOINT piece")
        try:
            value = job.alone(connection)
            connection.finish()
        except BaseException as error:  # whatever it is belongs to the caller
            if not connection.in_transaction:
                raise _TransactionLost(str(error)) from error
            connection.execute("ROLLBACK TO piece")
            connection.execute("RELEASE piece")
            self._tell_undone()
            return _Failed(_unavailable(error) if isinstance(error, sqlite3.Error) else error)
        connection.execute("RELEASE piece")
        return value

    def _give_up(self, outcomes: list[Any], error: Exception, size: int) -> list[Any]:
        """Nothing of the group is stored: each piece fails, those that had failed already with their own error."""
        if self._connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
        self._tell_undone()
        outcomes = outcomes + [None] * (size - len(outcomes))
        return [each if isinstance(each, _Failed) else _Failed(_unavailable(error)) for each in outcomes]

    def _tell_undone(self) -> None:
        self._connection.drop_left()
        for told in self._undone:
            told()


def _done(connection: SqliteConnection, group: list[_Job]) -> list[Any]:
    """Do all of a group; the outcome of each."""
    outcomes: list[Any] = [None] * len(group)
    kinds: dict[Together, list[int]] = {}
    for place, job in enumerate(group):
        if job.together is None:
            outcomes[place] = job.alone(connection)
        else:
            kinds.setdefault(job.together, []).append(place)
    for together, places in kinds.items():
        done = together(connection, [group[place].item for place in places])
        for place, outcome in zip(places, done, strict=True):
            outcomes[place] = outcome
    return outcomes


def _unavailable(error: Exception) -> StoreUnavailable:
    unavailable = StoreUnavailable(f"the store cannot be written: {error}")
    unavailable.__cause__ = error
    return unavailable


def _resolve(done: list[tuple[_Job, Any]], returned: Callable[[], None]) -> None:
    """Those who wait go on first, then the next group is handed over.

    Then others are told: what they begin with it can wait for longer.
    """
    for job, outcome in done:
        if job.result.done():
            continue
        if isinstance(outcome, _Failed):
            job.result.set_exception(outcome.error)
        else:
            job.result.set_result(outcome)
    asyncio.get_running_loop().call_soon(returned)
    for job, outcome in done:
        if job.told is not None:
            job.told(None if isinstance(outcome, _Failed) else outcome)
