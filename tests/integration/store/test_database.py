"""The engine on real files: what was acknowledged is there, what failed is not, and nobody waits for ever."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import pytest

from ocn_permission_agent.errors import StoreMismatch, StoreUnavailable
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.store.migrations import Migration
from ocn_permission_agent.store.sqlite import SqliteDatabase
from tests.fakes import FakeClock

NOTES = Migration(number=1, name="notes", sql="CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT UNIQUE) STRICT;")


async def opened(path: Path, *steps: Migration, metrics: Metrics | None = None) -> SqliteDatabase:
    return await SqliteDatabase.open(
        path, metrics=metrics or Metrics(), clock=FakeClock(), migrations=steps or (NOTES,)
    )


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    database = await opened(tmp_path / "agent.db")
    yield database
    await database.close()


async def add(database: SqliteDatabase, text: str) -> None:
    await database.write(lambda connection: connection.execute("INSERT INTO notes (text) VALUES (?)", (text,)))


async def texts(database: SqliteDatabase) -> list[str]:
    return await database.read(lambda connection: [row["text"] for row in connection.execute("SELECT text FROM notes")])


async def test_many_writers_share_few_commits(tmp_path: Path) -> None:
    metrics = Metrics()
    database = await opened(tmp_path / "agent.db", metrics=metrics)
    async with asyncio.TaskGroup() as group:
        for number in range(500):
            group.create_task(add(database, f"note {number}"))
    commits = metrics.registry.get_sample_value("ocn_agent_store_commit_seconds_count")
    assert len(await texts(database)) == 500
    assert commits is not None
    assert commits < 50
    await database.close()


async def test_work_that_arrives_during_a_commit_is_not_forgotten(database: SqliteDatabase) -> None:
    # performance.md: a group-commit coroutine lost the wake-up of what arrived while it waited for its pool.
    for number in range(200):
        entered, leave = threading.Event(), threading.Event()

        def slow(_: sqlite3.Connection, entered: threading.Event = entered, leave: threading.Event = leave) -> None:
            entered.set()
            assert leave.wait(10)

        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            group.create_task(database.write(slow))
            await asyncio.to_thread(entered.wait, 10)
            group.create_task(add(database, f"late {number}"))
            await asyncio.sleep(0)
            leave.set()
    assert len(await texts(database)) == 200


async def test_an_error_of_the_engine_is_the_store_being_unavailable(database: SqliteDatabase) -> None:
    await add(database, "once")
    with pytest.raises(StoreUnavailable, match="UNIQUE"):
        await add(database, "once")
    with pytest.raises(StoreUnavailable, match="no such table"):
        await database.read(lambda connection: connection.execute("SELECT * FROM absent"))


async def test_a_transaction_that_is_lost_fails_every_piece_of_its_group(database: SqliteDatabase) -> None:
    entered, leave = threading.Event(), threading.Event()

    def hold(_: sqlite3.Connection) -> None:
        entered.set()
        assert leave.wait(10)

    def lose(connection: sqlite3.Connection) -> None:
        connection.execute("ROLLBACK")
        raise sqlite3.OperationalError("disk I/O error")

    async with asyncio.TaskGroup() as group:
        group.create_task(database.write(hold))
        await asyncio.to_thread(entered.wait, 10)
        first = group.create_task(_failing(add(database, "lost with it")))
        second = group.create_task(_failing(database.write(lose)))
        third = group.create_task(_failing(add(database, "never tried")))
        await asyncio.sleep(0)
        leave.set()
    assert all("disk" in told for told in (first.result(), second.result(), third.result()))
    await add(database, "the next group is well")
    assert await texts(database) == ["the next group is well"]


async def _failing(work: Awaitable[object]) -> str:
    with pytest.raises(StoreUnavailable) as told:
        await work
    return str(told.value)


async def test_work_of_a_cancelled_caller_is_still_done(database: SqliteDatabase) -> None:
    entered, leave = threading.Event(), threading.Event()

    def slow(connection: sqlite3.Connection) -> None:
        entered.set()
        assert leave.wait(10)
        connection.execute("INSERT INTO notes (text) VALUES ('done')")

    async with asyncio.TaskGroup() as group:
        caller = group.create_task(database.write(slow))
        await asyncio.to_thread(entered.wait, 10)
        caller.cancel()
        leave.set()
    await database.write(lambda _: None)
    assert await texts(database) == ["done"]


async def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    database = await opened(tmp_path / "agent.db")
    await add(database, "private")
    modes = await asyncio.to_thread(_modes, tmp_path)
    assert len(modes) >= 3
    assert set(modes.values()) == {0o600}, modes
    await database.close()


def _modes(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}


@pytest.mark.parametrize(("made_with", "page_bytes"), [(None, 8192), (4096, 4096)])
async def test_only_a_new_store_gets_pages_for_two_sessions(
    tmp_path: Path, made_with: int | None, page_bytes: int
) -> None:
    path = tmp_path / "agent.db"
    if made_with is not None:
        with contextlib.closing(sqlite3.connect(path)) as earlier:
            earlier.execute(f"PRAGMA page_size = {made_with}")
            earlier.execute("VACUUM")
    database = await opened(path)
    await add(database, "kept")
    assert await texts(database) == ["kept"]
    found = await database.read(lambda connection: connection.execute("PRAGMA page_size").fetchone()[0])
    assert found == page_bytes
    await database.close()


async def test_a_second_agent_on_the_same_file_is_told_so(tmp_path: Path) -> None:
    database = await opened(tmp_path / "agent.db")
    with pytest.raises(StoreUnavailable, match="in use by another agent"):
        await opened(tmp_path / "agent.db")
    await database.close()


async def test_a_missing_folder_is_the_store_being_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="No such file"):
        await opened(tmp_path / "nowhere" / "agent.db")


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "agent.db").write_text("This is a letter, and not at all a database. " * 100)
    with pytest.raises(StoreMismatch, match="not a database"):
        await opened(tmp_path / "agent.db")
    with pytest.raises(StoreMismatch, match="not a database"):
        await opened(tmp_path / "agent.db")


async def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "agent.db")
    other.execute("CREATE TABLE bookmarks (url TEXT)")
    other.close()
    with pytest.raises(StoreMismatch, match="another program"):
        await opened(tmp_path / "agent.db")


_CHILD = """
import asyncio, sys
from pathlib import Path
from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.store.sqlite import SqliteDatabase
from ocn_permission_agent.store.migrations import Migration

