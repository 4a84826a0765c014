import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ocn_permission_agent.errors import CanonicalError, SignatureError
from ocn_permission_agent.ocn.keys import OperatorKey
from ocn_permission_agent.ocn.message import copy_message, read_message
from ocn_permission_agent.ocn.notary import sign, stashed, verify
from ocn_permission_agent.ocn.notary_wire import notary_header, parse_notary
from ocn_permission_agent.ocn.readdress import Readdressed, readdress
from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.request import OcpiRequest
from tests.factories import a_request
from tests.unit.ocn.jvm_notary import hash_of, hashes_hold, signed_message

CUSTOMER_KEY = OperatorKey.load("11" * 31 + "01")
OPERATOR_KEY = OperatorKey.load("22" * 31 + "02")
CUSTOMER = Party("DE", "CPO")
SERVICE = Party("DE", "SVC")
OTHER_SERVICE = Party("FR", "SV2")
INERT = "https://node.example/ocn-agent/inert/1"


def as_javascript_reads(value: Any) -> Any:
    """What JSON.parse makes of numbers; names that look like numbers are kept out of these tests."""
    return json.loads(json.dumps(value), parse_int=float)


def values_of(request: OcpiRequest, params: dict[str, Any] | None = None) -> dict[str, Any]:
    """What a customer signs."""
    values: dict[str, Any] = {
        "headers": {
            "x-correlation-id": request.correlation_id,
            "ocpi-from-country-code": request.sender.country_code,
            "ocpi-from-party-id": request.sender.party_id,
            "ocpi-to-country-code": request.receiver.country_code,
            "ocpi-to-party-id": request.receiver.party_id,
        }
    }
    if params is not None:
        values["params"] = params
    if request.body:
        values["body"] = as_javascript_reads(json.loads(request.body))
    return values


def signed_by_customer(request: OcpiRequest, **facts: Any) -> OcpiRequest:
    header = notary_header(sign(values_of(request, **facts), CUSTOMER_KEY), NodeVersion.V1)
    return with_signature(request, header)


def with_signature(request: OcpiRequest, header: str | None) -> OcpiRequest:
    return replace(request, ocn_signature=header)


def sent(
    request: OcpiRequest, version: NodeVersion = NodeVersion.V1, *, receiver: Party = SERVICE, sender: Party = CUSTOMER
) -> tuple[Readdressed, dict[str, Any]]:
    """Sign and write a copy, and tell what the receiving node's notary gets to see of it."""
    signed = readdress(request, sender=sender, receiver=receiver, key=OPERATOR_KEY, version=version, response_url=INERT)
    text = copy_message(
        request,
        sender=sender,
        receiver=receiver,
        version=version,
        ocn_signature=signed.header,
        response_url=INERT,
        body=signed.body,
    )
    message = read_message(text, version=version)
    assert message.text == text
    values: dict[str, Any] = {
        "headers": {
            "x-correlation-id": message.correlation_id,
            "ocpi-from-country-code": message.sender.country_code,
            "ocpi-from-party-id": message.sender.party_id,
            "ocpi-to-country-code": message.receiver.country_code,
            "ocpi-to-party-id": message.receiver.party_id,
        }
    }
    if message.query_params is not None:
        values["params"] = dict(message.query_params)
    if message.body is not None:
        values["body"] = json.loads(message.body)
    return signed, values


def check_holds(signed: Readdressed, values: dict[str, Any], version: NodeVersion, *, rewrites: int) -> None:
    """The signature holds in the receiving node and with the service's JavaScript."""
    assert signed.note is None
    assert signed.header is not None
    notary = parse_notary(signed.header)
    assert notary.signatory.lower() == OPERATOR_KEY.address
    assert hashes_hold(notary, values, version) == (True, [True] * rewrites)
    verify(notary, values)


BOTH = pytest.mark.parametrize("version", list(NodeVersion))


@BOTH
def test_signed_session_reaches_the_service_with_a_signature_that_holds(version: NodeVersion) -> None:
    request = signed_by_customer(a_request())
    signed, values = sent(request, version)
    check_holds(signed, values, version, rewrites=1)
    rewrite = parse_notary(signed.header or "").rewrites[0]
    assert dict(rewrite.rewritten_fields) == {
        "$['headers']['ocpi-to-country-code']": "NL",
        "$['headers']['ocpi-to-party-id']": "MSP",
    }


@BOTH
def test_compression_is_the_one_that_the_receiving_node_reads(version: NodeVersion) -> None:
    header = sent(signed_by_customer(a_request()), version)[0].header or ""
    assert header.startswith("H4sI") == (version is NodeVersion.V2)


