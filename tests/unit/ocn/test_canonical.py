import json
import math
import re
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocn_permission_agent.errors import CanonicalError
from ocn_permission_agent.ocn.canonical import canonical, decode
from ocn_permission_agent.ocn.json_text import parse_json, write_json
from ocn_permission_agent.ocn.keys import OperatorKey, eip191_hash, recover
from ocn_permission_agent.ocn.version import NodeVersion
from tests.unit.ocn.json_documents import DOCUMENTS, spoilt
from tests.unit.ocn.vectors import named, vectors

VECTORS = vectors("ocn_message")
KEY = OperatorKey.load(VECTORS["about"]["operator_private_key"])
STAND_INS = {NodeVersion.V1: "java17_jackson2_14", NodeVersion.V2: "java21_jackson2_18"}
BOTH = pytest.mark.parametrize("version", list(NodeVersion))


@BOTH
@pytest.mark.parametrize("case", **named(VECTORS["json_values"]))
def test_text_and_signature_are_those_of_the_vectors(case: dict[str, Any], version: NodeVersion) -> None:
    expected = case.get(STAND_INS[version], case)
    raw = case["raw"].encode()
    if "error" in expected:
        with pytest.raises(CanonicalError):
            canonical(raw, version=version)
        return
    text = canonical(raw, version=version)
    assert text.decode() == expected["text"]
    if "signature" in expected:
        assert KEY.sign(text) == expected["signature"]
        assert recover(text, expected["signature"]) == KEY.address
        assert "0x" + eip191_hash(text).hex() == expected["eip191_hash"]
        assert (text == raw) == expected["survives"]


@BOTH
@pytest.mark.parametrize(
    ("said", "written"),
    [
        # numbers
        ("[0,-0,10,-7,123456789012345678901234567890]", "[0,0,10,-7,123456789012345678901234567890]"),
        ("[18446744073709551616,999999999999999999]", "[18446744073709551616,999999999999999999]"),
        ("[0.0,-0.0,0e5,-0E-2,0.000]", "[0.0,-0.0,0.0,-0.0,0.0]"),
        ("[1.0,100.00,0.5e1,5E-1,1e+2]", "[1.0,100.0,5.0,0.5,100.0]"),
        ("[0.00100,0.0010000000000000002,0.00099]", "[0.001,0.0010000000000000002,9.9E-4]"),
        ("[9999999.9,9999999.999999999,10000000.5]", "[9999999.9,9999999.999999998,1.00000005E7]"),
        ("[9999999.9999999999]", "[1.0E7]"),
        ("[1e22,1e-7,-1.5e300,0.1e-6]", "[1.0E22,1.0E-7,-1.5E300,1.0E-7]"),
        ("[1e309,-1e309]", '["Infinity","-Infinity"]'),
        ("-12.50", "-12.5"),
        # strings
        (r'["\u0000\u001F\u007f\u2028\/"]', '["\\u0000\\u001F\x7f\u2028/"]'),
        (r'["\ud83d\ude97","\ud83d","\ude97\ud83d","a\udc00b"]', '["🚗","?","??","a?b"]'),
        (r'{"\u00e4":"\u00C4","\"":"\\"}', '{"ä":"Ä","\\"":"\\\\"}'),
        ('["<script>&\'"]', '["<script>&\'"]'),
        # objects
        ('{"b":1,"a":{"2":0,"1":0},"b":2}', '{"b":2,"a":{"2":0,"1":0}}'),
        ('{"a":{"x":1},"a":{"y":2},"":null}', '{"a":{"y":2},"":null}'),
        (r'{"\ud83d":1,"?":2}', '{"?":2}'),
        (' \t\r\n{ "a" : [ ] , "b" : { } } \n', '{"a":[],"b":{}}'),
        # what stands behind the value
        ('{"a":1}{"b":2}', '{"a":1}'),
        ('[1]]', "[1]"),
        ('"a"b', '"a"'),
        ("true-", "true"),
        ("[1]/*", "[1]"),
        ("1 x", "1"),
        ("\ufeff[1]", "[1]"),
    ],
)  # fmt: skip
def test_is_written_as_java_writes_it(said: str, written: str, version: NodeVersion) -> None:
    assert canonical(said.encode(), version=version).decode() == written


