"""Which lane a request rides in: what must keep its order among itself (delivery.md "Classes")."""

import hashlib

import msgspec

from ocn_permission_agent.consent.address import Address
from ocn_permission_agent.ocpi.request import OcpiRequest
from ocn_permission_agent.ocpi.route import InterfaceRole, RouteKind
from ocn_permission_agent.outbox.model import Lane


class _Identified(msgspec.Struct):
    """The one member of a CDR that its lane needs."""

    id: str


_IDENTIFIED = msgspec.json.Decoder(_Identified)


def lane_of(request: OcpiRequest, *, customer_address: Address, provider_address: Address) -> Lane:
    """The lane of a request towards one provider.

    An object's path names its owner and its top object; an EVSE or connector rides with its location. A CDR has its id
    in the body only. What has no object (a command, a list) rides alone, under its correlation id.
    """
    owner, object_id = object_of(request)
    return Lane(
        provider_address=provider_address,
        customer_address=customer_address,
        module=request.module._value_,
        owner=owner,
        object_id=object_id,
    )


def object_of(request: OcpiRequest) -> tuple[str, str]:
    """(owner, top object), each empty where there is none."""
    segments = request.route.segments
    match request.kind:
        case RouteKind.OBJECT if request.interface_role is InterfaceRole.RECEIVER:
            country_code, party_id, object_id = segments[:3]
            return f"{country_code}*{party_id}", object_id
        case RouteKind.OBJECT | RouteKind.PREFERENCES | RouteKind.AUTHORIZE | RouteKind.PROFILE:
            return "", segments[0]
        case RouteKind.CDR:
            return "", cdr_id(request.body)
        case RouteKind.COMMAND | RouteKind.RESULT | RouteKind.LIST | RouteKind.PROXIED:
            return "", request.correlation_id


def cdr_id(body: bytes) -> str:
    """The id of a CDR; of one whose body names none, a digest of the body, so that it still is one thing."""
    try:
        return _IDENTIFIED.decode(body).id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return "sha256:" + hashlib.sha256(body).hexdigest()
