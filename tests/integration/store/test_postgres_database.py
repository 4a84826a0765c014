"""The engine on a real server: what was acknowledged is there, what failed is not, and nobody waits for ever."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest

from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.errors import StoreUnavailable
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.store.database import Connection
from ocn_permission_agent.store.migrations import Migration
from ocn_permission_agent.store.postgres import PostgresDatabase
from tests.postgres_server import PostgresServer

NOTES = Migration(
    number=1,
    name="notes",
    sql="CREATE TABLE notes (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text TEXT UNIQUE CHECK (text <> ''));",
)


async def opened(url: str, *steps: Migration, metrics: Metrics | None = None) -> PostgresDatabase:
    return await PostgresDatabase.open(
        url, metrics=metrics or Metrics(), clock=SystemClock(), migrations=steps or (NOTES,)
    )


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.new_database()


@pytest.fixture
async def database(url: str) -> AsyncIterator[PostgresDatabase]:
    database = await opened(url)
    yield database
    await database.close()


def put(connection: Connection, text: str) -> int | None:
    return connection.execute("INSERT INTO notes (text) VALUES (:text) RETURNING id", {"text": text}).lastrowid


async def add(database: PostgresDatabase, text: str) -> int | None:
    return await database.write(lambda connection: put(connection, text))


async def texts(database: PostgresDatabase) -> list[str]:
    return await database.read(
        lambda connection: [row["text"] for row in connection.execute("SELECT text FROM notes ORDER BY id")]
    )


async def test_what_was_written_is_read_after_reopening(url: str) -> None:
    first = await opened(url)
    assert await add(first, "kept") == 1
    await first.close()
    second = await opened(url)
    assert (await texts(second), second.migrated) == (["kept"], ())
    await second.close()


async def test_many_pieces_run_side_by_side(database: PostgresDatabase) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(200):
            group.create_task(add(database, f"note {number}"))
    assert len(await texts(database)) == 200


async def test_a_piece_that_fails_undoes_only_itself(database: PostgresDatabase) -> None:
    class Unwilling(Exception):
        pass

    def half(connection: Connection) -> None:
        put(connection, "half")
        raise Unwilling

    with pytest.raises(Unwilling):
        await database.write(half)
    await add(database, "whole")
    assert await texts(database) == ["whole"]


async def test_a_part_at_its_own_risk_undoes_only_itself(database: PostgresDatabase) -> None:
    def work(connection: Connection) -> list[object]:
        return [connection.at_its_own_risk(partial(put, connection, text)) for text in ("a", "", "b\0", "c")]

    first, empty, zero, last = await database.write(work)
    assert (empty, zero) == (None, None)
    assert first is not None
    assert last is not None
    assert await texts(database) == ["a", "c"]


async def test_an_error_of_the_engine_is_the_store_being_unavailable_and_quotes_no_row(
    database: PostgresDatabase,
) -> None:
    await add(database, "a secret of the customer")
    for text in ("a secret of the customer", ""):
        with pytest.raises(StoreUnavailable, match="notes") as told:
            await add(database, text)
        assert "secret" not in str(told.value)
    with pytest.raises(StoreUnavailable, match="does not exist"):
        await database.read(lambda connection: connection.execute("SELECT * FROM absent"))


async def test_two_that_stand_in_each_others_way_both_succeed(database: PostgresDatabase) -> None:
    for text in ("left", "right"):
        await add(database, text)
    undone: list[str] = []
    database.on_undone(lambda: undone.append("told"))

    def both(connection: Connection, first: str, second: str) -> None:
        for text in (first, second):
            connection.execute("UPDATE notes SET text = text || '!' WHERE text LIKE :like", {"like": f"{text}%"})
            connection.execute("SELECT pg_sleep(0.1)")

    async with asyncio.TaskGroup() as group:
        group.create_task(database.write(lambda connection: both(connection, "left", "right")))
        group.create_task(database.write(lambda connection: both(connection, "right", "left")))
    assert sorted(await texts(database)) == ["left!!", "right!!"]
    assert undone == ["told"]


async def test_who_inserts_what_another_has_just_inserted_runs_again_and_finds_it(database: PostgresDatabase) -> None:
    def find_or_add(connection: Connection) -> int | None:
        found = connection.execute("SELECT id FROM notes WHERE text = 'one'").fetchone()
        connection.execute("SELECT pg_sleep(0.05)")
        return put(connection, "one") if found is None else found["id"]

    async with asyncio.TaskGroup() as group:
        ids = [group.create_task(database.write(find_or_add)) for _ in range(5)]
    assert len({each.result() for each in ids}) == 1
    assert await texts(database) == ["one"]


async def test_reading_cannot_write_and_sees_one_moment(database: PostgresDatabase) -> None:
    with pytest.raises(StoreUnavailable, match="read-only"):
        await database.read(lambda connection: put(connection, "x"))

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
