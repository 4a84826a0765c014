"""What work may rely on, the same on both engines: what was acknowledged is there, what failed is not."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest

from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.errors import StoreMismatch, StoreUnavailable
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.store.database import Connection, Database
from ocn_permission_agent.store.migrations import Migration
from tests.stores import Where, open_at

NOTES = Migration(
    number=1, name="notes", sql="CREATE TABLE notes (text TEXT PRIMARY KEY CHECK (text <> ''), colour TEXT);"
)


async def opened(where: Where, *steps: Migration, metrics: Metrics | None = None) -> Database:
    return await open_at(where, clock=SystemClock(), metrics=metrics, migrations=steps or (NOTES,))


@pytest.fixture
async def database(where: Where) -> AsyncIterator[Database]:
    database = await opened(where)
    yield database
    await database.close()


def put(connection: Connection, text: str) -> int:
    return connection.execute("INSERT INTO notes (text) VALUES (:text)", {"text": text}).rowcount


async def add(database: Database, text: str) -> int:
    return await database.write(lambda connection: put(connection, text))


async def texts(database: Database) -> list[str]:
    return await database.read(
        lambda connection: sorted(row["text"] for row in connection.execute("SELECT text FROM notes"))
    )


async def test_what_was_written_is_read_after_reopening(where: Where) -> None:
    first = await opened(where)
    assert await add(first, "kept, ☃") == 1
    await first.close()
    second = await opened(where)
    assert (await texts(second), tuple(second.migrated)) == (["kept, ☃"], ())
    await second.close()


async def test_what_is_written_side_by_side_is_all_there_and_every_commit_is_measured(where: Where) -> None:
    metrics = Metrics()
    database = await opened(where, metrics=metrics)
    async with asyncio.TaskGroup() as group:
        for number in range(200):
            group.create_task(add(database, f"note {number}"))
    assert len(await texts(database)) == 200
    commits = metrics.registry.get_sample_value("ocn_agent_store_commit_seconds_count")
    assert commits is not None
    assert 1 <= commits <= 200
    await database.close()


async def test_a_piece_that_fails_undoes_only_itself_and_is_told(database: Database) -> None:
    class Unwilling(Exception):
        pass

    undone: list[str] = []
    database.on_undone(lambda: undone.append("told"))

    def half(connection: Connection) -> None:
        put(connection, "half")
        raise Unwilling

    async def unwilling() -> None:
        with pytest.raises(Unwilling):
            await database.write(half)

    async with asyncio.TaskGroup() as group:
        group.create_task(add(database, "before"))
        group.create_task(unwilling())
        group.create_task(add(database, "after"))
    assert await texts(database) == ["after", "before"]
    assert undone


async def test_a_part_at_its_own_risk_undoes_only_itself(database: Database) -> None:
    await add(database, "there already")

    def work(connection: Connection) -> list[int | None]:
        parts = ("first", "", "\ud800 is no text", "last")
        return [connection.at_its_own_risk(partial(put, connection, text)) for text in parts]

    assert await database.write(work) == [1, None, None, 1]
    assert await texts(database) == ["first", "last", "there already"]


async def test_what_is_left_to_the_end_is_done_of_pieces_that_succeed_only(database: Database) -> None:
    class Unwilling(Exception):
        pass

    def leave(connection: Connection, text: str) -> None:
        def put_all(texts: list[str]) -> None:
            for each in texts:
                put(connection, each)

        connection.leave_to_the_end("notes", text, put_all)

    def half(connection: Connection) -> None:
        leave(connection, "half")
        raise Unwilling

    def risky(connection: Connection, text: str, *, fails: bool) -> bool:
        leave(connection, text)
        if fails:
            raise Unwilling
        return True

    def with_risks(connection: Connection) -> list[bool | None]:
        leave(connection, "around")
        return [
            connection.at_its_own_risk(partial(risky, connection, text, fails=text == "lost"))
            for text in ("kept", "lost")
        ]

    async def unwilling() -> None:
        with pytest.raises(Unwilling):
            await database.write(half)

    async with asyncio.TaskGroup() as group:
        group.create_task(database.write(lambda connection: leave(connection, "before")))
        group.create_task(unwilling())
        group.create_task(database.write(lambda connection: leave(connection, "after")))
        risks = group.create_task(database.write(with_risks))
    assert risks.result() == [True, None]
    assert await texts(database) == ["after", "around", "before", "kept"]


async def test_each_of_many_sets_of_values_is_written(database: Database) -> None:
    rows = [{"text": f"{number}", "colour": None if number else "red"} for number in range(5)]
    await database.write(
        lambda connection: connection.executemany("INSERT INTO notes (text, colour) VALUES (:text, :colour)", rows)
    )
    changed = await database.write(
        lambda connection: connection.execute("UPDATE notes SET colour = 'blue' WHERE colour IS NULL").rowcount
    )
    assert (changed, len(await texts(database))) == (4, 5)


async def test_an_error_of_the_engine_is_the_store_being_unavailable_and_quotes_no_value(database: Database) -> None:
    await add(database, "a secret of the customer")
    for text in ("a secret of the customer", ""):
        with pytest.raises(StoreUnavailable) as told:
            await add(database, text)
        assert "secret" not in str(told.value)
    with pytest.raises(StoreUnavailable, match=r"absent|a table is missing"):
        await database.read(lambda connection: connection.execute("SELECT * FROM absent"))


async def test_reading_cannot_write(database: Database) -> None:
    with pytest.raises(StoreUnavailable, match=r"read-?only"):
        await database.read(lambda connection: put(connection, "x"))
    assert await texts(database) == []


async def test_closing_finishes_what_was_handed_in_and_refuses_the_rest(where: Where) -> None:
    database = await opened(where)
    async with asyncio.TaskGroup() as group:
        for number in range(50):
            group.create_task(add(database, str(number)))
        await asyncio.sleep(0)
        await database.close()
    await database.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await add(database, "too late")
    again = await opened(where)
    assert len(await texts(again)) == 50
    await again.close()


async def test_a_newer_schema_is_refused(where: Where) -> None:
    second = Migration(number=2, name="more", sql="ALTER TABLE notes ADD COLUMN more TEXT;")
    await (await opened(where, NOTES, second)).close()
    with pytest.raises(StoreMismatch, match="newer agent"):
        await opened(where, NOTES)


async def test_a_changed_migration_is_refused(where: Where) -> None:
    await (await opened(where)).close()
    changed = Migration(number=1, name="notes", sql=NOTES.sql + "-- by the way\n")
    with pytest.raises(StoreMismatch, match="step 1"):
        await opened(where, changed)


async def test_a_migration_that_fails_leaves_the_store_as_it_was(where: Where) -> None:
    await (await opened(where)).close()
    broken = Migration(number=2, name="broken", sql="CREATE TABLE half (x INTEGER);\nCREATE TABLE notes (y INTEGER);")
    with pytest.raises(StoreUnavailable, match=r"already exists|is there already"):
        await opened(where, NOTES, broken)
    database = await opened(where)
    assert "half" not in await database.dump()
    await database.close()


async def test_the_shipped_migrations_apply_to_an_empty_store(where: Where) -> None:
    database = await open_at(where, clock=SystemClock())
    dump = await database.dump()
    assert all(f"TABLE {table}" in dump for table in ("lanes", "deliveries", "ledger_entries", "gaps"))
    assert [step.number for step in database.migrated] == list(range(1, len(database.migrated) + 1))
    await database.close()


async def test_two_dumps_are_alike_exactly_when_the_content_is(database: Database) -> None:
    await add(database, "b")
    before = await database.dump()
    await add(database, "a")
    changed = await database.dump()
    await database.write(lambda connection: connection.execute("DELETE FROM notes WHERE text = 'a'"))
    assert before != changed
    assert await database.dump() == before
