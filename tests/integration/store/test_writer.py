"""What shares a commit with what on SQLite, and who hears of it."""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from ocn_permission_agent.clock import Clock, SystemClock
from ocn_permission_agent.errors import StoreUnavailable
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.store.sqlite import SqliteDatabase
from ocn_permission_agent.store.sqlite_connection import SqliteConnection
from ocn_permission_agent.store.writer import Writer
from tests.fakes import FakeClock

#: longer than any machine has been up, with which the clock of a loop may begin
_NEVER = 1e9


class Store:
    """A store whose commits are counted."""

    def __init__(self, database: SqliteDatabase, metrics: Metrics) -> None:
        self.database = database
        self._metrics = metrics

    @property
    def commits(self) -> float:
        found = self._metrics.registry.get_sample_value("ocn_agent_store_commit_seconds_count")
        assert found is not None
        return found


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    metrics = Metrics()
    database = await SqliteDatabase.open(tmp_path / "agent.db", metrics=metrics, clock=SystemClock())
    yield Store(database, metrics)
    await database.close()


def note(key: str) -> Callable[[SqliteConnection], None]:
    def work(connection: SqliteConnection) -> None:
        connection.execute("INSERT INTO meta (key, value) VALUES (?, 'x')", (key,))

    return work


async def keys(store: Store) -> set[str]:
    rows = await store.database.read(lambda connection: connection.execute("SELECT key FROM meta").fetchall())
    return {row["key"] for row in rows}


async def test_what_nobody_waits_for_goes_with_the_next(store: Store) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(store.database.write(note(f"patient {number}"), patient=True))
        await asyncio.sleep(0)
        group.create_task(store.database.write(note("hurried")))
    assert store.commits == 1
    assert {"hurried", "patient 0", "patient 4"} <= await keys(store)


async def test_what_nobody_waits_for_is_written_though_nothing_else_comes(store: Store) -> None:
    await store.database.write(note("patient"), patient=True)
    assert "patient" in await keys(store)


