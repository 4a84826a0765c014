"""When the spools of several agents count as brought together."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from ocn_permission_agent.app.together import LONGEST_SECONDS, Together
from ocn_permission_agent.cluster.gathering import Gathering
from ocn_permission_agent.cluster.lease import GATHERING, SharedLease
from ocn_permission_agent.cluster.roster import AWAITED_SECONDS, Roster
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.outbox.gathered import GatheringOutbox
from ocn_permission_agent.outbox.model import CopyPlan
from ocn_permission_agent.outbox.spool import Mark
from ocn_permission_agent.store.postgres import PostgresDatabase
from tests.fakes import FakeClock
from tests.outbox_fixtures import BILLING, Lines, a_plan, an_outbox, session
from tests.postgres_server import PostgresServer


@dataclass
class Spool:
    """What `Together` asks of the recorder."""

    spooled_bytes: int = 0
    handed_over: bool = True
    gaps: list[CopyPlan | None] = field(default_factory=list)

    def refused(self, plan: CopyPlan) -> None:
        self.gaps.append(plan)

    def spoilt(self) -> None:
        self.gaps.append(None)


@dataclass
class Agent:
    together: Together
    outbox: GatheringOutbox
    gathering: Gathering
    spool: Spool
    log: Lines

    async def is_open(self) -> bool:
        return (await self.gathering.state()).open


def an_agent(database: PostgresDatabase, name: str, clock: FakeClock) -> Agent:
    gathering, spool, log = Gathering(database, agent=name), Spool(), Lines()
    outbox = GatheringOutbox(an_outbox(database, holder=name, guard=gathering.guard), gathering)
    together = Together(
        roster=Roster(database, agent=name, host=name, version="1", started_at=clock.now()),
        gathering=gathering,
        outbox=outbox,
        lease=SharedLease(database, lease=GATHERING, agent=name, clock=clock),
        spooling=spool,
        clock=clock,
        log=log,
        on_recorded=lambda: None,
    )
    return Agent(together, outbox, gathering, spool, log)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def store(postgres: PostgresServer, clock: FakeClock) -> AsyncIterator[PostgresDatabase]:
    database = await PostgresDatabase.open(postgres.new_database(), metrics=Metrics(), clock=clock)
    yield database
    await database.close()


async def test_an_agent_alone_waits_for_nobody(store: PostgresDatabase, clock: FakeClock) -> None:
    alpha = an_agent(store, "alpha", clock)
    await alpha.together.arrive()
    assert await alpha.outbox.record(a_plan(session(), BILLING, at=clock.now())) == 1
    assert await alpha.gathering.waiting() == 1
    await alpha.together.round()
    assert not await alpha.is_open()
    assert (await alpha.gathering.waiting(), alpha.spool.gaps) == (0, [])


async def test_nothing_is_settled_before_everybody_has_brought_its_spool(
    store: PostgresDatabase, clock: FakeClock
) -> None:
    alpha, beta = an_agent(store, "alpha", clock), an_agent(store, "beta", clock)
    await alpha.together.arrive()
    await beta.together.arrive()
    beta.spool.handed_over = False
    for _ in range(3):
        await alpha.together.round()
        await beta.together.round()
        clock.step(1)
        assert await alpha.is_open()
    beta.spool.handed_over = True
    await beta.together.round()
    await alpha.together.round()
    assert not await alpha.is_open()


async def test_one_that_starts_is_waited_for_though_a_gathering_was_nearly_over(
    store: PostgresDatabase, clock: FakeClock
) -> None:
    alpha, starting = an_agent(store, "alpha", clock), an_agent(store, "starting", clock)
    await alpha.together.arrive()
    await starting.together.arrive()
    await alpha.together.round()
    assert await alpha.is_open()
    await starting.together.round()
    await alpha.together.round()
    assert not await alpha.is_open()


async def test_a_dead_one_is_waited_for_no_longer_than_that_and_named(
    store: PostgresDatabase, clock: FakeClock
) -> None:
    alpha, dead = an_agent(store, "alpha", clock), an_agent(store, "dead", clock)
    await dead.together.arrive()
    await alpha.together.arrive()
    for _ in range(int(AWAITED_SECONDS)):
        await alpha.together.round()
        assert await alpha.is_open()
        clock.step(1)
    await alpha.together.round()
    assert not await alpha.is_open()
    (line,) = alpha.log.of("spools.gathered")
    assert line["missing"] == ["dead"]


async def test_one_that_is_started_again_and_again_holds_up_nobody_for_ever(
    store: PostgresDatabase, clock: FakeClock
) -> None:
    alpha = an_agent(store, "alpha", clock)
    await alpha.outbox.record_spooled([a_plan(session(), BILLING, at=clock.now())], Mark(name="0a", offset=1))
    for _ in range(int(LONGEST_SECONDS)):
        await an_agent(store, "restless", clock).together.arrive()
        await alpha.together.round()
        assert await alpha.gathering.waiting() == 1
        clock.step(1)
    await an_agent(store, "restless", clock).together.arrive()
    await alpha.together.round()
    assert await alpha.gathering.waiting() == 0


async def test_one_that_has_left_in_good_order_is_not_waited_for(store: PostgresDatabase, clock: FakeClock) -> None:
    alpha, gone = an_agent(store, "alpha", clock), an_agent(store, "gone", clock)
    await gone.together.arrive()
    await gone.together.leave()
    await alpha.together.arrive()
    await alpha.together.round()
    assert not await alpha.is_open()


async def test_one_with_something_in_its_spool_stays_listed(store: PostgresDatabase, clock: FakeClock) -> None:
    alpha, full = an_agent(store, "alpha", clock), an_agent(store, "full", clock)
    await full.together.arrive()
    full.spool.handed_over = False
    await full.together.leave()
    await alpha.together.arrive()
    await alpha.together.round()
    assert await alpha.is_open()
