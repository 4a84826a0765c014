"""A death at any moment loses nothing that was acknowledged, and leaves no trace in what is stored."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from ocn_permission_agent.consent.address import AgreementId
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.ocpi.route import InterfaceRole, Module
from ocn_permission_agent.outbox.after_attempt import after_attempt, held, interrupted
from ocn_permission_agent.outbox.breaker import after_attempt_at
from ocn_permission_agent.outbox.model import AttemptVerdict, Delivery, DeliveryState
from ocn_permission_agent.outbox.settings import DeliverySettings
from ocn_permission_agent.outbox.store import Scope
from ocn_permission_agent.outbox.stored import StoredOutbox
from ocn_permission_agent.store.database import Database
from ocn_permission_agent.store.sqlite import SqliteDatabase
from tests.fakes import FakeClock
from tests.outbox_fixtures import (
    AGREEMENT,
    ANALYTICS,
    BILLING,
    CUSTOMER_ADDRESS,
    PROVIDERS,
    a_plan,
    an_attempt,
    an_outbox,
    cdr,
    command,
    no_jitter,
    open_outbox,
    session,
)

SETTINGS = DeliverySettings()
LATER = AgreementId("0x" + "cd" * 32, 1)


class Script:
    """An outbox that goes through a fixed story; `turn` is called after each of its steps."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = FakeClock()
        self.chance = random.Random(1)  # noqa: S311
        self.database: Database
        self.store: StoredOutbox

    async def open(self) -> None:
        self.database = await SqliteDatabase.open(self.path, metrics=Metrics(), clock=self.clock)
        self.store = an_outbox(self.database, settings=SETTINGS, salt=self.salt)
        assert await self.store.recover(self.clock.now()) == ()

    def salt(self) -> bytes:
        return self.chance.randbytes(16)

    async def rebuild(self) -> None:
        await self.database.close()
        await self.open()

    async def claim(self) -> list[Delivery]:
        return list(await self.store.claim(now=self.clock.now(), room={}, default_room=8))

    async def attempt(self, delivery: Delivery, verdict: AttemptVerdict, *, unreachable: bool = False) -> None:
        started = await self.store.start(delivery, at=self.clock.now())
        attempt = an_attempt(verdict, at=self.clock.now(), unreachable=unreachable)
        decision = after_attempt(started, attempt, settings=SETTINGS, spread=no_jitter())
        await self.store.settle(
            started,
            decision,
            attempt=attempt,
            breaker_step=lambda breaker: after_attempt_at(breaker, attempt, settings=SETTINGS, spread=no_jitter()),
        )

    async def play(self, turn: Callable[[], Awaitable[None]]) -> None:
        """Record, deliver, fail, hold, pause, withdraw, purge; each claim is settled before the next turn."""
        for number, request in enumerate(
            [session(), session("PATCH", body=b'{"charging_periods":[{}]}'), cdr(), session("PUT", "s2"), command()]
        ):
            providers = (BILLING, ANALYTICS) if number % 2 else (BILLING,)
            await self.store.record(a_plan(request, *providers, at=self.clock.now()))
            await turn()
        await self.store.record(a_plan(cdr("cdr-1", b'{"id":"cdr-1","total":1}'), at=self.clock.now()))
        await self.store.record(a_plan(session(), at=self.clock.now()))
        await turn()
        verdicts = [
            (AttemptVerdict.ACCEPTED, False),
            (AttemptVerdict.UNKNOWN, False),
            (AttemptVerdict.SETUP, False),
            (AttemptVerdict.NOT_PROCESSED, True),
            (AttemptVerdict.REFUSED, False),
        ]
        for round_number in range(14):
            for index, delivery in enumerate(await self.claim()):
                await self.attempt(
                    delivery,
                    verdicts[(index + round_number) % 5][0],
                    unreachable=verdicts[(index + round_number) % 5][1],
                )
            await turn()
            self.clock.step(40 * (round_number + 1))
        await self.store.record(a_plan(session("PUT", "s3"), BILLING, at=self.clock.now(), agreement=LATER))
        for delivery in await self.claim():
            await self.store.settle(delivery, held("C8: stale", now=self.clock.now()))
        await turn()
        for agreement in (AGREEMENT, LATER):
            await self.store.withdraw(_scope(agreement), reason="C2: revoked", now=self.clock.now())
            await turn()
        self.clock.step(31 * 86400)
        await self.store.purge(self.clock.now())
        await turn()

    async def finish(self) -> str:
        dump = await self.database.dump()
        await self.database.close()
        return dump


def _scope(agreement: AgreementId) -> Scope:
    return Scope(
        customer_address=CUSTOMER_ADDRESS,
        provider_address=PROVIDERS[BILLING],
        agreement=agreement,
        module=Module.SESSIONS,
        interface_role=InterfaceRole.RECEIVER,
    )


