import base64
import gzip
import json
from typing import Any

import brotli
import pytest

from ocn_permission_agent.errors import SignatureError
from ocn_permission_agent.ocn.keys import OperatorKey
from ocn_permission_agent.ocn.notary import sign, stashed
from ocn_permission_agent.ocn.notary_wire import UNPACKED_LIMIT_BYTES, notary_header, notary_json, parse_notary
from ocn_permission_agent.ocn.version import NodeVersion

KEY = OperatorKey.load("11" * 31 + "01")
FIRST = sign({"body": {"id": "1", "name": "ä\n"}}, KEY)
NOTARY = sign({"body": {"id": "2"}}, KEY, rewrites=stashed(FIRST, {"$['body']['id']": "1", "$['body']['n']": 1.5}))
PLAIN = json.loads(notary_json(NOTARY))


def packed(value: Any) -> str:
    return base64.b64encode(gzip.compress(json.dumps(value).encode())).decode()


@pytest.mark.parametrize("version", list(NodeVersion))
def test_what_is_written_is_read_again(version: NodeVersion) -> None:
    assert parse_notary(notary_header(NOTARY, version)) == NOTARY


def test_each_version_has_its_compression() -> None:
    assert brotli.decompress(base64.b64decode(notary_header(NOTARY, NodeVersion.V1))) == notary_json(NOTARY)
    assert gzip.decompress(base64.b64decode(notary_header(NOTARY, NodeVersion.V2))) == notary_json(NOTARY)
    assert notary_header(NOTARY, NodeVersion.V2).startswith("H4sI")


def test_members_stand_in_the_order_of_every_notary() -> None:
    assert list(PLAIN) == ["fields", "hash", "rsv", "signatory", "rewrites"]
    assert list(PLAIN["rewrites"][0]) == ["rewrittenFields", "hash", "rsv", "signatory"]


def test_base64_is_read_as_forgivingly_as_in_javascript() -> None:
    header = notary_header(NOTARY, NodeVersion.V1)
    url_safe = header.replace("+", "-").replace("/", "_").rstrip("=")
    assert parse_notary(header.rstrip("=") + "=junk") == NOTARY
    assert parse_notary(url_safe) == parse_notary(f" {header[:40]}\n {header[40:]} ") == NOTARY


def test_notary_without_rewrites_is_read() -> None:
    variants: tuple[dict[str, Any], ...] = ({}, {"rewrites": None}, {"rewrites": []})
    for rewrites in variants:
        value = {name: PLAIN[name] for name in ("fields", "hash", "rsv", "signatory")} | rewrites
        assert parse_notary(packed(value)).rewrites == ()


@pytest.mark.parametrize(
    "value",
    [
        [],
        "text",
        {},
        PLAIN | {"fields": "x"},
        PLAIN | {"fields": [1]},
        PLAIN | {"hash": None},
        PLAIN | {"rsv": 1},
        PLAIN | {"signatory": []},
        PLAIN | {"rewrites": {}},
        PLAIN | {"rewrites": PLAIN["rewrites"] * 17},
        PLAIN | {"rewrites": ["x"]},
        PLAIN | {"rewrites": [{"rewrittenFields": []}]},
        PLAIN | {"rewrites": [{"rewrittenFields": {}, "hash": "x", "rsv": "x"}]},
    ],
)
def test_json_that_is_no_notary_is_refused(value: Any) -> None:
    with pytest.raises(SignatureError):
        parse_notary(packed(value))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x",
        b"{}x",
        brotli.compress(notary_json(NOTARY))[:-5],
        notary_json(NOTARY),
        b"\x1f\x8b",
        b"\x1f\x8bnope",
        gzip.compress(b"{}", mtime=0)[:-3],
    ],
)
def test_what_cannot_be_unpacked_is_refused(content: bytes) -> None:
    with pytest.raises(SignatureError):
        parse_notary(base64.b64encode(content).decode())


@pytest.mark.parametrize("content", [b"\xff", b"not JSON", b""])
def test_what_holds_no_json_is_refused(content: bytes) -> None:
    for pack in (gzip.compress, brotli.compress):
        with pytest.raises(SignatureError):
            parse_notary(base64.b64encode(pack(content)).decode())


@pytest.mark.parametrize("pack", [gzip.compress, brotli.compress])
def test_small_header_cannot_unpack_to_a_flood(pack: Any) -> None:
    header = base64.b64encode(pack(b" " * (64 * UNPACKED_LIMIT_BYTES))).decode()
    assert len(header) < UNPACKED_LIMIT_BYTES
    with pytest.raises(SignatureError, match="unpacks to more"):
        parse_notary(header)


def test_single_character_too_many_is_skipped() -> None:
    with pytest.raises(SignatureError, match="Decompression failed"):
        parse_notary("GGGGG")
