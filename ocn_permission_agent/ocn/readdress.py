"""The OCN-Signature of a copy: the customer's, re-addressed to the provider, or one of our own (ocn-protocol.md d.5).

The receiving node verifies over the values as *it* reads and prints them. A customer whose notary runs on JavaScript
has signed ``15.00`` as ``15``; Java would print ``15.0``; so the copy says ``15``, and the signature holds.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from ocn_permission_agent.errors import SignatureError
from ocn_permission_agent.ocn.canonical import decode
from ocn_permission_agent.ocn.js_number import js_number_text
from ocn_permission_agent.ocn.json_text import DEPTH_LIMIT, JsonValue, parse_json, write_json
from ocn_permission_agent.ocn.keys import OperatorKey, checksummed, is_address
from ocn_permission_agent.ocn.literal_path import MISSING, value_at, with_value
from ocn_permission_agent.ocn.message import copy_body
from ocn_permission_agent.ocn.notary import Notary, sign, stashed, verifiable_fields, verify
from ocn_permission_agent.ocn.notary_rules import JS_RULES, Rules, node_rules, respelled
from ocn_permission_agent.ocn.notary_wire import notary_header, parse_notary
from ocn_permission_agent.ocn.query import query_params
from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.request import OcpiRequest
from ocn_permission_agent.ocpi.route import RouteKind

Values = dict[str, JsonValue]

_FROM = ("$['headers']['ocpi-from-country-code']", "$['headers']['ocpi-from-party-id']")
_TO = ("$['headers']['ocpi-to-country-code']", "$['headers']['ocpi-to-party-id']")
_RESPONSE_URLS = ("$['body']['response_url']", "$['params']['response_url']")


@dataclass(frozen=True, slots=True, kw_only=True)
class Readdressed:
    """What a copy carries.

    `header` is the OCN-Signature, or None with the reason in `note`. `body` is the body's canonical text in the
    spelling that was signed, for `copy_message`; None where there is no body.
    """

    header: str | None
    body: bytes | None
    note: str | None = None


def readdress(
    request: OcpiRequest,
    *,
    sender: Party,
    receiver: Party,
    key: OperatorKey,
    version: NodeVersion,
    response_url: str | None = None,
) -> Readdressed:
    """Sign a copy of a request: over the customer's own signature if it signed, else afresh.

    Args:
        request: as the customer sent it; its signature is decoded anew in every call.
        sender: the customer in its Registry spelling.
        receiver: the provider.
        key: this node's operator.
        version: of the node that will receive the copy.
        response_url: takes the place of the customer's in commands and charging profiles.

    Raises:
        CanonicalError: the body is nothing that a node would parse.
    """
    said = _values_said(request)
    change = _Change(sender=sender, receiver=receiver, response_url=response_url, kind=request.kind)
    rules = node_rules(version)
    if request.ocn_signature is None:
        values = change.applied_to(_with_body(said, _as_javascript))
        notary = sign(values, key, fields=verifiable_fields(values), rules=rules)
        return _written(values, notary, version)
    try:
        customers = parse_notary(request.ocn_signature)
        spelled = _as_signed(customers, said, rules)
        values = change.applied_to(spelled)
        notary = _signed_over(customers, spelled, values, key, rules)
        verify(notary, values, rules=rules)
    except SignatureError as error:
        body = copy_body(request, version=version, response_url=response_url)
        return Readdressed(header=None, body=body, note=f"the customer's signature cannot be carried over: {error}")
    return _written(values, notary, version)


def _values_said(request: OcpiRequest) -> Values:
    """What the customer's signature is about, as its node reads the request."""
    values: Values = {
        "headers": {
            "x-correlation-id": request.correlation_id,
            "ocpi-from-country-code": request.sender.country_code,
            "ocpi-from-party-id": request.sender.party_id,
            "ocpi-to-country-code": request.receiver.country_code,
            "ocpi-to-party-id": request.receiver.party_id,
        }
    }
    params = query_params(request)
    if params is not None:
        values["params"] = dict(params)
    if request.body.strip():
        values["body"] = parse_json(decode(request.body), depth_limit=DEPTH_LIMIT - 1)
    return values


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """What a copy says otherwise than the request."""

    sender: Party
    receiver: Party
    response_url: str | None
    kind: RouteKind

    def applied_to(self, values: Values) -> Values:
        changed: JsonValue = values
        new_parties = (
            self.sender.country_code,
            self.sender.party_id,
            self.receiver.country_code,
            self.receiver.party_id,
        )
        for path, text in zip((*_FROM, *_TO), new_parties, strict=True):
            changed = with_value(changed, path, text)
        if self.response_url is not None and self.kind in (RouteKind.COMMAND, RouteKind.PROFILE):
            for path in _RESPONSE_URLS:
                if value_at(changed, path) is not MISSING:
                    changed = with_value(changed, path, self.response_url)
        assert isinstance(changed, dict)  # it was one  # noqa: S101
        return changed


def _as_signed(customers: Notary, said: Values, rules: Rules) -> Values:
    """The values in the first spelling under which the receiving node would accept the customer's signature.

    Raises:
        SignatureError: there is none; about the customer's own spelling.
    """
    refusals = []
    for values in _spellings(said):
        try:
            verify(customers, values, rules=rules)
        except SignatureError as error:
            refusals.append(error)
        else:
            return values
    try:
        verify(customers, said, rules=JS_RULES)
    except SignatureError:
        raise refusals[0] from None
    raise SignatureError("it holds in JavaScript, but no spelling of its numbers would make it hold in Java")


def _spellings(said: Values) -> Iterator[Values]:
    yield said
    yield _with_body(said, _as_javascript)
    yield _with_body(said, _as_java_floats)


def _with_body(values: Values, spelling: Callable[[float], JsonValue]) -> Values:
    return {**values, "body": respelled(values["body"], spelling)} if "body" in values else values


def _as_javascript(number: float) -> JsonValue:
    """Whole doubles as JavaScript writes them, without a fraction; the number stays the same double."""
    text = js_number_text(number)
    return int(text) if not isinstance(number, int) and text.removeprefix("-").isdigit() else number


def _as_java_floats(number: float) -> JsonValue:
    """Whole numbers with a fraction, as a signer has them whose classes know only floats."""
    return float(number) if isinstance(number, int) and abs(number) < 2**53 else number


def _signed_over(customers: Notary, said: Values, values: Values, key: OperatorKey, rules: Rules) -> Notary:
    """Our signature with the customer's beneath it.

    It covers the customer's own paths in the customer's order: a verifier rebuilds what the customer signed from the
    paths of the newest signature (d.4), so one more or in another place would break the chain.
    """
    old_values: Values = {}
    for path in (*_TO, *_FROM, *_RESPONSE_URLS):
        old = value_at(said, path)
        if old is not MISSING and (path in _TO or old != value_at(values, path)):
            old_values[path] = old  # type: ignore[assignment]  # not MISSING
    fields = tuple(field.lower() for field in customers.fields)
    rewrites = stashed(_with_checksum(customers), old_values)
    return sign(values, key, fields=fields, rewrites=rewrites, rules=rules)


def _with_checksum(notary: Notary) -> Notary:
    """The signatory in the one spelling that every notary accepts in a history; Java's write it in lower case."""
    signatory = checksummed(notary.signatory) if is_address(notary.signatory) else notary.signatory
    return replace(notary, signatory=signatory)


def _written(values: Values, notary: Notary, version: NodeVersion) -> Readdressed:
    body = values.get("body")
    return Readdressed(
        header=notary_header(notary, version),
        body=None if body is None else write_json(body, version).encode(),
    )
