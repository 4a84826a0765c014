"""Content codings, undone only to read."""

import gzip
import zlib

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocn_permission_agent.proxy.coding import plain

CODERS = {"gzip": gzip.compress, "x-gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress}


@given(body=st.binary(max_size=2000), codings=st.lists(st.sampled_from(sorted(CODERS)), max_size=3))
def test_what_was_coded_is_read_back(body: bytes, codings: list[str]) -> None:
    coded = body
    for coding in codings:
        coded = CODERS[coding](coded)
    assert plain(coded, " , ".join(codings).upper(), limit_bytes=10_000) == body


def test_raw_deflate_is_read_too() -> None:
    assert plain(zlib.compress(b"text")[2:-4], "deflate", limit_bytes=100) == b"text"


@pytest.mark.parametrize("coding", sorted(CODERS))
def test_what_is_cut_spoiled_or_too_large_is_not_read(coding: str) -> None:
    coded = CODERS[coding](b"x" * 100_000)
    assert plain(coded, coding, limit_bytes=1000) is None
    assert plain(coded[:-1], coding, limit_bytes=1_000_000) is None
    assert plain(b"\x00garbage", coding, limit_bytes=1000) is None


def test_unknown_codings_are_not_read() -> None:
    assert plain(b"text", "zstd", limit_bytes=100) is None


def test_codings_without_end_are_not_followed() -> None:
    packed = b"x"
    for _ in range(3):
        packed = gzip.compress(packed)
    assert plain(packed, "gzip, gzip, gzip", limit_bytes=1000) == b"x"
    assert plain(gzip.compress(packed), "gzip, gzip, gzip, gzip", limit_bytes=1000) is None
    assert plain(b"x", ",".join(["identity"] * 5000), limit_bytes=1000) is None
