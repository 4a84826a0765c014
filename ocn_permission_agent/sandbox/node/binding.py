"""A platform's request becomes a `Call`, or the framework complains (ocn-protocol.md a.2, a.3, b.1 rows 1-5). Pure."""

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

import msgspec

from ocn_permission_agent.errors import CanonicalError
from ocn_permission_agent.ocn.canonical import canonical
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.route import InterfaceRole, Module, Route, RouteKind
from ocn_permission_agent.sandbox.node.call import Call, QueryValue
from ocn_permission_agent.sandbox.node.dialect import Dialect
from ocn_permission_agent.sandbox.node.refusal import FrameworkRefusal, Refusal
from ocn_permission_agent.sandbox.node.shapes import shape_of
from ocn_permission_agent.sandbox.node.typed import rebound
from ocn_permission_agent.sandbox.serving import Incoming

#: in the order in which a missing one is reported
REQUIRED_HEADERS = (
    "Authorization",
    "X-Request-ID",
    "X-Correlation-ID",
    "OCPI-from-country-code",
    "OCPI-from-party-id",
    "OCPI-to-country-code",
    "OCPI-to-party-id",
)
#: spelling of modules in `/ocn/message`
MODULE_NAMES = {module: module.name for module in Module}
_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
_INTEGERS = frozenset({"offset", "limit", "duration"})
_JSON = re.compile(r"application/([a-z0-9.-]+\+)?json *(;.*)?", re.IGNORECASE)


def bind_call(incoming: Incoming, route: Route, dialect: Dialect, *, typed: bool) -> Call:
    """Read a request to an OCPI module; `typed` bodies are bound to the node's classes.

    Raises:
        Refusal: a header, the body or a parameter is missing or wrong.
        FrameworkRefusal: 1.x, a parameter of a wrong type.
    """
    _check_headers(incoming, dialect)
    body = _body(incoming, route, dialect, typed=typed)
    query = _query(incoming, route, dialect)
    sender = _party(incoming.headers, "from", dialect)
    receiver = _party(incoming.headers, "to", dialect)
    return Call(
        module=MODULE_NAMES[route.module],
        interface_role=route.interface_role.name,
        method=incoming.method,
        sender=sender,
        receiver=receiver,
        request_id=incoming.headers["x-request-id"],
        correlation_id=incoming.headers["x-correlation-id"],
        url_path=route.url_path,
        query=query,
        body=body,
        kind=route.kind,
        ocn_signature=incoming.headers.get("ocn-signature"),
    )


def bind_custom_call(incoming: Incoming, *, role: str, module_id: str, dialect: Dialect) -> Call:
    """Read a request to a custom module: parameters as they are, the body as a JSON string around its text (a.6).

    Raises:
        Refusal: a header is missing or wrong.
    """
    _check_headers(incoming, dialect)
    return Call(
        module="CUSTOM",
        interface_role=role,
        method=incoming.method,
        sender=_party(incoming.headers, "from", dialect),
        receiver=_party(incoming.headers, "to", dialect),
        request_id=incoming.headers["x-request-id"],
        correlation_id=incoming.headers["x-correlation-id"],
        url_path=None,
        query=tuple(parse_qsl(incoming.raw_query, keep_blank_values=True)) or None,
        body=msgspec.json.encode(_written_again(incoming.body, dialect)) if incoming.body else b"",
        ocn_signature=incoming.headers.get("ocn-signature"),
        custom_module_id=module_id,
    )


def _written_again(body: bytes, dialect: Dialect) -> str:
    """A body as the node's parser writes it, where it can read it at all."""
    try:
        return canonical(body, version=dialect.version).decode()
    except CanonicalError:
        return body.decode(errors="replace")


def _check_headers(incoming: Incoming, dialect: Dialect) -> None:
    for name in REQUIRED_HEADERS:
        if name.lower() not in incoming.headers:
            spelled = "authorization" if name == "Authorization" else name  # as most of their handlers spell it
            raise dialect.refuse(2001, dialect.texts.header_missing.format(name=spelled))


