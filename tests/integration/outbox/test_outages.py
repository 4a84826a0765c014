"""A service that is away for long, one that is dead and one that is slow among many."""

import asyncio
import json
import sys
from collections import Counter
from datetime import timedelta

import pytest

from ocn_permission_agent.consent.address import address
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.outbox.model import Attempt, AttemptVerdict, Delivery
from ocn_permission_agent.outbox.settings import DeliverySettings, ServiceSettings
from tests.fakes import FakeClock
from tests.outbox_carrier import Dispatching, dispatching
from tests.outbox_fixtures import ANALYTICS, BILLING, PROVIDERS, a_plan, an_attempt, cdr, session
from tests.stores import Where

SETTINGS = DeliverySettings(max_rate=20, max_in_flight=8)
PATCHES = 9


class Service:
    """There or not; notes who came, and when."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.there = False
        self.came: list[tuple[float, Delivery]] = []

    async def __call__(self, delivery: Delivery) -> Attempt:
        at = self.clock.now()
        if not self.there:
            return an_attempt(AttemptVerdict.NOT_PROCESSED, at=at, seconds=0, http_status=None, unreachable=True)
        self.came.append((self.clock.monotonic(), delivery))
        return an_attempt(AttemptVerdict.ACCEPTED, at=at, seconds=0, ocpi_status=1000)


async def outage(where: Where, *, copies: int, every_seconds: float) -> None:
    """Every tenth copy is a CDR, the others are sessions of a PUT and nine PATCHes, while nobody is there."""
    clock = FakeClock()
    service = Service(clock)
    async with dispatching(where, service, SETTINGS, clock=clock) as it:
        bills, sessions = await record(it, copies, every_seconds)
        await it.step(0)
        service.there = True
        returned = clock.monotonic()
        while (await it.store.backlog())[0].pending:
            await it.step(0.25)
            assert clock.monotonic() - returned < 600 + (bills + sessions) / SETTINGS.max_rate * 1.5
    arrived = [delivery for _, delivery in service.came]
    assert [each.lane.object_id for each in arrived if each.lane.module == "cdrs"] == [f"c{n}" for n in range(bills)]
    puts = Counter(each.lane.object_id for each in arrived if each.lane.module == "sessions")
    assert (len(puts), set(puts.values())) == (sessions, {1})
    for each in arrived:
        if each.lane.module == "sessions":
            assert each.envelope.request.method == "PUT"
            assert len(json.loads(each.envelope.request.body)["charging_periods"]) == PATCHES
    times = [at for at, _ in service.came]
    most = max(sum(1 for other in times[index : index + 100] if other < at + 1) for index, at in enumerate(times))
    assert most <= SETTINGS.max_rate
    sys.stdout.write(
        f"{copies} copies: {bills} CDRs, oldest first; {sessions} sessions by one PUT each; at most {most} a second; "
        f"nothing was owed {clock.monotonic() - returned:.0f} s after the return\n"
    )


async def record(it: Dispatching, copies: int, every_seconds: float) -> tuple[int, int]:
    """What is said during the outage; how many CDRs and sessions that was."""
    bills = sessions = steps = 0
    for number in range(copies):
        if number % 10 == 9:
            request, bills = cdr(f"c{bills}"), bills + 1
        elif steps == 0:
            request = session("PUT", f"s{sessions}", b'{"id":"s%d"}' % sessions)
            sessions, steps = sessions + 1, PATCHES
        else:
            request = session("PATCH", f"s{sessions - 1}", b'{"charging_periods":[{"n":%d}]}' % steps)
            steps -= 1
        await it.store.record(a_plan(request, at=it.clock.now()))
        it.clock.step(every_seconds)
        if number % 50 == 0:
            await it.step(0)
    while steps:
        body = b'{"charging_periods":[{"n":%d}]}' % steps
        await it.store.record(a_plan(session("PATCH", f"s{sessions - 1}", body), at=it.clock.now()))
        steps -= 1
    return bills, sessions


async def test_a_minute_without_a_service_at_ten_copies_a_second(where_at_length: Where) -> None:
    await outage(where_at_length, copies=600, every_seconds=0.1)


async def test_thirteen_days_without_a_service_lose_no_cdr_and_take_one_put_per_session(where_at_length: Where) -> None:
    await outage(where_at_length, copies=600, every_seconds=13 * 86_400 / 600)


@pytest.mark.nightly
async def test_an_hour_without_a_service_at_ten_copies_a_second(where_at_length: Where) -> None:
    await outage(where_at_length, copies=36_000, every_seconds=0.1)


@pytest.mark.nightly
async def test_thirteen_days_without_a_service_at_a_copy_a_minute(where_at_length: Where) -> None:
    await outage(where_at_length, copies=18_720, every_seconds=60)


# --- a dead and a slow one among twenty -------------------------------------------------------------------------------

MANY = [Party("DE", f"P{number:02}") for number in range(20)]
DEAD, SLOW = MANY[3], MANY[11]


@pytest.fixture
def twenty(monkeypatch: pytest.MonkeyPatch) -> None:
    for number, party in enumerate(MANY):
        monkeypatch.setitem(PROVIDERS, party, address(f"0x{number + 100:040x}"))


@pytest.mark.usefixtures("twenty")
async def test_a_dead_and_a_slow_service_keep_none_of_the_eighteen_others_waiting(where_at_length: Where) -> None:
    clock, lots = FakeClock(), 30
    slow_answers = asyncio.Event()

    async def ending(delivery: Delivery) -> Attempt:
        at = clock.now()
        if delivery.provider == DEAD:
            return an_attempt(AttemptVerdict.NOT_PROCESSED, at=at, seconds=0, http_status=None, unreachable=True)
        if delivery.provider == SLOW:
            await slow_answers.wait()
        return an_attempt(AttemptVerdict.ACCEPTED, at=at, seconds=(clock.now() - at).total_seconds(), ocpi_status=1000)

    settings = DeliverySettings(max_rate=1_000, max_in_flight=8)
    async with dispatching(where_at_length, ending, settings, clock=clock) as it:
        it.waiting.add(SLOW)
        async with asyncio.TaskGroup() as group:
            for number in range(lots):
                group.create_task(it.store.record(a_plan(cdr(f"c{number}"), *MANY, at=clock.now())))
        await it.step(0)
        owed = {str(each.provider): each.pending for each in await it.store.backlog()}
        assert {party: owed[str(party)] for party in MANY if owed[str(party)]} == {DEAD: lots, SLOW: lots}
        assert it.carrier.active[SLOW] == settings.max_in_flight
        begun = Counter(each.provider for each in it.carrier.begun)
        assert all(begun[party] == lots for party in MANY if party not in (DEAD, SLOW))
        for _ in range(20):
            await it.store.record(a_plan(cdr(f"later-{_}"), *MANY, at=clock.now()))
            await it.step(timedelta(minutes=1).total_seconds())
        begun = Counter(each.provider for each in it.carrier.begun)
        assert all(begun[party] == lots + 20 for party in MANY if party not in (DEAD, SLOW))
        assert begun[SLOW] == settings.max_in_flight
        assert begun[DEAD] < 20, "probed now and then, with one delivery at a time"
        slow_answers.set()
        it.waiting.clear()
        await it.rest()
        assert {str(each.provider): each.pending for each in await it.store.backlog()}[str(SLOW)] == 0


async def test_a_service_with_a_schedule_of_its_own_is_tried_by_that(where_at_length: Where) -> None:
    clock = FakeClock()
    settings = DeliverySettings(services={ANALYTICS: ServiceSettings(schedule_seconds=(2, 20))})

    async def putting_off(_: Delivery) -> Attempt:
        return an_attempt(AttemptVerdict.NOT_PROCESSED, at=clock.now(), seconds=0, ocpi_status=4001)

    async with dispatching(where_at_length, putting_off, settings, clock=clock) as it:
        await it.store.record(a_plan(cdr("c1"), BILLING, ANALYTICS, at=clock.now()))
        tried: dict[Party, list[float]] = {BILLING: [], ANALYTICS: []}
        seen = 0
        for _ in range(50):
            await it.step(0 if not seen else 1)
            for delivery in it.carrier.begun[seen:]:
                tried[delivery.provider].append(clock.monotonic())
            seen = len(it.carrier.begun)
    assert tried == {BILLING: [0, 5, 35], ANALYTICS: [0, 2, 22, 42]}
