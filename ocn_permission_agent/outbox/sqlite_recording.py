"""Recording plans in SQLite: lanes, repetitions, envelope and deliveries, inside one transaction.

This is what every copied request waits for, so it asks the engine as little as it can: providers, channels and scopes,
which are few, are remembered, and ids are given out here.
"""

import hashlib
import sqlite3
from dataclasses import dataclass

from ocn_permission_agent.consent.address import Address, AgreementId
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.route import InterfaceRole, Module
from ocn_permission_agent.outbox.model import CopyPlan, DeliveryState, Envelope, PlannedDelivery
from ocn_permission_agent.outbox.policy import DeliveryClass, class_of, forget_at, payload_until, window_of
from ocn_permission_agent.outbox.repetition import Earlier, Repetition, content_digest, judge_repetition
from ocn_permission_agent.outbox.rows import envelope_columns, from_us, span_us, to_us
from ocn_permission_agent.outbox.settings import DeliverySettings
from ocn_permission_agent.store.sql import Sql

_CONFLICT = "another CDR with this id and a different content was recorded before: a person must decide"

_ScopeKey = tuple[Address, Address, Party, AgreementId, Module, InterfaceRole]


@dataclass(frozen=True, slots=True)
class _Scope:
    """What is remembered of a scope: its row, its channel's row, and how that channel stands still."""

    scope_id: int
    channel_id: int
    still_since_us: int | None
    stood_still_us: int

    def stood_still_by(self, now_us: int) -> int:
        """A wait that goes on will be added as a whole; a new delivery shares only what is still to come of it."""
        return self.stood_still_us + _going_on(self.still_since_us, now_us)


@dataclass(frozen=True, slots=True)
class _Due:
    """A planned delivery that turned out to be one, and where it goes."""

    planned: PlannedDelivery
    scope: _Scope
    lane: sqlite3.Row | None
    key: bytes
    conflict: bool


