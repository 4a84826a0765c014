"""What a block's filter of logs says."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ocn_permission_agent.chain import abi
from ocn_permission_agent.chain.bloom import Filters, bits_of
from ocn_permission_agent.chain.settings import ChainSettings
from tests.chain_factories import PERMISSIONS, REGISTRY, agreement_log, header, service_log

FILTERS = Filters(ChainSettings(rpc_urls=(), chain_id=246, registry=REGISTRY, permissions=PERMISSIONS))
AGREED = agreement_log(REGISTRY, PERMISSIONS)
LISTED = service_log(REGISTRY, b"", b"", [6])


def bloom(*entries: bytes) -> int:
    bits = 0
    for entry in entries:
        bits |= bits_of(entry)
    return bits


def test_three_bits_are_set_by_the_first_six_bytes_of_the_hash() -> None:
    """Of nothing, the hash begins with c5d2 4601 86f7; the low 11 bits of each pair count."""
    assert bits_of(b"") == 1 << 0x5D2 | 1 << 0x601 | 1 << 0x6F7


def test_a_block_whose_log_was_told_is_explained_and_one_whose_log_was_not_is_not() -> None:
    full = replace(header(7), bloom=bloom(bytes.fromhex(PERMISSIONS[2:]), abi.SERVICE_AGREEMENT))
    assert FILTERS.unexplained([full], [AGREED]) == ()
    assert FILTERS.unexplained([full], []) == (7,)
    assert FILTERS.unexplained([full], [LISTED]) == (7,), "another kind of log explains nothing"
    assert FILTERS.unexplained([header(7)], []) == (), "without a filter nothing is known"


@given(others=st.lists(st.binary(min_size=20, max_size=32), max_size=20))
def test_a_log_is_never_overlooked(others: list[bytes]) -> None:
    entries = [*others, bytes.fromhex(PERMISSIONS[2:]), abi.SERVICE_UPDATE]
    assert 7 in FILTERS.unexplained([replace(header(7), bloom=bloom(*entries))], [])
