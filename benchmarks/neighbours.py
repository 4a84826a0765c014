"""Whether a dead and a very slow service among twenty hold up the eighteen others: their delivery times, in one run.

    python -m benchmarks.neighbours [--rounds 5] [--rate 4] [--seconds 5]

The real store and dispatcher; each attempt is a pause in place of a message: 5 ms at a healthy service, 10 s at the
slow one, nobody there at the dead one. Rounds with twenty healthy services and rounds with the two sick ones alternate;
from recording to the service's answer is measured at the eighteen, and the medians of the rounds count.
"""

import argparse
import asyncio
import random
import statistics
import tempfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import cast

from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.ledger.store import LedgerStore
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.outbox.after_attempt import Decision
from ocn_permission_agent.outbox.dispatcher import Dispatcher
from ocn_permission_agent.outbox.model import Attempt, AttemptVerdict, Delivery, DeliveryState
from ocn_permission_agent.outbox.settings import DeliverySettings
from ocn_permission_agent.outbox.sqlite import SqliteOutbox
from ocn_permission_agent.outbox.writing import Ready
from ocn_permission_agent.store.sqlite import SqliteDatabase
from tests.outbox_fixtures import PROVIDERS, Lines, a_plan, cdr

PARTIES = [Party("DE", f"P{number:02}") for number in range(20)]
DEAD, SLOW = PARTIES[3], PARTIES[11]
HEALTHY_SECONDS, SLOW_SECONDS = 0.005, 10.0
SETTINGS = DeliverySettings(max_rate=1_000, max_in_flight=8)


@dataclass(frozen=True)
class _Carried:
    """In place of a message: the delivery itself."""

    delivery: Delivery


class Carrier:
    """Takes as long as the service would; `seconds` are those of the eighteen, from recording to the answer.

    `complete` is set once there are so many of them.
    """

    def __init__(self, clock: SystemClock, *, sick: bool, expected: int) -> None:
        self.complete = asyncio.Event()
        self._expected = expected
        self._clock = clock
        self._sick = sick
        self.seconds: list[float] = []

    async def prepare(self, delivery: Delivery) -> Ready | Decision:
        return cast("Ready", _Carried(delivery))

    async def send(self, ready: Ready) -> Attempt:
        delivery, began = cast("_Carried", ready).delivery, self._clock.now()
        dead = self._sick and delivery.provider == DEAD
        if not dead:
            slow = self._sick and delivery.provider == SLOW
            await self._clock.sleep(SLOW_SECONDS if slow else HEALTHY_SECONDS)
        ended = self._clock.now()
        if delivery.provider not in (DEAD, SLOW):
            self.seconds.append((ended - delivery.envelope.recorded_at) / timedelta(seconds=1))
            if len(self.seconds) >= self._expected:
                self.complete.set()
        return Attempt(
            started_at=began,
            ended_at=ended,
            verdict=AttemptVerdict.NOT_PROCESSED if dead else AttemptVerdict.ACCEPTED,
            http_status=None if dead else 200,
            ocpi_status=None if dead else 1000,
            detail="nobody is there" if dead else "",
            unreachable=dead,
        )


async def one_round(path: Path, *, sick: bool, rate: float, seconds: float) -> list[float]:
    """Record for each of the twenty, at a rate each; the delivery times at the eighteen."""
    clock, metrics = SystemClock(), Metrics()
    database = await SqliteDatabase.open(path, metrics=metrics, clock=clock)
    store = SqliteOutbox(database, settings=SETTINGS, ledger=LedgerStore(database), metrics=metrics)
    count = int(rate * seconds)
    carrier = Carrier(clock, sick=sick, expected=count * 18)
    dispatcher = Dispatcher(
        store=store,
        courier=carrier,
        settings=SETTINGS,
        clock=clock,
        metrics=metrics,
        log=Lines(),
        spread=random.random,
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(dispatcher.run())
        for number in range(count):
            await store.record(a_plan(cdr(f"c{number}"), *PARTIES, at=clock.now()))
            dispatcher.wake()
            await asyncio.sleep(1 / rate)
        await carrier.complete.wait()
        waiting = {each.provider: each.pending for each in await store.backlog() if each.pending}
        if sick and set(waiting) != {DEAD, SLOW}:
            raise RuntimeError(f"the sick ones are {DEAD} and {SLOW}, yet these are owed something: {waiting}")
        await dispatcher.stop(0)
    states = (await store.counts()).by_state
    if states[DeliveryState.DELIVERED] < count * 18:
        raise RuntimeError(f"not all was delivered: {states}")
    await database.close()
    return carrier.seconds


def quantiles(seconds: list[float]) -> tuple[float, float]:
    """p50 and p99 in milliseconds."""
    hundredths = statistics.quantiles(seconds, n=100)
    return hundredths[49] * 1000, hundredths[98] * 1000


async def _main(rounds: int, rate: float, seconds: float) -> None:
    found: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            for sick in (False, True):
                path = Path(folder) / f"{number}-{sick}.db"
                found[sick].append(quantiles(await one_round(path, sick=sick, rate=rate, seconds=seconds)))
    print(f"{rate:.0f} copies/s to each of 20 services for {seconds:.0f} s, {rounds} alternating rounds, medians")
    print(f"{'at the 18 healthy ones':34}{'p50 ms':>10}{'p99 ms':>10}")
    medians = {sick: [statistics.median(each[index] for each in found[sick]) for index in (0, 1)] for sick in found}
    print(f"{'all 20 are well':34}{medians[False][0]:10.2f}{medians[False][1]:10.2f}")
    print(f"{'one is dead, one takes 10 s':34}{medians[True][0]:10.2f}{medians[True][1]:10.2f}")
    ratios = [sick / well for sick, well in zip(medians[True], medians[False], strict=True)]
    print(f"{'ratio':34}{ratios[0]:10.2f}{ratios[1]:10.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rate", type=float, default=4.0)
    parser.add_argument("--seconds", type=float, default=5.0)
    given = parser.parse_args()
    for number, party in enumerate(PARTIES):
        PROVIDERS[party] = f"0x{number + 100:040x}"  # type: ignore[assignment]
    asyncio.run(_main(given.rounds, given.rate, given.seconds))
