"""The store fills up, is made read-only, is locked: nothing acknowledged is lost, and it works again by itself."""

import asyncio
import resource
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from ocn_permission_agent.errors import StoreUnavailable
from ocn_permission_agent.outbox.model import Attempt, AttemptVerdict, Delivery
from ocn_permission_agent.store.sqlite import SqliteDatabase
from tests.fakes import FakeClock
from tests.outbox_carrier import dispatching
from tests.outbox_desk import Outboxed
from tests.outbox_fixtures import a_plan, an_attempt, cdr, open_outbox
from tests.stores import Where


@pytest.fixture
def where(tmp_path: Path) -> Where:
    """A file of SQLite: this is about files."""
    return tmp_path / "agent.db"


async def record_until_it_fails(outboxed: Outboxed, prefix: str, most: int = 5_000) -> int:
    """How many copies were acknowledged, a hundred at a time."""
    stored = 0

    async def one(number: int) -> None:
        nonlocal stored
        request = cdr(f"{prefix}{number}", b'{"id":"%s%d","x":"%s"}' % (prefix.encode(), number, b"x" * 2_000))
        await outboxed.store.record(a_plan(request, at=outboxed.clock.now()))
        stored += 1

    for start in range(0, most, 100):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_quietly(one(number))) for number in range(start, start + 100)]
        if not all(task.result() for task in tasks):
            return stored
    raise AssertionError("the store never failed")


async def _quietly(work: object) -> bool:
    try:
        await work  # type: ignore[misc]
    except StoreUnavailable:
        return False
    return True


async def pragma(outboxed: Outboxed, text: str) -> None:
    """Beside any transaction: a read-only one could not even begin."""
    assert isinstance(outboxed.database, SqliteDatabase)
    connection = outboxed.database._writer._connection
    await asyncio.to_thread(lambda: connection.execute(f"PRAGMA {text}").fetchall())


async def test_a_full_disk_loses_nothing_that_was_acknowledged_and_works_again_once_there_is_room(
    outboxed: Outboxed,
) -> None:
    await pragma(outboxed, "max_page_count = 600")
    stored = await record_until_it_fails(outboxed, "a")
    assert stored >= 100
    assert (await outboxed.states())["pending"] == stored
    await pragma(outboxed, "max_page_count = 1000000")
    await outboxed.owe(cdr("after"))
    assert await outboxed.one("PRAGMA integrity_check") == "ok"
    while await outboxed.go(outboxed.accepts):
        pass
    assert await outboxed.states() == {"delivered": stored + 1}
    assert len({each.lane.object_id for each in outboxed.sent}) == stored + 1


async def test_a_store_that_became_read_only_says_so_and_recovers(outboxed: Outboxed) -> None:
    await outboxed.owe(cdr("before"))
    await pragma(outboxed, "query_only = 1")
    with pytest.raises(StoreUnavailable, match="readonly"):
        await outboxed.owe(cdr("meanwhile"))
    with pytest.raises(StoreUnavailable, match="readonly"):
        await outboxed.claim()
    assert await outboxed.states() == {"pending": 1}
    await pragma(outboxed, "query_only = 0")
    await outboxed.owe(cdr("after"))
    while await outboxed.go(outboxed.accepts):
        pass
    assert await outboxed.states() == {"delivered": 2}


async def test_a_store_that_is_locked_for_thirty_seconds_delays_and_repeats_nothing(tmp_path: Path) -> None:
    clock = FakeClock()
    attempts: list[str] = []
    locked, locker = asyncio.Event(), sqlite3.connect(tmp_path / "agent.db", isolation_level=None)

    async def ending(delivery: Delivery) -> Attempt:
        attempts.append(delivery.lane.object_id)
        locker.execute("BEGIN IMMEDIATE")
        locked.set()
        return an_attempt(AttemptVerdict.ACCEPTED, at=clock.now(), seconds=0, ocpi_status=1000)

    async with dispatching(tmp_path / "agent.db", ending, clock=clock) as it:
        await it.database.write(lambda connection: connection.execute("PRAGMA busy_timeout = 20").fetchall())
        await it.store.record(a_plan(cdr("c1"), at=clock.now()))
        it.dispatcher.wake()
        await locked.wait()
        with pytest.raises(StoreUnavailable, match="locked"):
            await it.store.record(a_plan(cdr("c2"), at=clock.now()))
        for _ in range(60):
            clock.step(0.5)
            await asyncio.sleep(0)
        while not it.lines.of("store.unavailable"):
            await it.lines.news.get()
        locker.execute("ROLLBACK")
        locker.close()
        while not it.lines.of("delivery.attempted"):
            await asyncio.sleep(0)
            clock.step(0.5)
        assert (attempts, it.lines.of("delivery.attempted")[0]["state"]) == (["c1"], "delivered")
        assert await it.database.read(lambda c: c.execute("PRAGMA integrity_check").fetchone()[0]) == "ok"


_CHILD = """
import asyncio, resource, signal, sys
from pathlib import Path
from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.errors import StoreUnavailable
from tests.outbox_fixtures import a_plan, cdr, open_outbox
from tests.stores import Where

async def main():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    clock = SystemClock()
    database, store = await open_outbox(Path(sys.argv[1]), clock)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
    failed = 0
    for number in range(3000):
        body = b'{"id":"c%d","x":"%s"}' % (number, b"x" * 2000)
        try:
            await store.record(a_plan(cdr("c%d" % number, body), at=clock.now()))
            print("stored", number, flush=True)
        except StoreUnavailable as error:
            failed += 1
            if failed == 1:
                print("failed", error, flush=True)
            if failed == 20:
                resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            if failed > 21:
                break
        if failed >= 20 and number > 0 and failed < 22 and number % 10 == 0:
            break
    await database.close()

asyncio.run(main())
"""


async def test_a_limit_on_the_size_of_files_is_met_like_a_full_disk(tmp_path: Path) -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    run = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", _CHILD, str(tmp_path / "agent.db"), str(600_000)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
        timeout=60,
        check=True,
    )
    lines = [line.split(" ", 1) for line in run.stdout.splitlines()]
    acknowledged = {f"c{rest}" for word, rest in lines if word == "stored"}
    told = [rest for word, rest in lines if word == "failed"]
    assert told, run.stdout[-500:]
    assert "the store cannot be written" in told[0]
    assert lines[-1][0] == "stored", "it works again once there is room"
    database, _ = await open_outbox(tmp_path / "agent.db", FakeClock())
    kept = await database.read(lambda c: {row[0] for row in c.execute("SELECT object_id FROM lanes")})
    assert acknowledged <= kept
    assert await database.read(lambda c: c.execute("PRAGMA integrity_check").fetchone()[0]) == "ok"
    await database.close()
