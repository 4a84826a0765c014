"""The machine's clock is put forward or back by an hour: nothing is lost, doubled or out of order, nor waits."""

import json
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ocn_permission_agent.outbox.model import Attempt, AttemptVerdict, Delivery
from ocn_permission_agent.outbox.settings import DeliverySettings
from tests.fakes import FakeClock
from tests.outbox_carrier import Dispatching, dispatching
from tests.outbox_fixtures import a_plan, an_attempt, cdr, session
from tests.stores import Where

HOUR = 3600.0
LANES = 6
SETTINGS = DeliverySettings(schedule_seconds=(5, 30, 60))


class Service:
    """Appends periods; every third attempt is not processed, every seventh is not answered. `away`: nobody is there."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.away = False
        self.asked = 0
        self.cdrs: list[str] = []
        self.periods: dict[str, list[int]] = defaultdict(list)

    async def __call__(self, delivery: Delivery) -> Attempt:
        at = self.clock.now()
        self.asked += 1
        if self.away:
            return an_attempt(AttemptVerdict.NOT_PROCESSED, at=at, seconds=0, http_status=None, unreachable=True)
        if self.asked % 3 == 0:
            return an_attempt(AttemptVerdict.NOT_PROCESSED, at=at, seconds=0, ocpi_status=4001)
        self.process(delivery)
        if self.asked % 7 == 0:
            return an_attempt(AttemptVerdict.UNKNOWN, at=at, seconds=0, http_status=None)
        return an_attempt(AttemptVerdict.ACCEPTED, at=at, seconds=0, ocpi_status=1000)

    def process(self, delivery: Delivery) -> None:
        name, body = delivery.lane.object_id, json.loads(delivery.envelope.request.body)
        if delivery.lane.module == "cdrs":
            self.cdrs.append(name)
        elif delivery.envelope.request.method == "PUT":
            self.periods[name] = body["charging_periods"]
        else:
            self.periods[name] = [*self.periods[name], *body["charging_periods"]]


Jumping = Callable[[Dispatching, Service], Awaitable[Any]]


async def say(it: Dispatching, step: int) -> None:
    """One more thing about each object."""
    for lane in range(LANES):
        method, name = ("PATCH" if step else "PUT"), f"s{lane}"
        body = json.dumps({"id": name, "charging_periods": [step]}).encode()
        await it.store.record(a_plan(session(method, name, body), at=it.clock.now()))
    await it.store.record(a_plan(cdr(f"c{step}"), at=it.clock.now()))


async def forward(it: Dispatching, _: Service) -> None:
    it.clock.set_wall_clock(HOUR)


async def back(it: Dispatching, _: Service) -> None:
    it.clock.set_wall_clock(-HOUR)


async def back_while_away(it: Dispatching, service: Service) -> None:
    service.away = True
    await it.step(1)
    it.clock.set_wall_clock(-HOUR)
    asked = service.asked
    for _ in range(10):
        await it.step(60)
    assert asked < service.asked <= asked + LANES + 1 + 10, "each lane once, then probes by the schedule"
    service.away = False


async def forward_and_back(it: Dispatching, _: Service) -> None:
    it.clock.set_wall_clock(HOUR)
    await it.step(1)
    await say(it, 11)
    await it.step(1)
    it.clock.set_wall_clock(-HOUR)


@pytest.mark.parametrize("jump", [forward, back, back_while_away, forward_and_back])
async def test_a_clock_that_jumps_loses_doubles_and_delays_nothing(where_at_length: Where, jump: Jumping) -> None:
    clock = FakeClock()
    service = Service(clock)
    async with dispatching(where_at_length, service, SETTINGS, clock=clock) as it:
        for step in range(11):
            await say(it, step)
            await it.step(1)
        await jump(it, service)
        steps = 12 if jump is forward_and_back else 11
        await it.step(1)
        await say(it, steps)
        began = clock.monotonic()
        while (await it.store.backlog())[0].pending:
            await it.step(5)
            assert clock.monotonic() - began < 900, "no hour comes on top of the schedule"
        assert bool(it.lines.of("clock.put_back")) == (jump is not forward)
        if isinstance(where_at_length, Path):
            assert await it.database.read(lambda c: c.execute("PRAGMA integrity_check").fetchone()[0]) == "ok"
        states = await it.database.read(
            lambda connection: dict(
                connection.execute("SELECT state, count(*) FROM deliveries GROUP BY state").fetchall()
            )
        )
    assert states.keys() <= {"delivered", "superseded"}
    assert set(service.cdrs) == {f"c{step}" for step in range(steps + 1)}
    assert service.periods == {f"s{lane}": list(range(steps + 1)) for lane in range(LANES)}


async def test_a_clock_put_back_lets_nothing_wait_for_longer(where: Where) -> None:
    clock = FakeClock()
    begun: list[timedelta] = []

    async def refuse_once(delivery: Delivery) -> Attempt:
        begun.append(timedelta(seconds=clock.monotonic()))
        verdict = AttemptVerdict.ACCEPTED if len(begun) > 1 else AttemptVerdict.NOT_PROCESSED
        return an_attempt(verdict, at=clock.now(), seconds=0, ocpi_status=1000 if len(begun) > 1 else 4001)

    async with dispatching(where, refuse_once, clock=clock) as it:
        await it.store.record(a_plan(cdr("c1"), at=clock.now()))
        await it.step(0)
        clock.set_wall_clock(-HOUR)
        for _ in range(7):
            await it.step(1)
    assert len(begun) == 2
    assert timedelta(seconds=4) <= begun[1] - begun[0] <= timedelta(seconds=6)
