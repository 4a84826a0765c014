"""Recording a plan in SQLite: lanes, repetitions, envelope and deliveries, inside one transaction."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from ocn_permission_agent.outbox.model import CopyPlan, DeliveryState, PlannedDelivery
from ocn_permission_agent.outbox.policy import payload_until, window_of
from ocn_permission_agent.outbox.repetition import Earlier, Repetition, content_digest, judge_repetition
from ocn_permission_agent.outbox.rows import envelope_columns, from_us, scope_text, span_us, to_us
from ocn_permission_agent.outbox.settings import DeliverySettings

_CONFLICT = "another CDR with this id and a different content was recorded before: a person must decide"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a new delivery goes, and how much its lane and provider have stood still so far."""

    lane_id: int
    newest_id: int | None
    stood_still_us: int


class Recording:
    """Puts one plan down. Made for one transaction and thrown away.

    Args:
        connection: inside the transaction.
        sql: the named statements of ``sql/sqlite.sql``.
        settings: windows and how long parked payloads are kept.
        plan: what to record.
    """

    def __init__(
        self, connection: sqlite3.Connection, *, sql: Mapping[str, str], settings: DeliverySettings, plan: CopyPlan
    ) -> None:
        self._connection = connection
        self._sql = sql
        self._settings = settings
        self._envelope = plan.envelope
        self._deliveries = plan.deliveries
        self._digest = content_digest(plan.envelope.request)
        self._recorded_at_us = to_us(plan.envelope.recorded_at)
        self._envelope_id: int | None = None

    def put_down(self) -> tuple[Repetition, ...]:
        """Record it; tells what each delivery of the plan turned out to be."""
        return tuple(self._put_down(planned) for planned in self._deliveries)

    def _put_down(self, planned: PlannedDelivery) -> Repetition:
        place = self._place_of(planned)
        alike = self._earlier(place.lane_id)
        verdict = judge_repetition(
            self._envelope.request,
            alike=alike,
            newest=place.newest_id,
            any_earlier=self._row("find_any", lane_id=place.lane_id) is not None,
            now=self._envelope.recorded_at,
        )
        if verdict is Repetition.DUPLICATE and alike is not None:
            self._do(
                "add_duplicate",
                delivery_id=alike.delivery_id,
                noted_at_us=self._recorded_at_us,
                correlation_id=self._envelope.request.correlation_id,
                receiver=str(self._envelope.request.receiver),
            )
        else:
            self._add_delivery(planned, place, conflict=verdict is Repetition.CONFLICT)
        return verdict

    def _place_of(self, planned: PlannedDelivery) -> _Place:
        provider = self._row("find_provider", address=planned.provider_address)
        if provider is None:
            provider_id = self._do("add_provider", address=planned.provider_address, party=str(planned.provider))
            provider_still_us = 0
        else:
            provider_id = provider["id"]
            provider_still_us = self._stood_still_us(provider["stood_still_us"], provider["paused_since_us"])
            if provider["party"] != str(planned.provider):
                self._do("rename_provider", id=provider_id, party=str(planned.provider))
        lane = self._row("find_lane", key=planned.lane.key)
        if lane is not None:
            lane_still_us = self._stood_still_us(lane["stood_still_us"], lane["waiting_since_us"])
            return _Place(lane["id"], lane["newest_id"], provider_still_us + lane_still_us)
        lane_id = self._do(
            "add_lane",
            key=planned.lane.key,
            provider_id=provider_id,
            customer_address=planned.lane.customer_address,
            module=planned.lane.module,
            owner=planned.lane.owner,
            object_id=planned.lane.object_id,
        )
        return _Place(lane_id, None, provider_still_us)

    def _stood_still_us(self, ended_us: int, since_us: int | None) -> int:
        """A wait that goes on will be added as a whole; a new delivery shares only what is still to come of it."""
        return ended_us + (0 if since_us is None else max(0, self._recorded_at_us - since_us))

    def _earlier(self, lane_id: int) -> Earlier | None:
        row = self._row("find_alike", lane_id=lane_id, content_digest=self._digest)
        if row is None:
            return None
        return Earlier(delivery_id=row["id"], recorded_at=from_us(row["recorded_at_us"]))

    def _add_delivery(self, planned: PlannedDelivery, place: _Place, *, conflict: bool) -> None:
        if self._envelope_id is None:
            self._envelope_id = self._do("add_envelope", **envelope_columns(self._envelope))
        request = self._envelope.request
        state = DeliveryState.PARKED if conflict else DeliveryState.PENDING
        keep_until = payload_until(state, ended_at=self._envelope.recorded_at, settings=self._settings)
        delivery_id = self._do(
            "add_delivery",
            envelope_id=self._envelope_id,
            lane_id=place.lane_id,
            provider=str(planned.provider),
            agreement=str(planned.agreement),
            scope=scope_text(request.module, request.interface_role),
            state=state.value,
            recorded_at_us=self._recorded_at_us,
            expires_base_us=self._recorded_at_us
            + span_us(window_of(request, self._settings.windows))
            - place.stood_still_us,
            ended_at_us=self._recorded_at_us if conflict else None,
            reason=_CONFLICT if conflict else None,
            content_digest=self._digest,
            payload_until_us=None if keep_until is None else to_us(keep_until),
        )
        self._do(
            "lane_has_grown",
            delivery_id=delivery_id,
            lane_id=place.lane_id,
            due_at_us=self._recorded_at_us,
            pending=not conflict,
        )

    def _row(self, name: str, **values: object) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self._connection.execute(self._sql[name], values).fetchone()
        return row

    def _do(self, name: str, **values: object) -> int:
        """Run a statement; returns the id of the row it inserted."""
        return self._connection.execute(self._sql[name], values).lastrowid or 0
