"""How Java and JavaScript print numbers; the long proof against a real JDK is in tests/peers."""

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocn_permission_agent.ocn.java_double import double_text, single_text
from ocn_permission_agent.ocn.js_number import js_number_text
from ocn_permission_agent.ocn.version import NodeVersion
from tests.unit.ocn.vectors import named, vectors

FINITE = st.floats(allow_nan=False, allow_infinity=False)
STAND_INS = {NodeVersion.V1: "java17_jackson2_14", NodeVersion.V2: "java21_jackson2_18"}


@pytest.mark.parametrize("version", list(NodeVersion))
@pytest.mark.parametrize("case", **named(vectors("ocn_message")["float32"]))
def test_32_bit_floats_are_written_as_in_the_vectors(case: dict[str, Any], version: NodeVersion) -> None:
    expected = case.get(STAND_INS[version], case)
    assert single_text(float(case["raw"]), version) == expected["text"]


@given(FINITE, st.sampled_from(NodeVersion))
def test_text_of_a_double_leads_back_to_it(number: float, version: NodeVersion) -> None:
    assert struct.pack(">d", float(double_text(number, version))) == struct.pack(">d", number)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.sampled_from(NodeVersion))
def test_text_of_a_single_leads_back_to_it(number: float, version: NodeVersion) -> None:
    assert struct.pack(">f", float(single_text(number, version))) == struct.pack(">f", number)


@given(FINITE)
def test_text_of_javascript_leads_back_to_the_number(number: float) -> None:
    assert float(js_number_text(number)) == number


@pytest.mark.parametrize("version", list(NodeVersion))
@pytest.mark.parametrize(
    ("number", "text"),
    [(0.0, "0.0"), (-0.0, "-0.0"), (float("inf"), "Infinity"), (float("-inf"), "-Infinity"), (float("nan"), "NaN")],
)
def test_special_numbers_have_their_names(number: float, text: str, version: NodeVersion) -> None:
    assert double_text(number, version) == single_text(number, version) == text


@pytest.mark.parametrize("version", list(NodeVersion))
def test_number_beyond_32_bits_is_infinite(version: NodeVersion) -> None:
    assert single_text(1e39, version) == "Infinity"
    assert single_text(-1e39, version) == "-Infinity"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (2e23, "1.9999999999999998E23"),
        (8.41e21, "8.409999999999999E21"),
        (1e23, "9.999999999999999E22"),
        (1e16, "1.0E16"),
        (2.0**63, "9.223372036854776E18"),
        (2.0**62, "4.6116860184273879E18"),
        (1e-321, "1.0E-321"),
        (1e-323, "1.0E-323"),
        (5e-324, "4.9E-324"),
        (1.9654434731649717e25, "1.9654434731649716E25"),
        (5.9736969171461345e25, "5.9736969171461345E25"),
        (-2.8766942643979306e25, "-2.8766942643979305E25"),
    ],
)
def test_older_java_has_habits_of_its_own(number: float, text: str) -> None:
    assert double_text(number, NodeVersion.V1) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (15.0, "15"),
        (-0.0, "0"),
        (0.1, "0.1"),
        (0.000001, "0.000001"),
        (0.0000001, "1e-7"),
        (1.5e-9, "1.5e-9"),
        (123456789012345680000.0, "123456789012345680000"),
        (1e21, "1e+21"),
        (1.5e300, "1.5e+300"),
        (5e-324, "5e-324"),
        (12345678901234567890, "12345678901234567000"),
        (10**400, "Infinity"),
        (-(10**400), "-Infinity"),
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
        (-1234.5, "-1234.5"),
    ],
)
def test_javascript_prints_numbers_as_it_does(number: float, text: str) -> None:
    assert js_number_text(number) == text
