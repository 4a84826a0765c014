"""A plan in columns: what can be worked out of it before any store is asked. Pure."""

import hashlib
from typing import ClassVar

import msgspec

from ocn_permission_agent.outbox.model import CopyPlan, DeliveryState, Envelope, Lane, PlannedDelivery
from ocn_permission_agent.outbox.policy import DeliveryClass, class_of, forget_at, payload_until, window_of_class
from ocn_permission_agent.outbox.repetition import content_digest
from ocn_permission_agent.outbox.rows import envelope_columns, span_us, to_us
from ocn_permission_agent.outbox.settings import DeliverySettings

_CONFLICT = "another CDR with this id and a different content was recorded before: a person must decide"
_PARTS = msgspec.json.Encoder()
#: customer, provider (address and party in two parts), agreement (transaction and index), module, interface role: texts
#: hash faster than values
ScopeKey = tuple[str, str, str, str, str, int, str, str]


class Prepared(msgspec.Struct, frozen=True):
    """A plan, and what it comes to in columns. `keys` are of the lanes and scopes of its deliveries."""

    plan: CopyPlan
    delivery_class: DeliveryClass
    digest: bytes
    recorded_at_us: int
    window_us: int
    columns: tuple[object, ...]
    keys: tuple[tuple[bytes, ScopeKey], ...]


class End(msgspec.Struct, frozen=True):
    """How a delivery is recorded: state, its time, its reason, and until when payload and row are kept."""

    state: str
    ended_at_us: int | None = None
    reason: str | None = None
    payload_until_us: int | None = None
    forget_at_us: int | None = None


class Planning:
    """Prepares plans.

    Args:
        settings: windows and how long parked payloads are kept.
    """

    PENDING: ClassVar[End] = End(DeliveryState.PENDING.value)

    def __init__(self, settings: DeliverySettings) -> None:
        self._settings = settings
        self._windows_us = {each: span_us(window_of_class(each, settings.windows)) for each in DeliveryClass}

    def prepared(self, plan: CopyPlan) -> Prepared:
        """Work out what needs no store."""
        request = plan.envelope.request
        delivery_class = class_of(request)
        return Prepared(
            plan,
            delivery_class,
            content_digest(request),
            to_us(plan.envelope.recorded_at),
            self._windows_us[delivery_class],
            envelope_columns(plan.envelope),
            tuple((lane_digest(planned.lane), scope_key(planned, plan.envelope)) for planned in plan.deliveries),
        )

    def conflict(self, prepared: Prepared) -> End:
        """Of a CDR that contradicts another."""
        at, settings = prepared.plan.envelope.recorded_at, self._settings
        until = payload_until(DeliveryState.PARKED, ended_at=at, fleeting=False, settings=settings)
        forget = forget_at(DeliveryClass.CDR, ended_at=at, payload_until=until, settings=settings)
        payload_us = 0 if until is None else to_us(until)
        return End(DeliveryState.PARKED.value, prepared.recorded_at_us, _CONFLICT, payload_us, to_us(forget))


def lane_digest(lane: Lane) -> bytes:
    """16 bytes for the five parts of a lane."""
    parts = (lane.provider_address, lane.customer_address, lane.module, lane.owner, lane.object_id)
    return hashlib.blake2b(_PARTS.encode(parts), digest_size=16).digest()


def scope_key(planned: PlannedDelivery, envelope: Envelope) -> ScopeKey:
    """What is one scope."""
    provider, agreement, route = planned.provider, planned.agreement, envelope.request.route
    return (
        envelope.customer_address,
        planned.provider_address,
        provider.country_code,
        provider.party_id,
        agreement.transaction_hash,
        agreement.log_index,
        route.module._value_,
        route.interface_role._value_,
    )


def going_on(since_us: int | None, now_us: int) -> int:
    """How long a wait has lasted that has not ended; 0 if there is none."""
    return 0 if since_us is None else max(0, now_us - since_us)