@BOTH
@pytest.mark.parametrize(
    ("said", "spelled"),
    [
        ("15.00", "15"),
        ("15", "15"),
        ("15.50", "15.5"),
        ("-0.0", "0"),
        ("1e3", "1000"),
        ("10000000.0", "10000000"),
        ("0.001", "0.001"),
        ("123456789012345680000.0", "123456789012345680000"),
        ("0.30000000000000004", "0.30000000000000004"),
        ("1.2345678901234567e-5", "1.2345678901234568E-5"),
    ],
)
def test_number_is_spelled_so_that_java_prints_what_javascript_signed(
    said: str, spelled: str, version: NodeVersion
) -> None:
    request = signed_by_customer(a_request(body=f'{{"kwh":{said},"id":"s1"}}'.encode()))
    signed, values = sent(request, version)
    assert signed.body == f'{{"kwh":{spelled},"id":"s1"}}'.encode()
    check_holds(signed, values, version, rewrites=1)


@BOTH
@pytest.mark.parametrize("said", ["0.0001", "1e-7", "12345678.9", "1e21", "9007199254740993"])
def test_signature_is_left_out_where_no_spelling_holds(said: str, version: NodeVersion) -> None:
    request = signed_by_customer(a_request(body=f'{{"kwh":{said},"id":"s1"}}'.encode()))
    signed, _ = sent(request, version)
    assert signed.header is None
    assert "no spelling of its numbers" in (signed.note or "")


@BOTH
def test_signature_of_a_java_customer_keeps_its_own_spelling(version: NodeVersion) -> None:
    request = a_request(body=b'{"kwh":15.00,"volume":0.0001,"id":"s1"}')
    values = values_of(request)
    fields, message = signed_message({**values, "body": json.loads(request.body)}, version)
    digest = hash_of(message)
    java = sign(values, CUSTOMER_KEY)
    header = notary_header(
        type(java)(
            fields=tuple(fields),
            hash=digest,
            rsv="0x" + CUSTOMER_KEY.sign(digest.encode()),
            signatory=CUSTOMER_KEY.address,
        ),
        version,
    )
    signed, seen = sent(with_signature(request, header), version)
    assert signed.body == b'{"kwh":15.0,"volume":1.0E-4,"id":"s1"}'
    notary = parse_notary(signed.header or "")
    assert hashes_hold(notary, seen, version) == (True, [True])


def test_lower_case_signatory_of_a_java_customer_gets_its_checksum_so_that_javascript_accepts_the_chain() -> None:
    request = a_request()
    notary = sign(values_of(request), CUSTOMER_KEY)
    fields = {name: getattr(notary, name) for name in notary.__dataclass_fields__}
    lower = type(notary)(**{**fields, "signatory": CUSTOMER_KEY.address})
    signed, values = sent(with_signature(request, notary_header(lower, NodeVersion.V1)))
    check_holds(signed, values, NodeVersion.V1, rewrites=1)


def test_two_services_get_signatures_that_do_not_know_of_each_other() -> None:
    request = signed_by_customer(a_request())
    first, first_values = sent(request)
    second, second_values = sent(request, receiver=OTHER_SERVICE)
    check_holds(first, first_values, NodeVersion.V1, rewrites=1)
    check_holds(second, second_values, NodeVersion.V1, rewrites=1)


def test_second_hop_is_put_on_top_of_the_first() -> None:
    request = a_request(ocpi_to_country_code="DE", ocpi_to_party_id="SVC")
    said = values_of(request)
    original = {**said, "headers": {**said["headers"], "ocpi-to-country-code": "NL", "ocpi-to-party-id": "MSP"}}
    stash = {"$['headers']['ocpi-to-country-code']": "NL", "$['headers']['ocpi-to-party-id']": "MSP"}
    first = sign(said, OPERATOR_KEY, rewrites=stashed(sign(original, CUSTOMER_KEY), stash))
    signed, values = sent(with_signature(request, notary_header(first, NodeVersion.V1)), receiver=OTHER_SERVICE)
    check_holds(signed, values, NodeVersion.V1, rewrites=2)
    assert parse_notary(signed.header or "").rewrites[0] == first.rewrites[0]


def test_registry_spelling_of_the_customer_is_part_of_what_was_rewritten() -> None:
    request = signed_by_customer(a_request(ocpi_from_country_code="de", ocpi_from_party_id="cpo"))
    signed, values = sent(request)
    assert values["headers"]["ocpi-from-party-id"] == "CPO"
    check_holds(signed, values, NodeVersion.V1, rewrites=1)


def test_paths_and_order_that_the_customer_chose_are_kept() -> None:
    request = a_request(body=b'{"id":"s1","kwh":1.5,"2":"two"}')
    values = values_of(request)
    odd = {"body": {"2": "two", "id": "s1"}, "headers": {"x-correlation-id": values["headers"]["x-correlation-id"]}}
    header = notary_header(sign(odd, CUSTOMER_KEY), NodeVersion.V1)
    signed, seen = sent(with_signature(request, header))
    check_holds(signed, seen, NodeVersion.V1, rewrites=1)
    assert parse_notary(signed.header or "").fields == parse_notary(header).fields


