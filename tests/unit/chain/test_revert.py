"""Why a contract refused, whatever the endpoint's dialect."""

import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from ocn_permission_agent.chain.revert import reason_in, refusal

NOTHING_LISTED = "Provider has no registered Service."


def data_of(reason: bytes) -> str:
    return "0x08c379a0" + encode(["bytes"], [reason]).hex()


@pytest.mark.parametrize("prefix", ["", "Reverted "])
def test_the_reason_is_read_from_the_data_and_explained(prefix: str) -> None:
    assert refusal("VM execution error.", prefix + data_of(NOTHING_LISTED.encode())).startswith(
        "The contract refuses: Provider has no registered Service – the provider lists no service now; "
    )


@pytest.mark.parametrize(
    "message",
    [
        "execution reverted: because",
        "VM Exception while processing transaction: reverted with reason because",
        "VM Exception while processing transaction: revert because",
    ],
)
def test_without_data_it_is_read_from_the_message(message: str) -> None:
    assert refusal(message, None) == "The contract refuses: because."


def test_what_is_no_revert_is_told_as_it_is() -> None:
    assert refusal("daily limit exceeded", None) == "The call fails: daily limit exceeded."


@pytest.mark.parametrize(
    ("message", "said"),
    [("execution reverted", "The contract refuses: no reason given."), ("", "The call fails: no reason given.")],
)
def test_without_any_reason_that_is_said(message: str, said: str) -> None:
    assert refusal(message, "0x") == said


def test_a_reason_is_escaped() -> None:
    assert reason_in(data_of(b"\x1b[2J\xff")) == "\\x1b[2J\\xff"


@given(st.none() | st.text() | st.dictionaries(st.text(), st.text()) | st.binary().map(lambda raw: "0x" + raw.hex()))
def test_no_data_is_too_strange(data: object) -> None:
    reason = reason_in(data)
    assert reason is None or reason.isprintable()


@given(st.binary(max_size=40).map(lambda raw: "0x08c379a0" + bytes(32).hex() + raw.hex()))
def test_lengths_beyond_the_data_give_no_reason(data: str) -> None:
    reason = reason_in(data)
    assert reason is None or len(reason) <= 256
