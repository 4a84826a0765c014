"""Back from a backup: what was pending waits for a person, and the time in between is told."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ocn_permission_agent.errors import StoreRestored, StoreUnavailable
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.outbox.after_attempt import after_attempt
from ocn_permission_agent.outbox.gap_store import StoredGaps
from ocn_permission_agent.outbox.gaps import GapBook
from ocn_permission_agent.outbox.generation import RAISED_EVERY_SECONDS, Generation, read_beside
from ocn_permission_agent.outbox.model import AttemptVerdict, DeliveryState
from ocn_permission_agent.outbox.rows import to_us
from ocn_permission_agent.outbox.settings import DeliverySettings
from ocn_permission_agent.outbox.stored import StoredOutbox
from ocn_permission_agent.store.backup import back_up
from ocn_permission_agent.store.database import Database
from tests.fakes import FakeClock
from tests.outbox_fixtures import BILLING, Lines, a_plan, an_attempt, cdr, no_jitter, open_outbox, session


@dataclass
class Running:
    """An agent's store while it runs."""

    database: Database
    outbox: StoredOutbox
    gaps: StoredGaps
    generation: Generation
    restored: bool


@dataclass
class Operator:
    """Starts and stops, copies files and puts them back."""

    folder: Path
    clock: FakeClock = field(default_factory=FakeClock)
    log: Lines = field(default_factory=Lines)

    @property
    def store(self) -> Path:
        return self.folder / "agent.db"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Running]:
        database, outbox = await open_outbox(self.store, self.clock)
        gaps = StoredGaps(database)
        book = GapBook(clock=self.clock, metrics=Metrics(), log=self.log)
        generation = Generation(self.folder / "agent.db.generation", clock=self.clock, gaps=book, log=self.log)
        try:
            restored = await generation.begin(gaps, outbox)
            yield Running(database, outbox, gaps, generation, restored)
        finally:
            await database.close()

    def put_back(self, backup: Path) -> None:
        for path in self.folder.glob("agent.db*"):
            if path.name != "agent.db.generation":
                path.unlink()
        shutil.copy(backup, self.store)


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    folder = tmp_path / "agent"
    folder.mkdir()
    return Operator(folder)


async def deliver(running: Running, clock: FakeClock) -> int:
    claimed = await running.outbox.claim(now=clock.now(), room={}, default_room=8)
    for delivery in claimed:
        started = await running.outbox.start(delivery, at=clock.now())
        attempt = an_attempt(AttemptVerdict.ACCEPTED, at=clock.now())
        decision = after_attempt(started, attempt, settings=DeliverySettings(), spread=no_jitter())
        await running.outbox.settle(started, decision, attempt=attempt)
    return len(claimed)


async def test_ordinary_restarts_park_nothing(operator: Operator) -> None:
    for _ in range(3):
        async with operator.running() as running:
            assert not running.restored
            await running.outbox.record(a_plan(session(), BILLING, at=operator.clock.now()))
            operator.clock.step(10)
    async with operator.running() as running:
        assert (await running.outbox.counts()).by_state == {DeliveryState.PENDING: 1}
        assert await running.gaps.totals() == ()
    assert operator.log.of("store.restored") == []


@pytest.mark.parametrize("machine", ["same", "new"])
async def test_the_restore_drill(operator: Operator, tmp_path: Path, machine: str) -> None:
    backup = tmp_path / "backup.db"
    async with operator.running() as running:
        async with asyncio.TaskGroup() as group:
            for number in range(600):
                plan = a_plan(session("PUT", f"s{number}"), BILLING, at=operator.clock.now())
                group.create_task(running.outbox.record(plan))
        [in_flight, *_] = await running.outbox.claim(now=operator.clock.now(), room={}, default_room=1)
        await running.outbox.start(in_flight, at=operator.clock.now())
        taken_at = operator.clock.now()
        assert back_up(operator.store, backup, at_us=to_us(taken_at)) == backup.stat().st_size
        await running.generation.go_on(running.gaps, at_once=True)
        operator.clock.step(7200)
        await running.outbox.record(a_plan(cdr("after the backup"), BILLING, at=operator.clock.now()))
        assert await deliver(running, operator.clock) > 0
    operator.put_back(backup)
    if machine == "new":
        (operator.folder / "agent.db.generation").unlink()
    operator.clock.step(3600)
    async with operator.running() as running:
        assert running.restored
        assert (await running.outbox.counts()).by_state == {DeliveryState.PARKED: 600}
        assert await running.outbox.claim(now=operator.clock.now(), room={}, default_room=8) == ()
        [(gap, count)] = await running.gaps.newest(10)
        assert (gap.reason, gap.at, gap.until, count) == ("restored", taken_at, operator.clock.now(), 1)
        # Life goes on, also in lanes where something is parked.
        await running.outbox.record(a_plan(session("PATCH", "s1", b'{"kwh":9}'), BILLING, at=operator.clock.now()))
        assert await deliver(running, operator.clock) == 1
        assert (
            await running.database.read(lambda connection: connection.execute("PRAGMA integrity_check").fetchone()[0])
            == "ok"
        )
    assert len(operator.log.of("store.restored")) == 1
    async with operator.running() as running:
        assert not running.restored
        assert (await running.gaps.totals())[0].count == 1


