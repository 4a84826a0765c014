from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocn_permission_agent.errors import CanonicalError
from ocn_permission_agent.ocn.keys import OperatorKey, recover
from ocn_permission_agent.ocn.message import NOT_PRESENTED, copy_message, path_text, read_message
from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.ocpi.party import Party
from tests.factories import a_request
from tests.unit.ocn.vectors import named, vectors

VECTORS = vectors("ocn_message")
KEY = OperatorKey.load(VECTORS["about"]["operator_private_key"])
SERVICE = Party("DE", "SVC")
CUSTOMER = Party("DE", "CPO")
INERT = "https://node.example/ocn-agent/inert/1"
HEADERS = (
    '"X-Request-ID":"0a0a0a0a-0000-4000-8000-000000000001","X-Correlation-ID":"c0ffee00-0000-4000-8000-000000000001",'
    '"sender":{"party_id":"CPO","country_code":"DE"},"receiver":{"party_id":"SVC","country_code":"DE"}'
)
BOTH = pytest.mark.parametrize("version", list(NodeVersion))


def message_of(method: str, path: str, *, version: NodeVersion = NodeVersion.V1, **facts: Any) -> str:
    asked = {name: facts.pop(name) for name in ("ocn_signature", "response_url") if name in facts}
    request = a_request(method, path, **facts)
    return copy_message(request, sender=CUSTOMER, receiver=SERVICE, version=version, **asked).decode()


@pytest.mark.parametrize(("version", "name"), [(NodeVersion.V1, "v1"), (NodeVersion.V2, "v2")])
@pytest.mark.parametrize("case", **named(VECTORS["messages"]))
def test_node_reads_and_writes_again_as_in_the_vectors(case: dict[str, Any], version: NodeVersion, name: str) -> None:
    expected = case[name]
    raw = case["raw"].encode()
    if "error" in expected:
        with pytest.raises(CanonicalError):
            read_message(raw, version=version)
        return
    message = read_message(raw, version=version)
    assert message.text.decode() == expected["text"]
    assert KEY.sign(message.text) == expected["signature"]
    assert recover(message.text, expected["signature"]) == KEY.address
    assert (message.text == raw) == expected["survives"]


@BOTH
def test_copy_of_a_session_is_what_the_receiving_node_would_write(version: NodeVersion) -> None:
    status = ',"OCN-Verification-Status":"NOT_PRESENTED"' if version is NodeVersion.V2 else ""
    text = message_of(
        "PUT", "/ocpi/receiver/2.2/sessions/DE/CPO/s1", version=version, body=b'{"id": "s1", "kwh":15.00}'
    )
    assert text == (
        '{"module":"SESSIONS","interface_role":"RECEIVER","method":"PUT","headers":{"Authorization":"",'
        f"{HEADERS}{status}}},"
        '"url_path":"/DE/CPO/s1","body":{"id":"s1","kwh":15.0}}'
    )
    assert read_message(text.encode(), version=version).text.decode() == text


