"""The outbox in SQLite: one public method is one transaction, and many callers share a commit (store/writer.py)."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from ocn_permission_agent.consent.address import Address
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.outbox.after_attempt import Decision
from ocn_permission_agent.outbox.breaker import Breaker
from ocn_permission_agent.outbox.model import Attempt, CopyPlan, Delivery, DeliveryState
from ocn_permission_agent.outbox.module_pause import ModulePause
from ocn_permission_agent.outbox.repetition import Repetition
from ocn_permission_agent.outbox.rows import (
    from_us,
    from_us_or_none,
    read_breaker,
    read_module_pause,
    read_scope,
    to_us,
)
from ocn_permission_agent.outbox.settings import DeliverySettings
from ocn_permission_agent.outbox.spool import Mark
from ocn_permission_agent.outbox.sqlite_claiming import Claiming
from ocn_permission_agent.outbox.sqlite_recording import Recording
from ocn_permission_agent.outbox.sqlite_settling import Ledger, Settling
from ocn_permission_agent.outbox.sqlite_upkeep import Tidying
from ocn_permission_agent.outbox.store import (
    Counts,
    Interrupted,
    PausedModule,
    ProviderBacklog,
    Scope,
    Settled,
    unchanged,
)
from ocn_permission_agent.store.database import Connection, Database
from ocn_permission_agent.store.sql import Sql


class SqliteOutbox:
    """See `outbox.store.OutboxStore`.

    Args:
        database: open and migrated.
        settings: windows, and how long payloads and rows are kept.
        ledger: gets every outcome, in the transaction that makes it.
        metrics: counts what is recorded, superseded and expired.
    """

    def __init__(self, database: Database, *, settings: DeliverySettings, ledger: Ledger, metrics: Metrics) -> None:
        self._database = database
        self._metrics = metrics
        self._sql = Sql.of("outbox", database.dialect)
        self._recording = Recording(self._sql, settings)
        self._settling = Settling(self._sql, settings, ledger)
        self._claiming = Claiming(self._sql, self._settling)
        self._tidying = Tidying(self._sql, self._settling)
        database.on_undone(self._recording.undo)
        database.before_commit(self._recording.tally)

    # --- recording ------------------------------------------------------------------------------------------------

    async def record(self, plan: CopyPlan) -> int:
        """See `OutboxStore.record`."""
        prepared = self._recording.prepared(plan)
        verdicts = await self._database.write(lambda connection: self._recording.put_down(connection, prepared))
        return self._counted(plan, verdicts)

    async def record_spooled(self, plans: Sequence[CopyPlan], mark: Mark) -> tuple[CopyPlan, ...]:
        """See `recorder.Outbox`."""

        def work(connection: Connection) -> list[tuple[Repetition, ...] | None]:
            self._sql.do(connection, "keep_spool_mark", mark=str(mark))
            verdicts = []
            for plan in plans:
                each = connection.at_its_own_risk(partial(self._put_down, connection, plan))
                if each is None:
                    self._recording.undo()
                else:
                    self._recording.tally(connection)
                verdicts.append(each)
            return verdicts

        outcomes = list(zip(plans, await self._database.write(work), strict=True))
        for plan, verdicts in outcomes:
            if verdicts is not None:
                self._counted(plan, verdicts)
        return tuple(plan for plan, verdicts in outcomes if verdicts is None)

    # --- delivering -----------------------------------------------------------------------------------------------

    async def claim(self, *, now: datetime, room: Mapping[Address, int], default_room: int) -> tuple[Delivery, ...]:
        """See `OutboxStore.claim`."""
        claimed = await self._database.write(
            lambda connection: self._claiming.claim(connection, now=now, room=room, default_room=default_room)
        )
        self._count(claimed.superseded, DeliveryState.SUPERSEDED)
        return claimed.deliveries

    async def start(self, delivery: Delivery, *, at: datetime) -> Delivery:
        """See `OutboxStore.start`."""
        started = replace(delivery, attempts=delivery.attempts + 1)

        def work(connection: Connection) -> None:
            self._sql.do(connection, "count_attempt", delivery_id=delivery.id)
            self._sql.do(
                connection,
                "begin_attempt",
                delivery_id=delivery.id,
                number=started.attempts,
                started_at_us=to_us(at),
            )

        await self._database.write(work)
        return started

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

        def work(connection: Connection) -> Settled:
            place = self._sql.rows(connection, "place_of", id=delivery.id)[0]
            if attempt is not None:
                self._settling.end_attempt(connection, delivery, attempt)
            self._settling.decide(connection, delivery.id, decision, attempt=attempt)
            self._settling.free_lane(connection, place["lane_id"], decision)
            before = read_breaker(self._sql.rows(connection, "get_breaker", provider_id=place["provider_id"])[0])
            after, paused = breaker_step(before), read_module_pause(place)
            pause = pause_step(paused)
            if after != before or pause != paused:
                self._settling.stand(
                    connection, place, breaker=(before, after), pause=(paused, pause), now=decision.decided_at
                )
                self._recording.forget()
            return Settled(before=before, after=after, pause_before=paused, pause_after=pause)

        return await self._database.write(work)

    async def recover(self, now: datetime) -> tuple[Interrupted, ...]:
        """See `OutboxStore.recover`."""

        def work(connection: Connection) -> tuple[Interrupted, ...]:
            interrupted: list[Interrupted] = []
            for row in self._sql.rows(connection, "in_flight"):
                if row["started_at_us"] is None:
                    self._sql.do(connection, "unmark_in_flight", lane_id=row["lane_id"])
                    continue
                delivery = self._claiming.get(connection, row["head_id"], to_us(now))
                interrupted.append(Interrupted(delivery=delivery, started_at=from_us(row["started_at_us"])))
            return tuple(interrupted)

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

    def _put_down(self, connection: Connection, plan: CopyPlan) -> tuple[Repetition, ...]:
        return self._recording.put_down(connection, self._recording.prepared(plan))

    def _forget_scopes(self, connection: Connection) -> None:
        if self._tidying.forget_scopes(connection):
            self._recording.forget()

    def _counted(self, plan: CopyPlan, verdicts: tuple[Repetition, ...]) -> int:
        """Count what became of a plan; how many of its deliveries were stored."""
        module = plan.envelope.request.module.value
        for planned, verdict in zip(plan.deliveries, verdicts, strict=True):
            self._metrics.copies.labels(str(planned.provider), module, verdict.value).inc()
        return sum(verdict is not Repetition.DUPLICATE for verdict in verdicts)

    def _count(self, ended: Counter[tuple[str, str]], state: DeliveryState) -> None:
        for (provider, module), count in ended.items():
            self._metrics.copies.labels(provider, module, state.value).inc(count)

    async def _in_slices(self, work: Callable[[Connection], int]) -> int:
        total = 0
        while done := await self._database.write(work):
            total += done
        return total