async def test_what_is_handed_in_at_the_end_is_written(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    database = await SqliteDatabase.open(path, metrics=Metrics(), clock=SystemClock())
    async with asyncio.TaskGroup() as group:
        group.create_task(database.write(note("patient"), patient=True))
        group.create_task(database.write(note("paced")))
        await asyncio.sleep(0)
        await database.close()
    again = await SqliteDatabase.open(path, metrics=Metrics(), clock=SystemClock())
    assert {"patient", "paced"} <= await keys(Store(again, Metrics()))
    await again.close()


async def test_the_result_is_told_though_nobody_waits_any_more(store: Store) -> None:
    told: list[str | None] = []
    async with asyncio.TaskGroup() as group:
        writing = group.create_task(store.database.write(lambda _: "done", told.append))
        await asyncio.sleep(0)
        writing.cancel()
    await store.database.write(note("later"))
    assert told == ["done"]


async def test_all_who_wait_go_on_before_what_any_of_them_begins(store: Store) -> None:
    order: list[str] = []
    loop = asyncio.get_running_loop()

    def begin(_: None) -> None:
        loop.call_soon(order.append, "begun")

    async def write(number: int) -> None:
        await store.database.write(note(str(number)), begin)
        order.append("goes on")

    async with asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(write(number))
    assert order == ["goes on"] * 3 + ["begun"] * 3


async def test_a_failure_is_told_as_nothing(store: Store) -> None:
    told: list[object] = []
    with pytest.raises(StoreUnavailable):
        await store.database.write(lambda connection: connection.execute("nonsense"), told.append)
    assert told == [None]


async def test_views_and_triggers_outlive_a_transaction_that_is_rolled_back(store: Store) -> None:
    store.database.make_at_hand(("CREATE TEMP VIEW IF NOT EXISTS noted AS SELECT key FROM meta",))

    def fail(connection: SqliteConnection) -> None:
        connection.execute("SELECT * FROM noted").fetchall()
        raise LookupError("on purpose")

    with pytest.raises(LookupError):
        await store.database.write(fail)
    count = await store.database.write(
        lambda connection: connection.execute("SELECT count(*) FROM noted").fetchone()[0]
    )
    assert count == len(await keys(store))


class Kind:
    """Notes keys together, and tells each its place among those it came with."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []

    def note(self, connection: SqliteConnection, keys: Sequence[str]) -> list[int]:
        self.groups.append(list(keys))
        for key in keys:
            connection.execute("INSERT INTO meta (key, value) VALUES (?, 'x')", (key,))
        if "refused" in keys:
            raise LookupError("on purpose")
        return list(range(len(keys)))


async def test_what_is_of_a_kind_is_done_together(store: Store) -> None:
    one, other = Kind(), Kind()
    first, second = one.note, other.note
    database = store.database
    async with asyncio.TaskGroup() as group:
        places = [
            group.create_task(database.write_together(first, "a")),
            group.create_task(database.write_together(second, "p")),
            group.create_task(database.write_together(first, "b")),
            group.create_task(database.write_together(second, "q", patient=True)),
        ]
        group.create_task(database.write(note("alone")))
    assert [place.result() for place in places] == [0, 0, 1, 1]
    assert (one.groups, other.groups, store.commits) == ([["a", "b"]], [["p", "q"]], 1)
    assert {"a", "b", "p", "q", "alone"} <= await keys(store)


async def test_one_that_fails_does_not_take_those_of_its_kind_along(store: Store) -> None:
    kind = Kind()
    together = kind.note
    told: list[int | None] = []

    async def fail() -> None:
        with pytest.raises(LookupError):
            await store.database.write_together(together, "refused", told.append)

    async with asyncio.TaskGroup() as group:
        group.create_task(store.database.write_together(together, "a", told.append))
        group.create_task(fail())
        group.create_task(store.database.write_together(together, "b", told.append))
    assert (told, kind.groups) == ([0, None, 0], [["a", "refused", "b"], ["a"], ["refused"], ["b"]])
    found = await keys(store)
    assert {"a", "b"} <= found
    assert "refused" not in found


class _Clock(FakeClock):
    """Moved on by whoever takes time."""

    def take(self, seconds: float) -> None:
        self._elapsed += seconds


@pytest.mark.parametrize(("took", "pace"), [(0.0, 1), (0.01, 1), (0.06, 3), (3_600.0, 5)])
async def test_the_slower_a_commit_the_larger_the_next_group(tmp_path: Path, took: float, pace: int) -> None:
    """With a clock of its own, so that only the pace itself takes time."""
    least, clock, metrics = 0.06, _Clock(), Metrics()
    database = await SqliteDatabase.open(tmp_path / "agent.db", metrics=metrics, clock=clock, pace_seconds=least)
    store, loop = Store(database, metrics), asyncio.get_running_loop()
    await database.write(lambda _: clock.take(took))
    handed_over_at, before = loop.time(), store.commits
    await database.write(lambda _: None)
    async with asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(database.write(note(f"{number}")))
    assert store.commits == before + 2
    assert pace * least < loop.time() - handed_over_at < (pace + 20) * least
    await database.close()


async def test_enough_does_not_wait_for_the_pace(tmp_path: Path) -> None:
    metrics = Metrics()
    database = await SqliteDatabase.open(
        tmp_path / "agent.db", metrics=metrics, clock=SystemClock(), pace_seconds=_NEVER
    )
    store = Store(database, metrics)
    await database.write(note("first"))
    before = store.commits
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for number in range(64):
            group.create_task(database.write(note(f"{number}"), patient=number % 2 == 0))
    assert store.commits == before + 1
    await database.close()


async def test_what_cannot_wait_takes_along_what_can(tmp_path: Path) -> None:
    metrics = Metrics()
    database = await SqliteDatabase.open(
        tmp_path / "agent.db", metrics=metrics, clock=SystemClock(), pace_seconds=_NEVER
    )
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(database.write(note("patient"), patient=True))
        await asyncio.sleep(0.01)
        group.create_task(database.write(note("hurried")))
    assert Store(database, metrics).commits == 1
    await database.close()


async def test_what_has_left_does_not_hurry_what_comes_after_it(tmp_path: Path) -> None:
    least, clock, metrics = 0.1, _Clock(), Metrics()
    database = await SqliteDatabase.open(tmp_path / "agent.db", metrics=metrics, clock=clock, pace_seconds=least)
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        group.create_task(database.write(note("patient"), patient=True))
        group.create_task(database.write(lambda _: clock.take(least)))
    handed_over_after = loop.time()
    await database.write(note("next"))
    assert loop.time() - handed_over_after > 2 * least
    await database.close()


# --- beside a large group the loop stands aside -----------------------------------------------------------------------

_LARGE = 16
#: no thread here takes that long for a few statements
_AMPLE_SECONDS = 60.0


@contextlib.contextmanager
def writing(path: Path, clock: Clock, *, aside_seconds: float = _AMPLE_SECONDS) -> Iterator[Writer]:
    connection = sqlite3.connect(path, factory=SqliteConnection, isolation_level=None, check_same_thread=False)
    connection.execute("CREATE TABLE said (what TEXT)")
    writer = Writer(connection, clock=clock, metrics=Metrics(), aside_seconds=aside_seconds)
    try:
        yield writer
    finally:
        writer.hand_over()
        writer.close()


def say(what: str, then: Callable[[], object]) -> Callable[[SqliteConnection], None]:
    def work(connection: SqliteConnection) -> None:
        connection.execute("INSERT INTO said VALUES (?)", (what,))
        then()

    return work


async def hand_over_beside_the_loop(writer: Writer) -> None:
    """A large group, and see that it is done before the loop goes on."""
    done: list[int] = []
    pieces = [writer.submit(say("piece", lambda: done.append(1))) for _ in range(_LARGE)]
    writer.hand_over()
    assert len(done) == _LARGE
    for piece in pieces:
        await piece


async def test_beside_a_large_group_the_loop_stands_aside(tmp_path: Path) -> None:
    with writing(tmp_path / "a.db", SystemClock()) as writer:
        await hand_over_beside_the_loop(writer)


async def test_it_waits_for_no_commit_that_is_under_way(tmp_path: Path) -> None:
    """What comes meanwhile is handed over when that is done: the loop would stand aside for nothing."""
    with writing(tmp_path / "a.db", SystemClock()) as writer:
        told, go_on, second = threading.Event(), threading.Event(), list[str]()

        def hold() -> None:
            told.set()
            assert go_on.wait(_AMPLE_SECONDS)

        first = writer.submit(say("first", hold))
        await asyncio.to_thread(told.wait, _AMPLE_SECONDS)
        pieces = [writer.submit(say("second", lambda: second.append("said"))) for _ in range(4 * _LARGE)]
        await asyncio.sleep(0.05)
        assert not first.done()
        go_on.set()
        for piece in (first, *pieces):
            await piece
        assert len(second) == 4 * _LARGE


async def test_a_slow_disk_holds_the_loop_up_for_a_moment_only(tmp_path: Path) -> None:
    clock = FakeClock()
    with writing(tmp_path / "a.db", clock, aside_seconds=0.01) as writer:

        async def hand_over_what_waits_for_the_loop() -> None:
            go_on = threading.Event()
            pieces = [writer.submit(say("piece", partial(go_on.wait, _AMPLE_SECONDS))) for _ in range(_LARGE)]
            writer.hand_over()
            assert not pieces[0].done()
            go_on.set()
            for piece in pieces:
                await piece

        await hand_over_what_waits_for_the_loop()
        writer._aside_seconds = _AMPLE_SECONDS
        await asyncio.wait_for(hand_over_what_waits_for_the_loop(), _AMPLE_SECONDS / 2)  # it does not stand aside now
        clock.step(2)
        await hand_over_beside_the_loop(writer)


async def test_more_than_a_transaction_may_hold_takes_several(tmp_path: Path) -> None:
    metrics = Metrics()
    database = await SqliteDatabase.open(tmp_path / "agent.db", metrics=metrics, clock=SystemClock())
    store = Store(database, metrics)
    before = store.commits
    held, go_on = threading.Event(), threading.Event()

    def hold(_: SqliteConnection) -> None:
        held.set()
        assert go_on.wait(_AMPLE_SECONDS)

    async with asyncio.TaskGroup() as group:
        group.create_task(database.write(hold))
        await asyncio.to_thread(held.wait, _AMPLE_SECONDS)
        for number in range(2_500):
            group.create_task(database.write(note(f"{number}")))
        await asyncio.sleep(0.05)
        go_on.set()
    assert store.commits - before == 1 + 3
    assert len(await keys(store) & {f"{number}" for number in range(2_500)}) == 2_500
    await database.close()