async def main():
    notes = Migration(number=1, name="notes", sql=sys.argv[2])
    database = await SqliteDatabase.open(Path(sys.argv[1]), metrics=Metrics(), clock=SystemClock(), migrations=(notes,))
    async def writer(name):
        for number in range(10**9):
            text = f"{name}-{number}"
            await database.write(lambda c: c.execute("INSERT INTO notes (text) VALUES (?)", (text,)))
            print(text, flush=True)
    async with asyncio.TaskGroup() as group:
        for name in "abcdefgh":
            group.create_task(writer(name))

asyncio.run(main())
"""


async def test_nothing_acknowledged_is_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    acknowledged = await asyncio.to_thread(_write_until_killed, tmp_path / "agent.db")
    database = await opened(tmp_path / "agent.db")
    assert len(acknowledged) >= 400
    assert set(acknowledged) <= set(await texts(database))
    assert await database.read(lambda c: c.execute("PRAGMA integrity_check").fetchone()[0]) == "ok"
    await database.close()


def _write_until_killed(path: Path) -> list[str]:
    """What a writing child had been told is stored when SIGKILL met it."""
    with subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(path), NOTES.sql], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        acknowledged = [child.stdout.readline().strip() for _ in range(400)]
        os.kill(child.pid, signal.SIGKILL)
        return acknowledged + [line.strip() for line in child.stdout if line.endswith("\n")]
