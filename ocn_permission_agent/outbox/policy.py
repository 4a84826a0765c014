"""The delivery classes: how long a copy is worth delivering, and whether it may be said twice (delivery.md). Pure."""

from datetime import datetime, timedelta
from enum import Enum
from typing import assert_never

import msgspec

from ocn_permission_agent.ocpi.request import OcpiRequest
from ocn_permission_agent.ocpi.route import Module, RouteKind
from ocn_permission_agent.outbox.model import DeliveryState
from ocn_permission_agent.outbox.settings import CdrUnknownOutcome, DeliverySettings, ServiceSettings, Windows


class DeliveryClass(Enum):
    """What kind of care a copy needs."""

    #: durable, never merged; the service dedupes by its id
    CDR = "cdr"
    #: ordered per session
    SESSION = "session"
    #: locations, tariffs, tokens: the newest says it all
    OBJECT = "object"
    #: about a moment: at most once
    EPHEMERAL = "ephemeral"


class _Periods(msgspec.Struct):
    """The one member of a session that a service appends."""

    charging_periods: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_PERIODS = msgspec.json.Decoder(_Periods)


def class_of(request: OcpiRequest) -> DeliveryClass:
    """The class of a request."""
    if not request.carries_data:
        return DeliveryClass.EPHEMERAL
    match request.kind:
        case RouteKind.CDR:
            return DeliveryClass.CDR
        case RouteKind.OBJECT:
            return DeliveryClass.SESSION if request.module is Module.SESSIONS else DeliveryClass.OBJECT
        case (
            RouteKind.LIST
            | RouteKind.PREFERENCES
            | RouteKind.AUTHORIZE
            | RouteKind.COMMAND
            | RouteKind.RESULT
            | RouteKind.PROFILE
            | RouteKind.PROXIED
        ):
            return DeliveryClass.EPHEMERAL
        case _:
            assert_never(request.kind)


def window_of(request: OcpiRequest, windows: Windows) -> timedelta:
    """For how long a copy of the request is worth delivering."""
    match class_of(request):
        case DeliveryClass.CDR:
            return windows.cdrs
        case DeliveryClass.SESSION:
            return windows.sessions
        case DeliveryClass.OBJECT:
            return windows.objects
        case DeliveryClass.EPHEMERAL:
            return windows.ephemeral


def brings_periods(request: OcpiRequest) -> bool:
    """Whether the body has `charging_periods`, which a service appends (OCPI 2.2.1 §9.2.2); True where unreadable."""
    if request.module is not Module.SESSIONS or request.kind is not RouteKind.OBJECT or not request.carries_data:
        return False
    try:
        return _PERIODS.decode(request.body).charging_periods is not msgspec.UNSET
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return True


def objection_to_repeating(request: OcpiRequest, service: ServiceSettings) -> str | None:
    """Why a copy must not be sent again when nobody knows whether it was processed; None if it may."""
    match class_of(request):
        case DeliveryClass.CDR:
            if service.cdr_unknown_outcome is CdrUnknownOutcome.PARK:
                return "nobody knows whether the CDR was processed, and the service cannot take it twice"
        case DeliveryClass.SESSION:
            if request.method == "PATCH" and brings_periods(request):
                return "nobody knows whether its charging periods were appended; sent again they might double"
        case DeliveryClass.EPHEMERAL:
            return "nobody knows whether it was processed, and it is about a moment: it is sent at most once"
        case DeliveryClass.OBJECT:
            pass
    return None


def when_over(request: OcpiRequest) -> DeliveryState:
    """Where a copy ends whose window is over: a CDR waits for a person."""
    return DeliveryState.PARKED if class_of(request) is DeliveryClass.CDR else DeliveryState.EXPIRED


def when_refused(request: OcpiRequest) -> DeliveryState:
    """Where a copy ends that the service does not want: a CDR waits for a person, with its payload."""
    return DeliveryState.PARKED if class_of(request) is DeliveryClass.CDR else DeliveryState.REFUSED


def payload_until(state: DeliveryState, *, ended_at: datetime, settings: DeliverySettings) -> datetime | None:
    """Until when a delivery in a final state needs its payload; None if it no longer does."""
    if state in (DeliveryState.PARKED, DeliveryState.UNCONFIRMED):
        return ended_at + timedelta(days=settings.parked_days)
    if state is DeliveryState.DELIVERED and settings.keep_payload_hours:
        return ended_at + timedelta(hours=settings.keep_payload_hours)
    return None
