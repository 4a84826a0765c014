"""The body of ``POST /ocn/message``: what one node tells another about a request (ocn-protocol.md c.1).

The order of members, which of them are left out and what is added when absent are part of what gets signed; they
differ between the two lines of node software.
"""

from functools import lru_cache
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from ocn_permission_agent.errors import CanonicalError
from ocn_permission_agent.ocn.binding import (
    INTERFACE_ROLES,
    METHODS,
    MODULES,
    enum_of,
    flag_or_none,
    members_of,
    text_of,
    text_or_none,
)
from ocn_permission_agent.ocn.canonical import canonical, decode
from ocn_permission_agent.ocn.json_text import (
    DEPTH_LIMIT,
    JsonValue,
    SpelledFloat,
    parse_json,
    scalar_text,
    string_text,
    write_json,
)
from ocn_permission_agent.ocn.query import query_params
from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.request import OcpiRequest
from ocn_permission_agent.ocpi.route import RouteKind

_MEMBERS = (
    "module",
    "interface_role",
    "method",
    "headers",
    "url_path",
    "query_params",
    "proxy_uid",
    "proxy_resource",
    "custom_module_id",
    "body",
)
_HEADERS_OF_V1 = ("Authorization", "OCN-Signature", "X-Request-ID", "X-Correlation-ID", "sender", "receiver")
_HEADERS = {
    NodeVersion.V1: _HEADERS_OF_V1,
    NodeVersion.V2: (*_HEADERS_OF_V1, "OCN-Verification-Status", "test-tool-origin"),
}
#: characters of a path segment that stand for themselves (RFC 3986 §3.3), and the slash between segments
_PLAIN_IN_PATHS = "/!$&'()*+,:=@"
#: what 2.x writes where the sender said nothing (c.3 rule 7)
NOT_PRESENTED = "NOT_PRESENTED"


class OcnMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message as the receiving node understands it.

    `text` is the node's own re-serialisation, over which it verifies the signature. `body` is canonical JSON text.
    `query_params` keeps integers as integers. Lengths of party and country are not checked here.
    """

    module: str
    interface_role: str
    method: str
    authorization: str
    request_id: str
    correlation_id: str
    sender: Party
    receiver: Party
    ocn_signature: str | None = None
    verification_status: str | None = None
    test_tool_origin: bool | None = None
    url_path: str | None = None
    query_params: tuple[tuple[str, JsonValue], ...] | None = None
    proxy_uid: str | None = None
    proxy_resource: str | None = None
    custom_module_id: str | None = None
    body: bytes | None = None
    text: bytes = b""


def copy_message(
    request: OcpiRequest,
    *,
    sender: Party,
    receiver: Party,
    version: NodeVersion,
    ocn_signature: str | None = None,
    response_url: str | None = None,
    body: bytes | None = None,
) -> bytes:
    """Write the message that carries a copy of a request, in the text that the receiving node itself would write.

    Args:
        request: as the customer sent it.
        sender: the customer, in its Registry spelling.
        receiver: the provider.
        version: of the node that will receive the message.
        ocn_signature: the OCN-Signature to carry, already re-addressed; None for none.
        response_url: takes the place of the customer's own in commands and charging profiles, so that a service cannot
            answer in the receiver's place. None leaves it.
        body: the canonical body where it is spelled otherwise than the customer spelled it (`notary.readdress`).

    Raises:
        CanonicalError: the body is nothing that a node would parse.
    """
    if body is None:
        body = copy_body(request, version=version, response_url=response_url)
    message = OcnMessage(
        module=request.module._name_,
        interface_role=request.interface_role._name_,
        method=request.method,
        authorization="",
        ocn_signature=ocn_signature,
        request_id=request.request_id,
        correlation_id=request.correlation_id,
        sender=sender,
        receiver=receiver,
        verification_status=NOT_PRESENTED if version is NodeVersion.V2 else None,
        url_path=None if request.url_path is None else path_text(request.url_path, version),
        query_params=query_params(request, response_url=response_url),
        body=body,
    )
    return _message_text(message, version)


def path_text(url_path: str, version: NodeVersion) -> str:
    """A decoded `url_path` as the receiving node needs it.

    1.x encodes it itself, ``%`` included. 2.x puts it into the request line as it is, where a blank or an ``ä`` would
    break it, so there each segment is percent-encoded.
    """
    return url_path if version is NodeVersion.V1 else quote(url_path, safe=_PLAIN_IN_PATHS, errors="replace")


def copy_body(request: OcpiRequest, *, version: NodeVersion, response_url: str | None = None) -> bytes | None:
    """The body of a copy in canonical text, or None where a message has none (also for a body of ``null``).

    Raises:
        CanonicalError: nothing that a node would parse.
    """
    if not request.body.strip():
        return None
    if response_url is not None and request.kind in (RouteKind.COMMAND, RouteKind.PROFILE):
        value = parse_json(decode(request.body), depth_limit=DEPTH_LIMIT - 1)
        if isinstance(value, dict) and "response_url" in value:
            value["response_url"] = response_url
        text = write_json(value, version).encode()
    else:
        text = canonical(request.body, version=version, depth_limit=DEPTH_LIMIT - 1)
    return None if text == b"null" else text


def _message_text(message: OcnMessage, version: NodeVersion) -> bytes:
    """The members in the order of the node's classes, those that are null left out."""
    flag, params = message.test_tool_origin, message.query_params
    headers = "".join(
        (
            f'"Authorization":{string_text(message.authorization)}',
            _member("OCN-Signature", message.ocn_signature),
            f',"X-Request-ID":{string_text(message.request_id)}',
            f',"X-Correlation-ID":{string_text(message.correlation_id)}',
            f',"sender":{_party_text(message.sender)}',
            f',"receiver":{_party_text(message.receiver)}',
            _member("OCN-Verification-Status", message.verification_status),
            "" if flag is None else f',"test-tool-origin":{scalar_text(flag, version)}',
        )
    )
    text = "".join(
        (
            f'{{"module":{string_text(message.module)}',
            f',"interface_role":{string_text(message.interface_role)}',
            f',"method":{string_text(message.method)}',
            f',"headers":{{{headers}}}',
            _member("url_path", message.url_path),
            "" if params is None else f',"query_params":{write_json(dict(params), version)}',
            _member("proxy_uid", message.proxy_uid),
            _member("proxy_resource", message.proxy_resource),
            _member("custom_module_id", message.custom_module_id),
        )
    ).encode("utf-8", "replace")
    return text + b"}" if message.body is None else b'%b,"body":%b}' % (text, message.body)


