"""The outbox in PostgreSQL: for several agents, each of which may record and deliver.

What is recorded at the same time shares one transaction of a few round trips (`grouped.py`, `postgres_recording.py`).
All else is as on SQLite (`stored.py`), with lanes that are leased. What is written about deliveries at the same time
shares a transaction too: the ledger chains the outcomes of one customer, so apart they would wait for each other's
commits.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from ocn_permission_agent.consent.address import Address
from ocn_permission_agent.errors import LeaseLost, StoreUnavailable
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.outbox.claiming import Holding, lost_to_another
from ocn_permission_agent.outbox.grouped import GROUP_LIMIT, Grouped
from ocn_permission_agent.outbox.grouping import Verdicts
from ocn_permission_agent.outbox.model import CopyPlan, Delivery
from ocn_permission_agent.outbox.postgres_recording import GroupRecording
from ocn_permission_agent.outbox.postgres_settling import AllAtOnce
from ocn_permission_agent.outbox.prepared import Planning
from ocn_permission_agent.outbox.put_down import PutDown, ToPutDown
from ocn_permission_agent.outbox.rows import span_us, to_us
from ocn_permission_agent.outbox.settings import DeliverySettings
from ocn_permission_agent.outbox.settlement import Settlement
from ocn_permission_agent.outbox.settling import Ledger
from ocn_permission_agent.outbox.spool import Mark
from ocn_permission_agent.outbox.store import Settled
from ocn_permission_agent.outbox.stored import StoredOutbox
from ocn_permission_agent.store.database import Connection
from ocn_permission_agent.store.postgres import PostgresDatabase
from ocn_permission_agent.store.postgres_connection import Unstorable
from ocn_permission_agent.store.sql import Sql

#: how long a lane is held, and how often that is renewed while work goes on (delivery.md "Store")
LEASE = timedelta(seconds=120)
RENEWED_EVERY = timedelta(seconds=40)

I = TypeVar("I")  # noqa: E741  an item
O = TypeVar("O")  # noqa: E741  its outcome


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
        sql = Sql.of("outbox", "postgres")
        holding = Holding(holder=holder, lease=lease, shared=settings)
        self._of_postgres = _Recording(database, settings, holding, guard)
        super().__init__(
            database,
            sql=sql,
            recording=self._of_postgres,
            holding=holding,
            settings=settings,
            ledger=ledger,
            metrics=metrics,
            means=AllAtOnce(Sql.of("outbox", "postgres", "groups")),
        )
        self._group_sql = Sql.of("outbox", "postgres", "recording")
        self._settled: Grouped[Settlement, Settled | LeaseLost] = _grouped(database, self._settle_all, GROUP_LIMIT)
        self._started: Grouped[tuple[Delivery, int], bool] = _grouped(database, self._start_all, GROUP_LIMIT)

    async def record_and_begin(
        self, plan: CopyPlan, *, begin: Collection[Address], told: Callable[[tuple[Delivery, ...]], None]
    ) -> int:
        """See `express.BeginningStore`. Left out is also what has no room over all agents, or competes for it."""
        return self._counted(plan, await self._of_postgres.record_and_begin(plan, begin, told))

    async def _write_about(self, settlement: Settlement) -> Settled | LeaseLost:
        return await self._settled.submit(settlement)

    async def start(self, delivery: Delivery, *, at: datetime) -> Delivery:
        """See `OutboxStore.start`. All that start at the same time are one statement."""
        started = delivery.begun(at)
        if not await self._started.submit((started, to_us(at))):
            raise lost_to_another(delivery)
        return started

    async def _settle_all(self, group: Sequence[Settlement]) -> Sequence[Settled | LeaseLost]:
        return await self._database.write(lambda connection: self._all_of(connection, group))

    def _all_of(self, connection: Connection, group: Sequence[Settlement]) -> list[Settled | LeaseLost]:
        """Lanes are locked in the order of their keys, then envelopes in that of their ids: see the schema."""
        self._lock_lanes(connection, [each.delivery for each in group])
        ended = sorted({each.delivery.place.envelope_id for each in group if each.decision.due_at is None})
        if ended:
            connection.execute(self._group_sql["lock_shared_envelopes"], (ended,))
        return self._settlements.settle(connection, group)

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
        self,
        database: PostgresDatabase,
        settings: DeliverySettings,
        holding: Holding,
        guard: Callable[[Connection], None],
    ) -> None:
        self._database = database
        self._guard = guard
        self._planning = Planning(settings)
        self._recording = GroupRecording(Sql.of("outbox", "postgres", "recording"), self._planning, holding, settings)
        self._grouped: Grouped[ToPutDown, PutDown] = _grouped(database, self._write, GROUP_LIMIT)

    async def record_and_begin(
        self, plan: CopyPlan, begin: Collection[Address], told: Callable[[tuple[Delivery, ...]], None]
    ) -> Verdicts:
        def tell(put: PutDown | None) -> None:
            told(() if put is None else put.begun)

        return (await self._grouped.submit(ToPutDown(self._planning.prepared(plan), begin), told=tell)).verdicts

    async def record_spooled(self, plans: Sequence[CopyPlan], mark: Mark) -> Sequence[Verdicts | None]:
        group = [ToPutDown(self._planning.prepared(plan)) for plan in plans]

        def work(connection: Connection) -> Sequence[Verdicts | None]:
            self._recording.keep_mark(connection, mark)
            together = connection.at_its_own_risk(lambda: self._recording.put_down(connection, group, again=True))
            if together is None:
                return self._one_by_one(connection, group)
            return [put.verdicts for put in together]

        return await self._database.write(work)

    def forget(self) -> None:
        """Nothing is remembered."""

    async def _write(self, group: Sequence[ToPutDown]) -> Sequence[PutDown]:
        def work(connection: Connection) -> Sequence[PutDown]:
            self._guard(connection)
            return self._recording.put_down(connection, group)

        return await self._database.write(work)

    def _one_by_one(self, connection: Connection, group: Sequence[ToPutDown]) -> list[Verdicts | None]:
        """Each at its own risk: some of them cannot be stored."""
        each_alone = (
            connection.at_its_own_risk(partial(self._recording.put_down, connection, [item], again=True))
            for item in group
        )
        return [None if alone is None else alone[0].verdicts for alone in each_alone]


def _grouped(
    database: PostgresDatabase, write: Callable[[Sequence[I]], Awaitable[Sequence[O]]], limit: int
) -> Grouped[I, O]:
    return Grouped(write, see_through=database.see_through, may_be_ones_fault=_may_be_ones_fault, limit=limit)


def _may_be_ones_fault(error: Exception) -> bool:
    return isinstance(error, Unstorable) or not isinstance(error, StoreUnavailable)