@BOTH
@pytest.mark.parametrize(
    ("method", "path", "facts", "tail"),
    [
        ("POST", "/ocpi/receiver/2.2/cdrs", {"body": b"{}"}, ',"body":{}'),
        ("GET", "/ocpi/sender/2.2/cdrs", {}, ',"query_params":{}'),
        (
            "GET",
            "/ocpi/sender/2.2/sessions",
            {"query": "limit=050&offset=0&date_to=2024-03-01T10%3A00%3A00Z&x=1&date_from="},
            ',"query_params":{"date_from":"","date_to":"2024-03-01T10:00:00Z","offset":0,"limit":50}',
        ),
        ("GET", "/ocpi/sender/2.2/tokens", {"query": "limit=&type=RFID"}, ',"query_params":{}'),
        ("GET", "/ocpi/sender/2.2/tariffs", {"query": "limit=many"}, ',"query_params":{"limit":"many"}'),
        ("GET", "/ocpi/sender/2.2/locations/L1", {}, ',"url_path":"L1"'),
        ("GET", "/ocpi/sender/2.2/locations/L1/E1", {}, ',"url_path":"/L1/E1"'),
        (
            "PATCH",
            "/ocpi/receiver/2.2/locations/DE/CPO/L1/E1/1",
            {"body": b'{"a":null}'},
            ',"url_path":"/DE/CPO/L1/E1/1","body":{"a":null}',
        ),
        ("DELETE", "/ocpi/receiver/2.2/tariffs/DE/CPO/T1", {}, ',"url_path":"/DE/CPO/T1"'),
        (
            "PUT",
            "/ocpi/receiver/2.2/tokens/NL/MSP/U1",
            {"body": b"{}"},
            ',"url_path":"/NL/MSP/U1","query_params":{"type":"RFID"},"body":{}',
        ),
        (
            "PATCH",
            "/ocpi/receiver/2.2/tokens/NL/MSP/U1",
            {"body": b"{}", "query": "type=APP_USER"},
            ',"url_path":"/NL/MSP/U1","query_params":{"type":"APP_USER"},"body":{}',
        ),
        (
            "POST",
            "/ocpi/sender/2.2/tokens/U1/authorize",
            {"query": "type="},
            ',"url_path":"U1/authorize","query_params":{"type":"RFID"}',
        ),
        (
            "PUT",
            "/ocpi/sender/2.2/sessions/s1/charging_preferences",
            {"body": b"{}"},
            ',"url_path":"/s1/charging_preferences","body":{}',
        ),
        (
            "GET",
            "/ocpi/2.2/receiver/chargingprofiles/s1",
            {"query": "response_url=https%3A%2F%2Fa&duration=900"},
            ',"url_path":"s1","query_params":{"duration":900,"response_url":"https://a"}',
        ),
        (
            "DELETE",
            "/ocpi/2.2/receiver/chargingprofiles/s1",
            {"query": "response_url=https%3A%2F%2Fa&duration=900"},
            ',"url_path":"s1","query_params":{"response_url":"https://a"}',
        ),
        ("POST", "/ocpi/2.2/sender/chargingprofiles/result/7", {"body": b"{}"}, ',"url_path":"7","body":{}'),
        ("POST", "/ocpi/sender/2.2/commands/START_SESSION/7", {"body": b"{}"}, ',"url_path":"7","body":{}'),
        ("PUT", "/ocpi/receiver/2.2/sessions/DE/CPO/s1", {"body": b"null"}, ',"url_path":"/DE/CPO/s1"'),
        ("PUT", "/ocpi/receiver/2.2/sessions/DE/CPO/s1", {"body": b" \n"}, ',"url_path":"/DE/CPO/s1"'),
    ],
)
def test_path_parameters_and_body_are_told_as_the_customers_node_would(
    method: str, path: str, facts: dict[str, Any], tail: str, version: NodeVersion
) -> None:
    text = message_of(method, path, version=version, **({"body": b""} | facts))
    _, _, after_headers = text.partition('"receiver":{"party_id":"SVC","country_code":"DE"}')
    assert after_headers.partition("}")[2] == tail + "}"
    assert read_message(text.encode(), version=version).text.decode() == text


@BOTH
@pytest.mark.parametrize(
    ("method", "path", "facts"),
    [
        ("POST", "/ocpi/receiver/2.2/commands/START_SESSION", {"body": b'{"response_url":"https://msp/1","a":1.50}'}),
        ("PUT", "/ocpi/2.2/receiver/chargingprofiles/s1", {"body": b'{"response_url":"https://msp/1"}'}),
        ("GET", "/ocpi/2.2/receiver/chargingprofiles/s1", {"body": b"", "query": "response_url=https://msp/1"}),
    ],
)
def test_response_url_of_the_customer_never_leaves(
    method: str, path: str, facts: dict[str, Any], version: NodeVersion
) -> None:
    text = message_of(method, path, version=version, response_url=INERT, **facts)
    assert "https://msp" not in text
    assert f'"response_url":"{INERT}"' in text


def test_response_url_of_other_modules_is_a_member_like_any() -> None:
    text = message_of(
        "PATCH", "/ocpi/receiver/2.2/sessions/DE/CPO/s1", response_url=INERT, body=b'{"response_url":"x"}'
    )
    assert text.endswith('"body":{"response_url":"x"}}')


