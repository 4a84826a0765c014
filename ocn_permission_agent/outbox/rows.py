"""Between the values of the outbox and the columns of its tables. Pure."""

from datetime import UTC, datetime, timedelta

import msgspec

from ocn_permission_agent.consent.address import Address, AgreementId
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.request import OcpiRequest
from ocn_permission_agent.ocpi.route import InterfaceRole, Module, Route, RouteKind
from ocn_permission_agent.outbox.breaker import Breaker
from ocn_permission_agent.outbox.model import Delivery, DeliveryState, Envelope, Lane, Place
from ocn_permission_agent.outbox.module_pause import ModulePause
from ocn_permission_agent.outbox.outcome import Outcome
from ocn_permission_agent.outbox.store import Scope
from ocn_permission_agent.store.database import Row

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
#: looked up in a dictionary, for an enum takes far longer to find its member
_KINDS = {each.value: each for each in RouteKind}
_MODULES = {each.value: each for each in Module}
_ROLES = {each.value: each for each in InterfaceRole}
_STATES = {each.value: each for each in DeliveryState}
_SEGMENTS = msgspec.json.Decoder(tuple[str, ...])
_QUERY = msgspec.json.Decoder(tuple[tuple[str, str], ...])


def to_us(instant: datetime) -> int:
    """Whole microseconds since 1970."""
    return (instant - EPOCH) // _MICROSECOND


def from_us(microseconds: int) -> datetime:
    """The instant, aware UTC."""
    return EPOCH + timedelta(microseconds=microseconds)


def from_us_or_none(microseconds: int | None) -> datetime | None:
    """The instant, if there is one."""
    return None if microseconds is None else from_us(microseconds)


def span_us(span: timedelta) -> int:
    """Whole microseconds of a duration."""
    return span // _MICROSECOND


def envelope_columns(envelope: Envelope) -> tuple[object, ...]:
    """An envelope as it is stored, from `customer` on, in the order of `add_envelope`.

    There is no column for `Authorization`, nor a place for it in `OcpiRequest`.
    """
    request = envelope.request
    route = request.route
    return (
        str(envelope.customer),
        envelope.customer_address,
        request.method,
        route.module._value_,
        route.interface_role._value_,
        route.kind._value_,
        route.version,
        msgspec.json.encode(route.segments).decode(),
        route.url_path,
        str(request.sender),
        str(request.receiver),
        request.request_id,
        request.correlation_id,
        request.body,
        msgspec.json.encode(request.query).decode(),
        request.ocn_signature,
    )


def read_delivery(row: Row) -> Delivery:
    """A delivery with its envelope, from the columns of `get_deliveries`; an erased payload reads as empty."""
    collapsed = row["collapsed_method"] is not None
    request = OcpiRequest(
        method=row["collapsed_method"] if collapsed else row["method"],
        route=read_route(row),
        sender=_party(row["sender"]),
        receiver=_party(row["receiver"]),
        query=_QUERY.decode(row["query"] or "[]"),
        request_id=row["request_id"],
        correlation_id=row["correlation_id"],
        body=(row["collapsed_body"] if collapsed else row["body"]) or b"",
        ocn_signature=None if collapsed else row["ocn_signature"],
    )
    customer_address = Address(row["customer_address"])
    provider_address = Address(row["provider_address"])
    return Delivery(
        id=row["id"],
        place=Place(
            envelope_id=row["envelope_id"],
            lane_id=row["lane_id"],
            scope_id=row["scope_id"],
            channel_id=row["channel_id"],
            provider_id=row["provider_id"],
            agreement_block=row["agreement_block"],
            started_at=from_us_or_none(row["started_at_us"]),
        ),
        envelope=Envelope(
            customer=_party(row["customer"]),
            customer_address=customer_address,
            request=request,
            recorded_at=from_us(row["recorded_at_us"]),
        ),
        provider=_party(row["provider"]),
        provider_address=provider_address,
        agreement=AgreementId.parse(row["agreement"]),
        lane=Lane(
            provider_address=provider_address,
            customer_address=customer_address,
            module=row["module"],
            owner=row["owner"],
            object_id=row["object_id"],
        ),
        state=_STATES[row["state"]],
        attempts=row["attempts"],
        next_attempt_at=from_us(row["next_attempt_at_us"]),
        expires_at=from_us(row["expires_at_us"]),
        reason=row["reason"],
        collapsed=collapsed,
        whole_known=bool(row["whole_known"]),
        in_doubt=bool(row["in_doubt"]),
        lease=row["lease"],
    )


def read_route(row: Row) -> Route:
    """The route of a request."""
    return Route(
        kind=_KINDS[row["kind"]],
        module=_MODULES[row["module"]],
        interface_role=_ROLES[row["interface_role"]],
        version=row["version"],
        segments=_SEGMENTS.decode(row["segments"]),
        url_path=row["url_path"],
    )


def read_outcome(row: Row, *, state: DeliveryState, ended_at: datetime) -> Outcome:
    """How a delivery ends, from the columns of `to_end`."""
    return Outcome(
        outcome=state.value,
        customer=row["customer"],
        customer_address=row["customer_address"],
        provider=row["provider"],
        provider_address=row["provider_address"],
        module=row["module"],
        interface_role=row["interface_role"],
        method=row["method"],
        sent_as=row["collapsed_method"],
        owner=row["owner"],
        object_id=row["object_id"],
        correlation_id=row["correlation_id"],
        body=row["body"] or b"",
        recorded_at=from_us(row["recorded_at_us"]),
        started_at=from_us_or_none(row["started_at_us"]),
        ended_at=ended_at,
        attempts=row["attempts"],
        agreement=row["agreement"],
        agreement_block=row["agreement_block"],
    )


def read_scope(row: Row) -> Scope:
    """What consent is judged by."""
    return Scope(
        customer_address=Address(row["customer_address"]),
        provider_address=Address(row["provider_address"]),
        agreement=AgreementId.parse(row["agreement"]),
        module=Module(row["module"]),
        interface_role=InterfaceRole(row["interface_role"]),
    )


def read_breaker(row: Row, *, of: str = "") -> Breaker:
    """A provider's breaker, from columns whose names may begin with `of`."""
    return Breaker(
        failures=row[f"{of}failures"],
        paused_since=from_us_or_none(row[f"{of}paused_since_us"]),
        probe_at=from_us_or_none(row[f"{of}probe_at_us"]),
        reason=row[f"{of}pause_reason"],
    )


def breaker_columns(breaker: Breaker) -> dict[str, object]:
    """A breaker as it is stored."""
    return {
        "failures": breaker.failures,
        "paused_since_us": None if breaker.paused_since is None else to_us(breaker.paused_since),
        "probe_at_us": None if breaker.probe_at is None else to_us(breaker.probe_at),
        "pause_reason": breaker.reason,
    }


def read_module_pause(row: Row) -> ModulePause | None:
    """How one module of a provider stands."""
    if row["paused_since_us"] is None:
        return None
    return ModulePause(
        since=from_us(row["paused_since_us"]), probe_at=from_us(row["probe_at_us"]), reason=row["pause_reason"] or ""
    )


def module_pause_columns(pause: ModulePause | None) -> dict[str, object]:
    """The pause of a module as it is stored."""
    return {
        "paused_since_us": None if pause is None else to_us(pause.since),
        "probe_at_us": None if pause is None else to_us(pause.probe_at),
        "pause_reason": None if pause is None else pause.reason,
    }


def _party(text: str) -> Party:
    """A stored party. Two characters, a star, three: whatever they are, they were checked when it was recorded."""
    return Party(text[:2], text[3:])