class Recording:
    """Puts plans down; belongs to the writer's thread.

    Args:
        sql: the named statements of ``sql/sqlite.sql``.
        settings: windows and how long parked payloads are kept.
    """

    def __init__(self, sql: Sql, settings: DeliverySettings) -> None:
        self._sql = sql
        self._settings = settings
        self._scopes: dict[_ScopeKey, _Scope] = {}
        self._newest_id: int | None = None

    def forget(self) -> None:
        """What was remembered may be wrong: something was rolled back, or a channel stands otherwise than before."""
        self._scopes.clear()
        self._newest_id = None

    def put_down(self, connection: sqlite3.Connection, plan: CopyPlan) -> tuple[Repetition, ...]:
        """Record a plan; tells what each of its deliveries turned out to be."""
        envelope = plan.envelope
        digest = content_digest(envelope.request)
        recorded_at_us = to_us(envelope.recorded_at)
        verdicts: list[Repetition] = []
        due: list[_Due] = []
        for planned in plan.deliveries:
            scope = self._scope_of(connection, planned, envelope, recorded_at_us)
            key = lane_digest(planned.lane.key)
            lane = connection.execute(self._sql["find_lane"], (key,)).fetchone()
            verdict = Repetition.NEW
            if lane is not None:
                verdict = self._judge(connection, lane, envelope, digest, recorded_at_us)
            verdicts.append(verdict)
            if verdict is not Repetition.DUPLICATE:
                due.append(_Due(planned, scope, lane, key, verdict is Repetition.CONFLICT))
        if due:
            self._add(connection, envelope, due, digest, recorded_at_us)
        return tuple(verdicts)

    def _judge(
        self, connection: sqlite3.Connection, lane: sqlite3.Row, envelope: Envelope, digest: bytes, recorded_at_us: int
    ) -> Repetition:
        """Tell what a copy is to those before it in its lane; a repetition is noted here."""
        request = envelope.request
        row = connection.execute(self._sql["find_alike"], (lane["id"], digest)).fetchone()
        alike = None if row is None else Earlier(delivery_id=row["id"], recorded_at=from_us(row["recorded_at_us"]))
        verdict = judge_repetition(
            request,
            alike=alike,
            newest=lane["newest_id"],
            any_earlier=alike is None
            and class_of(request) is DeliveryClass.CDR
            and connection.execute(self._sql["find_any"], (lane["id"],)).fetchone() is not None,
            now=envelope.recorded_at,
        )
        if verdict is Repetition.DUPLICATE and alike is not None:
            self._sql.do(
                connection,
                "add_duplicate",
                delivery_id=alike.delivery_id,
                noted_at_us=recorded_at_us,
                correlation_id=request.correlation_id,
                receiver=str(request.receiver),
            )
        return verdict

    def _add(
        self, connection: sqlite3.Connection, envelope: Envelope, due: list[_Due], digest: bytes, recorded_at_us: int
    ) -> None:
        first_id = self._next_id(connection)
        columns = envelope_columns(envelope)
        connection.execute(self._sql["add_envelope"], (first_id, len(due), len(due), recorded_at_us, *columns))
        window_us = span_us(window_of(envelope.request, self._settings.windows))
        fleeting = class_of(envelope.request) is DeliveryClass.EPHEMERAL
        for delivery_id, each in enumerate(due, start=first_id):
            lane_id, stood_still_us = self._join_lane(connection, each, delivery_id, recorded_at_us)
            state, ended_at_us, reason, payload_us, forget_us = DeliveryState.PENDING, None, None, None, None
            if each.conflict:
                state, ended_at_us, reason = DeliveryState.PARKED, recorded_at_us, _CONFLICT
                payload_us, forget_us = self._conflict_kept_until(envelope)
            values = (
                delivery_id,
                first_id,
                lane_id,
                each.scope.scope_id,
                state.value,
                fleeting,
                recorded_at_us,
                recorded_at_us,
                recorded_at_us + window_us - (0 if fleeting else stood_still_us),
                ended_at_us,
                reason,
                digest,
                payload_us,
                forget_us,
            )
            connection.execute(self._sql["add_delivery"], values)
        self._newest_id = first_id + len(due) - 1

    def _join_lane(
        self, connection: sqlite3.Connection, due: _Due, delivery_id: int, recorded_at_us: int
    ) -> tuple[int, int]:
        """The lane of a new delivery, its head if nothing else is owed; and how long its windows have stood still."""
        stood_still_us = due.scope.stood_still_by(recorded_at_us)
        if due.lane is None:
            lane = due.planned.lane
            head = (None, None) if due.conflict else (delivery_id, recorded_at_us)
            added = connection.execute(
                self._sql["add_lane"],
                (due.key, due.scope.channel_id, lane.customer_address, lane.owner, lane.object_id, *head, delivery_id),
            )
            return added.lastrowid or 0, stood_still_us
        lane_id: int = due.lane["id"]
        connection.execute(self._sql["lane_has_grown"], (delivery_id, recorded_at_us, not due.conflict, lane_id))
        held_us = _going_on(due.lane["held_since_us"], recorded_at_us)
        return lane_id, stood_still_us + due.lane["stood_still_us"] + held_us

    def _conflict_kept_until(self, envelope: Envelope) -> tuple[int, int]:
        until = payload_until(
            DeliveryState.PARKED, ended_at=envelope.recorded_at, fleeting=False, settings=self._settings
        )
        forget = forget_at(
            DeliveryClass.CDR, ended_at=envelope.recorded_at, payload_until=until, settings=self._settings
        )
        return 0 if until is None else to_us(until), to_us(forget)

    def _next_id(self, connection: sqlite3.Connection) -> int:
        if self._newest_id is None:
            self._newest_id = int(connection.execute(self._sql["newest_delivery"]).fetchone()["id"])
        return self._newest_id + 1

    def _scope_of(
        self, connection: sqlite3.Connection, planned: PlannedDelivery, envelope: Envelope, recorded_at_us: int
    ) -> _Scope:
        route = envelope.request.route
        key = (
            envelope.customer_address,
            planned.provider_address,
            planned.provider,
            planned.agreement,
            route.module,
            route.interface_role,
        )
        known = self._scopes.get(key)
        if known is None:
            known = self._scopes[key] = self._find_scope(connection, planned, envelope, recorded_at_us)
        return known

    def _find_scope(
        self, connection: sqlite3.Connection, planned: PlannedDelivery, envelope: Envelope, recorded_at_us: int
    ) -> _Scope:
        sql, route = self._sql, envelope.request.route
        party = str(planned.provider)
        provider = sql.row(connection, "find_provider", address=planned.provider_address)
        if provider is None:
            provider_id = sql.add(connection, "add_provider", address=planned.provider_address, party=party)
        else:
            provider_id = provider["id"]
            if provider["party"] != party:
                sql.do(connection, "rename_provider", id=provider_id, party=party)
        channel = sql.row(connection, "find_channel", provider_id=provider_id, module=route.module.value)
        if channel is None:
            paused = provider is not None and provider["paused_since_us"] is not None
            sql.add(
                connection,
                "add_channel",
                provider_id=provider_id,
                module=route.module.value,
                still_since_us=recorded_at_us if paused else None,
            )
            return self._find_scope(connection, planned, envelope, recorded_at_us)
        values = {
            "channel_id": channel["id"],
            "customer_address": envelope.customer_address,
            "provider": party,
            "agreement": str(planned.agreement),
            "interface_role": route.interface_role.value,
        }
        scope = sql.row(connection, "find_scope", **values)
        if scope is None:
            scope_id = sql.add(connection, "add_scope", agreement_block=planned.agreement_block, **values)
        else:
            scope_id = scope["id"]
        return _Scope(scope_id, channel["id"], channel["still_since_us"], channel["stood_still_us"])


def lane_digest(key: str) -> bytes:
    """16 bytes for the five parts of a lane."""
    return hashlib.blake2b(key.encode(), digest_size=16).digest()


def _going_on(since_us: int | None, now_us: int) -> int:
    return 0 if since_us is None else max(0, now_us - since_us)
