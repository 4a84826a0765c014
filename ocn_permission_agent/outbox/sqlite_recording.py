"""Recording plans in SQLite: lanes, repetitions, envelope and deliveries, inside one transaction.

This is what every copied request waits for. So it asks the engine as little as it can: providers, channels and scopes,
which are few, are remembered, ids are given out here, and what can be worked out beforehand is (`prepared`), while the
writer's thread is busy with others.
"""

from collections.abc import Collection
from dataclasses import dataclass

from ocn_permission_agent.consent.address import Address
from ocn_permission_agent.outbox.model import Delivery, DeliveryState, Place, PlannedDelivery
from ocn_permission_agent.outbox.policy import DeliveryClass, brings_periods
from ocn_permission_agent.outbox.prepared import Planning, Prepared, ScopeKey, going_on
from ocn_permission_agent.outbox.repetition import PERIODS_SPAN, Earlier, Repetition, judge_repetition
from ocn_permission_agent.outbox.rows import from_us, span_us
from ocn_permission_agent.outbox.spool import Mark
from ocn_permission_agent.store.database import Connection, Row
from ocn_permission_agent.store.sql import Sql

#: in place of what is there already; see sqlite_steps.sql
_NO_ENVELOPE = (None,) * 17
_NO_LANE = (None,) * 5


@dataclass(frozen=True, slots=True)
class _Scope:
    """What is remembered of a scope: its row, its channel's row, and how that channel stands still."""

    scope_id: int
    channel_id: int
    provider_id: int
    still_since_us: int | None
    stood_still_us: int

    def stood_still_by(self, now_us: int) -> int:
        """A wait that goes on will be added as a whole; a new delivery shares only what is still to come of it."""
        return self.stood_still_us + going_on(self.still_since_us, now_us)


@dataclass(frozen=True, slots=True)
class _Due:
    """A planned delivery that turned out to be one, and where it goes."""

    planned: PlannedDelivery
    scope: _Scope
    lane: Row | None
    key: bytes
    conflict: bool
    begins: bool


@dataclass(frozen=True, slots=True)
class PutDown:
    """What each delivery of a plan turned out to be, and those whose first attempt has begun with it."""

    verdicts: tuple[Repetition, ...]
    begun: tuple[Delivery, ...] = ()


