"""What leaves at once, and what is claimed, keep to the limits of a service over all agents of a PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import asyncpg
import pytest

from ocn_permission_agent.ledger.store import LedgerStore
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.outbox import postgres_recording
from ocn_permission_agent.outbox.after_attempt import Decision
from ocn_permission_agent.outbox.dispatcher import Dispatcher
from ocn_permission_agent.outbox.model import Attempt, AttemptVerdict, Delivery, DeliveryState
from ocn_permission_agent.outbox.opening import outbox_on
from ocn_permission_agent.outbox.settings import DeliverySettings
from ocn_permission_agent.outbox.stored import StoredOutbox
from ocn_permission_agent.store.postgres import PostgresDatabase
from tests.fakes import FakeClock
from tests.outbox_carrier import Carrier
from tests.outbox_fixtures import ANALYTICS, BILLING, PROVIDERS, Lines, a_plan, an_attempt, cdr, no_jitter
from tests.postgres_server import PostgresServer


@dataclass
class Both:
    """Two agents and a clock for both. At most three deliveries are in flight to a service, and ten start a second."""

    url: str
    clock: FakeClock
    settings: DeliverySettings
    one: StoredOutbox
    other: StoredOutbox

    async def begin(self, store: StoredOutbox, name: str) -> tuple[Delivery, ...]:
        begun: list[Delivery] = []
        plan = a_plan(cdr(name), BILLING, at=self.clock.now())
        await store.record_and_begin(plan, begin=(PROVIDERS[BILLING],), told=begun.extend)
        return tuple(begun)

    async def claim(self, store: StoredOutbox) -> tuple[Delivery, ...]:
        return await store.claim(now=self.clock.now(), room={}, default_room=100)

    async def deliver(self, store: StoredOutbox, delivery: Delivery) -> None:
        await store.settle(delivery, Decision(state=DeliveryState.DELIVERED, decided_at=self.clock.now()))


@pytest.fixture
async def both(postgres: PostgresServer) -> AsyncIterator[Both]:
    url, clock, settings = postgres.new_database(), FakeClock(), DeliverySettings(max_in_flight=3, max_rate=10)
    async with AsyncExitStack() as opened:
        stores = []
        for name in ("one", "other"):
            database = await PostgresDatabase.open(url, metrics=Metrics(), clock=clock)
            opened.push_async_callback(database.close)
            ledger = LedgerStore(database)
            stores.append(outbox_on(database, agent=name, settings=settings, ledger=ledger, metrics=Metrics()))
        yield Both(url, clock, settings, *stores)


async def test_no_more_at_a_time_through_both_than_the_limit(both: Both) -> None:
    (first,) = await both.begin(both.one, "c1")
    assert len(await both.begin(both.other, "c2")) == 1
    assert len(await both.begin(both.one, "c3")) == 1
    assert await both.begin(both.other, "c4") == ()
    assert await both.claim(both.one) == await both.claim(both.other) == ()
    await both.deliver(both.one, first)
    (claimed,) = await both.claim(both.one)
    assert claimed.lane.object_id == "c4"


async def test_no_more_a_second_through_both_than_the_limit(both: Both) -> None:
    for number in range(10):
        (begun,) = await both.begin((both.one, both.other)[number % 2], f"c{number}")
        await both.deliver((both.one, both.other)[number % 2], begun)
    assert await both.begin(both.one, "c10") == ()
    assert await both.claim(both.other) == ()
    both.clock.step(1)
    assert [each.lane.object_id for each in await both.claim(both.other)] == ["c10"]
    assert len(await both.begin(both.one, "c11")) == 1


async def test_of_a_group_only_so_many_begin_as_there_is_room_for(both: Both) -> None:
    begun: list[Delivery] = []
    async with asyncio.TaskGroup() as group:
        for number in range(8):
            plan = a_plan(cdr(f"c{number}"), BILLING, at=both.clock.now())
            group.create_task(both.one.record_and_begin(plan, begin=(PROVIDERS[BILLING],), told=begun.extend))
    assert len(begun) == 3
    assert (await both.one.counts()).by_state == {DeliveryState.PENDING: 8}


async def test_nobody_who_records_waits_for_who_takes_of_the_room(both: Both) -> None:
    await both.begin(both.one, "c1")
    somebody = await asyncpg.connect(both.url)
    try:
        async with somebody.transaction():
            await somebody.execute("SELECT 1 FROM providers FOR NO KEY UPDATE")
            async with asyncio.timeout(3):
                assert await both.begin(both.other, "c2") == ()
        assert [each.lane.object_id for each in await both.claim(both.other)] == ["c2"]
    finally:
        await somebody.close()


async def test_nothing_passes_what_has_been_due_for_long_whoever_recorded_it(both: Both) -> None:
    await both.one.record(a_plan(cdr("waits"), BILLING, at=both.clock.now()))
    both.clock.step(0.5)
    (begun,) = await both.begin(both.other, "soon after")
    await both.deliver(both.other, begun)
    both.clock.step(1)
    assert await both.begin(both.other, "late") == ()
    assert [each.lane.object_id for each in await both.claim(both.other)] == ["waits", "late"]


async def test_another_service_has_room_of_its_own(both: Both) -> None:
    for number in range(3):
        await both.begin(both.one, f"c{number}")
    begun: list[Delivery] = []
    plan = a_plan(cdr("for both"), BILLING, ANALYTICS, at=both.clock.now())
    await both.one.record_and_begin(plan, begin=[PROVIDERS[each] for each in (BILLING, ANALYTICS)], told=begun.extend)
    assert [each.provider for each in begun] == [ANALYTICS]


async def test_customers_do_not_wait_for_a_look_that_is_slow(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody's long transaction, such as a dump, keeps the server from clearing away what has died in its indexes."""
    # A look takes some 20 µs, and 20 ms past what this leaves: slow or not, whatever the machine.
    monkeypatch.setattr(postgres_recording, "_SLOW_US", 1_000)
    await both.begin(both.one, "c1")
    somebody, worker = await asyncpg.connect(both.url), await asyncpg.connect(both.url)
    try:
        async with somebody.transaction(isolation="repeatable_read"):
            await somebody.execute("SELECT 1 FROM lanes")
            await worker.execute(
                "INSERT INTO lanes (key, channel_id, customer_address, owner, object_id, head_id, due_at_us, newest_id)"
                " SELECT decode(md5(n::text), 'hex'), c.id, '', '', 'many', 1, n, 1"
                " FROM channels c, generate_series(1, 100000) n"
            )
            await worker.execute("DELETE FROM lanes WHERE object_id = 'many'")
            await both.begin(both.one, "slow")
            assert await both.begin(both.one, "without") == ()
            assert "without" in {each.lane.object_id for each in await both.claim(both.one)}
    finally:
        await somebody.close()
        await worker.close()


async def test_a_backlog_goes_on_at_the_pace_of_the_service_while_another_agent_uses_up_some_room(both: Both) -> None:
    """No time passes meanwhile, so nothing here waits for a nap to be over."""
    for number in range(9):
        await both.one.record(a_plan(cdr(f"c{number}"), BILLING, at=both.clock.now()))
    (held,) = await both.other.claim(now=both.clock.now(), room={}, default_room=1)

    async def accept(_: Delivery) -> Attempt:
        return an_attempt(AttemptVerdict.ACCEPTED, at=both.clock.now(), seconds=0, ocpi_status=1000)

    carrier = Carrier(accept)
    dispatcher = Dispatcher(
        store=both.one,
        courier=carrier,
        settings=both.settings,
        clock=both.clock,
        metrics=Metrics(),
        log=Lines(),
        spread=no_jitter,
    )
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        running = group.create_task(dispatcher.run())
        while (await both.one.counts()).by_state.get(DeliveryState.DELIVERED, 0) < 8:
            pass
        running.cancel()
    assert held.id not in {each.id for each in carrier.begun}