async def test_a_copy_of_the_file_from_ten_seconds_ago_is_noticed_too(operator: Operator, tmp_path: Path) -> None:
    async with operator.running() as running:
        await running.outbox.record(a_plan(session(), BILLING, at=operator.clock.now()))
    shutil.copy(operator.store, tmp_path / "copied.db")
    async with operator.running() as running:
        operator.clock.step(RAISED_EVERY_SECONDS)
        await running.generation.go_on(running.gaps)
    operator.put_back(tmp_path / "copied.db")
    async with operator.running() as running:
        assert running.restored
        assert (await running.outbox.counts()).by_state == {DeliveryState.PARKED: 1}


async def test_a_death_while_parking_begins_again(operator: Operator, tmp_path: Path) -> None:
    backup = tmp_path / "backup.db"
    async with operator.running() as running:
        for number in range(3):
            await running.outbox.record(a_plan(session("PUT", f"s{number}"), BILLING, at=operator.clock.now()))
        back_up(operator.store, backup, at_us=1)
    operator.put_back(backup)
    database, outbox = await open_outbox(operator.store, operator.clock)
    await outbox.park_pending(reason="restored", now=operator.clock.now())
    await database.close()
    async with operator.running() as running:
        assert running.restored
        assert (await running.outbox.counts()).by_state == {DeliveryState.PARKED: 3}


async def test_the_number_grows_with_time_and_survives(operator: Operator) -> None:
    path = operator.folder / "agent.db.generation"
    async with operator.running() as running:
        first = read_beside(path)
        await running.generation.go_on(running.gaps)
        assert read_beside(path) == first
        operator.clock.step(10)
        await running.generation.go_on(running.gaps)
        assert read_beside(path).number == first.number + 1
        assert (await running.gaps.generation()).number == first.number + 1


async def test_a_backup_overwrites_nothing_and_is_whole_or_not_there(operator: Operator, tmp_path: Path) -> None:
    target = tmp_path / "backup.db"
    with pytest.raises(StoreUnavailable, match="no store"):
        back_up(operator.store, target, at_us=1)
    async with operator.running():
        back_up(operator.store, target, at_us=1)
        assert target.stat().st_mode & 0o777 == 0o600
        with pytest.raises(StoreUnavailable, match="overwrites nothing"):
            back_up(operator.store, target, at_us=1)
        with pytest.raises(StoreUnavailable, match="No such file"):
            back_up(operator.store, tmp_path / "nowhere" / "backup.db", at_us=1)
    (tmp_path / "text.db").write_text("no database")
    with pytest.raises(StoreUnavailable, match="not a database"):
        back_up(tmp_path / "text.db", tmp_path / "copy.db", at_us=1)
    assert names_in(tmp_path) == ["agent", "backup.db", "text.db"]


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_one_of_several_agents_meets_a_restore_and_the_others_know(operator: Operator, tmp_path: Path) -> None:
    async with operator.running() as running:
        beta = other_agent(operator)
        assert not await beta.begin(running.gaps, running.outbox)
        await running.outbox.record(a_plan(session(), BILLING, at=operator.clock.now()))
        back_up(operator.store, tmp_path / "plain.db", at_us=to_us(operator.clock.now()))
        for _ in range(3):
            operator.clock.step(RAISED_EVERY_SECONDS)
            await running.generation.go_on(running.gaps)
            await beta.go_on(running.gaps)
    operator.put_back(tmp_path / "plain.db")
    async with operator.running() as running:
        assert running.restored
        await running.outbox.record(a_plan(cdr("since"), BILLING, at=operator.clock.now()))
        assert not await other_agent(operator).begin(running.gaps, running.outbox)
        counted = (await running.outbox.counts()).by_state
        assert counted == {DeliveryState.PARKED: 1, DeliveryState.PENDING: 1}
        assert sum(each.count for each in await running.gaps.totals()) == 1


def other_agent(operator: Operator) -> Generation:
    """Of an agent with another folder on the same store."""
    book = GapBook(clock=operator.clock, metrics=Metrics(), log=operator.log)
    return Generation(operator.folder / "beta.generation", clock=operator.clock, gaps=book, log=operator.log)


async def test_a_number_in_the_store_never_falls(operator: Operator) -> None:
    async with operator.running() as running:
        await running.gaps.raise_generation(50, era="", now=operator.clock.now())
        await running.gaps.raise_generation(7, era="", now=operator.clock.now())
        assert (await running.gaps.generation()).number == 50


async def test_a_store_that_is_put_back_while_it_is_open_is_noticed(operator: Operator) -> None:
    async with operator.running() as running:
        operator.clock.step(RAISED_EVERY_SECONDS)
        await running.generation.go_on(running.gaps)
        await running.database.write(
            lambda connection: connection.execute("UPDATE meta SET value = '1' WHERE key = 'generation'")
        )
        operator.clock.step(RAISED_EVERY_SECONDS)
        with pytest.raises(StoreRestored):
            await running.generation.go_on(running.gaps)