class Recording:
    """Puts plans down; but for `prepared` it belongs to the writer's thread.

    Args:
        sql: the named statements of ``sql/sqlite_recording.sql``.
        planning: knows how long parked payloads are kept.
    """

    def __init__(self, sql: Sql, planning: Planning) -> None:
        self._sql = sql
        self._planning = planning
        self._scopes: dict[ScopeKey, _Scope] = {}
        self._newest_id: int | None = None
        self._newest_lane: int | None = None

    def forget(self) -> None:
        """What was remembered may be wrong: a channel or a provider stands otherwise than before."""
        self._scopes.clear()

    def undo(self) -> None:
        """What was written last is rolled back."""
        self._scopes.clear()
        self._newest_id = self._newest_lane = None

    def keep_mark(self, connection: Connection, mark: Mark) -> None:
        """Write how far the spool is emptied."""
        self._sql.do(connection, "keep_spool_mark", mark=str(mark))

    def put_down(self, connection: Connection, prepared: Prepared, begin: Collection[Address] = ()) -> PutDown:
        """Record a plan, and begin an attempt towards those of `begin`, where nothing stands in its way."""
        verdicts: list[Repetition] = []
        due: list[_Due] = []
        for planned, (key, scope_key) in zip(prepared.plan.deliveries, prepared.keys, strict=True):
            scope = self._scopes.get(scope_key)
            if scope is None:
                scope = self._scopes[scope_key] = self._find_scope(connection, planned, prepared)
            lane = connection.execute(self._sql["find_lane"], (key, prepared.digest)).fetchone()
            verdict = Repetition.NEW if lane is None else self._judge(connection, lane, prepared)
            verdicts.append(verdict)
            if verdict is not Repetition.DUPLICATE:
                begins = (
                    verdict is not Repetition.CONFLICT
                    and planned.provider_address in begin
                    and scope.still_since_us is None
                    and (lane is None or _is_clear(lane, prepared.recorded_at_us))
                )
                due.append(_Due(planned, scope, lane, key, verdict is Repetition.CONFLICT, begins))
        return PutDown(tuple(verdicts), self._add(connection, prepared, due) if due else ())

    def _judge(self, connection: Connection, lane: Row, prepared: Prepared) -> Repetition:
        """Tell what a copy is to those before it in its lane; a repetition is noted here."""
        request = prepared.plan.envelope.request
        alike = self._alike(connection, lane, prepared)
        verdict = judge_repetition(
            request,
            alike=alike,
            newest=lane["newest_id"],
            any_earlier=alike is None
            and prepared.delivery_class is DeliveryClass.CDR
            and connection.execute(self._sql["find_any"], (lane["id"],)).fetchone() is not None,
            now=prepared.plan.envelope.recorded_at,
        )
        if verdict is Repetition.DUPLICATE and alike is not None:
            self._sql.do(
                connection,
                "add_duplicate",
                delivery_id=alike.delivery_id,
                noted_at_us=prepared.recorded_at_us,
                correlation_id=request.correlation_id,
                receiver=str(request.receiver),
            )
        return verdict

    def _alike(self, connection: Connection, lane: Row, prepared: Prepared) -> Earlier | None:
        """The newest copy with the same content, as far back as it matters: for most that is the newest copy only."""
        if lane["same_again"]:
            return Earlier(delivery_id=lane["newest_id"], recorded_at=from_us(lane["newest_at_us"]))
        if prepared.delivery_class is DeliveryClass.CDR:
            since_us = 0
        elif brings_periods(prepared.plan.envelope.request):
            since_us = prepared.recorded_at_us - span_us(PERIODS_SPAN)
        else:
            return None
        row = connection.execute(self._sql["find_alike"], (lane["id"], since_us, prepared.digest)).fetchone()
        return None if row is None else Earlier(delivery_id=row["id"], recorded_at=from_us(row["recorded_at_us"]))

    def _add(self, connection: Connection, prepared: Prepared, due: list[_Due]) -> tuple[Delivery, ...]:
        first_id, at_us = self._next_id(connection), prepared.recorded_at_us
        fleeting = prepared.delivery_class is DeliveryClass.EPHEMERAL
        begun: list[Delivery] = []
        envelope: tuple[object, ...] = (len(due), *prepared.columns)
        for delivery_id, each in enumerate(due, start=first_id):
            lane_id, lane_columns, lane_stood_still_us = self._lane_of(connection, each, at_us)
            stood_still_us = each.scope.stood_still_by(at_us) + lane_stood_still_us
            end = self._planning.conflict(prepared) if each.conflict else Planning.PENDING
            values = (
                *envelope,
                lane_id,
                *lane_columns,
                None if each.conflict else delivery_id,
                each.begins,
                delivery_id,
                first_id,
                each.scope.scope_id,
                end.state,
                fleeting,
                at_us,
                at_us + prepared.window_us - (0 if fleeting else stood_still_us),
                end.ended_at_us,
                end.reason,
                prepared.digest,
                end.payload_until_us,
                end.forget_at_us,
            )
            connection.execute(self._sql["add_copy"], values)
            envelope = _NO_ENVELOPE
            if each.begins:
                begun.append(_begun(prepared, each, delivery_id, envelope_id=first_id, lane_id=lane_id))
        self._newest_id = first_id + len(due) - 1
        return tuple(begun)

    def _lane_of(self, connection: Connection, due: _Due, at_us: int) -> tuple[int, tuple[object, ...], int]:
        """The lane of a new delivery, its columns if it is new, and how long its windows have stood still."""
        if due.lane is None:
            lane = due.planned.lane
            if self._newest_lane is None:
                self._newest_lane = int(connection.execute(self._sql["newest_lane"]).fetchone()["id"])
            self._newest_lane += 1
            columns = (due.key, due.scope.channel_id, lane.customer_address, lane.owner, lane.object_id)
            return self._newest_lane, columns, 0
        held_us = going_on(due.lane["held_since_us"], at_us)
        return due.lane["id"], _NO_LANE, due.lane["stood_still_us"] + held_us

    def _next_id(self, connection: Connection) -> int:
        if self._newest_id is None:
            self._newest_id = int(connection.execute(self._sql["newest_delivery"]).fetchone()["id"])
        return self._newest_id + 1

    def _find_scope(self, connection: Connection, planned: PlannedDelivery, prepared: Prepared) -> _Scope:
        sql, envelope = self._sql, prepared.plan.envelope
        route, party = envelope.request.route, str(planned.provider)
        provider = sql.row(connection, "find_provider", address=planned.provider_address)
        if provider is None:
            sql.add(connection, "add_provider", address=planned.provider_address, party=party)
            return self._find_scope(connection, planned, prepared)
        if provider["party"] != party:
            sql.do(connection, "rename_provider", id=provider["id"], party=party)
        channel = sql.row(connection, "find_channel", provider_id=provider["id"], module=route.module.value)
        if channel is None:
            still_since_us = None if provider["paused_since_us"] is None else prepared.recorded_at_us
            sql.add(
                connection,
                "add_channel",
                provider_id=provider["id"],
                module=route.module.value,
                still_since_us=still_since_us,
            )
            return self._find_scope(connection, planned, prepared)
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
        return _Scope(scope_id, channel["id"], provider["id"], channel["still_since_us"], channel["stood_still_us"])


def _is_clear(lane: Row, now_us: int) -> bool:
    """Whether what is added to a lane may leave at once."""
    return lane["head_id"] is None and not lane["collapse"] and lane["resting_until_us"] <= now_us


def _begun(prepared: Prepared, due: _Due, delivery_id: int, *, envelope_id: int, lane_id: int) -> Delivery:
    """A delivery as `claim` and `start` would give it."""
    envelope, planned, scope = prepared.plan.envelope, due.planned, due.scope
    recorded_at = envelope.recorded_at
    return Delivery(
        id=delivery_id,
        place=Place(
            envelope_id=envelope_id,
            lane_id=lane_id,
            scope_id=scope.scope_id,
            channel_id=scope.channel_id,
            provider_id=scope.provider_id,
            agreement_block=planned.agreement_block,
            started_at=recorded_at,
        ),
        envelope=envelope,
        provider=planned.provider,
        provider_address=planned.provider_address,
        agreement=planned.agreement,
        lane=planned.lane,
        state=DeliveryState.PENDING,
        attempts=1,
        next_attempt_at=recorded_at,
        expires_at=from_us(prepared.recorded_at_us + prepared.window_us),
        whole_known=due.lane is not None and due.lane["merged_scope_id"] == scope.scope_id,
    )
