"""The outbox in PostgreSQL: for several agents, each of which may record and deliver.

What is recorded at the same time shares one transaction of a few round trips (`grouped.py`, `postgres_recording.py`).
All else is as on SQLite (`stored.py`), with lanes that are leased.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

from ocn_permission_agent.errors import StoreUnavailable
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.outbox.claiming import Holding
from ocn_permission_agent.outbox.grouped import Grouped
from ocn_permission_agent.outbox.grouping import Verdicts
from ocn_permission_agent.outbox.model import CopyPlan
from ocn_permission_agent.outbox.postgres_recording import GroupRecording
from ocn_permission_agent.outbox.prepared import Planning, Prepared
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


class _Recording:
    """See `stored.Recording`."""

    def __init__(
        self, database: PostgresDatabase, settings: DeliverySettings, guard: Callable[[Connection], None]
    ) -> None:
        self._database = database
        self._guard = guard
        self._planning = Planning(settings)
        self._recording = GroupRecording(Sql.of("outbox", "postgres", "recording"), self._planning)
        self._grouped = Grouped(self._write, see_through=database.see_through, may_be_ones_fault=_may_be_ones_fault)

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


def _may_be_ones_fault(error: Exception) -> bool:
    return isinstance(error, Unstorable) or not isinstance(error, StoreUnavailable)
