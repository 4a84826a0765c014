"""Our notary against the one that platforms use: what it signs we verify, what we sign and re-address it verifies."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ocn_permission_agent.errors import SignatureError
from ocn_permission_agent.ocn.json_text import parse_json
from ocn_permission_agent.ocn.keys import OperatorKey
from ocn_permission_agent.ocn.message import copy_message, read_message
from ocn_permission_agent.ocn.notary import sign, stashed, verify
from ocn_permission_agent.ocn.notary_wire import notary_header, notary_json, parse_notary
from ocn_permission_agent.ocn.readdress import readdress
from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.request import OcpiRequest
from tests.factories import a_request
from tests.npm_cache import NpmMissing
from tests.peers.notary.npm import NpmNotary
from tests.peers.presence import missing

CUSTOMER_SECRET = "0x" + "11" * 31 + "01"
OPERATOR_SECRET = "0x" + "22" * 31 + "02"
SECOND_SECRET = "0x" + "33" * 31 + "03"
OPERATOR = OperatorKey.load(OPERATOR_SECRET)
SECOND_OPERATOR = OperatorKey.load(SECOND_SECRET)
CUSTOMER = Party("DE", "CPO")
SERVICES = (Party("DE", "SVC"), Party("FR", "SV2"))

many = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def npm() -> Iterator[NpmNotary]:
    try:
        notary = NpmNotary()
    except NpmMissing as error:
        missing(str(error))
    with notary:
        yield notary


NAMES = st.from_regex(r"[a-z_.\- 0-9äß]{0,8}", fullmatch=True)
NUMBERS = (
    st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.decimals(0, 10_000_000, places=3).map(float)
    | st.integers(-(10**24), 10**24)
)
LEAVES = st.none() | st.booleans() | NUMBERS | st.text(st.characters(codec="utf-8"), max_size=8)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
)
BODIES = st.dictionaries(NAMES, VALUES, max_size=6)


def read(text: str) -> dict[str, Any]:
    value = parse_json(text)
    assert isinstance(value, dict)
    return value


@many
@given(BODIES, st.dictionaries(NAMES, LEAVES, max_size=2))
def test_what_it_signs_we_verify_and_would_sign_alike(npm: NpmNotary, body: dict[str, Any], params: Any) -> None:
    text = json.dumps({"headers": {"x-correlation-id": "c"}, "params": params, "body": body})
    header = npm.sign(text, CUSTOMER_SECRET)
    verify(parse_notary(header), read(text))
    if not any(has_number_like_names(value) for value in (body, params)):
        ours = sign(read(text), OperatorKey.load(CUSTOMER_SECRET))
        assert ours == parse_notary(header)
        assert json.loads(notary_json(ours)) == json.loads(notary_json(parse_notary(header)))


def has_number_like_names(value: Any) -> bool:
    """JavaScript moves such members to the front: the same signature, in another order."""
    if isinstance(value, dict):
        return any(name.isdigit() for name in value) or any(map(has_number_like_names, value.values()))
    return isinstance(value, list) and any(map(has_number_like_names, value))


@many
@given(BODIES)
def test_what_we_sign_it_verifies(npm: NpmNotary, body: dict[str, Any]) -> None:
    text = json.dumps({"headers": {"x-correlation-id": "c"}, "body": body})
    header = notary_header(sign(read(text), OPERATOR), NodeVersion.V1)
    assert npm.verdict(text, header) == {"isValid": True}


@many
@given(BODIES, BODIES)
def test_both_refuse_what_was_modified(npm: NpmNotary, body: dict[str, Any], other: dict[str, Any]) -> None:
    text, changed = (json.dumps({"body": value}) for value in (body, other))
    header = npm.sign(text, CUSTOMER_SECRET)
    assert npm.verdict(changed, header) == our_verdict(read(changed), header)


def our_verdict(values: dict[str, Any], header: str) -> dict[str, Any]:
    try:
        verify(parse_notary(header), values)
    except SignatureError as error:
        return {"isValid": False, "error": str(error)}
    return {"isValid": True}


def seen_by_a_service(request: OcpiRequest, receiver: Party, version: NodeVersion, key: OperatorKey) -> tuple[str, str]:
    """The values and the OCN-Signature that a service gets to see, and in which text."""
    signed = readdress(request, sender=CUSTOMER, receiver=receiver, key=key, version=version)
    assert signed.header is not None, signed.note
    text = copy_message(
        request, sender=CUSTOMER, receiver=receiver, version=version, ocn_signature=signed.header, body=signed.body
    )
    message = read_message(text, version=version)
    headers = {
        "x-correlation-id": message.correlation_id,
        "ocpi-from-country-code": message.sender.country_code,
        "ocpi-from-party-id": message.sender.party_id,
        "ocpi-to-country-code": message.receiver.country_code,
        "ocpi-to-party-id": message.receiver.party_id,
    }
    body = (message.body or b"null").decode()
    values = f'{{"headers":{json.dumps(headers)},"body":{body}}}'
    # Platforms read Brotli only: what a 2.x node packs with GZIP is put into their form.
    return values, notary_header(parse_notary(signed.header), NodeVersion.V1)


def signed_by_npm(npm: NpmNotary, body: Any) -> OcpiRequest:
    request = a_request("PATCH", body=json.dumps(body, ensure_ascii=False).encode())
    headers = {
        "x-correlation-id": request.correlation_id,
        "ocpi-from-country-code": "DE",
        "ocpi-from-party-id": "CPO",
        "ocpi-to-country-code": "NL",
        "ocpi-to-party-id": "MSP",
    }
    header = npm.sign(json.dumps({"headers": headers, "body": body}), CUSTOMER_SECRET)
    return a_request("PATCH", body=request.body, ocn_signature=header)


#: numbers that some spelling can save
SAVEABLE = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.decimals(0, 9_999_999, places=3).map(float)
    | st.text(st.characters(codec="utf-8"), max_size=8)
)
SAVEABLE_BODIES = st.dictionaries(
    NAMES,
    st.recursive(
        SAVEABLE, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
    ),
    max_size=6,
)


@many
@given(SAVEABLE_BODIES, st.sampled_from(NodeVersion))
def test_two_services_in_one_go_both_get_what_it_verifies(
    npm: NpmNotary, body: dict[str, Any], version: NodeVersion
) -> None:
    request = signed_by_npm(npm, body)
    for service in SERVICES:
        values, header = seen_by_a_service(request, service, version, OPERATOR)
        assert npm.verdict(values, header) == {"isValid": True}
        assert len(parse_notary(header).rewrites) == 1


@many
@given(SAVEABLE_BODIES, st.sampled_from(NodeVersion))
def test_chain_of_two_hops_verifies(npm: NpmNotary, body: dict[str, Any], version: NodeVersion) -> None:
    values, header = seen_by_a_service(signed_by_npm(npm, body), SERVICES[0], version, OPERATOR)
    second = a_request(
        "PATCH",
        body=json.dumps(json.loads(values)["body"], ensure_ascii=False).encode(),
        ocpi_to_country_code=SERVICES[0].country_code,
        ocpi_to_party_id=SERVICES[0].party_id,
        ocn_signature=header,
    )
    values, header = seen_by_a_service(second, SERVICES[1], version, SECOND_OPERATOR)
    assert npm.verdict(values, header) == {"isValid": True}
    assert len(parse_notary(header).rewrites) == 2


@many
@given(SAVEABLE_BODIES)
def test_what_it_stashes_and_signs_again_we_verify(npm: NpmNotary, body: dict[str, Any]) -> None:
    before = json.dumps({"headers": {"ocpi-to-party-id": "MSP"}, "body": body})
    after = json.dumps({"headers": {"ocpi-to-party-id": "SVC"}, "body": body})
    stash = {"$['headers']['ocpi-to-party-id']": "MSP"}
    first = npm.sign(before, CUSTOMER_SECRET)
    header = npm.resign(after, first, OPERATOR_SECRET, stash)
    verify(parse_notary(header), read(after))
    if not has_number_like_names(body):
        assert sign(read(after), OPERATOR, rewrites=stashed(parse_notary(first), stash)) == parse_notary(header)


@many
@given(SAVEABLE_BODIES, st.sampled_from(NodeVersion))
def test_fresh_signature_of_the_operator_verifies(npm: NpmNotary, body: dict[str, Any], version: NodeVersion) -> None:
    request = a_request("PATCH", body=json.dumps(body, ensure_ascii=False).encode())
    values, header = seen_by_a_service(request, SERVICES[0], version, OPERATOR)
    assert npm.verdict(values, header) == {"isValid": True}


@pytest.mark.parametrize(
    "field",
    [
        "$['body'][0]",
        "$['body']['0']",
        "$['body']['list'][1]",
        "$['body']['list']['0']",
        "$['body']['list'][2]",
        "$['body']['list']",
        "$['body']['']",
        "$['body']['none']",
        "$['BODY']['LIST'][1]",
        "$['nowhere']",
    ],
)
def test_odd_literal_paths_lead_where_they_lead_there(npm: NpmNotary, field: str) -> None:
    text = '{"body":{"0":"zero","list":["a",["b",null]],"":"nameless","none":null}}'
    header = notary_header(sign(read(text), OPERATOR, fields=(field,)), NodeVersion.V1)
    assert npm.verdict(text, header) == {"isValid": True}
