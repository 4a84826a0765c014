"""Who is next: order in a lane, room for a provider, pauses, windows, withdrawal, and what a dead process left."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import pytest

from ocn_permission_agent.consent.address import AgreementId
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.request import OcpiRequest
from ocn_permission_agent.ocpi.route import InterfaceRole, Module
from ocn_permission_agent.outbox.after_attempt import Decision, Wait, held
from ocn_permission_agent.outbox.breaker import Breaker
from ocn_permission_agent.outbox.model import AttemptVerdict, Delivery, DeliveryState
from ocn_permission_agent.outbox.store import Scope
from ocn_permission_agent.outbox.stored import StoredOutbox
from ocn_permission_agent.store.database import Database
from tests.fakes import FakeClock
from tests.outbox_fixtures import (
    AGREEMENT,
    ANALYTICS,
    BILLING,
    CUSTOMER_ADDRESS,
    PROVIDERS,
    a_plan,
    an_attempt,
    cdr,
    open_outbox,
    session,
)
from tests.stores import Where


class Outbox:
    def __init__(self, database: Database, store: StoredOutbox, clock: FakeClock) -> None:
        self.database = database
        self.store = store
        self.clock = clock

    async def owe(self, *requests: OcpiRequest, to: Sequence[Party] = (BILLING,), **plan: AgreementId) -> None:
        async with asyncio.TaskGroup() as group:
            for request in requests:
                group.create_task(self.store.record(a_plan(request, *to, at=self.clock.now(), **plan)))

    async def plan_of(self, name: str, **values: object) -> str:
        """How the engine goes about a statement."""
        explain = "EXPLAIN QUERY PLAN " if self.database.dialect == "sqlite" else "EXPLAIN "
        rows = await self.database.read(
            lambda connection: connection.execute(explain + self.store._sql[name], values).fetchall()
        )
        return "\n".join(row[-1] for row in map(tuple, rows))

    async def claim(self, room: int = 8) -> tuple[Delivery, ...]:
        return await self.store.claim(now=self.clock.now(), room={}, default_room=room)

    async def deliver(self, delivery: Delivery, state: DeliveryState = DeliveryState.DELIVERED) -> None:
        await self.store.settle(delivery, Decision(state=state, decided_at=self.clock.now()))

    async def put_off(self, delivery: Delivery, seconds: float, *, wait: Wait | None = None) -> None:
        now = self.clock.now()
        due_at = now + timedelta(seconds=seconds)
        await self.store.settle(
            delivery,
            Decision(state=DeliveryState.PENDING, decided_at=now, reason="later", due_at=due_at, wait=wait),
        )

    async def pause(self, delivery: Delivery, probe_in: float) -> None:
        """The attempt met nobody."""
        now = self.clock.now()
        await self.store.settle(
            delivery,
            Decision(
                state=DeliveryState.PENDING, decided_at=now, reason="unreachable", due_at=delivery.envelope.recorded_at
            ),
            breaker_step=lambda breaker: Breaker(
                failures=breaker.failures + 1,
                paused_since=breaker.paused_since or now,
                probe_at=now + timedelta(seconds=probe_in),
                reason="refused",
            ),
        )

    async def arrive(self, delivery: Delivery) -> None:
        """The attempt met somebody."""
        await self.store.settle(
            delivery,
            Decision(state=DeliveryState.DELIVERED, decided_at=self.clock.now()),
            breaker_step=lambda _: Breaker(),
        )


@pytest.fixture
async def outbox(where: Where) -> AsyncIterator[Outbox]:
    clock = FakeClock()
    database, store = await open_outbox(where, clock)
    yield Outbox(database, store, clock)
    await database.close()


def names(deliveries: Sequence[Delivery]) -> list[str]:
    return [f"{each.lane.object_id}:{each.envelope.request.method}" for each in deliveries]


async def test_a_lane_has_one_in_flight_and_keeps_its_order(outbox: Outbox) -> None:
    await outbox.owe(session("PUT"), session("PATCH", body=b"{}"), session("PUT", "s2"))
    (first, second) = await outbox.claim()
    assert names((first, second)) == ["s1:PUT", "s2:PUT"]
    assert await outbox.claim() == ()
    await outbox.deliver(first)
    assert names(await outbox.claim()) == ["s1:PATCH"]


async def test_what_is_put_off_holds_back_those_behind_it_and_nobody_else(outbox: Outbox) -> None:
    await outbox.owe(session("PUT"), session("PATCH", body=b"{}"))
    (first,) = await outbox.claim()
    await outbox.put_off(first, 5)
    await outbox.owe(session("PUT", "s2"))
    assert names(await outbox.claim()) == ["s2:PUT"]
    outbox.clock.step(4.999)
    assert await outbox.claim() == ()
    outbox.clock.step(0.001)
    assert names(await outbox.claim()) == ["s1:PUT"]


async def test_each_provider_gets_no_more_than_its_room_and_the_oldest_first(outbox: Outbox) -> None:
    for number in range(5):
        await outbox.owe(cdr(f"c{number}"), to=(BILLING, ANALYTICS))
        outbox.clock.step(1)
    claimed = await outbox.store.claim(now=outbox.clock.now(), room={PROVIDERS[ANALYTICS]: 1}, default_room=2)
    assert [(str(each.provider), each.lane.object_id) for each in claimed] == [
        ("DE*PAY", "c0"),
        ("NL*ANA", "c0"),
        ("DE*PAY", "c1"),
    ]


async def test_a_paused_provider_gets_one_probe_at_a_time_while_others_go_on(outbox: Outbox) -> None:
    await outbox.owe(cdr("c1"), cdr("c2"), cdr("c3"), to=(BILLING, ANALYTICS))
    mine = [each for each in await outbox.claim() if each.provider == BILLING]
    for delivery in mine:
        await outbox.pause(delivery, 5)
    await outbox.owe(cdr("c4"), to=(BILLING, ANALYTICS))
    assert [str(each.provider) for each in await outbox.claim()] == ["NL*ANA"]
    outbox.clock.step(5)
    (probe,) = await outbox.claim()
    assert (str(probe.provider), probe.lane.object_id) == ("DE*PAY", "c1")
    assert await outbox.claim() == ()


async def test_all_of_a_provider_that_answers_again_is_due_at_once_oldest_first(outbox: Outbox) -> None:
    await outbox.owe(cdr("c1"), session("PUT"))
    for delivery in await outbox.claim():
        await outbox.put_off(delivery, 3600)
        outbox.clock.step(1)
    await outbox.owe(session("PATCH", body=b"{}"), cdr("c2"), cdr("c3"))
    (second, third) = await outbox.claim()
    await outbox.pause(second, 5)
    await outbox.pause(third, 5)
    outbox.clock.step(5)
    (probe,) = await outbox.claim()
    assert probe.lane.object_id == "c2"
    await outbox.arrive(probe)
    assert names(await outbox.claim()) == ["c1:POST", "s1:PUT", "c3:POST"]


async def test_the_window_stands_still_while_the_provider_is_paused(outbox: Outbox) -> None:
    await outbox.owe(cdr("c1"), cdr("c2"))
    ends = outbox.clock.now() + timedelta(days=14)
    (first, second) = await outbox.claim()
    assert (first.expires_at, second.expires_at) == (ends, ends)
    await outbox.pause(first, 5)
    await outbox.pause(second, 5)
    outbox.clock.step(3600)
    await outbox.owe(cdr("c3"))
    outbox.clock.step(3600)
    (probe,) = await outbox.claim()
    await outbox.arrive(probe)
    (second, third) = await outbox.claim()
    assert second.expires_at == ends + timedelta(hours=2)
    assert third.expires_at == third.envelope.recorded_at + timedelta(days=14, hours=1)
    await outbox.owe(cdr("c4"))
    (later,) = await outbox.claim()
    assert later.expires_at == outbox.clock.now() + timedelta(days=14)


async def test_windows_stand_still_while_a_provider_that_returned_is_caught_up_with(outbox: Outbox) -> None:
    await outbox.owe(*(cdr(f"c{number}") for number in range(4)))
    ends = outbox.clock.now() + timedelta(days=14)
    for each in await outbox.claim():
        await outbox.pause(each, 3600)
    outbox.clock.step(3600)
    (probe,) = await outbox.claim()
    await outbox.arrive(probe)
    outbox.clock.step(1800)  # the others wait for their turn, by max_rate
    (second,) = await outbox.claim(room=1)
    assert second.expires_at == ends + timedelta(minutes=90)
    await outbox.put_off(second, 5)  # it has had its turn: from here on its window runs again
    outbox.clock.step(1800)
    third, fourth = await outbox.claim(room=2)
    assert {"c2", "c3"} == {third.lane.object_id, fourth.lane.object_id}
    assert {third.expires_at, fourth.expires_at} == {ends + timedelta(hours=2)}
    (second,) = await outbox.claim()
    assert second.expires_at == ends + timedelta(minutes=90)
    await outbox.owe(cdr("c4"))
    outbox.clock.step(600)
    (later,) = await outbox.claim()
    assert later.expires_at == later.envelope.recorded_at + timedelta(days=14)


async def test_the_backlog_tells_what_is_held_by_what_and_what_is_paused(outbox: Outbox) -> None:
    requests = [session("PUT"), session("PATCH", body=b"{}"), session("PUT", "s2"), cdr("c1"), cdr("c2")]
    await outbox.owe(*requests, to=(BILLING, ANALYTICS))
    for each in await outbox.claim():
        if each.provider == ANALYTICS:
            await outbox.pause(each, 3600)
        elif each.lane.module == "cdrs":
            await outbox.put_off(each, 5)
        else:
            cause = "C8: our view is stale" if each.lane.object_id == "s1" else "version: it is unclear"
            await outbox.store.settle(each, held(cause, now=outbox.clock.now()))
    billing, analytics = await outbox.store.backlog()
    assert (billing.pending, billing.paused, dict(billing.held)) == (5, 0, {"C8": 2, "version": 1})
    assert (analytics.pending, analytics.paused, dict(analytics.held)) == (5, 5, {})
    counts = await outbox.store.counts()
    assert (counts.held, counts.paused) == (3, 5)


async def test_the_window_of_a_whole_lane_stands_still_while_its_head_is_held(outbox: Outbox) -> None:
    await outbox.owe(session("PUT"), session("PATCH", body=b"{}"))
    ends = outbox.clock.now() + timedelta(days=7)
    (head,) = await outbox.claim()
    await outbox.store.settle(head, held("C8: stale", now=outbox.clock.now()))
    assert (await outbox.store.counts()).held == 2
    outbox.clock.step(5)
    (head,) = await outbox.claim()
    assert head.expires_at == ends + timedelta(seconds=5)
    await outbox.deliver(head)
    (behind,) = await outbox.claim()
    assert behind.expires_at == ends + timedelta(seconds=5)
    assert (await outbox.store.counts()).held == 0


async def test_an_unanswered_attempt_keeps_the_lane_closed_even_when_the_provider_returns(outbox: Outbox) -> None:
    await outbox.owe(cdr("c1"), cdr("c2"), session("PUT"), session("PATCH", body=b"{}"))
    (first, second, third) = await outbox.claim()
    rest = outbox.clock.now() + timedelta(seconds=45)
    due = outbox.clock.now() + timedelta(hours=1)
    await outbox.store.settle(
        first,
        Decision(state=DeliveryState.PENDING, decided_at=outbox.clock.now(), due_at=due, resting_until=rest),
    )
    await outbox.store.settle(
        third, Decision(state=DeliveryState.PARKED, decided_at=outbox.clock.now(), resting_until=rest)
    )
    await outbox.pause(second, 5)
    outbox.clock.step(5)
    (probe,) = await outbox.claim()
    assert probe.lane.object_id == "c2"
    await outbox.arrive(probe)
    assert await outbox.claim() == ()
    outbox.clock.step(40)
    assert names(await outbox.claim()) == ["c1:POST", "s1:PATCH"]


async def test_the_next_time_to_look_is_known(outbox: Outbox) -> None:
    start = outbox.clock.now()
    assert await outbox.store.next_due(start) is None
    await outbox.owe(cdr("c1"), cdr("c2"), to=(BILLING, ANALYTICS))
    (one, two, *others) = sorted(await outbox.claim(), key=lambda each: str(each.provider))
    await outbox.put_off(one, 60)
    await outbox.put_off(two, 30)
    assert await outbox.store.next_due(start) == start + timedelta(seconds=30)
    await outbox.pause(others[0], 7)
    assert await outbox.store.next_due(start) == start + timedelta(seconds=7)


async def test_claims_do_not_look_at_what_waits_for_a_dead_service(outbox: Outbox) -> None:
    now = outbox.clock.now()
    async with asyncio.TaskGroup() as group:
        for number in range(2_000):
            group.create_task(outbox.store.record(a_plan(cdr(f"c{number}"), BILLING, at=now)))
    for delivery in await outbox.claim():
        await outbox.pause(delivery, 3600)
    await outbox.owe(cdr("fresh"), to=(ANALYTICS,))
    await outbox.database.write(lambda connection: connection.execute("ANALYZE"))
    assert "lanes_due" in await outbox.plan_of("lanes_due", channel_id=1, due_by=0, now=0, room=1)
    for name in ("lock_providers_due", "channels_with_due", "next_due"):
        plan = await outbox.plan_of(name, now=0)
        assert "SCAN l" not in plan.replace("SCAN l USING", "")  # SQLite
        assert "Seq Scan on lanes" not in plan  # PostgreSQL
    for name, values in (
        ("get_deliveries", {"ids": "[1, 2]", "now": 0}),
        ("standing_of", {"lane_id": 1, "id": 1, "lease": 0}),
    ):
        plan = await outbox.plan_of(name, **values)
        assert "Seq Scan on deliveries" not in plan
        assert "SCAN d" not in plan
    assert [str(each.provider) for each in await outbox.claim()] == ["NL*ANA"]


OTHER = AgreementId("0x" + "cd" * 32, 1)


def scope(agreement: AgreementId, module: Module = Module.SESSIONS) -> Scope:
    return Scope(
        customer_address=CUSTOMER_ADDRESS,
        provider_address=PROVIDERS[BILLING],
        agreement=agreement,
        module=module,
        interface_role=InterfaceRole.RECEIVER,
    )


async def test_what_is_owed_is_known_by_scope_however_much_it_is(outbox: Outbox) -> None:
    for number in range(20):
        await outbox.owe(session("PUT", f"s{number}"), cdr(f"c{number}"))
    await outbox.owe(session("PUT", "x"), agreement=OTHER)
    assert set(await outbox.store.scopes_needed()) == {
        scope(AGREEMENT),
        scope(AGREEMENT, Module.CDRS),
        scope(OTHER),
    }


async def test_withdrawing_a_scope_erases_it_and_lets_the_others_go_on(outbox: Outbox) -> None:
    await outbox.owe(session("PUT", body=b'{"old":1}'), session("PATCH", body=b'{"old":2}'), cdr())
    (in_flight, bill) = await outbox.claim()
    await outbox.put_off(in_flight, 60)
    await outbox.owe(session("PATCH", body=b'{"new":1}'), agreement=OTHER)
    assert await outbox.store.withdraw(scope(AGREEMENT), reason="C2: revoked", now=outbox.clock.now()) == 2
    assert await outbox.store.withdraw(scope(AGREEMENT), reason="C2: revoked", now=outbox.clock.now()) == 0
    (left,) = await outbox.claim()
    assert left.agreement == OTHER
    erased = "SELECT count(*) FROM envelopes WHERE body IS NULL"
    assert await outbox.database.read(lambda connection: connection.execute(erased).fetchone()[0]) == 2
    await outbox.deliver(bill)
    assert (await outbox.store.counts()).by_state == {
        DeliveryState.PENDING: 1,
        DeliveryState.WITHDRAWN: 2,
        DeliveryState.DELIVERED: 1,
    }


async def test_what_is_in_flight_is_not_withdrawn_under_the_feet_of_its_attempt(outbox: Outbox) -> None:
    await outbox.owe(session("PUT"), *(session("PATCH", body=b"%d" % number) for number in range(600)))
    (in_flight,) = await outbox.claim()
    assert await outbox.store.withdraw(scope(AGREEMENT), reason="C2: revoked", now=outbox.clock.now()) == 600
    await outbox.deliver(in_flight)
    assert await outbox.claim() == ()


async def test_what_a_dead_process_had_claimed_is_free_and_what_it_had_sent_is_told(
    outbox: Outbox, where: Where
) -> None:
    await outbox.owe(cdr("claimed"), cdr("started"), cdr("settled"))
    (_, started, settled) = await outbox.claim()
    started = await outbox.store.start(started, at=outbox.clock.now())
    settled = await outbox.store.start(settled, at=outbox.clock.now())
    await outbox.store.settle(
        settled,
        Decision(state=DeliveryState.DELIVERED, decided_at=outbox.clock.now()),
        attempt=an_attempt(AttemptVerdict.ACCEPTED, at=outbox.clock.now()),
    )
    await outbox.database.close()
    database, store = await open_outbox(where, outbox.clock)
    for _ in range(2):  # a second death before they are settled changes nothing
        interrupted = await store.recover(outbox.clock.now())
        assert [(each.delivery.lane.object_id, each.delivery.attempts, each.started_at) for each in interrupted] == [
            ("started", 1, outbox.clock.now())
        ]
    claimed = await store.claim(now=outbox.clock.now(), room={}, default_room=8)
    assert [each.lane.object_id for each in claimed] == ["claimed"]
    await database.close()


async def test_the_backlog_tells_who_is_owed_how_much_since_when(outbox: Outbox) -> None:
    start = outbox.clock.now()
    await outbox.owe(cdr("c1"), to=(BILLING, ANALYTICS))
    outbox.clock.step(60)
    await outbox.owe(cdr("c2"))
    (one, two, _) = await outbox.claim()
    await outbox.deliver(two)
    await outbox.pause(one, 5)
    billing, analytics = await outbox.store.backlog()
    assert (billing.provider, billing.pending, billing.oldest, billing.breaker.paused) == (BILLING, 2, start, True)
    assert (analytics.provider, analytics.pending, analytics.oldest) == (ANALYTICS, 0, None)
    counts = await outbox.store.counts()
    assert (counts.by_state[DeliveryState.PENDING], counts.paused, counts.held) == (2, 2, 0)
