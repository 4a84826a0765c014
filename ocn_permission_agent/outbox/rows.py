"""Between the values of the outbox and the columns of its tables. Pure."""

import sqlite3
from datetime import UTC, datetime, timedelta

import msgspec

from ocn_permission_agent.consent.address import Address, AgreementId
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.request import OcpiRequest
from ocn_permission_agent.ocpi.route import InterfaceRole, Module, Route, RouteKind
from ocn_permission_agent.outbox.breaker import Breaker
from ocn_permission_agent.outbox.model import Delivery, DeliveryState, Envelope, Lane

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_us(instant: datetime) -> int:
    """Whole microseconds since 1970."""
    return (instant - _EPOCH) // _MICROSECOND


def from_us(microseconds: int) -> datetime:
    """The instant, aware UTC."""
    return _EPOCH + timedelta(microseconds=microseconds)


def span_us(span: timedelta) -> int:
    """Whole microseconds of a duration."""
    return span // _MICROSECOND


def scope_text(module: Module, role: InterfaceRole) -> str:
    """``sessions/receiver``."""
    return f"{module.value}/{role.value}"


def scope_of(text: str) -> tuple[Module, InterfaceRole]:
    """Read the text form back."""
    module, _, role = text.partition("/")
    return Module(module), InterfaceRole(role)


def envelope_columns(envelope: Envelope) -> dict[str, object]:
    """An envelope as it is stored. There is no column for `Authorization`, nor a place for it in `OcpiRequest`."""
    request = envelope.request
    return {
        "recorded_at_us": to_us(envelope.recorded_at),
        "customer": str(envelope.customer),
        "customer_address": envelope.customer_address,
        "method": request.method,
        "module": request.module.value,
        "interface_role": request.interface_role.value,
        "kind": request.kind.value,
        "version": request.version,
        "segments": msgspec.json.encode(request.route.segments).decode(),
        "url_path": request.url_path,
        "sender": str(request.sender),
        "receiver": str(request.receiver),
        "request_id": request.request_id,
        "correlation_id": request.correlation_id,
        "body": request.body,
        "query": msgspec.json.encode(request.query).decode(),
        "ocn_signature": request.ocn_signature,
    }


def read_delivery(row: sqlite3.Row) -> Delivery:
    """A delivery with its envelope, from the columns of `get_delivery`; an erased payload reads as empty."""
    route = Route(
        kind=RouteKind(row["kind"]),
        module=Module(row["module"]),
        interface_role=InterfaceRole(row["interface_role"]),
        version=row["version"],
        segments=msgspec.json.decode(row["segments"], type=tuple[str, ...]),
        url_path=row["url_path"],
    )
    request = OcpiRequest(
        method=row["method"],
        route=route,
        sender=_party(row["sender"]),
        receiver=_party(row["receiver"]),
        query=msgspec.json.decode(row["query"] or "[]", type=tuple[tuple[str, str], ...]),
        request_id=row["request_id"],
        correlation_id=row["correlation_id"],
        body=row["body"] or b"",
        ocn_signature=row["ocn_signature"],
    )
    customer_address = Address(row["customer_address"])
    provider_address = Address(row["provider_address"])
    return Delivery(
        id=row["id"],
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
            module=row["lane_module"],
            owner=row["owner"],
            object_id=row["object_id"],
        ),
        state=DeliveryState(row["state"]),
        attempts=row["attempts"],
        next_attempt_at=from_us(row["next_attempt_at_us"]),
        expires_at=from_us(row["expires_at_us"]),
        reason=row["reason"],
    )


def read_breaker(row: sqlite3.Row) -> Breaker:
    """A provider's breaker."""
    return Breaker(
        failures=row["failures"],
        paused_since=None if row["paused_since_us"] is None else from_us(row["paused_since_us"]),
        probe_at=None if row["probe_at_us"] is None else from_us(row["probe_at_us"]),
        reason=row["pause_reason"],
    )


def breaker_columns(breaker: Breaker) -> dict[str, object]:
    """A breaker as it is stored."""
    return {
        "failures": breaker.failures,
        "paused_since_us": None if breaker.paused_since is None else to_us(breaker.paused_since),
        "probe_at_us": None if breaker.probe_at is None else to_us(breaker.probe_at),
        "pause_reason": breaker.reason,
    }


def _party(text: str) -> Party:
    """A stored party. Two characters, a star, three: whatever they are, they were checked when it was recorded."""
    return Party(text[:2], text[3:])
