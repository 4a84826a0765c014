"""A dispatcher whose attempts end as the test says, on a clock that the test moves: whole outages in seconds."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.outbox.after_attempt import Decision
from ocn_permission_agent.outbox.dispatcher import Dispatcher
from ocn_permission_agent.outbox.express import Express
from ocn_permission_agent.outbox.model import Attempt, Delivery, Envelope, PlannedDelivery
from ocn_permission_agent.outbox.settings import DeliverySettings
from ocn_permission_agent.outbox.stored import StoredOutbox
from ocn_permission_agent.outbox.writing import Ready
from ocn_permission_agent.store.database import Database
from ocn_permission_agent.store.postgres import PostgresDatabase
from tests.fakes import FakeClock
from tests.outbox_fixtures import Lines, no_jitter, open_outbox
from tests.stores import Where

Ending = Callable[[Delivery], Awaitable[Attempt]]


@dataclass(frozen=True)
class Prepared:
    """In place of a message: what is to be carried."""

    delivery: Delivery


class Carrier:
    """Carries nothing; `ending` says how each attempt ends."""

    def __init__(self, ending: Ending) -> None:
        self.ending = ending
        self.begun: list[Delivery] = []
        self.active: Counter[Party] = Counter()
        self.closed_to: set[Party] = set()

    async def prepare(self, delivery: Delivery) -> Ready | Decision:
        return self._prepared(delivery)

    def prepare_together(self, deliveries: Sequence[Delivery]) -> list[Ready | Decision | None]:
        return [self._prepared(delivery) for delivery in deliveries]

    def _prepared(self, delivery: Delivery) -> Ready:
        self.active[delivery.provider] += 1
        return cast("Ready", Prepared(delivery))

    def judge(self, delivery: Delivery) -> Decision | None:
        return None

    def may_leave(self, envelope: Envelope, planned: PlannedDelivery) -> bool:
        return planned.provider not in self.closed_to

    async def send(self, ready: Ready) -> Attempt:
        delivery = cast("Prepared", ready).delivery
        self.begun.append(delivery)
        try:
            return await self.ending(delivery)
        finally:
            self.active[delivery.provider] -= 1


@dataclass
class Dispatching:
    """A running dispatcher."""

    database: Database
    store: StoredOutbox
    clock: FakeClock
    dispatcher: Dispatcher
    carrier: Carrier
    lines: Lines
    waiting: set[Party] = field(default_factory=set)

    @property
    def express(self) -> Express:
        return Express(outbox=self.store, sender=self.dispatcher)

    async def rest(self) -> None:
        """Until nothing happens any more without the clock: all that could be tried was tried."""
        quiet = 0
        while quiet < 4:
            begun = len(self.carrier.begun)
            await self.database.write(lambda _: None)
            await self.database.read(lambda _: None)
            await asyncio.sleep(0)
            busy = any(count for party, count in self.carrier.active.items() if party not in self.waiting)
            # On PostgreSQL what is written side by side is not done in the order of these calls.
            writing = isinstance(self.database, PostgresDatabase) and bool(self.database._writing)
            still = self.clock.sleepers and not busy and not writing and begun == len(self.carrier.begun)
            quiet = quiet + 1 if still else 0

    async def step(self, seconds: float) -> None:
        """Let time pass, and what falls due happen."""
        self.clock.step(seconds)
        self.dispatcher.wake()
        await self.rest()


@asynccontextmanager
async def dispatching(
    where: Where,
    ending: Ending,
    settings: DeliverySettings | None = None,
    *,
    clock: FakeClock | None = None,
    metrics: Metrics | None = None,
) -> AsyncIterator[Dispatching]:
    """`where` is a store, or a folder for one."""
    clock, settings, metrics, lines = (
        clock or FakeClock(),
        settings or DeliverySettings(),
        metrics or Metrics(),
        Lines(),
    )
    database, store = await open_outbox(
        where / "agent.db" if isinstance(where, Path) and where.is_dir() else where, clock, settings, metrics
    )
    carrier = Carrier(ending)
    dispatcher = Dispatcher(
        store=store, courier=carrier, settings=settings, clock=clock, metrics=metrics, log=lines, spread=no_jitter
    )
    try:
        async with asyncio.TaskGroup() as group:
            running = group.create_task(dispatcher.run())
            yield Dispatching(database, store, clock, dispatcher, carrier, lines)
            running.cancel()
    finally:
        await database.close()
