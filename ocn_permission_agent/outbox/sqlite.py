"""The outbox in SQLite: many callers share a commit (store/writer.py), and there is one agent."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from ocn_permission_agent.consent.address import Address
from ocn_permission_agent.errors import LeaseLost
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.outbox.claiming import Holding
from ocn_permission_agent.outbox.grouping import Verdicts
from ocn_permission_agent.outbox.model import CopyPlan, Delivery
from ocn_permission_agent.outbox.prepared import Planning
from ocn_permission_agent.outbox.put_down import PutDown, ToPutDown
from ocn_permission_agent.outbox.rows import to_us
from ocn_permission_agent.outbox.settings import DeliverySettings
from ocn_permission_agent.outbox.settlement import Settlement
from ocn_permission_agent.outbox.settling import Ledger
from ocn_permission_agent.outbox.spool import Mark
from ocn_permission_agent.outbox.sqlite_recording import Recording
from ocn_permission_agent.outbox.sqlite_settling import AllAtOnce
from ocn_permission_agent.outbox.store import Settled
from ocn_permission_agent.outbox.stored import StoredOutbox
from ocn_permission_agent.store.database import Connection
from ocn_permission_agent.store.sql import Sql
from ocn_permission_agent.store.sqlite import SqliteDatabase
from ocn_permission_agent.store.statements import load_statements


class SqliteOutbox(StoredOutbox):
    """See `outbox.store.OutboxStore`.

    Args:
        database: open and migrated.
        settings: windows, and how long payloads and rows are kept.
        ledger: gets every outcome, in the transaction that makes it.
        metrics: counts what is recorded, superseded and expired.
    """

    def __init__(
        self, database: SqliteDatabase, *, settings: DeliverySettings, ledger: Ledger, metrics: Metrics
    ) -> None:
        #: the same as `_database`, by its own type
        self._file = database
        self._of_sqlite = _Recording(database, settings)
        sql = Sql.of("outbox", "sqlite")
        super().__init__(
            database,
            sql=sql,
            recording=self._of_sqlite,
            holding=Holding(holder=""),
            settings=settings,
            ledger=ledger,
            metrics=metrics,
            means=AllAtOnce(Sql.of("outbox", "sqlite", "groups")),
        )
        self._starting = Sql.of("outbox", "sqlite", "recording")
        self._starts, self._settles = self._start_all, self._settlements.settle
        database.make_at_hand(tuple(load_statements("ocn_permission_agent.outbox", "sqlite", "steps").values()))

    async def start(self, delivery: Delivery, *, at: datetime) -> Delivery:
        """See `OutboxStore.start`."""
        started = delivery.begun(at)
        await self._file.write_together(self._starts, (delivery.id, started.attempts, to_us(at)))
        return started

    async def record_and_begin(
        self, plan: CopyPlan, *, begin: Collection[Address], told: Callable[[tuple[Delivery, ...]], None]
    ) -> int:
        """See `express.BeginningStore`."""
        return self._counted(plan, await self._of_sqlite.record_and_begin(plan, begin, told))

    async def _write_about(self, settlement: Settlement) -> Settled | LeaseLost:
        return await self._file.write_together(self._settles, settlement, patient=True)

    def _start_all(self, connection: Connection, group: Sequence[tuple[int, int, int]]) -> list[None]:
        """Of each: the delivery, the number of the attempt, and when it starts."""
        connection.executemany(self._starting["count_attempts"], [(delivery_id,) for delivery_id, _, _ in group])
        connection.executemany(self._starting["begin_attempts"], group)
        return [None] * len(group)


class _Recording:
    """See `stored.Recording`."""

    def __init__(self, database: SqliteDatabase, settings: DeliverySettings) -> None:
        self._database = database
        self._planning = Planning(settings)
        self._recording = Recording(Sql.of("outbox", "sqlite", "recording"), self._planning)
        self._put_down = self._recording.put_down
        database.on_undone(self._recording.undo)

    async def record_and_begin(
        self, plan: CopyPlan, begin: Collection[Address], told: Callable[[tuple[Delivery, ...]], None]
    ) -> Verdicts:
        def tell(put: PutDown | None) -> None:
            told(() if put is None else put.begun)

        item = ToPutDown(self._planning.prepared(plan), begin)
        return (await self._database.write_together(self._put_down, item, told=tell)).verdicts

    async def record_spooled(self, plans: Sequence[CopyPlan], mark: Mark) -> Sequence[Verdicts | None]:
        group = [ToPutDown(self._planning.prepared(plan)) for plan in plans]

        def work(connection: Connection) -> list[Verdicts | None]:
            self._recording.keep_mark(connection, mark)
            return [self._at_its_own_risk(connection, each) for each in group]

        return await self._database.write(work)

    def forget(self) -> None:
        self._recording.forget()

    def _at_its_own_risk(self, connection: Connection, item: ToPutDown) -> Verdicts | None:
        put = connection.at_its_own_risk(lambda: self._put_down(connection, [item]))
        if put is None:
            self._recording.undo()
            return None
        return put[0].verdicts
