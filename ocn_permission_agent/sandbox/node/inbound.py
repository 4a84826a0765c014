"""A message from another node becomes a `Call`, together with the text its signature must fit (ocn-protocol.md c.4)."""

from ocn_permission_agent.errors import CanonicalError
from ocn_permission_agent.ocn.json_text import JsonValue, write_json
from ocn_permission_agent.ocn.message import read_message
from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.sandbox.node.binding import checked_party
from ocn_permission_agent.sandbox.node.call import Call, QueryValue
from ocn_permission_agent.sandbox.node.dialect import Dialect
from ocn_permission_agent.sandbox.node.refusal import Crash

#: what 2.x's HTTP client knows; it executes anything else as GET (c.3 rule 9)
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


def read_call(body: bytes, *, dialect: Dialect) -> tuple[Call, bytes]:
    """Parse a message and write it again.

    Returns:
        The call, and the node's own text of the message: not what was sent, but what the signature is checked on.

    Raises:
        Crash: the node cannot parse it.
        Refusal: country code or party id of a wrong length.
    """
    try:
        message = read_message(body, version=dialect.version)
    except CanonicalError as error:
        raise Crash(f"JSON parse error: {error}") from error
    query = message.query_params
    method = message.method
    if dialect.version is NodeVersion.V2 and method not in _METHODS:
        method = "GET"
    call = Call(
        module=message.module,
        interface_role=message.interface_role,
        method=method,
        sender=checked_party(message.sender.country_code, message.sender.party_id, dialect),
        receiver=checked_party(message.receiver.country_code, message.receiver.party_id, dialect),
        request_id=message.request_id,
        correlation_id=message.correlation_id,
        url_path=message.url_path,
        query=None if query is None else tuple((name, _value(value, dialect)) for name, value in query),
        body=message.body or b"",
        ocn_signature=message.ocn_signature,
        proxy_uid=message.proxy_uid,
        proxy_resource=message.proxy_resource,
        custom_module_id=message.custom_module_id,
        verification_status=message.verification_status,
    )
    return call, message.text


def _value(value: JsonValue, dialect: Dialect) -> QueryValue:
    """A parameter as it is appended to a URL: text as it is, all else as JSON, null included (c.5)."""
    return value if isinstance(value, str) else write_json(value, dialect.version)
