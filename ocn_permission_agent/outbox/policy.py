"""The delivery classes: how long a copy is worth delivering, and whether it may be said twice (delivery.md). Pure."""

from datetime import datetime, timedelta
from enum import Enum
from typing import assert_never

import msgspec

from ocn_permission_agent.ocpi.request import OcpiRequest
from ocn_permission_agent.ocpi.route import Module, Route, RouteKind
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
    return class_of_route(request.method, request.route)


def class_of_route(method: str, route: Route) -> DeliveryClass:
    """The class of a request by its method and route; a GET carries nothing itself."""
    if method == "GET":
        return DeliveryClass.EPHEMERAL
    match route.kind:
        case RouteKind.CDR:
            return DeliveryClass.CDR
        case RouteKind.OBJECT:
            return DeliveryClass.SESSION if route.module is Module.SESSIONS else DeliveryClass.OBJECT
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
            assert_never(route.kind)


def window_of(request: OcpiRequest, windows: Windows) -> timedelta:
    """For how long a copy of the request is worth delivering."""
    return window_of_class(class_of(request), windows)


def window_of_class(delivery_class: DeliveryClass, windows: Windows) -> timedelta:
    """For how long a copy of that class is worth delivering."""
    match delivery_class:
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
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return True


def objection_to_repeating(request: OcpiRequest, service: ServiceSettings, *, whole_known: bool = False) -> str | None:
    """Why a copy must not be sent again when nobody knows whether it was processed; None if it may.

    `whole_known`: its session is known as a whole, and goes as a full PUT next time, which appends nothing.
    """
    match class_of(request):
        case DeliveryClass.CDR:
            if service.cdr_unknown_outcome is CdrUnknownOutcome.PARK:
                return "nobody knows whether the CDR was processed, and the service cannot take it twice"
        case DeliveryClass.SESSION:
            if request.method == "PATCH" and not whole_known and brings_periods(request):
                return "nobody knows whether its charging periods were appended; sent again they might double"
        case DeliveryClass.EPHEMERAL:
            return "nobody knows whether it was processed, and it is about a moment: it is sent at most once"
        case DeliveryClass.OBJECT:
            pass
    return None


def merges(request: OcpiRequest) -> bool:
    """Whether copies of its lane that wait can be made fewer: sessions and objects that are put or patched."""
    return class_of(request) in (DeliveryClass.SESSION, DeliveryClass.OBJECT)


def when_over(request: OcpiRequest) -> DeliveryState:
    """Where a copy ends whose window is over: a CDR waits for a person."""
    return DeliveryState.PARKED if class_of(request) is DeliveryClass.CDR else DeliveryState.EXPIRED


def when_refused(request: OcpiRequest) -> DeliveryState:
    """Where a copy ends that the service does not want: a CDR waits for a person, with its payload."""
    return DeliveryState.PARKED if class_of(request) is DeliveryClass.CDR else DeliveryState.REFUSED


#: what a person may revive, for as long as the payload is there
REVIVABLE = frozenset({DeliveryState.PARKED, DeliveryState.UNCONFIRMED, DeliveryState.REFUSED})


def when_doubtful(request: OcpiRequest) -> DeliveryState:
    """Where a copy ends that must not be said twice when nobody knows whether it was processed.

    What was about a moment needs nobody's decision any more.
    """
    return DeliveryState.UNCONFIRMED if class_of(request) is DeliveryClass.EPHEMERAL else DeliveryState.PARKED


def payload_until(
    state: DeliveryState, *, ended_at: datetime, fleeting: bool, settings: DeliverySettings
) -> datetime | None:
    """Until when a delivery in a final state needs its payload; None if it no longer does.

    Args:
        state: final.
        ended_at: since when.
        fleeting: it was about a moment, which is over: nobody will want to revive it.
        settings: for how many days and hours.
    """
    if state in REVIVABLE and not fleeting:
        return ended_at + timedelta(days=settings.parked_days)
    if state is DeliveryState.DELIVERED and settings.keep_payload_hours:
        return ended_at + timedelta(hours=settings.keep_payload_hours)
    return None


def forget_at(
    delivery_class: DeliveryClass, *, ended_at: datetime, payload_until: datetime | None, settings: DeliverySettings
) -> datetime:
    """When nothing is left of a delivery but its entry in the ledger."""
    days = settings.ledger_days if delivery_class is DeliveryClass.CDR else settings.history_days
    end = ended_at + timedelta(days=days)
    return end if payload_until is None else max(end, payload_until)