async def test_a_steady_outbox_and_one_rebuilt_after_each_step_end_alike(tmp_path: Path) -> None:
    async def nothing() -> None:
        pass

    steady, rebuilt = Script(tmp_path / "steady.db"), Script(tmp_path / "rebuilt.db")
    await steady.open()
    await steady.play(nothing)
    await rebuilt.open()
    await rebuilt.play(rebuilt.rebuild)
    first, second = await steady.finish(), await rebuilt.finish()
    assert {"delivered", "parked", "refused", "withdrawn"} <= {
        state.value for state in DeliveryState if f"'{state.value}'," in first
    }
    assert first == second


@pytest.mark.parametrize("moment", ["claimed", "started"])
async def test_a_death_with_everything_in_flight_loses_nothing(tmp_path: Path, moment: str) -> None:
    script = Script(tmp_path / "agent.db")
    await script.open()
    requests = [session(), session("PATCH", body=b'{"charging_periods":[{}]}'), cdr(), session("PATCH", "s2")]
    for request in requests:
        await script.store.record(a_plan(request, BILLING, at=script.clock.now()))
    for delivery in await script.claim():
        if moment == "started":
            await script.store.start(delivery, at=script.clock.now())
    await script.database.close()
    script.database, script.store = await open_outbox(script.path, script.clock, SETTINGS)
    left_behind = await script.store.recover(script.clock.now())
    assert len(left_behind) == (3 if moment == "started" else 0)
    for each in left_behind:
        attempt = interrupted(each.started_at, now=script.clock.now())
        decision = after_attempt(each.delivery, attempt, settings=SETTINGS, spread=0.5)
        assert decision.state is DeliveryState.PENDING
        await script.store.settle(each.delivery, decision, attempt=attempt)
    if moment == "started":
        assert await script.claim() == [], "the node may still be busy with what was sent"
        script.clock.step(SETTINGS.attempt_timeout_seconds)
    arrived = []
    while claimed := await script.claim():
        for delivery in claimed:
            arrived.append(delivery.envelope.request)
            await script.attempt(delivery, AttemptVerdict.ACCEPTED)
    put, patch, bill, other = requests
    if moment == "claimed":
        assert sorted(map(repr, arrived)) == sorted(map(repr, requests))
        assert [request.method for request in arrived if request.url_path == "/DE/CPO/s1"] == ["PUT", "PATCH"]
    else:  # one PUT stands for both, since nobody knows what became of the first
        (whole,) = (request for request in arrived if request.url_path == put.url_path)
        assert (whole.method, json.loads(whole.body)) == ("PUT", json.loads(put.body) | json.loads(patch.body))
        assert bill in arrived
        assert other in arrived
    await script.database.close()


_CHILD = """
import asyncio, sys
from pathlib import Path
from ocn_permission_agent.clock import SystemClock
from tests.outbox_fixtures import BILLING, ANALYTICS, a_plan, open_outbox, session

async def main():
    clock = SystemClock()
    _, store = await open_outbox(Path(sys.argv[1]), clock)
    async def customer(name):
        for number in range(10**9):
            plan = a_plan(session("PATCH", name, b'{"n":%d}' % number), BILLING, ANALYTICS, at=clock.now())
            assert await store.record(plan) == 2
            print(name, number, flush=True)
    async with asyncio.TaskGroup() as group:
        for name in "abcdefgh":
            group.create_task(customer(name))

asyncio.run(main())
"""


async def test_no_acknowledged_record_is_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    acknowledged = await asyncio.to_thread(_record_until_killed, tmp_path / "agent.db")
    clock = FakeClock()
    database, _ = await open_outbox(tmp_path / "agent.db", clock)
    rows = await database.read(
        lambda connection: connection.execute(
            "SELECT l.object_id, cast(e.body AS TEXT) AS body, count(*) AS providers FROM deliveries d "
            "JOIN lanes l ON l.id = d.lane_id JOIN envelopes e ON e.id = d.envelope_id GROUP BY e.id ORDER BY d.id"
        ).fetchall()
    )
    await database.close()
    kept: dict[str, list[str]] = {}
    for row in rows:
        assert row["providers"] == 2, "a plan is recorded whole or not at all"
        kept.setdefault(row["object_id"], []).append(row["body"])
    assert len(acknowledged) >= 300
    for line in acknowledged:
        name, number = line.split()
        assert kept[name][int(number)] == f'{{"n":{number}}}'


def _record_until_killed(path: Path) -> list[str]:
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(path)], stdout=subprocess.PIPE, text=True, cwd=root
    ) as child:
        assert child.stdout is not None
        acknowledged = [child.stdout.readline().strip() for _ in range(300)]
        os.kill(child.pid, signal.SIGKILL)
        return acknowledged + [line.strip() for line in child.stdout if line.endswith("\n")]
