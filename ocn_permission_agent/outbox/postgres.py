"""The outbox in PostgreSQL: for several agents, each of which may record and deliver.

What is recorded at the same time shares one transaction of a few round trips (`grouped.py`, `postgres_recording.py`).
All else is as on SQLite (`stored.py`), with lanes that are leased. What is written about deliveries at the same time
shares a transaction too: the ledger chains the outcomes of one customer, so apart they would wait for each other's
commits.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar, cast

from ocn_permission_agent.errors import LeaseLost, StoreUnavailable
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.outbox.claiming import Holding, lost_to_another
from ocn_permission_agent.outbox.grouped import GROUP_LIMIT, Grouped
from ocn_permission_agent.outbox.grouping import Verdicts
from ocn_permission_agent.outbox.model import CopyPlan, Delivery
from ocn_permission_agent.outbox.postgres_recording import GroupRecording
from ocn_permission_agent.outbox.prepared import Planning, Prepared
from ocn_permission_agent.outbox.rows import span_us, to_us
from ocn_permission_agent.outbox.settings import DeliverySettings
from ocn_permission_agent.outbox.settling import Ledger
from ocn_permission_agent.outbox.spool import Mark
from ocn_permission_agent.outbox.stored import StoredOutbox
from ocn_permission_agent.store.database import Connection
from ocn_permission_agent.store.postgres import PostgresDatabase
from ocn_permission_agent.store.postgres_connection import Unstorable
from ocn_permission_agent.store.sql import Sql

#: how long a lane is held, and how often that is renewed while work goes on (delivery.md "Store")
LEASE = timedelta(seconds=120)
RENEWED_EVERY = timedelta(seconds=40)
#: of what is written about deliveries; bounds how long the first of a group waits for the last
_DELIVERIES_TOGETHER = 32

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741  an item
O = TypeVar("O")  # noqa: E741  its outcome


@dataclass(frozen=True, slots=True)
class _About:
    """Something to be written about a delivery."""

    delivery: Delivery
    work: Callable[[Connection], object]

    @property
    def key(self) -> tuple[str, int]:
        """What is done with several is done in the order of it."""
        return self.delivery.envelope.customer_address, self.delivery.id


def unguarded(connection: Connection) -> None:
    """Nobody has to wait."""


class PostgresOutbox(StoredOutbox):
    """See `outbox.store.OutboxStore`.

    Args:
        database: open and migrated.
        holder: the name of this agent, which no other agent has; lanes are held under it.
        settings: windows, how long payloads and rows are kept, and the limits, which hold over all agents.
        ledger: gets every outcome, in the transaction that makes it.
        metrics: counts what is recorded, superseded and expired.
        lease: how long a lane is held.
        guard: called first in each transaction that records new copies; raises GatheringOpen while they must wait.
    """

    lease_check = RENEWED_EVERY

    def __init__(
        self,
        database: PostgresDatabase,
        *,
        holder: str,
        settings: DeliverySettings,
        ledger: Ledger,
        metrics: Metrics,
        lease: timedelta = LEASE,
        guard: Callable[[Connection], None] = unguarded,
    ) -> None:
        super().__init__(
            database,
            sql=Sql.of("outbox", "postgres"),
            recording=_Recording(database, settings, guard),
            holding=Holding(holder=holder, lease=lease, shared=settings),
            settings=settings,
            ledger=ledger,
            metrics=metrics,
        )
        self._group_sql = Sql.of("outbox", "postgres", "recording")
        self._settled: Grouped[_About, object] = _grouped(database, self._settle_all, _DELIVERIES_TOGETHER)
        self._started: Grouped[tuple[Delivery, int], bool] = _grouped(database, self._start_all, GROUP_LIMIT)

    async def _write_about(self, delivery: Delivery, work: Callable[[Connection], T]) -> T:
        outcome = await self._settled.submit(_About(delivery, work))
        if isinstance(outcome, LeaseLost):
            raise outcome
        return cast("T", outcome)

    async def start(self, delivery: Delivery, *, at: datetime) -> Delivery:
        """See `OutboxStore.start`. All that start at the same time are one statement."""
        started = delivery.begun(at)
        if not await self._started.submit((started, to_us(at))):
            raise lost_to_another(delivery)
        return started

    async def _settle_all(self, group: Sequence[_About]) -> Sequence[object]:
        return await self._database.write(lambda connection: self._all_of(connection, group))

    def _all_of(self, connection: Connection, group: Sequence[_About]) -> list[object]:
        """Lanes are locked in the order of their keys, chains and envelopes in one order too: see the schema."""
        self._lock_lanes(connection, [about.delivery for about in group])
        outcomes: list[object] = [None] * len(group)
        for place, about in sorted(enumerate(group), key=lambda each: each[1].key):
            try:
                outcomes[place] = about.work(connection)
            except LeaseLost as lost:  # it has not written anything
                outcomes[place] = lost
        return outcomes

    async def _start_all(self, group: Sequence[tuple[Delivery, int]]) -> Sequence[bool]:
        rows = [(each.id, each.lease, each.attempts, at_us) for each, at_us in group]

        def work(connection: Connection) -> Sequence[bool]:
            self._lock_lanes(connection, [each for each, _ in group])
            columns = [list(column) for column in zip(*rows, strict=True)]
            values = [*columns, span_us(self._holding.lease)]
            begun = {row["id"] for row in connection.execute(self._group_sql["start_all"], values)}
            return [each.id in begun for each, _ in group]

        return await self._database.write(work)

    def _lock_lanes(self, connection: Connection, deliveries: Sequence[Delivery]) -> None:
        connection.execute(self._group_sql["lock_lanes_of"], ([each.id for each in deliveries],))


class _Recording:
    """See `stored.Recording`."""

    def __init__(
        self, database: PostgresDatabase, settings: DeliverySettings, guard: Callable[[Connection], None]
    ) -> None:
        self._database = database
        self._guard = guard
        self._planning = Planning(settings)
        self._recording = GroupRecording(Sql.of("outbox", "postgres", "recording"), self._planning)
        self._grouped: Grouped[Prepared, Verdicts] = _grouped(database, self._write, GROUP_LIMIT)

    async def record(self, plan: CopyPlan) -> Verdicts:
        return await self._grouped.submit(self._planning.prepared(plan))

    async def record_spooled(self, plans: Sequence[CopyPlan], mark: Mark) -> Sequence[Verdicts | None]:
        group = [self._planning.prepared(plan) for plan in plans]

        def work(connection: Connection) -> Sequence[Verdicts | None]:
            self._recording.keep_mark(connection, mark)
            together = connection.at_its_own_risk(lambda: self._recording.put_down(connection, group, again=True))
            return self._one_by_one(connection, group) if together is None else together

        return await self._database.write(work)

    def forget(self) -> None:
        """Nothing is remembered."""

    async def _write(self, group: Sequence[Prepared]) -> Sequence[Verdicts]:
        def work(connection: Connection) -> Sequence[Verdicts]:
            self._guard(connection)
            return self._recording.put_down(connection, group)

        return await self._database.write(work)

    def _one_by_one(self, connection: Connection, group: Sequence[Prepared]) -> list[Verdicts | None]:
        """Each at its own risk: some of them cannot be stored."""
        each_alone = (
            connection.at_its_own_risk(partial(self._recording.put_down, connection, [prepared], again=True))
            for prepared in group
        )
        return [None if alone is None else alone[0] for alone in each_alone]


def _grouped(
    database: PostgresDatabase, write: Callable[[Sequence[I]], Awaitable[Sequence[O]]], limit: int
) -> Grouped[I, O]:
    return Grouped(write, see_through=database.see_through, may_be_ones_fault=_may_be_ones_fault, limit=limit)


def _may_be_ones_fault(error: Exception) -> bool:
    return isinstance(error, Unstorable) or not isinstance(error, StoreUnavailable)