def test_command_without_response_url_gets_none() -> None:
    text = message_of(
        "POST", "/ocpi/receiver/2.2/commands/STOP_SESSION", response_url=INERT, body=b'{"session_id":"s1"}'
    )
    assert text.endswith('"body":{"session_id":"s1"}}')


def test_signature_stands_between_authorization_and_request_id() -> None:
    text = message_of("PUT", "/ocpi/receiver/2.2/sessions/DE/CPO/s1", ocn_signature="GxkFAGQzVV9=")
    assert '"Authorization":"","OCN-Signature":"GxkFAGQzVV9=","X-Request-ID"' in text


def test_sender_is_spelled_as_in_the_registry() -> None:
    text = message_of("PUT", "/ocpi/receiver/2.2/sessions/DE/CPO/s1", ocpi_from_party_id="cpo")
    assert '"sender":{"party_id":"CPO","country_code":"DE"}' in text


@BOTH
def test_body_that_no_node_would_parse_is_an_error(version: NodeVersion) -> None:
    for body in (b"{", b'{"a":NaN}', b"[" * 1000 + b"]" * 1000):
        with pytest.raises(CanonicalError):
            message_of("PUT", "/ocpi/receiver/2.2/sessions/DE/CPO/s1", version=version, body=body)


@BOTH
def test_deepest_body_still_fits_into_a_message_that_nodes_read(version: NodeVersion) -> None:
    body = b"[" * 999 + b"]" * 999
    text = message_of("PATCH", "/ocpi/receiver/2.2/sessions/DE/CPO/s1", version=version, body=body)
    assert read_message(text.encode(), version=version).body == body


def test_values_are_what_the_stand_in_needs() -> None:
    text = message_of(
        "GET", "/ocpi/sender/2.2/cdrs", version=NodeVersion.V2, body=b"", query="limit=5", ocn_signature="sig"
    )
    message = read_message(text.encode(), version=NodeVersion.V2)
    assert (message.module, message.interface_role, message.method) == ("CDRS", "SENDER", "GET")
    assert (message.sender, message.receiver) == (CUSTOMER, SERVICE)
    assert (message.authorization, message.ocn_signature) == ("", "sig")
    assert message.verification_status == NOT_PRESENTED
    assert message.query_params == (("limit", 5),)
    assert message.url_path is None
    assert message.body is None


GOOD = (
    '{"module":"SESSIONS","interface_role":"RECEIVER","method":"PUT","headers":{"Authorization":"","X-Request-ID":"r",'
    '"X-Correlation-ID":"c","sender":{"party_id":"CPO","country_code":"DE"},'
    '"receiver":{"party_id":"SVC","country_code":"DE"}},"body":{}}'
)


@BOTH
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"Authorization":""', '"Authorization":null'),
        ('"X-Request-ID":"r",', ""),
        ('"sender":{"party_id":"CPO","country_code":"DE"},', ""),
        ('"sender":{"party_id":"CPO","country_code":"DE"}', '"sender":"DE*CPO"'),
        ('"party_id":"SVC"', '"party_id":["SVC"]'),
        ('"SESSIONS"', '"ROUNDTRIPS"'),
        ('"SESSIONS"', "99"),
        ('"SESSIONS"', "true"),
        ('"SESSIONS"', "null"),
        ('"SESSIONS"', "6.5"),
        ('"RECEIVER"', '"receiver"'),
        ('"method":"PUT",', ""),
        ('"body":{}', '"query_params":[]'),
        ('"body":{}', '"url_path":{}'),
        ('"SESSIONS"', '"CUSTOM"'),
        (GOOD, "[]"),
        (GOOD, "not JSON"),
    ],
)
def test_message_that_a_node_cannot_bind_is_an_error(old: str, new: str, version: NodeVersion) -> None:
    with pytest.raises(CanonicalError):
        read_message(GOOD.replace(old, new, 1).encode(), version=version)


