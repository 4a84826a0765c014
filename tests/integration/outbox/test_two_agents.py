"""Two agents on one PostgreSQL: each lane is one agent's at a time, and who has lost it changes nothing any more."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import asyncpg
import pytest

from ocn_permission_agent.errors import LeaseLost
from ocn_permission_agent.ledger.store import LedgerStore
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.outbox.after_attempt import Decision, after_attempt, interrupted
from ocn_permission_agent.outbox.dispatcher import Dispatcher
from ocn_permission_agent.outbox.model import Attempt, AttemptVerdict, Delivery, DeliveryState
from ocn_permission_agent.outbox.postgres import PostgresOutbox
from ocn_permission_agent.outbox.settings import DeliverySettings
from ocn_permission_agent.outbox.spool import Mark
from ocn_permission_agent.store.database import Database
from ocn_permission_agent.store.postgres import PostgresDatabase
from tests.fakes import FakeClock
from tests.outbox_carrier import Carrier
from tests.outbox_fixtures import ANALYTICS, BILLING, Lines, a_plan, an_attempt, cdr, no_jitter, open_outbox, session
from tests.postgres_server import PostgresServer


@dataclass
class Agents:
    """Two of them, `one` and `other`, and a clock for both."""

    url: str
    clock: FakeClock
    database: Database
    one: PostgresOutbox
    other: PostgresOutbox
    databases: tuple[Database, ...]

    async def claim(self, store: PostgresOutbox, room: int = 100) -> tuple[Delivery, ...]:
        return await store.claim(now=self.clock.now(), room={}, default_room=room)

    async def deliver(self, store: PostgresOutbox, delivery: Delivery) -> None:
        await store.settle(delivery, Decision(state=DeliveryState.DELIVERED, decided_at=self.clock.now()))

    async def let_leases_end(self) -> None:
        """As if two minutes had passed for the server."""
        await self.database.write(lambda connection: connection.execute("UPDATE lanes SET leased_until_us = 0"))

    async def one_value(self, sql: str) -> object:
        return (await self.database.read(lambda connection: connection.execute(sql).fetchone()))[0]


@pytest.fixture
async def agents(postgres: PostgresServer) -> AsyncIterator[Agents]:
    async with AsyncExitStack() as opened:
        url, clock = postgres.new_database(), FakeClock()
        stores: list[PostgresOutbox] = []
        databases: list[Database] = []
        for name in ("one", "other"):
            database, store = await open_outbox(url, clock, holder=name)
            opened.push_async_callback(database.close)
            assert isinstance(store, PostgresOutbox)
            stores.append(store)
            databases.append(database)
        yield Agents(url, clock, databases[0], stores[0], stores[1], tuple(databases))


async def test_a_lane_is_one_agents_at_a_time(agents: Agents) -> None:
    for body in (b'{"kwh":1}', b'{"kwh":2}'):
        await agents.one.record(a_plan(session(body=body), at=agents.clock.now()))
    (first,) = await agents.claim(agents.one)
    assert await agents.claim(agents.other) == ()
    await agents.deliver(agents.one, first)
    (second,) = await agents.claim(agents.other)
    assert (first.envelope.request.body, second.envelope.request.body) == (b'{"kwh":1}', b'{"kwh":2}')
    assert second.lease == first.lease + 1
    assert await agents.claim(agents.one) == ()


async def test_agents_that_claim_at_the_same_time_share_out_what_is_due(agents: Agents) -> None:
    for number in range(120):
        await agents.one.record(a_plan(cdr(f"c{number}"), at=agents.clock.now()))
    claimed: list[Delivery] = []

    async def work(store: PostgresOutbox) -> None:
        while taken := await agents.claim(store, room=7):
            claimed.extend(taken)

    async with asyncio.TaskGroup() as group:
        for store in (agents.one, agents.other):
            group.create_task(work(store))
    assert sorted(each.lane.object_id for each in claimed) == sorted(f"c{number}" for number in range(120))


async def test_who_has_lost_the_lease_neither_sends_nor_settles(agents: Agents) -> None:
    for name in ("begun", "claimed"):
        await agents.one.record(a_plan(cdr(name), at=agents.clock.now()))
    begun, claimed = await agents.claim(agents.one)
    begun = await agents.one.start(begun, at=agents.clock.now())
    assert await agents.other.keep_leases((), now=agents.clock.now()) == ()
    await agents.let_leases_end()
    (left_behind,) = await agents.other.keep_leases((), now=agents.clock.now())
    assert (left_behind.delivery.id, left_behind.started_at) == (begun.id, agents.clock.now())
    with pytest.raises(LeaseLost):
        await agents.one.start(claimed, at=agents.clock.now())
    accepted = an_attempt(AttemptVerdict.ACCEPTED, at=agents.clock.now(), ocpi_status=1000)
    delivered = Decision(state=DeliveryState.DELIVERED, decided_at=agents.clock.now())
    with pytest.raises(LeaseLost):
        await agents.one.settle(begun, delivered, attempt=accepted)
    assert await agents.one_value("SELECT count(*) FROM deliveries WHERE state = 'pending'") == 2
    assert await agents.one_value("SELECT count(*) FROM attempts WHERE ended_at_us IS NULL") == 1

    (again,) = await agents.claim(agents.other)
    assert again.id == claimed.id
    attempt = interrupted(left_behind.started_at, now=agents.clock.now())
    decision = after_attempt(left_behind.delivery, attempt, settings=DeliverySettings(), spread=0.5)
    await agents.other.settle(left_behind.delivery, decision, attempt=attempt)
    assert await agents.one_value("SELECT verdict FROM attempts") == "unknown_outcome"


async def test_leases_of_what_is_under_way_are_renewed_and_those_of_nothing_lapse(agents: Agents) -> None:
    """A claim whose answer was lost on the way leaves lanes that nobody works on."""
    for name in ("under-way", "lost"):
        await agents.one.record(a_plan(cdr(name), at=agents.clock.now()))
    under_way, lost = await agents.claim(agents.one)
    await agents.let_leases_end()
    assert await agents.one.keep_leases((under_way,), now=agents.clock.now()) == ()
    (taken,) = await agents.claim(agents.other)
    assert taken.id == lost.id
    await agents.deliver(agents.one, under_way)


async def test_starting_extends_the_lease_however_late_it_is(agents: Agents) -> None:
    await agents.one.record(a_plan(cdr(), at=agents.clock.now()))
    (claimed,) = await agents.claim(agents.one)
    await agents.let_leases_end()
    await agents.one.start(claimed, at=agents.clock.now())
    assert await agents.other.keep_leases((), now=agents.clock.now()) == ()
    left = await agents.one_value(
        "SELECT leased_until_us - (extract(epoch FROM clock_timestamp()) * 1000000)::bigint FROM lanes"
    )
    assert isinstance(left, int)
    assert 60_000_000 < left <= 120_000_000


async def test_after_a_restart_an_agent_has_its_own_lanes_back_at_once_and_no_others(agents: Agents) -> None:
    await agents.one.record(a_plan(cdr("mine"), at=agents.clock.now()))
    (mine,) = await agents.claim(agents.one)
    await agents.one.record(a_plan(cdr("theirs"), at=agents.clock.now()))
    (theirs,) = await agents.claim(agents.other)
    for store, delivery in ((agents.one, mine), (agents.other, theirs)):
        await store.start(delivery, at=agents.clock.now())
    database, again = await open_outbox(agents.url, agents.clock, holder="one")
    assert [each.delivery.id for each in await again.recover(agents.clock.now())] == [mine.id]
    with pytest.raises(LeaseLost):
        await agents.deliver(agents.one, mine)
    await agents.deliver(agents.other, theirs)
    await database.close()


async def test_limits_of_a_service_hold_over_both(agents: Agents) -> None:
    settings = DeliverySettings(max_in_flight=5, max_rate=8)
    stores = []
    for name in ("one", "other"):
        database = await PostgresDatabase.open(agents.url, metrics=Metrics(), clock=agents.clock)
        ledger = LedgerStore(database)
        stores.append(
            (database, PostgresOutbox(database, holder=name, settings=settings, ledger=ledger, metrics=Metrics()))
        )
    (first_database, first), (second_database, second) = stores
    for number in range(30):
        await first.record(a_plan(cdr(f"c{number}"), at=agents.clock.now()))
    taken = [*await agents.claim(first, room=3), *await agents.claim(second, room=4)]
    assert len(taken) == 5  # in flight
    for delivery in taken:
        await agents.deliver(first if delivery in taken[:3] else second, delivery)
    taken = [*await agents.claim(second, room=8), *await agents.claim(first, room=8)]
    assert len(taken) == 3  # eight in a second
    agents.clock.step(0.999)
    assert await agents.claim(first) == ()
    agents.clock.step(0.001)
    assert len(await agents.claim(first)) == 2
    for database in (first_database, second_database):
        await database.close()


async def test_nothing_is_claimed_of_a_provider_that_is_due_only_since_others_were_locked(agents: Agents) -> None:
    """Limits are counted under a provider's lock, and locks are taken in order: without it, agents deadlocked."""
    await agents.one.record(a_plan(cdr("first"), BILLING, at=agents.clock.now()))
    somebody = await asyncpg.connect(agents.url)
    try:
        async with asyncio.timeout(20), asyncio.TaskGroup() as group, somebody.transaction():
            await somebody.execute("SELECT 1 FROM providers FOR UPDATE")
            claiming = group.create_task(agents.claim(agents.one))
            while not await agents.one_value("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                pass
            await agents.other.record(a_plan(cdr("second"), ANALYTICS, at=agents.clock.now()))
        assert [each.provider for each in claiming.result()] == [BILLING]
        assert [each.provider for each in await agents.claim(agents.one)] == [ANALYTICS]
    finally:
        await somebody.close()


async def test_copies_recorded_by_both_in_the_same_lanes_never_deadlock_and_keep_the_order_of_commits(
    agents: Agents,
) -> None:
    """Each customer waits for its answer and goes on at the other agent, as behind a load balancer."""
    lanes, rounds = 24, 8
    undone: list[str] = []
    for database in agents.databases:
        database.on_undone(lambda: undone.append("a transaction"))

    async def customer(lane: int) -> None:
        for number in range(rounds):
            store = agents.one if (lane + number) % 2 else agents.other
            body = b'{"n":%d}' % number
            await store.record(a_plan(session("PATCH", f"s{lane}", body), at=agents.clock.now()))

    async with asyncio.TaskGroup() as group:
        for lane in (*range(lanes), *reversed(range(lanes))):
            group.create_task(customer(lane))
    received: dict[str, list[bytes]] = {}
    turn = 0
    while claimed := await agents.claim((agents.one, agents.other)[turn % 2]):
        for delivery in claimed:
            received.setdefault(delivery.lane.object_id, []).append(delivery.envelope.request.body)
            await agents.deliver((agents.one, agents.other)[turn % 2], delivery)
        turn += 1
    # Two customers say the same in each lane: what is said twice in a row is one copy.
    assert set(received) == {f"s{lane}" for lane in range(lanes)}
    for bodies in received.values():
        for said in {*bodies}:
            assert bodies.count(said) <= 2
        assert len(bodies) >= rounds
        firsts = list(dict.fromkeys(bodies))
        assert firsts == [b'{"n":%d}' % number for number in range(rounds)]
    assert undone == []  # neither a deadlock nor anything else that had to be done again


async def test_a_dispatcher_takes_over_what_a_dead_agent_had_begun(agents: Agents) -> None:
    await agents.one.record(a_plan(cdr("dead"), at=agents.clock.now()))
    (begun,) = await agents.claim(agents.one)
    await agents.one.start(begun, at=agents.clock.now())

    async def accept(delivery: Delivery) -> Attempt:
        return an_attempt(AttemptVerdict.ACCEPTED, at=agents.clock.now(), seconds=0, ocpi_status=1000)

    lines = Lines()
    dispatcher = Dispatcher(
        store=agents.other,
        courier=Carrier(accept),
        settings=DeliverySettings(),
        clock=agents.clock,
        metrics=Metrics(),
        log=lines,
        spread=no_jitter,
    )
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        running = group.create_task(dispatcher.run())
        while not agents.clock.sleepers:
            await agents.one_value("SELECT 1")
        await agents.let_leases_end()
        while len(lines.of("delivery.attempted")) < 2:
            agents.clock.step(5)
            await agents.one_value("SELECT 1")
        running.cancel()
    verdicts = [(line["verdict"], line["attempt"]) for line in lines.of("delivery.attempted")]
    assert verdicts == [("unknown_outcome", 1), ("accepted", 2)]


async def test_a_dispatcher_drops_and_counts_what_it_has_no_lease_for_any_more(agents: Agents) -> None:
    answered, metrics, lines = asyncio.Event(), Metrics(), Lines()

    async def answer_late(delivery: Delivery) -> Attempt:
        await answered.wait()
        return an_attempt(AttemptVerdict.ACCEPTED, at=agents.clock.now(), seconds=0, ocpi_status=1000)

    carrier = Carrier(answer_late)
    dispatcher = Dispatcher(
        store=agents.one,
        courier=carrier,
        settings=DeliverySettings(),
        clock=agents.clock,
        metrics=metrics,
        log=lines,
        spread=no_jitter,
    )
    await agents.one.record(a_plan(cdr("late"), at=agents.clock.now()))
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        running = group.create_task(dispatcher.run())
        while not carrier.begun:
            await agents.one_value("SELECT 1")
        await agents.let_leases_end()
        (taken_over,) = await agents.other.keep_leases((), now=agents.clock.now())
        answered.set()
        while not lines.of("delivery.lease_lost"):
            await agents.one_value("SELECT 1")
        running.cancel()
    assert lines.of("delivery.attempted") == []
    assert lines.of("delivery.lease_lost")[0]["lease"] == taken_over.delivery.lease - 1
    labels = {"provider": "DE*PAY"}
    assert metrics.registry.get_sample_value("ocn_agent_leases_lost_total", labels) == 1
    assert await agents.one_value("SELECT count(*) FROM attempts WHERE ended_at_us IS NULL") == 1
    await agents.deliver(agents.other, taken_over.delivery)


async def test_what_was_recorded_by_a_commit_of_which_nobody_knows_is_not_recorded_again_from_the_spool(
    agents: Agents,
) -> None:
    plans = [a_plan(session("PUT", "s1", b'{"kwh":%d}' % number), at=agents.clock.now()) for number in range(3)]
    for plan in plans[:2]:
        await agents.one.record(plan)
        agents.clock.step(1)
    agents.clock.step(1)
    later = a_plan(session("PUT", "s1", b'{"kwh":9}'), at=agents.clock.now())
    await agents.other.record(later)
    assert await agents.one.record_spooled(plans[1:], Mark(name="spool", offset=7)) == ()
    assert await agents.one_value("SELECT count(*) FROM deliveries") == 4
    assert await agents.one_value("SELECT count(*) FROM duplicates") == 0


async def test_one_copy_that_cannot_be_stored_does_not_stop_the_others_of_its_group(agents: Agents) -> None:
    good = [a_plan(cdr(f"c{number}"), at=agents.clock.now()) for number in range(5)]
    strange = a_plan(cdr("nul", b'{"id":"a\\u0000b"}'), at=agents.clock.now())
    bad = a_plan(session(correlation_id="\x00"), at=agents.clock.now())
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_told(agents.one, plan)) for plan in (*good[:2], bad, strange, *good[2:])]
    outcomes = Counter(task.result() for task in tasks)
    assert outcomes == {"stored": 6, "Unstorable": 1}
    assert await agents.one_value("SELECT count(*) FROM deliveries") == 6
    assert {each.provider for each in await agents.claim(agents.one)} == {BILLING}


async def _told(store: PostgresOutbox, plan: object) -> str:
    try:
        await store.record(plan)  # type: ignore[arg-type]
    except Exception as error:  # noqa: BLE001  its name is what is looked at
        return type(error).__name__
    return "stored"
