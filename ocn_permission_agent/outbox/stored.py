"""The outbox in a store: what is the same for SQLite and PostgreSQL, which is all but recording and starting.

One public method is one transaction. Only the SQL differs (``sql/sqlite.sql``, ``sql/postgres.sql``). On PostgreSQL
other agents work at the same time, so what is decided here is decided by rows that were locked first.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Protocol, TypeVar

from ocn_permission_agent.consent.address import Address
from ocn_permission_agent.errors import LeaseLost
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.outbox.after_attempt import Decision
from ocn_permission_agent.outbox.breaker import Breaker
from ocn_permission_agent.outbox.claiming import Claiming, Holding
from ocn_permission_agent.outbox.grouping import Verdicts
from ocn_permission_agent.outbox.model import Attempt, CopyPlan, Delivery, DeliveryState
from ocn_permission_agent.outbox.module_pause import ModulePause
from ocn_permission_agent.outbox.repetition import Repetition
from ocn_permission_agent.outbox.rows import (
    from_us_or_none,
    read_breaker,
    read_module_pause,
    read_scope,
    to_us,
)
from ocn_permission_agent.outbox.settings import DeliverySettings
from ocn_permission_agent.outbox.settlement import Means, Settlement, Settlements
from ocn_permission_agent.outbox.settling import Ledger, Settling
from ocn_permission_agent.outbox.spool import Mark
from ocn_permission_agent.outbox.store import (
    Counts,
    Interrupted,
    PausedModule,
    ProviderBacklog,
    Scope,
    Settled,
    ignored,
    unchanged,
)
from ocn_permission_agent.outbox.tidying import Tidying
from ocn_permission_agent.store.database import Connection, Database
from ocn_permission_agent.store.sql import Sql

T = TypeVar("T")


class Recording(Protocol):
    """How an engine records. Any of the coroutines may raise `StoreUnavailable`."""

    async def record_spooled(self, plans: Sequence[CopyPlan], mark: Mark) -> Sequence[Verdicts | None]:
        """Store plans and the mark in one transaction; None for each that no store would take."""
        ...

    def forget(self) -> None:
        """A provider, a module or the scopes stand otherwise than before; told inside the transaction."""
        ...


class StoredOutbox(ABC):
    """See `outbox.store.OutboxStore`.

    Args:
        database: open and migrated.
        sql: the named statements for its engine.
        recording: how it records.
        holding: under which name, and how long, lanes are held.
        settings: windows, and how long payloads and rows are kept.
        ledger: gets every outcome, in the transaction that makes it.
        metrics: counts what is recorded, superseded and expired.
        means: how its engine settles.
    """

    #: how often `keep_leases` is to be called
    lease_check: timedelta | None = None

    def __init__(
        self,
        database: Database,
        *,
        sql: Sql,
        recording: Recording,
        holding: Holding,
        settings: DeliverySettings,
        ledger: Ledger,
        metrics: Metrics,
        means: Means,
    ) -> None:
        self._database = database
        #: looked up once for each of the few that there are: it takes longer than counting
        self._copies = cache(metrics.copies.labels)
        self._sql = sql
        self._recording = recording
        self._holding = holding
        self._settling = Settling(sql, settings, ledger)
        self._settlements = Settlements(sql, self._settling, means, recording.forget)
        self._claiming = Claiming(sql, self._settling, holding)
        self._tidying = Tidying(sql, self._settling, database.dialect)

    # --- recording ------------------------------------------------------------------------------------------------

    async def record(self, plan: CopyPlan) -> int:
        """See `OutboxStore.record`."""
        return await self.record_and_begin(plan, begin=(), told=ignored)

    @abstractmethod
    async def record_and_begin(
        self, plan: CopyPlan, *, begin: Collection[Address], told: Callable[[tuple[Delivery, ...]], None]
    ) -> int:
        """See `express.BeginningStore`."""

    async def record_spooled(self, plans: Sequence[CopyPlan], mark: Mark) -> tuple[CopyPlan, ...]:
        """See `recorder.Outbox`."""
        outcomes = list(zip(plans, await self._recording.record_spooled(plans, mark), strict=True))
        for plan, verdicts in outcomes:
            if verdicts is not None:
                self._counted(plan, verdicts)
        return tuple(plan for plan, verdicts in outcomes if verdicts is None)

    # --- delivering -----------------------------------------------------------------------------------------------

    async def claim(
        self,
        *,
        now: datetime,
        room: Mapping[Address, int],
        default_room: int,
        told_limited: Callable[[frozenset[Address]], None] = ignored,
    ) -> tuple[Delivery, ...]:
        """See `OutboxStore.claim`."""
        claimed = await self._database.write(
            lambda connection: self._claiming.claim(connection, now=now, room=room, default_room=default_room)
        )
        self._count(claimed.superseded, DeliveryState.SUPERSEDED)
        told_limited(claimed.limited)
        return claimed.deliveries

    @abstractmethod
    async def start(self, delivery: Delivery, *, at: datetime) -> Delivery:
        """See `OutboxStore.start`."""

    async def settle(
        self,
        delivery: Delivery,
        decision: Decision,
        *,
        attempt: Attempt | None = None,
        breaker_step: Callable[[Breaker], Breaker] = unchanged,
        pause_step: Callable[[ModulePause | None], ModulePause | None] = unchanged,
    ) -> Settled:
        """See `OutboxStore.settle`."""
        outcome = await self._write_about(Settlement(delivery, decision, attempt, breaker_step, pause_step))
        if isinstance(outcome, LeaseLost):
            raise outcome
        return outcome

    async def recover(self, now: datetime) -> tuple[Interrupted, ...]:
        """See `OutboxStore.recover`."""
        return await self._database.write(lambda connection: self._claiming.left_behind(connection, now, own=True))

    async def keep_leases(self, under_way: Collection[Delivery], *, now: datetime) -> tuple[Interrupted, ...]:
        """See `OutboxStore.keep_leases`."""

        def work(connection: Connection) -> tuple[Interrupted, ...]:
            self._claiming.renew(connection, under_way)
            return self._claiming.left_behind(connection, now, own=False)

        return await self._database.write(work)

    async def hurry_held(self, now: datetime) -> None:
        """See `OutboxStore.hurry_held`."""
        await self._database.write(lambda connection: self._sql.do(connection, "hurry_held", now=to_us(now)))

    async def next_due(self, now: datetime) -> datetime | None:
        """See `OutboxStore.next_due`."""
        rows = await self._database.read(lambda connection: self._sql.rows(connection, "next_due", now=to_us(now)))
        return from_us_or_none(rows[0]["at_us"])

    # --- upkeep ---------------------------------------------------------------------------------------------------

    async def scopes_needed(self) -> tuple[Scope, ...]:
        """See `OutboxStore.scopes_needed`."""
        rows = await self._database.read(lambda connection: self._sql.rows(connection, "scopes_needed"))
        return tuple(map(read_scope, rows))

    async def withdraw(self, scope: Scope, *, reason: str, now: datetime) -> int:
        """See `OutboxStore.withdraw`. Much is done in slices, so it is more than one transaction."""
        decision = Decision(state=DeliveryState.WITHDRAWN, decided_at=now, reason=reason)
        withdrawn = await self._in_slices(lambda connection: self._tidying.withdraw(connection, scope, decision))
        await self._in_slices(lambda connection: self._tidying.erase(connection, scope))
        return withdrawn

    async def park_pending(self, *, reason: str, now: datetime) -> int:
        """See `OutboxStore.park_pending`. In slices, as `withdraw`."""
        decision = Decision(state=DeliveryState.PARKED, decided_at=now, reason=reason)
        return await self._in_slices(lambda connection: self._tidying.park_all(connection, decision))

    async def expire(self, now: datetime) -> int:
        """See `OutboxStore.expire`. In slices, as `withdraw`."""
        total = 0
        while expired := await self._database.write(lambda connection: self._tidying.expire_fleeting(connection, now)):
            self._count(expired, DeliveryState.EXPIRED)
            total += expired.total()
        return total

    async def purge(self, now: datetime) -> int:
        """See `OutboxStore.purge`. In slices, as `withdraw`."""
        tidying = self._tidying
        let_go = await self._in_slices(lambda connection: tidying.let_payloads_go(connection, now))
        await self._in_slices(lambda connection: tidying.forget_silent_sessions(connection, now))
        forgotten = await self._in_slices(lambda connection: tidying.forget_ended(connection, now))
        await self._in_slices(lambda connection: tidying.forget_not_copied(connection, now))
        await self._database.write(tidying.sum_up)
        if forgotten:
            await self._database.write(self._forget_scopes)
        return let_go

    async def bring_forward(self, *, now: datetime, by: timedelta) -> None:
        """See `OutboxStore.bring_forward`."""

        def work(connection: Connection) -> None:
            self._tidying.bring_forward(connection, now=now, by=by)
            self._recording.forget()

        await self._database.write(work)

    # --- counting -------------------------------------------------------------------------------------------------

    async def counts(self) -> Counts:
        """See `OutboxStore.counts`."""

        def work(connection: Connection) -> Counts:
            states = {DeliveryState(row["state"]): row["n"] for row in self._sql.rows(connection, "count_states")}
            waiting = self._sql.rows(connection, "count_waiting")[0]
            return Counts(by_state=states, held=waiting["held"], paused=waiting["paused"])

        return await self._database.read(work)

    async def backlog(self) -> tuple[ProviderBacklog, ...]:
        """See `OutboxStore.backlog`."""

        def work(connection: Connection) -> tuple[ProviderBacklog, ...]:
            paused: dict[str, list[PausedModule]] = {}
            for row in self._sql.rows(connection, "paused_modules"):
                pause = read_module_pause(row)
                if pause is not None:
                    paused.setdefault(row["party"], []).append(PausedModule(module=row["module"], pause=pause))
            held: dict[str, Counter[str]] = {}
            held_still: Counter[str] = Counter()
            for row in self._sql.rows(connection, "held_by_cause"):
                held.setdefault(row["party"], Counter())[row["cause"]] += row["n"]
                held_still[row["party"]] += row["n"] if row["still"] else 0
            return tuple(
                ProviderBacklog(
                    provider=Party.parse(row["party"]),
                    pending=row["pending"],
                    oldest=from_us_or_none(row["oldest_us"]),
                    breaker=read_breaker(row),
                    paused_modules=tuple(paused.get(row["party"], ())),
                    paused=row["still"] - held_still[row["party"]],
                    held=held.get(row["party"], {}),
                )
                for row in self._sql.rows(connection, "backlog")
            )

        return await self._database.read(work)

    # --- what was learnt ------------------------------------------------------------------------------------------

    async def wanting_signatures(self) -> frozenset[Address]:
        """See `signing.SigningMemory`."""
        rows = await self._database.read(lambda connection: self._sql.rows(connection, "wanting_signatures"))
        return frozenset(Address(row["address"]) for row in rows)

    async def remember_wanting_signatures(self, provider: Address) -> None:
        """See `signing.SigningMemory`."""
        await self._database.write(
            lambda connection: self._sql.do(connection, "remember_wanting_signatures", address=provider)
        )

    # --------------------------------------------------------------------------------------------------------------

    @abstractmethod
    async def _write_about(self, settlement: Settlement) -> Settled | LeaseLost:
        """Write how a delivery stands, which nobody waits for."""

    def _forget_scopes(self, connection: Connection) -> None:
        if self._tidying.forget_scopes(connection):
            self._recording.forget()

    def _counted(self, plan: CopyPlan, verdicts: tuple[Repetition, ...]) -> int:
        """Count what became of a plan; how many of its deliveries were stored."""
        module, stored = plan.envelope.request.route.module._value_, 0
        for planned, verdict in zip(plan.deliveries, verdicts, strict=True):
            self._copies(str(planned.provider), module, verdict._value_).inc()
            if verdict is not Repetition.DUPLICATE:
                stored += 1
        return stored

    def _count(self, ended: Counter[tuple[str, str]], state: DeliveryState) -> None:
        for (provider, module), count in ended.items():
            self._copies(provider, module, state.value).inc(count)

    async def _in_slices(self, work: Callable[[Connection], int]) -> int:
        total = 0
        while done := await self._database.write(work):
            total += done
        return total
