from typing import Any

import pytest

from ocn_permission_agent.errors import SignatureError
from ocn_permission_agent.ocn.json_text import parse_json
from ocn_permission_agent.ocn.keys import OperatorKey
from ocn_permission_agent.ocn.notary import Notary, sign, stashed, verify
from ocn_permission_agent.ocn.notary_wire import notary_header, notary_json, parse_notary
from ocn_permission_agent.ocn.version import NodeVersion
from tests.unit.ocn.jvm_notary import CannotSign, hash_of, hashes_hold, signed_message, verified_message
from tests.unit.ocn.vectors import named, vectors

NOTARY = vectors("notary")
JVM = vectors("notary_jvm_port")
KEYS = {name: OperatorKey.load(key["private_key"]) for name, key in NOTARY["keys"].items()}
BY_NAME = {case["name"]: case for case in NOTARY["sign"] + NOTARY["rewrite"]}
VALUES: dict[str, Any] = {"headers": {"x-correlation-id": "c"}, "body": {"id": "1", "kwh": 15.5}}


def read(text: str) -> dict[str, Any]:
    value = parse_json(text)
    assert isinstance(value, dict)
    return value


def equals(notary: Notary, expected: dict[str, Any]) -> bool:
    return read(notary_json(notary).decode()) == {
        name: expected[name] for name in ("fields", "hash", "rsv", "signatory", "rewrites")
    }


@pytest.mark.parametrize("case", **named(NOTARY["sign"]))
def test_signs_as_the_javascript_notary_does(case: dict[str, Any]) -> None:
    notary = sign(case["values"], KEYS[case["key"]])
    assert equals(notary, case)
    assert notary_json(notary).decode() == case["notary_json"]
    assert notary_header(notary, NodeVersion.V1) == case["ocn_signature"]


@pytest.mark.parametrize("case", **named(NOTARY["sign"]))
def test_verdict_on_its_own_signatures_is_that_of_the_javascript_notary(case: dict[str, Any]) -> None:
    notary = parse_notary(case["ocn_signature"])
    values = read(case["values_raw_json"])
    if case["self_verify"]["isValid"]:
        verify(notary, values)
    else:
        with pytest.raises(SignatureError, match=case["self_verify"]["error"]):
            verify(notary, values)


@pytest.mark.parametrize("case", **named([case for case in NOTARY["rewrite"] if "steps" in case]))
def test_stashes_and_signs_again_as_the_javascript_notary_does(case: dict[str, Any]) -> None:
    notary = sign(case["original_values"], KEYS[case["original_key"]])
    assert equals(notary, case["original"])
    for step in case["steps"]:
        notary = sign(step["values"], KEYS[step["key"]], rewrites=stashed(notary, step["stash"]))
        assert equals(notary, step["after"])
    assert equals(notary, case["final"])
    assert notary_header(notary, NodeVersion.V1) == case["ocn_signature"]
    check_verdict(case["ocn_signature"], case["steps"][-1]["values"], case["verify"])


def test_signature_of_a_java_notary_verifies() -> None:
    case = BY_NAME["jvm_style_lowercase_signatory_no_rewrite"]
    verify(parse_notary(case["ocn_signature"]), case["original_values"])


def test_verifying_twice_changes_nothing() -> None:
    case = BY_NAME["verify_reverses_rewrites_in_place"]
    notary = parse_notary(case["ocn_signature"])
    for _ in range(3):
        verify(notary, case["values"])
    assert notary == parse_notary(case["ocn_signature"])
    assert notary_header(notary, NodeVersion.V1) == case["ocn_signature"]


@pytest.mark.parametrize("case", **named(NOTARY["negative"]))
def test_verdict_is_that_of_the_javascript_notary(case: dict[str, Any]) -> None:
    check_verdict(case["ocn_signature"], case["verify_values"], case["verdict"])


def check_verdict(header: str, values: dict[str, Any], verdict: dict[str, Any]) -> None:
    if verdict["isValid"]:
        verify(parse_notary(header), values)
        return
    # What makes the JavaScript notary throw is refused in words of our own.
    with pytest.raises(SignatureError, match=verdict.get("error")):
        verify(parse_notary(header), values)


@pytest.mark.parametrize("case", **named(NOTARY["compatibility"]))
def test_agrees_with_what_the_project_expects_of_every_notary(case: dict[str, Any]) -> None:
    match case:
        case {"decoded": decoded, "ocn_signature": header}:
            assert equals(parse_notary(header), decoded)
            assert notary_header(parse_notary(header), NodeVersion.V1) == header
        case {"values": values, "key": key, "rewrites": rewrites, "ocn_signature": header}:
            notary = sign(values, KEYS[key], rewrites=parse_notary(header).rewrites)
            assert equals(notary, case)
            assert len(rewrites) == len(notary.rewrites)
            assert notary_header(notary, NodeVersion.V1) == header
            check_verdict(header, values, case.get("verify") or case.get("self_verify") or {"isValid": True})
        case {"private_key": secret, "message": message, "rsv": rsv}:
            assert "0x" + OperatorKey.load(secret).sign(message.encode()) == rsv
        case {"hash": digest, "rsv": rsv}:
            assert "0x" + KEYS["party"].sign(digest.encode()) == rsv
        case _:
            pytest.fail(f"nothing known of {case['name']}")