def _member(name: str, text: str | None) -> str:
    """A member behind others, if it is not null."""
    return "" if text is None else f',"{name}":{string_text(text)}'


@lru_cache(maxsize=1_000)
def _party_text(party: Party) -> str:
    """Remembered: customers and providers are few."""
    return f'{{"party_id":{string_text(party.party_id)},"country_code":{string_text(party.country_code)}}}'


def read_message(body: bytes, *, version: NodeVersion) -> OcnMessage:
    """Read a message as a node of that version does: 1.x refuses unknown members, 2.x drops them and adds defaults.

    Raises:
        CanonicalError: the node could not parse it; a real one answers HTTP 500.
    """
    members = members_of(parse_json(decode(body), number=SpelledFloat), "the message", _MEMBERS, version)
    headers = members_of(members.get("headers"), "headers", _HEADERS[version], version)
    module = enum_of(members, "module", MODULES if version is NodeVersion.V1 else (*MODULES, "VERSIONS"))
    custom_module_id = text_or_none(members, "custom_module_id")
    if (custom_module_id is None) == (module == "CUSTOM"):
        raise CanonicalError("custom_module_id goes with CUSTOM, and only with it")
    params = members.get("query_params")
    if params is not None and not isinstance(params, dict):
        raise CanonicalError("query_params is not an object")
    status = None
    if version is NodeVersion.V2:
        absent = "OCN-Verification-Status" not in headers
        status = NOT_PRESENTED if absent else text_or_none(headers, "OCN-Verification-Status")
    content = members.get("body")
    unwritten = OcnMessage(
        module=module,
        interface_role=enum_of(members, "interface_role", INTERFACE_ROLES),
        method=enum_of(members, "method", METHODS) if version is NodeVersion.V1 else text_of(members, "method"),
        authorization=text_of(headers, "Authorization"),
        ocn_signature=text_or_none(headers, "OCN-Signature"),
        request_id=text_of(headers, "X-Request-ID"),
        correlation_id=text_of(headers, "X-Correlation-ID"),
        sender=_read_party(headers, "sender", version),
        receiver=_read_party(headers, "receiver", version),
        verification_status=status,
        test_tool_origin=flag_or_none(headers, "test-tool-origin") if version is NodeVersion.V2 else None,
        url_path=text_or_none(members, "url_path"),
        query_params=None if params is None else tuple(params.items()),
        proxy_uid=text_or_none(members, "proxy_uid"),
        proxy_resource=text_or_none(members, "proxy_resource"),
        custom_module_id=custom_module_id,
        body=None if content is None else write_json(content, version).encode(),
    )
    return replace(unwritten, text=_message_text(unwritten, version))


def _read_party(headers: dict[str, JsonValue], name: str, version: NodeVersion) -> Party:
    members = members_of(headers.get(name), name, ("party_id", "country_code"), version)
    return Party(text_of(members, "country_code"), text_of(members, "party_id"))
