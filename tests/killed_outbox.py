"""An outbox with its dispatcher and its customers, in a process that kills itself at a named moment.

``python -m tests.killed_outbox STORE URL RUN MOMENT COUNT``: MOMENT is passed COUNT times, then the process is gone.
Every copy that was acknowledged is a line on standard output. With MOMENT ``drain`` nothing is said any more, and the
process ends by itself once nothing is owed.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.ledger.store import LedgerStore
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.net.own import OwnNode
from ocn_permission_agent.ocn.keys import OperatorKey
from ocn_permission_agent.ocpi.request import OcpiRequest
from ocn_permission_agent.outbox.courier import Courier
from ocn_permission_agent.outbox.dispatcher import Dispatcher
from ocn_permission_agent.outbox.express import Express
from ocn_permission_agent.outbox.model import Attempt, DeliveryState
from ocn_permission_agent.outbox.settings import DeliverySettings
from ocn_permission_agent.outbox.sqlite import SqliteOutbox
from ocn_permission_agent.outbox.writing import Ready
from ocn_permission_agent.store.sqlite import SqliteDatabase
from ocn_permission_agent.store.sqlite_connection import SqliteConnection
from tests.outbox_fixtures import Lines, SameVersion, StatedView, a_plan, cdr, no_jitter, session

T = TypeVar("T")

#: where a process can be told to die; ``random`` is after COUNT milliseconds
MOMENTS = (
    "before_commit",
    "after_commit",
    "after_claim",
    "after_start",
    "after_answer",
    "before_settle",
    "after_settle",
    "during_purge",
    "random",
)
SETTINGS = DeliverySettings(
    schedule_seconds=(0.02, 0.05),
    max_rate=10_000,
    attempt_timeout_seconds=0.5,
    history_days=0.00001,
    parked_days=0.00001,
)
_CUSTOMERS, _PAUSE_SECONDS = 10, 0.02


class Fate:
    """Counts how often each moment is passed."""

    def __init__(self, moment: str, count: int) -> None:
        self._moment, self._left = moment, count

    def passes(self, moment: str) -> None:
        if moment == self._moment:
            self._left -= 1
            if self._left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


class MortalDatabase(SqliteDatabase):
    """Dies inside a transaction: what it wrote is not committed yet."""

    fate: Fate
    purging = False

    async def write(
        self,
        work: Callable[[SqliteConnection], T],
        told: Callable[[T | None], None] | None = None,
        *,
        patient: bool = False,
    ) -> T:
        purging = self.purging

        def mortal(connection: SqliteConnection) -> T:
            value = work(connection)
            self.fate.passes("during_purge" if purging else "before_commit")
            return value

        return await super().write(mortal, told, patient=patient)


class MortalOutbox(SqliteOutbox):
    """Dies between two calls of the store."""

    fate: Fate

    async def record_and_begin(self, plan: Any, **how: Any) -> int:
        stored = await super().record_and_begin(plan, **how)
        self.fate.passes("after_commit")
        return stored

    async def claim(self, **room: Any) -> Any:
        claimed = await super().claim(**room)
        if claimed:
            self.fate.passes("after_claim")
        return claimed

    async def start(self, delivery: Any, **when: Any) -> Any:
        started = await super().start(delivery, **when)
        self.fate.passes("after_start")
        return started

    async def settle(self, *settled: Any, **how: Any) -> Any:
        if how.get("attempt") is not None:
            self.fate.passes("before_settle")
        outcome = await super().settle(*settled, **how)
        self.fate.passes("after_settle")
        return outcome


class MortalCourier(Courier):
    """Dies once the service has answered."""

    fate: Fate

    async def send(self, ready: Ready) -> Attempt:
        attempt = await super().send(ready)
        self.fate.passes("after_answer")
        return attempt


class Unhurried:
    """Lets nothing leave before it is claimed."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.board, self.wake = dispatcher.board, dispatcher.wake

    def seats_for(self, plan: Any) -> tuple[Any, ...]:
        return ()


class Customers:
    """Say one thing after the other, each waiting for its answer; half of them sessions, half CDRs."""

    def __init__(self, outbox: Express, run: str) -> None:
        self._outbox, self._run = outbox, run

    async def speak(self, number: int) -> None:
        clock = SystemClock()
        for step in range(10**9):
            name = f"r{self._run}-{number}-{step // 8 if number % 2 else step}"
            request = self._session(name, step % 8) if number % 2 else cdr(name)
            await self._outbox.record(a_plan(request, at=clock.now()))
            sys.stdout.write(f"session {name} {step % 8}\n" if number % 2 else f"cdr {name} 0\n")
            sys.stdout.flush()
            await asyncio.sleep(_PAUSE_SECONDS)

    def _session(self, name: str, step: int) -> OcpiRequest:
        if step == 0:
            return session("PUT", name, b'{"id":"%s","step":0,"charging_periods":[{"n":0}]}' % name.encode())
        return session("PATCH", name, b'{"step":%d,"charging_periods":[{"n":%d}]}' % (step, step))


async def main(path: str, url: str, run: str, moment: str, count: int) -> None:
    clock, metrics, fate, lines = SystemClock(), Metrics(), Fate(moment, count), Lines()
    MortalDatabase.fate = MortalOutbox.fate = MortalCourier.fate = fate
    database = await MortalDatabase.open(Path(path), metrics=metrics, clock=clock)
    assert isinstance(database, MortalDatabase)
    store = MortalOutbox(database, settings=SETTINGS, ledger=LedgerStore(database), metrics=metrics)
    async with OwnNode(url=url, clock=SystemClock()) as transport:
        courier = MortalCourier(
            view=StatedView(),
            versions=SameVersion(),
            key=OperatorKey(b"\x11" * 32),
            own_node_url=url,
            own_transport=transport,
            remote_transport=transport,
            clock=clock,
            settings=SETTINGS,
        )
        dispatcher = Dispatcher(
            store=store,
            courier=courier,
            settings=SETTINGS,
            clock=clock,
            metrics=metrics,
            log=lines,
            spread=no_jitter,
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(dispatcher.run())
            if moment == "drain":
                while (await store.counts()).by_state.get(DeliveryState.PENDING):
                    await lines.news.get()
                await dispatcher.stop(1)
                return
            # Where the death of a claim is wanted, everything is claimed.
            sender = Unhurried(dispatcher) if moment in {"after_claim", "after_start"} else dispatcher
            customers = Customers(Express(outbox=store, sender=sender), run)
            for number in range(_CUSTOMERS):
                group.create_task(customers.speak(number))
            while True:
                await asyncio.sleep(count / 1000 if moment == "random" else 0.2)
                fate.passes("random") if moment != "random" else os.kill(os.getpid(), signal.SIGKILL)
                if moment == "during_purge":
                    database.purging = True
                    await store.purge(clock.now())
                    database.purging = False


if __name__ == "__main__":
    _path, _url, _run, _moment, _count = sys.argv[1:]
    asyncio.run(main(_path, _url, _run, _moment, int(_count)))
