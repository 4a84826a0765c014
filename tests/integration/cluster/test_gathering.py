"""Spools of several agents come together before anything new is recorded, so each object keeps its order."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from ocn_permission_agent.cluster.gathering import Gathering
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.outbox.gap_store import StoredGaps
from ocn_permission_agent.outbox.gaps import GapBook
from ocn_permission_agent.outbox.gathered import GatheringOutbox
from ocn_permission_agent.outbox.intents import Intents
from ocn_permission_agent.outbox.model import CopyPlan
from ocn_permission_agent.outbox.recorder import Recorder
from ocn_permission_agent.outbox.spool import Mark, Spool
from ocn_permission_agent.outbox.spooled import unpacked
from ocn_permission_agent.store.postgres import PostgresDatabase
from tests.fakes import FakeClock
from tests.outbox_fixtures import BILLING, Lines, a_plan, an_outbox, session
from tests.postgres_server import PostgresServer, postgres_server


@dataclass
class Agent:
    """What one agent records by."""

    gathering: Gathering
    outbox: GatheringOutbox
    refused: list[CopyPlan]

    async def spooled(self, *plans: CopyPlan) -> None:
        await self.outbox.record_spooled(plans, Mark(name="0a", offset=len(plans)))

    async def settle(self) -> bool:
        state = await self.gathering.state()
        return await self.outbox.settle(state.number, self.refused.append, lambda: None)


def an_agent(database: PostgresDatabase, name: str) -> Agent:
    gathering = Gathering(database, agent=name)
    outbox = an_outbox(database, holder=name, guard=gathering.guard)
    return Agent(gathering, GatheringOutbox(outbox, gathering), [])


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def store(postgres: PostgresServer, clock: FakeClock) -> AsyncIterator[PostgresDatabase]:
    """A new one begins with a gathering, as after any start of the server; it is closed."""
    database = await PostgresDatabase.open(postgres.new_database(), metrics=Metrics(), clock=clock)
    first = an_agent(database, "first")
    await first.gathering.begin()
    assert await first.settle()
    yield database
    await database.close()


def step(number: int, clock: FakeClock, after_seconds: float = 0) -> CopyPlan:
    body = b'{"charging_periods":[{"step":%d}]}' % number
    request = session("PATCH" if number else "PUT", "s1", body, correlation_id=f"step-{number}")
    return a_plan(request, BILLING, at=clock.now() + timedelta(seconds=after_seconds))


async def order(database: PostgresDatabase) -> list[str]:
    rows = await database.read(
        lambda connection: connection.execute("SELECT correlation_id FROM envelopes ORDER BY id").fetchall()
    )
    return [row["correlation_id"] for row in rows]


async def test_without_a_gathering_copies_are_recorded_at_once(store: PostgresDatabase, clock: FakeClock) -> None:
    alpha = an_agent(store, "alpha")
    assert not (await alpha.gathering.state()).open
    assert await alpha.outbox.record(step(0, clock)) == 1
    assert await order(store) == ["step-0"]
    assert await alpha.gathering.waiting() == 0


async def test_what_is_said_to_another_agent_waits_for_a_spool(store: PostgresDatabase, clock: FakeClock) -> None:
    alpha, beta = an_agent(store, "alpha"), an_agent(store, "beta")
    await alpha.spooled(step(0, clock), step(2, clock, 2))
    assert await beta.outbox.record(step(3, clock, 3)) == 1
    assert await order(store) == [], "alpha's and beta's copies wait together"
    await beta.spooled(step(1, clock, 1))
    assert await beta.settle()
    assert await order(store) == [f"step-{number}" for number in range(4)]
    assert await alpha.outbox.record(step(4, clock, 4)) == 1
    assert (await order(store))[-1] == "step-4"


async def test_a_death_while_gathered_copies_are_recorded_records_none_twice(
    store: PostgresDatabase, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    alpha, beta = an_agent(store, "alpha"), an_agent(store, "beta")
    await alpha.spooled(*(step(number, clock, number) for number in range(3)))

    async def dies(copies: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(alpha.gathering, "drop", dies)
    with pytest.raises(ConnectionError):
        await alpha.settle()
    assert await order(store) == ["step-0", "step-1", "step-2"]
    assert await beta.settle()
    assert await order(store) == ["step-0", "step-1", "step-2"]
    assert await beta.gathering.waiting() == 0


async def test_one_that_was_called_meanwhile_stays_open(store: PostgresDatabase, clock: FakeClock) -> None:
    alpha, starting = an_agent(store, "alpha"), an_agent(store, "starting")
    await alpha.spooled(step(0, clock))
    number = (await alpha.gathering.state()).number
    await starting.gathering.call()
    assert not await alpha.outbox.settle(number, alpha.refused.append, lambda: None)
    assert (await alpha.gathering.state()).open
    assert await alpha.settle()


async def test_how_far_a_spool_is_emptied_is_kept_for_each_agent(store: PostgresDatabase, clock: FakeClock) -> None:
    keys: set[str] = set()
    for name in ("alpha", "beta"):
        agent = an_agent(store, name)
        await agent.spooled(step(0, clock))
        keys.add(agent.gathering.mark_key)
    rows = await store.read(lambda connection: connection.execute("SELECT key, value FROM meta").fetchall())
    assert {row["key"]: row["value"] for row in rows if row["key"] in keys} == dict.fromkeys(keys, "0a:1")


def a_recorder(folder: Path, clock: FakeClock) -> Recorder:
    """On files of its own, as each agent has them."""
    intents, metrics, log = Intents(folder / "intents"), Metrics(), Lines()
    return Recorder(
        spool=Spool(folder / "spool"),
        intents=intents,
        gaps=GapBook(clock=clock, metrics=metrics, log=log, journal=intents),
        on_drained=lambda: None,
        clock=clock,
        metrics=metrics,
        log=log,
    )


async def test_a_death_before_the_spool_was_told_brings_nothing_twice_whatever_others_brought_meanwhile(
    store: PostgresDatabase, clock: FakeClock, tmp_path: Path
) -> None:
    """Of three spooled copies alpha has brought two when it dies; beta's mark does not take the place of alpha's."""
    agents = {name: an_agent(store, name) for name in ("alpha", "beta")}
    recorders: dict[str, Recorder] = {}
    for name, numbers in (("alpha", (0, 1, 2)), ("beta", (3, 4))):
        folder = tmp_path / name
        folder.mkdir()
        recorders[name] = a_recorder(folder, clock)
        await recorders[name].open_files()
        for number in numbers:
            await recorders[name].record(step(number, clock, number))
    await recorders["alpha"].close()
    left = Spool(tmp_path / "alpha" / "spool")
    await left.open()
    batch = await left.read(most=2, most_bytes=10**6)
    plans = [plan for payload in batch.payloads if payload is not None and (plan := unpacked(payload)) is not None]
    await agents["alpha"].outbox.record_spooled(plans, batch.mark)
    await left.close()

    recorders["alpha"] = a_recorder(tmp_path / "alpha", clock)
    await recorders["alpha"].open_files()
    for name in ("beta", "alpha"):
        gaps = StoredGaps(store, spool_key=agents[name].gathering.mark_key)
        await recorders[name].attach(agents[name].outbox, gaps)
        assert recorders[name].spooled_bytes == 0
        await recorders[name].close()
    assert await agents["alpha"].gathering.waiting() == 5
    assert await agents["beta"].settle()
    assert await order(store) == [f"step-{number}" for number in range(5)]


async def test_a_start_of_the_database_begins_one(clock: FakeClock) -> None:
    with postgres_server() as server:
        url = server.new_database()
        for _ in range(2):
            database = await PostgresDatabase.open(url, metrics=Metrics(), clock=clock)
            agent = an_agent(database, "alpha")
            assert (await agent.gathering.state()).open
            assert await agent.outbox.record(step(0, clock)) == 1
            assert await agent.gathering.waiting() == 1
            assert await agent.settle()
            assert not (await agent.gathering.state()).open
            await database.close()
            server.stop()
            server.start()