def checked_party(country_code: str, party_id: str, dialect: Dialect) -> Party:
    """A party, or the complaint about the length of its parts (b.1 row 5)."""
    if len(country_code) != 2:
        raise dialect.refuse(2001, f'Given country_code "{country_code}" not 2 characters')
    if len(party_id) != 3:
        raise dialect.refuse(2001, f'Given party-id "{party_id}" not 3 characters')
    return Party(country_code, party_id)


def _party(headers: Mapping[str, str], side: str, dialect: Dialect) -> Party:
    return checked_party(headers[f"ocpi-{side}-country-code"], headers[f"ocpi-{side}-party-id"], dialect)


def _body(incoming: Incoming, route: Route, dialect: Dialect, *, typed: bool) -> bytes:
    """The body in canonical text; empty for methods without one."""
    if incoming.method not in _BODY_METHODS:
        return b""
    if not incoming.body:
        if route.kind is RouteKind.AUTHORIZE:
            return b""
        raise body_refusal(dialect, "Required request body is missing")
    content_type = incoming.headers.get("content-type", "application/octet-stream")
    if not _JSON.fullmatch(content_type):
        raise FrameworkRefusal(415, content_type)
    shape = shape_of(incoming.method, route, dialect.version) if typed else None
    try:
        body = canonical(incoming.body, version=dialect.version)
        if shape is not None:
            body = rebound(body, shape, dialect.version)
    except CanonicalError as error:
        raise body_refusal(dialect, str(error)) from error
    if not body.startswith(b"{"):
        raise body_refusal(dialect, "Cannot deserialize instance out of this token")
    needs_response_url = route.kind is RouteKind.COMMAND or (
        route.kind is RouteKind.PROFILE and route.interface_role is InterfaceRole.RECEIVER
    )
    if needs_response_url and not isinstance(_peek(body, "response_url"), str):
        raise body_refusal(
            dialect, "Instantiation of a class failed for JSON property response_url due to missing value"
        )
    return body


def body_refusal(dialect: Dialect, problem: str) -> Refusal:
    """HTTP 400 in both versions (b.1 row 2)."""
    return Refusal(400, 2001, dialect.texts.body_invalid.format(problem=problem))


def _peek(body: bytes, name: str) -> object:
    found = msgspec.json.decode(body, type=dict[str, msgspec.Raw]).get(name)
    return None if found is None else msgspec.json.decode(found)


def _query(incoming: Incoming, route: Route, dialect: Dialect) -> tuple[tuple[str, QueryValue], ...] | None:
    """The parameters that the handler declares, in its order; others are not seen by it."""
    declared, required = _parameters(incoming.method, route)
    if not declared:
        return None
    given: dict[str, str] = {}
    for name, value in parse_qsl(incoming.raw_query, keep_blank_values=True):
        given.setdefault(name, value)
    if "type" in declared:
        given.setdefault("type", "RFID")
    for name in required:
        if name not in given:
            kind = "int" if name in _INTEGERS else "String"
            raise dialect.refuse(2001, dialect.texts.parameter_missing.format(kind=kind, name=name))
    return tuple((name, _typed(name, given[name], dialect)) for name in declared if given.get(name))


def _parameters(method: str, route: Route) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names a handler declares, and those of them that must be there."""
    if route.kind is RouteKind.LIST:
        return ("date_from", "date_to", "offset", "limit"), ()
    if route.kind is RouteKind.AUTHORIZE or (route.kind is RouteKind.OBJECT and route.module is Module.TOKENS):
        return ("type",), ()
    if route.kind is RouteKind.PROFILE and route.interface_role is InterfaceRole.RECEIVER:
        if method == "GET":
            return ("duration", "response_url"), ("duration", "response_url")
        if method == "DELETE":
            return ("response_url",), ("response_url",)
    return (), ()


def _typed(name: str, value: str, dialect: Dialect) -> QueryValue:
    if name not in _INTEGERS:
        return value
    try:
        return int(value)
    except ValueError:
        if dialect.texts.parameter_invalid is None:
            raise FrameworkRefusal(400) from None
        raise dialect.refuse(2001, dialect.texts.parameter_invalid.format(name=name)) from None
