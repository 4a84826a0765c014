"""A store that cannot be written, a full disk, a backup put back: as delivery.md "Store" says, in the whole agent."""

import asyncio
import json
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from tests.under_load import DELIVERY, Field, a_field, locked, recorded, until_settled


@asynccontextmanager
async def full_disk(process_id: int) -> AsyncIterator[None]:
    """No file of the process grows any more, nor is anything written beyond its first byte."""
    soft, hard = resource.prlimit(process_id, resource.RLIMIT_FSIZE)
    resource.prlimit(process_id, resource.RLIMIT_FSIZE, (1, hard))
    try:
        yield
    finally:
        resource.prlimit(process_id, resource.RLIMIT_FSIZE, (soft, hard))


async def more(place: Field, count: int, *, refused: bool = False) -> None:
    """Wait until so many more were answered."""
    said = place.customers.said
    answered = said.refused if refused else said.acknowledged
    wanted = len(answered) + count
    async with asyncio.timeout(60):
        while len(answered) < wanted:
            place.customers.answered.clear()
            await place.customers.answered.wait()


def told(place: Field) -> list[dict[str, Any]]:
    lines = place.agent.files.log.read_text().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def arrived(place: Field) -> None:
    """Everything that was recorded is at the service, once."""
    said, node = place.customers.said, place.node
    assert not Counter(said.cdrs) - node.cdrs
    assert max(node.cdrs.values()) == 1
    for name, starts in said.periods.items():
        assert node.periods(name) == starts, "in order, each once"


@pytest.mark.parametrize("seconds", [6, pytest.param(30, marks=[pytest.mark.nightly, pytest.mark.timeout(240)])])
async def test_a_locked_store_loses_nothing(tmp_path: Path, seconds: float) -> None:
    async with a_field(tmp_path, rate=100) as place:
        async with place.customers.sending():
            await more(place, 20)
            async with locked(place.agent.files.store):
                await asyncio.sleep(seconds)
                await more(place, 20)
                assert (tmp_path / "agent.db.spool").stat().st_size > 0
            await more(place, 50)
        status = await until_settled(place.agent)
        assert status["gaps"] == 0
        assert not place.customers.said.unanswered
        assert await place.agent.stop() == 0
        arrived(place)
        kept = recorded(place.agent.files.store)
        assert Counter(place.customers.said.acknowledged) == Counter(kept.correlation_ids)
        assert kept.integrity == "ok"
        events = [line["event"] for line in told(place)]
        assert "spool.drained" in events
        assert events.count("store.unavailable") <= 3 + seconds, "trouble is told when it begins, not for every request"


@pytest.mark.parametrize("strict", [False, True])
async def test_a_full_disk_is_told_and_gets_well(tmp_path: Path, strict: bool) -> None:
    async with a_field(tmp_path, rate=100, changed={"proxy": {"strict": strict}}) as place:
        said = place.customers.said
        assert place.agent.process_id is not None
        async with place.customers.sending():
            await more(place, 20)
            async with full_disk(place.agent.process_id):
                before = len(said.acknowledged)
                if strict:
                    await more(place, 20, refused=True)
                else:
                    await more(place, 40)
                meanwhile = len(said.acknowledged) - before
            await asyncio.sleep(2.5)  # the next round finds out that there is room again
            well = len(said.acknowledged)
            await more(place, 50)
        status = await until_settled(place.agent)
        reasons = status["gaps_by_reason"]
        assert set(reasons) <= {"store_unavailable"}
        if strict:
            assert status["gaps"] <= meanwhile
            assert len(said.refused) >= 20
        else:
            assert status["gaps"] > 0
            assert said.refused == []
        assert await place.agent.stop() == 0
        kept = recorded(place.agent.files.store)
        assert kept.integrity == "ok"
        assert kept.gap_count == status["gaps"]
        assert not set(place.node.processed) - kept.correlation_ids - kept.gaps
        assert set(said.acknowledged[well:]) <= kept.correlation_ids


def put_back(backup: Path, store: Path) -> None:
    """As an operator does it: the store's files go, the backup takes their place."""
    for path in store.parent.glob(f"{store.name}*"):
        if path.suffix != ".generation":
            path.unlink()
    shutil.copy(backup, store)


async def by_command(place: Field, target: Path) -> None:
    command = [sys.executable, "-m", "ocn_permission_agent", "backup", str(target)]
    done = await asyncio.to_thread(
        subprocess.run, [*command, "--config", str(place.agent.files.config)], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


async def by_snapshot(place: Field, target: Path) -> None:
    """What a snapshot of the disk has: nothing in it says that it is a backup."""
    with closing(sqlite3.connect(place.agent.files.store)) as live, closing(sqlite3.connect(target)) as copy:
        live.backup(copy)


@pytest.mark.parametrize("make", [by_command, by_snapshot])
async def test_the_restore_drill(tmp_path: Path, make: Callable[[Field, Path], Awaitable[None]]) -> None:
    changed = {"delivery": DELIVERY | {"schedule_seconds": [0.2]}}
    async with a_field(tmp_path, rate=100, changed=changed) as place:
        agent = place.agent
        backup = tmp_path / "backup.db"
        async with place.customers.sending():
            await more(place, 30)
            place.node.away = True
            await more(place, 30)
            await make(place, backup)
            place.node.away = False
            await more(place, 30)
        await until_settled(agent)
        assert await agent.stop() == 0
        put_back(backup, agent.files.store)
        # Those whose customers got their answers just then may have arrived before the node went away.
        with closing(sqlite3.connect(backup)) as connection:
            (owed,) = connection.execute("SELECT count(*) FROM deliveries WHERE state = 'pending'").fetchone()
        assert owed > 20
        delivered = place.node.delivered.copy()

        await agent.start()
        status = await until_settled(agent)
        assert status["gaps_by_reason"].keys() == {"restored"}
        assert status["gaps"] == 1
        with closing(sqlite3.connect(agent.files.store)) as connection:
            states = dict(connection.execute("SELECT state, count(*) FROM deliveries GROUP BY state"))
            (reason,) = connection.execute("SELECT DISTINCT reason FROM deliveries WHERE state = 'parked'").fetchone()
        assert "pending" not in states
        assert states["parked"] == owed
        assert reason.startswith("restored")
        assert place.node.delivered == delivered, "nothing of the backup is sent again by itself"
        assert await agent.stop() == 0
        await agent.start()
        assert (await until_settled(agent))["gaps"] == 1
        assert await agent.stop() == 0