@pytest.mark.parametrize(
    ("said", "older", "newer"),
    [
        ("[2e23]", "[1.9999999999999998E23]", "[2.0E23]"),
        ("[8.41e21]", "[8.409999999999999E21]", "[8.41E21]"),
        ("[1e23]", "[9.999999999999999E22]", "[1.0E23]"),
        ("[9.999999999999999e22]", "[9.999999999999999E22]", "[1.0E23]"),
        ("[5e-324]", "[4.9E-324]", "[4.9E-324]"),
        ("[1e-323]", "[1.0E-323]", "[9.9E-324]"),
        ("[2.2250738585072014e-308]", "[2.2250738585072014E-308]", "[2.2250738585072014E-308]"),
        ("[9007199254740993.0]", "[9.007199254740992E15]", "[9.007199254740992E15]"),
        ("[18014398509481985.0]", "[1.8014398509481984E16]", "[1.8014398509481984E16]"),
    ],
)
def test_the_two_javas_differ_where_they_do(said: str, older: str, newer: str) -> None:
    assert canonical(said.encode(), version=NodeVersion.V1).decode() == older
    assert canonical(said.encode(), version=NodeVersion.V2).decode() == newer


@BOTH
@pytest.mark.parametrize(
    "said",
    [
        "", " ", "{", "[", "[1", '{"a"', '{"a":', '{"a":1', '{"a":1,}', "[1,]", "[,1]", "[1 2]", '{"a" 1}', "{1:2}",
        '{a:1}', "{,}", "}", "]", ":", ",", "NaN", "[NaN]", "[Infinity]", "[-Infinity]", "[.5]", "[5.]", "[+1]", "[01]",
        "[-]", "[1e]", "[1.e5]", "[--1]", "[0x10]", "[1_000]", "5.", "01", "1x", "1]", "-", "truex", "null1", "tru",
        "'a'", "['a']", '"a', '"\t"', '["\x1f"]', '"\\x"', '"\\u12g4"', '"\\u12"', "// c\n1", "[1,/*c*/2]",
        '{"a":1 "b":2}', '{"a"::1}', "[[]", '[{]}', "[undefined]", "[True]", "\u00a0[1]", "[1\u00a0]", "\x0b1",
    ],
)  # fmt: skip
def test_what_the_nodes_parser_rejects_is_an_error(said: str, version: NodeVersion) -> None:
    with pytest.raises(CanonicalError):
        canonical(said.encode(), version=version)


@BOTH
def test_bytes_that_are_no_utf_8_are_an_error(version: NodeVersion) -> None:
    for said in (b'["\xff"]', b'["\xc3"]', b'["\xed\xa0\xbd"]', b"\xff\xfe[\x001\x00]\x00"):
        with pytest.raises(CanonicalError, match="UTF-8"):
            canonical(said, version=version)


@BOTH
def test_limits_are_told_apart_from_bad_json(version: NodeVersion) -> None:
    assert canonical(b"[" * 1000 + b"]" * 1000, version=version) == b"[" * 1000 + b"]" * 1000
    nested = b'{"a":' * 1000 + b"1" + b"}" * 1000
    assert canonical(nested, version=version) == nested
    with pytest.raises(CanonicalError, match="nested deeper than 1000"):
        canonical(b"[" * 1001 + b"]" * 1001, version=version)
    with pytest.raises(CanonicalError, match="nested deeper than 5"):
        canonical(b"[[[[[[1]]]]]]", version=version, depth_limit=5)
    assert canonical(b"[" + b"7" * 1000 + b"]", version=version) == b"[" + b"7" * 1000 + b"]"
    for number in (b"7" * 1001, b"-" + b"7" * 1001, b"0." + b"1" * 1000, b"1e" + b"0" * 1000):
        with pytest.raises(CanonicalError, match="more than 1000 digits"):
            canonical(b"[%b]" % number, version=version)
    with pytest.raises(CanonicalError, match="name longer"):
        canonical(b'{"%b":1}' % (b"n" * 50_001), version=version)
    assert canonical(b'{"%b":1}' % (b"n" * 50_000), version=version)


