"""How a platform signs what it sends and answers, by the rules of the JavaScript notary (ocn-protocol.md d.2)."""

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import parse_qsl

import msgspec

from ocn_permission_agent.ocn.json_text import JsonValue, parse_json
from ocn_permission_agent.ocn.keys import OperatorKey
from ocn_permission_agent.ocn.notary import sign
from ocn_permission_agent.ocn.notary_wire import notary_header
from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.sandbox.serving import Answer

_REQUEST_HEADERS = (
    "X-Correlation-ID",
    "OCPI-from-country-code",
    "OCPI-from-party-id",
    "OCPI-to-country-code",
    "OCPI-to-party-id",
)
_RESPONSE_HEADERS = ("X-Limit", "X-Total-Count", "Link", "Location")


def request_signature(
    headers: Mapping[str, str | None], *, query: str, body: bytes, key: OperatorKey, version: NodeVersion
) -> str:
    """The `OCN-Signature` of a request, compressed as the node of that version wants it."""
    signed: dict[str, JsonValue] = {name.lower(): headers[name] for name in _REQUEST_HEADERS if headers.get(name)}
    values: dict[str, JsonValue] = {"headers": signed, "params": dict(parse_qsl(query))}
    if body:
        values["body"] = parse_json(body.decode())
    return notary_header(sign(values, key), version)


def signed_answer(answer: Answer, *, key: OperatorKey, version: NodeVersion) -> Answer:
    """An OCPI answer with `ocn_signature` in its body."""
    signed: dict[str, JsonValue] = {
        name.lower(): answer.headers[name] for name in _RESPONSE_HEADERS if name in answer.headers
    }
    values: dict[str, JsonValue] = {"headers": signed, "body": parse_json(answer.body.decode())}
    members = msgspec.json.decode(answer.body, type=dict[str, msgspec.Raw])
    signature = msgspec.Raw(msgspec.json.encode(notary_header(sign(values, key), version)))
    return replace(answer, body=msgspec.json.encode(members | {"ocn_signature": signature}))
