"""The outbox in SQLite: one public method is one transaction, and many callers share a commit (store/writer.py)."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from ocn_permission_agent.consent.address import Address, AgreementId
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.outbox.after_attempt import Decision
from ocn_permission_agent.outbox.breaker import Breaker
from ocn_permission_agent.outbox.model import Attempt, CopyPlan, Delivery, DeliveryState
from ocn_permission_agent.outbox.policy import payload_until
from ocn_permission_agent.outbox.repetition import Repetition
from ocn_permission_agent.outbox.rows import (
    breaker_columns,
    from_us,
    read_breaker,
    read_delivery,
    scope_of,
    scope_text,
    to_us,
)
from ocn_permission_agent.outbox.settings import DeliverySettings
from ocn_permission_agent.outbox.spool import Mark
from ocn_permission_agent.outbox.sqlite_recording import Recording
from ocn_permission_agent.outbox.store import Counts, Interrupted, ProviderBacklog, Scope, Settled
from ocn_permission_agent.store.database import Database, at_its_own_risk
from ocn_permission_agent.store.statements import load_statements

#: rows of one transaction of `withdraw` and `purge`, so that they never hold up those who record
_SLICE = 500
#: later than anything that is due
_END_OF_TIME_US = 2**62


class SqliteOutbox:
    """See `outbox.store.OutboxStore`.

    Args:
        database: open and migrated.
        settings: windows, and how long payloads are kept.
        metrics: counts what is recorded.
    """

    def __init__(self, database: Database, *, settings: DeliverySettings, metrics: Metrics) -> None:
        self._database = database
        self._settings = settings
        self._metrics = metrics
        self._sql = load_statements("ocn_permission_agent.outbox", "sql/sqlite.sql")

    async def record(self, plan: CopyPlan) -> int:
        """See `OutboxStore.record`."""
        return self._counted(plan, await self._database.write(lambda connection: self._put_down(connection, plan)))

    async def record_spooled(self, plans: Sequence[CopyPlan], mark: Mark) -> tuple[CopyPlan, ...]:
        """See `recorder.Outbox`."""

        def work(connection: sqlite3.Connection) -> list[tuple[Repetition, ...] | None]:
            self._do(connection, "keep_spool_mark", mark=str(mark))
            return [at_its_own_risk(connection, partial(self._put_down, connection, plan)) for plan in plans]

        outcomes = list(zip(plans, await self._database.write(work), strict=True))
        for plan, verdicts in outcomes:
            if verdicts is not None:
                self._counted(plan, verdicts)
        return tuple(plan for plan, verdicts in outcomes if verdicts is None)

    async def park_pending(self, *, reason: str, now: datetime) -> int:
        """See `restore.Restored`. In slices, as `withdraw`."""
        decision = Decision(state=DeliveryState.PARKED, decided_at=now, reason=reason)

        def work(connection: sqlite3.Connection) -> int:
            for row in self._rows(connection, "in_flight"):
                self._do(connection, "unmark_in_flight", lane_id=row["lane_id"])
            rows = self._rows(connection, "pending_of_all", most=_SLICE)
            for row in rows:
                self._decide(connection, row["id"], row["envelope_id"], decision)
            for lane_id in {row["lane_id"] for row in rows}:
                self._free_lane(connection, lane_id, decision)
            return len(rows)

        return await self._in_slices(work)

    async def claim(self, *, now: datetime, room: Mapping[Address, int], default_room: int) -> tuple[Delivery, ...]:
        """See `OutboxStore.claim`."""
        now_us = to_us(now)

        def work(connection: sqlite3.Connection) -> tuple[Delivery, ...]:
            claimed: list[int] = []
            for provider in self._rows(connection, "providers_with_due", now=now_us):
                allowed = room.get(Address(provider["address"]), default_room)
                lanes = self._rows(
                    connection,
                    "lanes_due",
                    provider_id=provider["id"],
                    due_by=_END_OF_TIME_US if provider["paused"] else now_us,
                    now=now_us,
                    room=max(0, min(allowed, 1) if provider["paused"] else allowed),
                )
                for lane in lanes:
                    self._do(connection, "mark_in_flight", lane_id=lane["id"])
                    claimed.append(lane["head_id"])
            return tuple(self._get(connection, delivery_id, now_us) for delivery_id in sorted(claimed))

        return await self._database.write(work)

    async def start(self, delivery: Delivery, *, at: datetime) -> Delivery:
        """See `OutboxStore.start`."""
        started = replace(delivery, attempts=delivery.attempts + 1)

        def work(connection: sqlite3.Connection) -> None:
            self._do(connection, "count_attempt", delivery_id=delivery.id)
            self._do(
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
        breaker_step: Callable[[Breaker], Breaker] = lambda breaker: breaker,
    ) -> Settled:
        """See `OutboxStore.settle`."""

        def work(connection: sqlite3.Connection) -> Settled:
            place = self._rows(connection, "place_of", id=delivery.id)[0]
            if attempt is not None:
                self._end_attempt(connection, delivery, attempt)
            self._decide(connection, delivery.id, place["envelope_id"], decision)
            self._free_lane(connection, place["lane_id"], decision)
            before = read_breaker(self._rows(connection, "get_breaker", provider_id=place["provider_id"])[0])
            after = breaker_step(before)
            if after != before:
                self._set_breaker(connection, place, before, after, decision.decided_at)
            return Settled(before=before, after=after)

        return await self._database.write(work)

    async def recover(self, now: datetime) -> tuple[Interrupted, ...]:
        """See `OutboxStore.recover`."""

        def work(connection: sqlite3.Connection) -> tuple[Interrupted, ...]:
            interrupted: list[Interrupted] = []
            for row in self._rows(connection, "in_flight"):
                if row["started_at_us"] is None:
                    self._do(connection, "unmark_in_flight", lane_id=row["lane_id"])
                    continue
                interrupted.append(
                    Interrupted(
                        delivery=self._get(connection, row["head_id"], to_us(now)),
                        started_at=from_us(row["started_at_us"]),
                    )
                )
            return tuple(interrupted)

        return await self._database.write(work)

    async def next_due(self, now: datetime) -> datetime | None:
        """See `OutboxStore.next_due`."""
        rows = await self._database.read(lambda connection: self._rows(connection, "next_due", now=to_us(now)))
        return None if rows[0]["at_us"] is None else from_us(rows[0]["at_us"])

    async def scopes_owed(self) -> tuple[Scope, ...]:
        """See `OutboxStore.scopes_owed`."""
        rows = await self._database.read(lambda connection: self._rows(connection, "scopes_owed"))
        return tuple(_read_scope(row) for row in rows)

    async def withdraw(self, scope: Scope, *, reason: str, now: datetime) -> int:
        """See `OutboxStore.withdraw`. Much is done in slices, so it is more than one transaction."""
        decision = Decision(state=DeliveryState.WITHDRAWN, decided_at=now, reason=reason)

        def work(connection: sqlite3.Connection) -> int:
            rows = self._rows(
                connection,
                "pending_of_scope",
                agreement=str(scope.agreement),
                scope=scope_text(scope.module, scope.interface_role),
                most=_SLICE,
            )
            for row in rows:
                self._decide(connection, row["id"], row["envelope_id"], decision)
            for lane_id in {row["lane_id"] for row in rows if not row["in_flight"]}:
                self._free_lane(connection, lane_id, decision)
            return len(rows)

        return await self._in_slices(work)

    async def purge(self, now: datetime) -> int:
        """See `OutboxStore.purge`. In slices, as `withdraw`."""

        def work(connection: sqlite3.Connection) -> int:
            rows = self._rows(connection, "payloads_to_let_go", now=to_us(now), most=_SLICE)
            for row in rows:
                self._do(connection, "let_go_of_payload", id=row["id"])
                self._do(connection, "erase_payload", envelope_id=row["envelope_id"])
            return len(rows)

        return await self._in_slices(work)

    async def counts(self) -> Counts:
        """See `OutboxStore.counts`."""

        def work(connection: sqlite3.Connection) -> Counts:
            states = {DeliveryState(row["state"]): row["n"] for row in self._rows(connection, "count_states")}
            waiting = self._rows(connection, "count_waiting")[0]
            return Counts(by_state=states, held=waiting["held"], paused=waiting["paused"])

        return await self._database.read(work)

    async def backlog(self) -> tuple[ProviderBacklog, ...]:
        """See `OutboxStore.backlog`."""
        rows = await self._database.read(lambda connection: self._rows(connection, "backlog"))
        return tuple(
            ProviderBacklog(
                provider=Party.parse(row["party"]),
                pending=row["pending"],
                oldest=None if row["oldest_us"] is None else from_us(row["oldest_us"]),
                breaker=read_breaker(row),
            )
            for row in rows
        )

    async def wanting_signatures(self) -> frozenset[Address]:
        """See `signing.SigningMemory`."""
        rows = await self._database.read(lambda connection: self._rows(connection, "wanting_signatures"))
        return frozenset(Address(row["address"]) for row in rows)

    async def remember_wanting_signatures(self, provider: Address) -> None:
        """See `signing.SigningMemory`."""
        await self._database.write(
            lambda connection: self._do(connection, "remember_wanting_signatures", address=provider)
        )

    def _put_down(self, connection: sqlite3.Connection, plan: CopyPlan) -> tuple[Repetition, ...]:
        return Recording(connection, sql=self._sql, settings=self._settings, plan=plan).put_down()

    def _counted(self, plan: CopyPlan, verdicts: tuple[Repetition, ...]) -> int:
        """Count what became of a plan; how many of its deliveries were stored."""
        module = plan.envelope.request.module.value
        for planned, verdict in zip(plan.deliveries, verdicts, strict=True):
            self._metrics.copies.labels(str(planned.provider), module, verdict.value).inc()
        return sum(verdict is not Repetition.DUPLICATE for verdict in verdicts)

    async def _in_slices(self, work: Callable[[sqlite3.Connection], int]) -> int:
        total = 0
        while done := await self._database.write(work):
            total += done
        return total

    def _get(self, connection: sqlite3.Connection, delivery_id: int, now_us: int) -> Delivery:
        return read_delivery(self._rows(connection, "get_delivery", id=delivery_id, now=now_us)[0])

    def _end_attempt(self, connection: sqlite3.Connection, delivery: Delivery, attempt: Attempt) -> None:
        self._do(
            connection,
            "end_attempt",
            delivery_id=delivery.id,
            number=delivery.attempts,
            ended_at_us=to_us(attempt.ended_at),
            verdict=attempt.verdict.value,
            http_status=attempt.http_status,
            ocpi_status=attempt.ocpi_status,
            detail=attempt.detail,
        )

    def _decide(self, connection: sqlite3.Connection, delivery_id: int, envelope_id: int, decision: Decision) -> None:
        """Write the state; a final one may free the payload."""
        if decision.due_at is not None:
            self._do(
                connection,
                "keep_pending",
                id=delivery_id,
                reason=decision.reason,
                next_attempt_at_us=to_us(decision.due_at),
            )
            return
        keep_until = payload_until(decision.state, ended_at=decision.decided_at, settings=self._settings)
        self._do(
            connection,
            "end_delivery",
            id=delivery_id,
            state=decision.state.value,
            reason=decision.reason,
            ended_at_us=to_us(decision.decided_at),
            payload_until_us=0 if keep_until is None else to_us(keep_until),
        )
        self._do(connection, "erase_payload", envelope_id=envelope_id)

    def _free_lane(self, connection: sqlite3.Connection, lane_id: int, decision: Decision) -> None:
        """Offer the oldest that is pending, which may be the same as before."""
        head = next(iter(self._rows(connection, "next_in_lane", lane_id=lane_id)), None)
        self._do(
            connection,
            "free_lane",
            lane_id=lane_id,
            head_id=None if head is None else head["id"],
            due_at_us=None if head is None else head["next_attempt_at_us"],
            wait=None if decision.wait is None else decision.wait.value,
            resting_until_us=0 if decision.resting_until is None else to_us(decision.resting_until),
            now=to_us(decision.decided_at),
        )

    def _set_breaker(
        self, connection: sqlite3.Connection, place: sqlite3.Row, before: Breaker, after: Breaker, now: datetime
    ) -> None:
        returned = before.paused_since is not None and not after.paused
        paused_us = to_us(now) - to_us(before.paused_since) if returned and before.paused_since is not None else 0
        self._do(
            connection,
            "set_breaker",
            provider_id=place["provider_id"],
            stood_still_us=max(0, paused_us),
            **breaker_columns(after),
        )
        if returned:
            self._do(connection, "hurry", provider_id=place["provider_id"], lane_id=place["lane_id"], now=to_us(now))

    def _rows(self, connection: sqlite3.Connection, name: str, **values: object) -> list[sqlite3.Row]:
        return connection.execute(self._sql[name], values).fetchall()

    def _do(self, connection: sqlite3.Connection, name: str, **values: object) -> None:
        connection.execute(self._sql[name], values)


def _read_scope(row: sqlite3.Row) -> Scope:
    module, role = scope_of(row["scope"])
    return Scope(
        customer_address=Address(row["customer_address"]),
        provider_address=Address(row["provider_address"]),
        agreement=AgreementId.parse(row["agreement"]),
        module=module,
        interface_role=role,
    )