@pytest.mark.parametrize("case", **named(JVM["sign"]))
def test_java_notary_would_sign_and_accept_what_the_port_does(case: dict[str, Any]) -> None:
    values = read(case["values_raw_json"])
    notary = parse_notary(BY_NAME[case["name"]]["ocn_signature"])
    rebuilt = verified_message(values, notary.fields, NodeVersion.V2)
    assert rebuilt == case["jvm_verify_message"]
    assert (hash_of(rebuilt) == notary.hash) == case["jvm_accepts_js_signature"]
    if "jvm_sign_error" in case:
        with pytest.raises(CannotSign):
            signed_message(values, NodeVersion.V2)
        return
    fields, message = signed_message(values, NodeVersion.V2)
    assert (fields, message) == (case["jvm_fields"], case["jvm_message"])
    assert hash_of(message) == case["jvm_hash"]
    assert (hash_of(message) == case["js_hash"]) == case["same_hash"]


@pytest.mark.parametrize("case", **named(JVM["rewrite"]))
def test_java_notary_judges_rewrites_as_the_port_does(case: dict[str, Any]) -> None:
    origin = BY_NAME[case["name"]]
    values = origin["steps"][-1]["values"] if "steps" in origin else origin["original_values"]
    held = hashes_hold(parse_notary(origin["ocn_signature"]), values, NodeVersion.V2)
    assert held == (case["jvm_outer_hash_ok"], case["jvm_rewrite_hash_ok_newest_first"])


@pytest.mark.parametrize("case", **named(JVM["extra"]))
@pytest.mark.parametrize(("java", "version"), [("java17", NodeVersion.V1), ("java21", NodeVersion.V2)])
def test_java_notary_prints_values_as_the_port_does(case: dict[str, Any], java: str, version: NodeVersion) -> None:
    expected = case[java]
    if "sign_error" in expected:
        with pytest.raises(CannotSign):
            signed_message(read(case["raw"]), version)
        return
    fields, message = signed_message(read(case["raw"]), version)
    assert (fields, message) == (expected["fields"], expected["message"])
    assert verified_message(read(case["raw"]), fields, version) == expected["verify_message"]


@pytest.mark.parametrize("v", ["00", "01", "1d", "1e"])
def test_any_v_is_read_as_one_bit_as_in_javascript(v: str) -> None:
    notary = sign(VALUES, KEYS["party"])
    odd = int(notary.rsv[-2:], 16) - 27
    spoiled = Notary(fields=notary.fields, hash=notary.hash, rsv=notary.rsv[:-2] + v, signatory=notary.signatory)
    if int(v, 16) % 2 == odd:
        verify(spoiled, VALUES)
    else:
        with pytest.raises(SignatureError, match="Signatories do not match"):
            verify(spoiled, VALUES)


@pytest.mark.parametrize("spell", [str.lower, lambda text: "0x" + text[2:].upper(), lambda text: text[2:], str])
def test_signatory_may_be_spelled_in_one_case_or_with_its_checksum(spell: Any) -> None:
    notary = sign(VALUES, KEYS["party"])
    verify(Notary(fields=notary.fields, hash=notary.hash, rsv=notary.rsv, signatory=spell(notary.signatory)), VALUES)


@pytest.mark.parametrize("signatory", ["", "0x12", "0x667fF918754239Bc5DfB39EfE943f29c735E7Cb4", "nobody"])
def test_signatory_that_is_no_address_is_refused(signatory: str) -> None:
    notary = sign(VALUES, KEYS["party"])
    with pytest.raises(SignatureError, match="signatory"):
        verify(Notary(fields=notary.fields, hash=notary.hash, rsv=notary.rsv, signatory=signatory), VALUES)


@pytest.mark.parametrize(
    "field", ["$", "$..*", "$['body'][*]", "$.body", "$['body'][?(@.id)]", "$['bo\\'dy']", "body", "$['body'][-1]", ""]
)
def test_paths_that_are_not_literal_are_never_evaluated(field: str) -> None:
    notary = sign(VALUES, KEYS["party"])
    with pytest.raises(SignatureError, match="literal form"):
        verify(Notary(fields=(field,), hash=notary.hash, rsv=notary.rsv, signatory=notary.signatory), VALUES)


def test_field_that_holds_a_container_reads_as_in_javascript() -> None:
    values: dict[str, Any] = {"body": {"list": ["a", None, 1.5, {"b": 1}, [True]]}}
    notary = sign(values, KEYS["party"], fields=("$['body']", "$['body']['list']", "$['body']['none']"))
    assert notary.hash == hash_of("[object Object]a,,1.5,[object Object],true")
    verify(notary, values)