@BOTH
def test_command_carries_the_inert_url_and_remembers_the_customers(version: NodeVersion) -> None:
    body = b'{"response_url":"https://msp.example/cb/1","location_id":"L1"}'
    request = signed_by_customer(a_request("POST", "/ocpi/receiver/2.2/commands/START_SESSION", body=body))
    signed, values = sent(request, version)
    assert values["body"] == {"response_url": INERT, "location_id": "L1"}
    check_holds(signed, values, version, rewrites=1)
    rewritten = dict(parse_notary(signed.header or "").rewrites[0].rewritten_fields)
    assert rewritten["$['body']['response_url']"] == "https://msp.example/cb/1"


def test_charging_profile_without_body_has_its_url_replaced_in_the_parameters() -> None:
    path = "/ocpi/2.2/receiver/chargingprofiles/S1"
    query = "duration=900&response_url=https%3A%2F%2Fmsp.example%2Fcb%2F2"
    request = a_request("GET", path, body=b"", query=query)
    params = {"duration": 900, "response_url": "https://msp.example/cb/2"}
    signed, values = sent(signed_by_customer(request, params=params))
    assert values["params"] == {"duration": 900, "response_url": INERT}
    check_holds(signed, values, NodeVersion.V1, rewrites=1)


def test_parameter_that_the_node_adds_does_not_disturb_the_customers_signature() -> None:
    request = signed_by_customer(a_request("PUT", "/ocpi/receiver/2.2/tokens/DE/CPO/U1", body=b'{"uid":"U1"}'))
    signed, values = sent(request)
    assert values["params"] == {"type": "RFID"}
    check_holds(signed, values, NodeVersion.V1, rewrites=1)


@BOTH
def test_unsigned_request_is_signed_afresh_by_the_operator(version: NodeVersion) -> None:
    signed, values = sent(a_request(body=b'{"kwh":15.00,"id":"s1","empty":"","none":null}'), version)
    assert signed.body == b'{"kwh":15,"id":"s1","empty":"","none":null}'
    check_holds(signed, values, version, rewrites=0)


def test_fresh_signature_leaves_out_what_nobody_could_verify() -> None:
    signed, values = sent(a_request(body=b'{"evseUid":"1","it\'s":"2","id":"s1"}'))
    check_holds(signed, values, NodeVersion.V1, rewrites=0)
    assert "$['body']['id']" in parse_notary(signed.header or "").fields


def test_request_without_body_is_signed_too() -> None:
    request = a_request("DELETE", "/ocpi/receiver/2.2/tariffs/DE/CPO/T1", body=b"")
    for asked in (request, signed_by_customer(request)):
        signed, values = sent(asked)
        assert signed.body is None
        assert "body" not in values
        check_holds(signed, values, NodeVersion.V1, rewrites=0 if asked is request else 1)


@pytest.mark.parametrize("header", ["", "no signature", "e30=", "H4sIAAAA"])
def test_signature_that_cannot_be_read_is_left_out_and_noted(header: str) -> None:
    signed, _ = sent(with_signature(a_request(), header))
    assert signed.header is None
    assert "cannot be carried over" in (signed.note or "")
    assert signed.body == a_request().body


def test_signature_over_something_else_is_left_out_and_noted() -> None:
    header = signed_by_customer(a_request(body=b'{"id":"other"}')).ocn_signature
    signed, _ = sent(with_signature(a_request(body=b'{"id":"s1"}'), header))
    assert signed.header is None
    assert "Request has been modified" in (signed.note or "")


def test_unparsable_body_is_an_error_whether_signed_or_not() -> None:
    for request in (a_request(body=b'{"id":01}'), with_signature(a_request(body=b'{"id":01}'), "x")):
        with pytest.raises(CanonicalError):
            sent(request)


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.decimals(0, 9_999_999, places=3).map(float)
    | st.text(st.characters(codec="utf-8"), max_size=8)
)
NAMES = st.from_regex(r"[a-z_.-]{1,8}", fullmatch=True)
BODIES = st.dictionaries(
    NAMES,
    st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3)),
    max_size=5,
)


@given(BODIES, st.sampled_from(NodeVersion))
def test_whatever_a_javascript_customer_signs_holds_at_the_service(body: dict[str, Any], version: NodeVersion) -> None:
    request = signed_by_customer(a_request(body=json.dumps(body).encode()))
    signed, values = sent(request, version)
    check_holds(signed, values, version, rewrites=1)


@given(BODIES, st.sampled_from(NodeVersion))
def test_whatever_is_signed_afresh_holds_at_the_service(body: dict[str, Any], version: NodeVersion) -> None:
    signed, values = sent(a_request(body=json.dumps(body).encode()), version)
    check_holds(signed, values, version, rewrites=0)


def test_tampering_behind_us_is_noticed() -> None:
    signed, values = sent(signed_by_customer(a_request()))
    values["body"]["kwh"] = 99
    with pytest.raises(SignatureError):
        verify(parse_notary(signed.header or ""), values)
