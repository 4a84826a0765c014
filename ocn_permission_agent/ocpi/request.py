"""What was said: an OCPI request from a platform, free of its credentials."""

from collections.abc import Mapping
from urllib.parse import parse_qsl

import msgspec

from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.route import InterfaceRole, Module, PathFault, Route, RouteKind, find_route

#: who says it, and to whom
_PARTY_HEADERS = ("ocpi-from-country-code", "ocpi-from-party-id", "ocpi-to-country-code", "ocpi-to-party-id")
#: the headers that a request is read from, in lower case; `Authorization` is deliberately not one of them
ROUTING_HEADERS = ("x-request-id", "x-correlation-id", *_PARTY_HEADERS)


class OcpiRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request as the customer sent it. Never holds `Authorization`.

    `body` is the original bytes, empty for none. `query` is decoded pairs in the order received. `request_id` and
    `correlation_id` are the customer's. `ocn_signature` is the text of its `OCN-Signature` header, if it signed.
    """

    method: str
    route: Route
    sender: Party
    receiver: Party
    query: tuple[tuple[str, str], ...]
    request_id: str
    correlation_id: str
    body: bytes
    ocn_signature: str | None = None

    @property
    def module(self) -> Module:
        """The module of the route."""
        return self.route.module

    @property
    def interface_role(self) -> InterfaceRole:
        """The interface the request was sent to."""
        return self.route.interface_role

    @property
    def version(self) -> str:
        """OCPI version of the path: ``2.2`` (OCN Node 1.x) or ``2.2.1`` (2.x)."""
        return self.route.version

    @property
    def url_path(self) -> str | None:
        """What a node appends to the endpoint of the receiver."""
        return self.route.url_path

    @property
    def carries_data(self) -> bool:
        """Whether the request itself, not its reply, brings something (GETs do not)."""
        return self.method != "GET"

    @property
    def kind(self) -> RouteKind:
        """The kind of the route."""
        return self.route.kind

    def with_body(self, body: bytes) -> "OcpiRequest":
        """The same request with its body."""
        return OcpiRequest(
            method=self.method,
            route=self.route,
            sender=self.sender,
            receiver=self.receiver,
            query=self.query,
            request_id=self.request_id,
            correlation_id=self.correlation_id,
            body=body,
            ocn_signature=self.ocn_signature,
        )


def parse_request(
    *,
    method: str,
    raw_path: str,
    raw_query: str,
    headers: Mapping[str, str],
    body: bytes,
    api_prefix: str = "",
) -> OcpiRequest | None:
    """Read a platform's request, or tell with None that it is not one that could be copied.

    Args:
        method: as received.
        raw_path: still percent-encoded.
        raw_query: without the question mark, still percent-encoded.
        headers: names in lower case; only `ROUTING_HEADERS` and ``ocn-signature`` are read.
        body: original bytes.
        api_prefix: 2.x's prefix, without slashes around it.
    """
    route = find_route(method, raw_path, api_prefix=api_prefix)
    if isinstance(route, PathFault):
        return None
    return request_on(route, method=method, raw_query=raw_query, headers=headers, body=body)


def request_on(
    route: Route, *, method: str, raw_query: str, headers: Mapping[str, str], body: bytes = b""
) -> OcpiRequest | None:
    """As `parse_request`, for a route that was found already."""
    request_id, correlation_id = headers.get("x-request-id"), headers.get("x-correlation-id")
    if request_id is None or correlation_id is None:
        return None  # a node refuses it; an empty one it takes
    from_country, from_party, to_country, to_party = [headers.get(name, "") for name in _PARTY_HEADERS]
    if not (len(from_country) == len(to_country) == 2 and len(from_party) == len(to_party) == 3):
        return None
    return OcpiRequest(
        method=method,
        route=route,
        sender=Party(from_country, from_party),
        receiver=Party(to_country, to_party),
        query=tuple(parse_qsl(raw_query, keep_blank_values=True)) if raw_query else (),
        request_id=request_id,
        correlation_id=correlation_id,
        body=body,
        ocn_signature=headers.get("ocn-signature"),
    )
