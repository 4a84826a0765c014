"""The node's part in message signing: it checks, re-signs what it changes, and signs its own errors.

Which of it is done when differs (ocn-protocol.md b.2, b.3): 1.x signs every error and checks whenever the node's
setting, the request or the receiver's rule says so; 2.x checks only with the setting on and a signature there.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from ocn_permission_agent.errors import SignatureError
from ocn_permission_agent.ocn.json_text import JsonValue, parse_json
from ocn_permission_agent.ocn.keys import OperatorKey
from ocn_permission_agent.ocn.notary import Notary, sign, stashed, verify
from ocn_permission_agent.ocn.notary_rules import Rules, node_rules
from ocn_permission_agent.ocn.notary_wire import notary_header, parse_notary
from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.sandbox.node.call import Call
from ocn_permission_agent.sandbox.node.dialect import Dialect
from ocn_permission_agent.sandbox.node.refusal import Crash, Refusal
from ocn_permission_agent.sandbox.node.registry import Registration

Values = dict[str, JsonValue]
#: response headers that take part in a signature, in the JVM's order (d.2)
_RESPONSE_HEADERS = ("x-limit", "x-total-count", "link", "location")


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """Who, besides the request itself, wants signatures."""

    sender_rule: bool = False
    receiver_rule: bool = False
    receiver_is_local: bool = True


class Seal:
    """Signs and checks with one node's key and setting."""

    def __init__(self, *, dialect: Dialect, key: OperatorKey, signatures: bool) -> None:
        self._dialect = dialect
        self._key = key
        self._signatures = signatures
        self._rules: Rules = node_rules(dialect.version)

    def request_active(self, call: Call, demand: Demand) -> bool:
        """Whether the request's signature decides over it."""
        if self._dialect.version is NodeVersion.V1:
            return self._signatures or call.ocn_signature is not None or demand.receiver_rule
        wanted = demand.receiver_rule or not demand.receiver_is_local
        return self._signatures and call.ocn_signature is not None and wanted

    def check_request(self, call: Call, sender: Registration | None) -> None:
        """Check the signature of a request.

        Raises:
            Refusal: missing, wrong, or of somebody else.
            Crash: 1.x, it cannot even be decoded.
        """
        if call.ocn_signature is None:
            raise self._dialect.refuse(2001, "Missing OCN Signature")
        try:
            notary = parse_notary(call.ocn_signature)
        except SignatureError as error:
            if self._dialect.version is NodeVersion.V1:
                raise Crash(str(error)) from error
            raise self._dialect.refuse(2001, f"Invalid signature: {error}") from error
        try:
            verify(notary, request_values(call), rules=self._rules)
        except SignatureError as error:
            raise self._dialect.refuse(2001, f"Invalid signature: {error}.") from error
        problem = _signatory_problem(notary, sender)
        if problem is not None:
            raise self._dialect.refuse(2001, problem)

    def verification_status(self, call: Call) -> str:
        """What 2.x tells receivers about a signature that does not decide."""
        if call.ocn_signature is None:
            return "NOT_PRESENTED"
        try:
            verify(parse_notary(call.ocn_signature), request_values(call), rules=self._rules)
        except SignatureError:
            return "VERIFICATION_FAILED"
        return "VERIFIED"

    def resigned(self, call: Call, old_response_url: str) -> str | None:
        """The signature of a call whose response_url the node has changed; the stash always says body (e.2.8)."""
        if call.ocn_signature is None:
            return None
        rewrites = stashed(parse_notary(call.ocn_signature), {"$['body']['response_url']": old_response_url})
        notary = sign(request_values(call), self._key, rewrites=rewrites, rules=self._rules)
        return notary_header(notary, self._dialect.version)

    def readdressed(self, copy: Call, old_receiver: Party) -> str | None:
        """The signature of a call whose receiver the node has changed (d.5)."""
        if copy.ocn_signature is None:
            return None
        old = {
            "$['headers']['ocpi-to-country-code']": old_receiver.country_code,
            "$['headers']['ocpi-to-party-id']": old_receiver.party_id,
        }
        rewrites = stashed(parse_notary(copy.ocn_signature), dict(old))
        notary = sign(request_values(copy), self._key, rewrites=rewrites, rules=self._rules)
        return notary_header(notary, self._dialect.version)

    def response_active(self, call: Call, demand: Demand) -> bool:
        """Whether the response must be signed."""
        if self._dialect.version is NodeVersion.V1:
            return self._signatures or call.ocn_signature is not None or demand.sender_rule
        return self._signatures and call.ocn_signature is not None

    def check_response(
        self, headers: Mapping[str, str], members: Mapping[str, msgspec.Raw], receiver: Registration | None
    ) -> None:
        """Check the signature of a response; the receiver has acted by now.

        Raises:
            Refusal: 3000.
        """
        if "ocn_signature" not in members:
            raise Refusal(200, 3000, "Unable to verify response signature: Missing OCN Signature")
        try:
            notary = parse_notary(msgspec.json.decode(members["ocn_signature"], type=str))
            verify(notary, response_values(headers, members), rules=self._rules)
            problem = _signatory_problem(notary, receiver)
        except (SignatureError, msgspec.MsgspecError) as error:
            problem = f"Invalid signature: {error}."
        if problem is not None:
            raise Refusal(200, 3000, f"Unable to verify response signature: {problem}")

    def resigned_response(
        self, new_headers: Mapping[str, str], old_headers: Mapping[str, str], members: Mapping[str, msgspec.Raw]
    ) -> dict[str, msgspec.Raw]:
        """The members of a response whose link or location the node has changed, signed over what was."""
        old = {
            f"$['headers']['{name}']": old_headers[name]
            for name in ("link", "location")
            if name in old_headers and old_headers[name] != new_headers.get(name)
        }
        if not old or "ocn_signature" not in members:
            return dict(members)
        customers = parse_notary(msgspec.json.decode(members["ocn_signature"], type=str))
        notary = sign(
            response_values(new_headers, members), self._key, rewrites=stashed(customers, dict(old)), rules=self._rules
        )
        header = notary_header(notary, self._dialect.version)
        return dict(members) | {"ocn_signature": msgspec.Raw(msgspec.json.encode(header))}

    def sign_error(self, body: bytes) -> bytes:
        """A node-made error with its signature, over the body alone (b.3)."""
        if not (self._signatures or self._dialect.always_signs_errors):
            return body
        members = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        notary = sign(response_values({}, members), self._key, rules=self._rules)
        header = notary_header(notary, self._dialect.version)
        return msgspec.json.encode(members | {"ocn_signature": msgspec.Raw(msgspec.json.encode(header))})


