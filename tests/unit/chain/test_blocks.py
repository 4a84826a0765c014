"""Blocks and logs as endpoints tell them, and answers that are none."""

from datetime import UTC, datetime
from typing import Any

import pytest

from ocn_permission_agent.chain.blocks import hash_text, octets, quantity, read_header, read_logs
from ocn_permission_agent.errors import ChainUnavailable

HASH = "0x" + "AB" * 32
#: an AuRa header: seal fields, no mixHash, nonce or baseFee
AURA = {
    "number": "0x10",
    "hash": HASH,
    "parentHash": "0x" + "cd" * 32,
    "timestamp": "0x69a40ea0",
    "sealFields": ["0x84", "0xb8"],
    "step": "351234567",
    "signature": "aa",
}
LOG: dict[str, Any] = {
    "address": "0x" + "Aa" * 20,
    "topics": ["0x" + "11" * 32],
    "data": "0x00ff",
    "blockNumber": "0x10",
    "blockHash": HASH,
    "transactionHash": HASH,
    "logIndex": "0x1",
    "removed": False,
}


def test_a_header_of_any_consensus_is_read() -> None:
    header = read_header(AURA)
    assert header is not None
    assert (header.number, header.hash, header.parent_hash) == (16, HASH.lower(), "0x" + "cd" * 32)
    assert header.time == datetime(2026, 3, 1, 10, 2, 8, tzinfo=UTC)


@pytest.mark.parametrize("answer", [None, AURA | {"hash": None}, AURA | {"number": None}])
def test_a_block_that_is_not_there_is_none(answer: object) -> None:
    assert read_header(answer) is None


def test_logs_are_read_in_the_order_of_the_chain() -> None:
    later, earlier = LOG | {"logIndex": "0x2"}, LOG | {"blockNumber": "0xf", "logIndex": "0x9"}
    logs = read_logs([later, LOG, earlier])
    assert [(log.block_number, log.log_index) for log in logs] == [(15, 9), (16, 1), (16, 2)]
    assert (logs[1].contract, logs[1].data, logs[1].topics) == ("0x" + "aa" * 20, b"\x00\xff", (b"\x11" * 32,))


@pytest.mark.parametrize(
    "answer",
    [
        "0x",
        7,
        AURA | {"timestamp": "now"},
        AURA | {"timestamp": hex(2**80)},
        AURA | {"parentHash": None},
        AURA | {"number": "0xzz"},
        AURA | {"hash": "0x12"},
    ],
)
def test_a_broken_header_is_no_answer(answer: object) -> None:
    with pytest.raises(ChainUnavailable):
        read_header(answer)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {},
        [None],
        [LOG | {"topics": None}],
        [LOG | {"topics": ["11"]}],
        [LOG | {"address": "0x12"}],
        [LOG | {"data": "0xzz"}],
        [LOG | {"data": None}],
        [LOG | {"logIndex": 1}],
        [LOG | {"blockHash": None}],
    ],
)
def test_a_broken_log_is_no_answer(answer: object) -> None:
    with pytest.raises(ChainUnavailable):
        read_logs(answer)


def test_numbers_data_and_hashes_have_one_form() -> None:
    assert (quantity("0x1A"), octets("0x"), hash_text(HASH)) == (26, b"", HASH.lower())