@BOTH
@pytest.mark.parametrize(
    ("old", "new", "then"),
    [
        ('"SESSIONS"', "0", '"CDRS"'),
        ('"SESSIONS"', '"6"', '"SESSIONS"'),
        ('"SESSIONS"', '" SESSIONS "', '"SESSIONS"'),
        ('"RECEIVER"', "1", '"RECEIVER"'),
        ('"X-Request-ID":"r"', '"X-Request-ID":1.50', '"X-Request-ID":"1.50"'),
        ('"X-Request-ID":"r"', '"X-Request-ID":true', '"X-Request-ID":"true"'),
        ('"body":{}}', '"body":{}} trailing', '"body":{}}'),
        ('"body":{}', '"body":{"a":1.50}', '"body":{"a":1.5}'),
    ],
)
def test_what_the_nodes_parser_forgives_comes_back_normalised(
    old: str, new: str, then: str, version: NodeVersion
) -> None:
    read = read_message(GOOD.replace(old, new, 1).encode(), version=version)
    expected = GOOD.replace(old, then, 1).encode()
    if version is NodeVersion.V2:
        expected = expected.replace(b'"}},"body"', b'"},"OCN-Verification-Status":"NOT_PRESENTED"},"body"')
    assert read.text == expected


@pytest.mark.parametrize(
    ("flag", "then"),
    [('"true"', "true"), ("true", "true"), ("false", "false"), ("0", "false"), ("1", "true"), ('"False"', "false")],
)
def test_test_tool_flag_is_kept_by_2x(flag: str, then: str) -> None:
    text = GOOD.replace('"Authorization"', f'"test-tool-origin":{flag},"Authorization"').encode()
    assert f'"NOT_PRESENTED","test-tool-origin":{then}}}' in read_message(text, version=NodeVersion.V2).text.decode()
    with pytest.raises(CanonicalError):
        read_message(text, version=NodeVersion.V1)


@pytest.mark.parametrize("flag", ['"yes"', "[]", "1.5"])
def test_test_tool_flag_that_is_no_boolean_is_an_error(flag: str) -> None:
    text = GOOD.replace('"Authorization"', f'"test-tool-origin":{flag},"Authorization"').encode()
    with pytest.raises(CanonicalError):
        read_message(text, version=NodeVersion.V2)


def test_empty_or_null_test_tool_flag_is_none() -> None:
    for flag in ('""', "null"):
        text = GOOD.replace('"Authorization"', f'"test-tool-origin":{flag},"Authorization"').encode()
        assert read_message(text, version=NodeVersion.V2).test_tool_origin is None


@pytest.mark.parametrize(
    ("segment", "for_v1", "for_v2"),
    [
        ("S1", "S1", "S1"),
        ("a%20b", "a b", "a%20b"),
        ("%C3%A4%E2%82%AC", "ä€", "%C3%A4%E2%82%AC"),
        ("a+b&c=d:e@f,g!h~i", "a+b&c=d:e@f,g!h~i", "a+b&c=d:e@f,g!h~i"),
        ("a%22b%3Cc%7C%5B%5D", 'a\\"b<c|[]', "a%22b%3Cc%7C%5B%5D"),
    ],
)
def test_path_is_decoded_for_the_version_that_encodes_it_and_encoded_for_the_other(
    segment: str, for_v1: str, for_v2: str
) -> None:
    path = f"/ocpi/receiver/2.2/sessions/DE/CPO/{segment}"
    assert f'"url_path":"/DE/CPO/{for_v1}",' in message_of("PUT", path, body=b"{}")
    assert f'"url_path":"/DE/CPO/{for_v2}",' in message_of("PUT", path, version=NodeVersion.V2, body=b"{}")


def test_path_that_no_encoding_can_hold_gets_question_marks() -> None:
    assert path_text("/a/\ud83d", NodeVersion.V2) == "/a/%3F"


@given(segments=st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/"), min_size=1)))
def test_path_for_the_version_that_sends_it_raw_is_plain_ascii_and_reads_back(segments: list[str]) -> None:
    text = path_text("/" + "/".join(segments), NodeVersion.V2)
    assert text.isascii()
    assert text.isprintable()
    assert not set(text) & set(' "#?;%\\') - {"%"}
    assert [unquote(piece) for piece in text.split("/")[1:]] == (segments or [""])