def request_values(call: Call) -> Values:
    """What a request's signature is about (d.2)."""
    values: Values = {
        "headers": {
            "x-correlation-id": call.correlation_id,
            "ocpi-from-country-code": call.sender.country_code,
            "ocpi-from-party-id": call.sender.party_id,
            "ocpi-to-country-code": call.receiver.country_code,
            "ocpi-to-party-id": call.receiver.party_id,
        }
    }
    if call.query is not None:
        values["params"] = dict(call.query)
    if call.body:
        values["body"] = parse_json(call.body.decode())
    return values


def response_values(headers: Mapping[str, str], members: Mapping[str, msgspec.Raw]) -> Values:
    """What a response's signature is about: some headers in lower case, and the body without the signature."""
    unsigned = {name: text for name, text in members.items() if not name.startswith("ocn_")}
    body = parse_json(msgspec.json.encode(unsigned).decode())
    signed_headers: Values = {name: headers[name] for name in _RESPONSE_HEADERS if name in headers}
    return {"headers": signed_headers, "body": body} if signed_headers else {"body": body}


def _signatory_problem(notary: Notary, registered: Registration | None) -> str | None:
    """The complaint when the outer signature is neither the party's nor its operator's (d.4.4)."""
    party, operator = (registered.address, registered.operator) if registered else ("unknown", "unknown")
    if notary.signatory.lower() in {party, operator}:
        return None
    return (
        f"Actual signatory {notary.signatory} differs from expected signatory {party} (party) or {operator} (operator)"
    )
