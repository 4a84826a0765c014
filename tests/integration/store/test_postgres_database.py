"""What only PostgreSQL brings: others at work at the same time, a server that comes and goes, and its settings."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.errors import StoreMismatch, StoreUnavailable
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.sandbox.serving import free_ports
from ocn_permission_agent.store import bridge
from ocn_permission_agent.store.database import Connection
from ocn_permission_agent.store.migrations import Migration, shipped_migrations
from ocn_permission_agent.store.postgres import PostgresDatabase
from tests.cut_commit import cut_commit
from tests.postgres_server import PostgresServer, postgres_server

NOTES = Migration(
    number=1,
    name="notes",
    sql="CREATE TABLE notes (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text TEXT UNIQUE);",
)


async def opened(url: str, *steps: Migration, lock: Path | None = None) -> PostgresDatabase:
    return await PostgresDatabase.open(
        url, metrics=Metrics(), clock=SystemClock(), migrations=steps or (NOTES,), lock=lock
    )


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.new_database()


@pytest.fixture
async def database(url: str) -> AsyncIterator[PostgresDatabase]:
    database = await opened(url)
    yield database
    await database.close()


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """For tests that stop it."""
    with postgres_server() as server:
        yield server


def put(connection: Connection, text: str) -> int | None:
    return connection.execute("INSERT INTO notes (text) VALUES (:text) RETURNING id", {"text": text}).lastrowid


async def add(database: PostgresDatabase, text: str) -> int | None:
    return await database.write(lambda connection: put(connection, text))


async def texts(database: PostgresDatabase) -> list[str]:
    return await database.read(
        lambda connection: [row["text"] for row in connection.execute("SELECT text FROM notes ORDER BY id")]
    )


# --- others at work ---------------------------------------------------------------------------------------------------


async def test_two_that_stand_in_each_others_way_both_succeed(database: PostgresDatabase) -> None:
    for text in ("left", "right"):
        await add(database, text)
    undone: list[str] = []
    database.on_undone(lambda: undone.append("told"))
    meeting, met = asyncio.Barrier(2), set[str]()

    def both(connection: Connection, first: str, second: str) -> None:
        for text in (first, second):
            connection.execute("UPDATE notes SET text = text || '!' WHERE text LIKE :like", {"like": f"{text}%"})
            if first not in met:  # each has what the other wants
                met.add(first)
                bridge.wait(meeting.wait())

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(database.write(lambda connection: both(connection, "left", "right")))
        group.create_task(database.write(lambda connection: both(connection, "right", "left")))
    assert sorted(await texts(database)) == ["left!!", "right!!"]
    assert undone, "they never met"


async def test_who_inserts_what_another_has_just_inserted_runs_again_and_finds_it(database: PostgresDatabase) -> None:
    def find_or_add(connection: Connection) -> int | None:
        found = connection.execute("SELECT id FROM notes WHERE text = 'one'").fetchone()
        connection.execute("SELECT pg_sleep(0.05)")
        return put(connection, "one") if found is None else found["id"]

    async with asyncio.TaskGroup() as group:
        ids = [group.create_task(database.write(find_or_add)) for _ in range(5)]
    assert len({each.result() for each in ids}) == 1
    assert await texts(database) == ["one"]


async def test_reading_sees_one_moment(database: PostgresDatabase) -> None:
    def twice(connection: Connection) -> tuple[int, int]:
        count = "SELECT count(*) AS n FROM notes"
        before = connection.execute(count).fetchone()["n"]
        connection.execute("SELECT pg_sleep(0.2)")
        return before, connection.execute(count).fetchone()["n"]

    async with asyncio.TaskGroup() as group:
        seen = group.create_task(database.read(twice))
        await asyncio.sleep(0.1)
        group.create_task(add(database, "meanwhile"))
    assert seen.result() == (0, 0)


async def test_work_of_a_cancelled_caller_is_still_done_before_the_store_closes(url: str) -> None:
    database = await opened(url)

    def slow(connection: Connection) -> None:
        connection.execute("SELECT pg_sleep(0.2)")
        put(connection, "done")

    async with asyncio.TaskGroup() as group:
        caller = group.create_task(database.write(slow))
        await asyncio.sleep(0.05)
        caller.cancel()
    assert caller.cancelled()
    await database.close()
    again = await opened(url)
    assert await texts(again) == ["done"]
    await again.close()


@pytest.mark.nightly
async def test_who_waits_too_long_for_a_lock_is_told_so(url: str, database: PostgresDatabase) -> None:
    await add(database, "wanted by both")
    other = await asyncpg.connect(url)
    async with other.transaction():
        await other.execute("SELECT * FROM notes FOR UPDATE")
        with pytest.raises(StoreUnavailable, match="a lock was not to be had in time"):
            await database.write(lambda connection: connection.execute("UPDATE notes SET text = 'mine'"))
    await other.close()
    assert await texts(database) == ["wanted by both"]


async def test_several_agents_that_start_at_once_migrate_once(url: str) -> None:
    async with asyncio.TaskGroup() as group:
        starting = [
            group.create_task(PostgresDatabase.open(url, metrics=Metrics(), clock=SystemClock())) for _ in range(4)
        ]
    databases = [each.result() for each in starting]
    assert sum(len(each.migrated) for each in databases) == len(shipped_migrations("postgres"))
    for each in databases:
        await each.close()


async def test_a_folder_belongs_to_one_agent(url: str, tmp_path: Path) -> None:
    first = await opened(url, lock=tmp_path / "agent.lock")
    with pytest.raises(StoreUnavailable, match="in use by another agent"):
        await opened(url, lock=tmp_path / "agent.lock")
    second = await opened(url, lock=tmp_path / "another.lock")
    await first.close()
    await second.close()
    await (await opened(url, lock=tmp_path / "agent.lock")).close()


# --- a server that comes and goes -------------------------------------------------------------------------------------


async def test_a_server_that_was_gone_is_found_again(own_server: PostgresServer) -> None:
    database = await opened(own_server.new_database())
    await add(database, "before")
    await asyncio.to_thread(own_server.stop)
    for text in ("gone", "still gone"):
        with pytest.raises(StoreUnavailable):
            await add(database, text)
    with pytest.raises(StoreUnavailable):
        await texts(database)
    await asyncio.to_thread(own_server.start)
    await _until_it_works(database, "after")
    assert await texts(database) == ["before", "after"]
    await database.close()


async def test_a_connection_that_the_server_ends_is_told_in_our_words(url: str, database: PostgresDatabase) -> None:
    administrator = await asyncpg.connect(url)
    sleeping = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    try:
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            waiting = group.create_task(_failure(database.read(lambda each: each.execute("SELECT pg_sleep(9)"))))
            while not await administrator.fetch(sleeping):
                pass
    finally:
        await administrator.close()
    assert waiting.result() == (
        "the store cannot be read: PostgreSQL: the server is being shut down, or ended this connection (57P01)"
    )


async def _failure(work: Coroutine[Any, Any, object]) -> str:
    with pytest.raises(StoreUnavailable) as told:
        await work
    return str(told.value)


async def test_a_server_that_crashes_under_load_has_kept_what_it_acknowledged(own_server: PostgresServer) -> None:
    database = await opened(own_server.new_database())
    acknowledged: list[str] = []
    enough, crashed = asyncio.Event(), asyncio.Event()

    async def write_on(name: str) -> None:
        number = 0
        while not crashed.is_set():
            text = f"{name}-{number}"
            try:
                await add(database, text)
            except StoreUnavailable:
                await asyncio.sleep(0.05)
            else:
                acknowledged.append(text)
                if len(acknowledged) == 200:
                    enough.set()
            number += 1

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for name in "abcdefgh":
            group.create_task(write_on(name))
        await enough.wait()
        await asyncio.to_thread(own_server.stop, signal.SIGQUIT)
        crashed.set()
    await asyncio.to_thread(own_server.start)
    await _until_it_works(database, "after")
    assert set(acknowledged) < set(await texts(database))
    await database.close()


async def test_a_connection_lost_in_a_commit_leaves_it_open_and_is_told_as_failed(url: str, tmp_path: Path) -> None:
    async with cut_commit(url, tmp_path) as way:
        database = await opened(way.url)
        way.cut_in = 1
        with pytest.raises(StoreUnavailable):
            await add(database, "made, and nobody was told")
        assert way.cuts == 1
        assert await texts(database) == ["made, and nobody was told"]
        await database.close()


@pytest.mark.nightly
async def test_a_server_that_stands_still_holds_nobody_for_long(own_server: PostgresServer) -> None:
    database = await opened(own_server.new_database())
    await add(database, "before")
    backends = await database.read(
        lambda connection: [row["pid"] for row in connection.execute("SELECT pid FROM pg_stat_activity")]
    )
    for process in backends:
        os.kill(process, signal.SIGSTOP)
    try:
        async with asyncio.timeout(15):
            with pytest.raises(StoreUnavailable, match="in time"):
                await add(database, "stopped")
    finally:
        for process in backends:
            os.kill(process, signal.SIGCONT)
    await _until_it_works(database, "after")
    assert "after" in await texts(database)
    await database.close()


async def _until_it_works(database: PostgresDatabase, text: str) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                await add(database, text)
            except StoreUnavailable:
                await asyncio.sleep(0.05)
            else:
                return


# --- what is refused --------------------------------------------------------------------------------------------------


async def _run(url: str, sql: str) -> None:
    link = await asyncpg.connect(url)
    await link.execute(sql)
    await link.close()


async def test_a_server_that_may_lose_what_it_acknowledged_is_refused(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    await _run(url, f"ALTER DATABASE {url.split('/')[3].partition('?')[0]} SET synchronous_commit = off")
    with pytest.raises(StoreMismatch, match="synchronous_commit is off"):
        await opened(url)
    with postgres_server(fsync="off") as careless, pytest.raises(StoreMismatch, match="fsync is off"):
        await opened(careless.new_database())


async def test_a_database_that_cannot_hold_every_text_is_refused(postgres: PostgresServer) -> None:
    await _run(postgres.url(), "CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0")
    with pytest.raises(StoreMismatch, match="UTF8 is needed"):
        await opened(postgres.url("ascii"))


@pytest.mark.parametrize(
    "table", ["bookmarks (url TEXT)", "schema_migrations (version TEXT)", "schema_migrations (number INTEGER)"]
)
async def test_a_database_of_another_program_is_refused(url: str, table: str) -> None:
    await _run(url, f"CREATE TABLE {table}")
    with pytest.raises(StoreMismatch, match="another program"):
        await opened(url)


async def test_a_url_that_nobody_understands_is_refused_and_none_is_shown(tmp_path: Path) -> None:
    with pytest.raises(StoreMismatch, match="sslmode"):
        await opened("postgresql://agent:s3cret-pass@/db?sslmode=maybe")
    with pytest.raises(StoreUnavailable) as told:
        await opened(f"postgresql://agent:s3cret-pass@/db?host={tmp_path}")
    assert "s3cret-pass" not in str(told.value)


async def test_who_is_not_let_in_is_told_why_without_names(postgres: PostgresServer) -> None:
    for url, cause in (
        (postgres.url("nowhere"), "there is no such database (3D000)"),
        (postgres.url().replace("agent@", "ghost@"), "the server refuses this role, or connections from here (28000)"),
        (f"postgresql://agent@127.0.0.1:{free_ports(1)[0]}/db", "nothing listens where PostgreSQL should be"),
        ("postgresql://agent@nowhere.invalid/db", "the name of the PostgreSQL server cannot be resolved"),
    ):
        with pytest.raises(StoreUnavailable) as told:
            await opened(url)
        assert cause in str(told.value)
        assert not any(name in str(told.value) for name in ("nowhere", "ghost", "127.0.0.1", "postgres_"))


# --- looking only -----------------------------------------------------------------------------------------------------


async def test_looking_changes_nothing_and_needs_a_store_of_this_version(url: str) -> None:
    with pytest.raises(StoreUnavailable, match="no store in this database yet"):
        await PostgresDatabase.look(url, clock=SystemClock())
    steps = shipped_migrations("postgres")
    await (await opened(url, *steps[:1])).close()
    with pytest.raises(StoreUnavailable, match="waits for a migration"):
        await PostgresDatabase.look(url, clock=SystemClock())
    agent = await opened(url, *steps)
    looking = await PostgresDatabase.look(url, clock=SystemClock())
    assert await looking.read(lambda connection: connection.execute("SELECT * FROM meta").fetchall()) == []
    with pytest.raises(StoreUnavailable, match="read-only"):
        await looking.write(lambda connection: connection.execute("DELETE FROM meta"))
    await looking.close()
    await agent.close()