def test_size_has_a_limit() -> None:
    with pytest.raises(CanonicalError, match="larger than"):
        canonical(b" " * (64 * 1024 * 1024 + 1), version=NodeVersion.V1)


def test_deep_and_hostile_text_neither_recurses_nor_crawls() -> None:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1_000_000)  # as a library in the same process might
    try:
        for hostile in (
            b"[" * 2048,
            b"[" * 200_000,
            b"[" * 1_000_000,
            b'{"a":' * 200_000,
            b'["' + b"\\u0041" * 200_000,
            b"[" + b"1" * 2_000_000,
        ):
            with pytest.raises(CanonicalError):
                canonical(hostile, version=NodeVersion.V2)
    finally:
        sys.setrecursionlimit(before)


@given(DOCUMENTS, st.sampled_from(NodeVersion))
def test_canonical_text_stays_as_it_is(document: str, version: NodeVersion) -> None:
    once = canonical(document.encode(), version=version)
    assert canonical(once, version=version) == once


@given(DOCUMENTS, st.sampled_from(NodeVersion))
def test_the_short_cut_leads_to_where_the_long_way_leads(document: str, version: NodeVersion) -> None:
    assert canonical(document.encode(), version=version) == the_long_way(document.encode(), version)


@given(spoilt(DOCUMENTS.map(str.encode)), st.sampled_from(NodeVersion))
def test_the_short_cut_refuses_what_the_long_way_refuses(text: bytes, version: NodeVersion) -> None:
    try:
        expected = the_long_way(text, version)
    except CanonicalError as error:
        with pytest.raises(CanonicalError, match=f"^{re.escape(str(error))}$"):
            canonical(text, version=version)
    else:
        assert canonical(text, version=version) == expected


#: of which strings are made that are nearly right
_PIECES = ('"', "\\", "u", "\\u", "\\u00", "4", "aF", "g", "\\n", "\\x", "\\u0041", "\x01", "é")


@given(st.lists(st.sampled_from(_PIECES), max_size=8).map(lambda pieces: f'"{"".join(pieces)}"'))
def test_strings_are_those_that_python_reads_too(string: str) -> None:
    _read_alike(f"[{string}]")


@given(st.text("-+0123.5eE", max_size=12))
def test_numbers_are_those_that_python_reads_too(number: str) -> None:
    _read_alike(f"[{number}]")


def _read_alike(document: str) -> None:
    try:
        expected = json.loads(document)
    except ValueError:
        with pytest.raises(CanonicalError):
            parse_json(document)
    else:
        assert parse_json(document) == expected


def the_long_way(text: bytes, version: NodeVersion) -> bytes:
    return write_json(parse_json(decode(text)), version).encode()


@given(DOCUMENTS)
def test_canonical_text_means_what_was_said(document: str) -> None:
    written = canonical(document.encode(), version=NodeVersion.V2)
    assert json.loads(written) == json.loads(document, parse_float=lambda text: finite_or_named(float(text)))


def finite_or_named(number: float) -> float | str:
    return number if math.isfinite(number) else f"{'-' if number < 0 else ''}Infinity"


def test_write_json_takes_json_values_only() -> None:
    with pytest.raises(TypeError, match="bytes is no JSON value"):
        write_json(b"x", NodeVersion.V1)  # type: ignore[arg-type]
