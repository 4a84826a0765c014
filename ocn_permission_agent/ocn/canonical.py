"""Canonical text: what an OCN node writes after it has parsed a JSON text, and so what gets signed.

The receiver of a message parses it, writes it again and verifies the signature over its *own* text (ocn-protocol.md
c.2). Sending and signing that very text is what makes a signature hold.
"""

import codecs
import re

import msgspec
import orjson

from ocn_permission_agent.errors import CanonicalError
from ocn_permission_agent.ocn.json_text import (
    DEPTH_LIMIT,
    NAME_LENGTH_LIMIT,
    NUMBER_LENGTH_LIMIT,
    parse_json,
    scalar_text,
    write_json,
)
from ocn_permission_agent.ocn.version import NodeVersion

#: no OCPI object comes near it; the proxy's own limit for bodies is lower
SIZE_LIMIT_BYTES = 64 * 1024 * 1024

#: msgspec's reader and orjson's writer let no other thread run meanwhile; the long way does
_SHORT_CUT_BYTES = 256 * 1024
#: orjson writes nothing that is nested deeper
_SHORT_CUT_DEPTH = 254
#: what is no longer cannot nest so deep that reading it takes more than 1 MB of C stack
_SHALLOW_BYTES = 2048
#: counts bytes, of which a name has no fewer than characters
_LONG_STRING = re.compile(rb'"(?:[^"\\]|\\.){%d}' % NAME_LENGTH_LIMIT, re.DOTALL)


def canonical(text: bytes, *, version: NodeVersion, depth_limit: int = DEPTH_LIMIT) -> bytes:
    """Write a JSON text as a node of that version writes it (ocn-protocol.md c.3 rules 1-8).

    Args:
        text: one JSON value in UTF-8; a byte order mark before it and anything after it is left out.
        version: of the node that will receive it.
        depth_limit: how deep objects and arrays may nest.

    Raises:
        CanonicalError: no JSON to the node's parser, or beyond a limit of size, depth or number length.
    """
    if len(text) > SIZE_LIMIT_BYTES:
        raise CanonicalError(f"JSON is larger than {SIZE_LIMIT_BYTES} bytes")
    if depth_limit >= _SHORT_CUT_DEPTH and len(text) <= _SHORT_CUT_BYTES:
        written = _short_cut(text, version)
        if written is not None:
            return written
    return write_json(parse_json(decode(text), depth_limit=depth_limit), version).encode()


def decode(text: bytes) -> str:
    """The characters of a JSON text.

    Raises:
        CanonicalError: not UTF-8.
    """
    try:
        return text.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise CanonicalError(f"JSON is not UTF-8 at byte {error.start}") from error


def _short_cut(text: bytes, version: NodeVersion) -> bytes | None:
    """The same text many times faster; None wherever it could differ from the long way, or would be an error.

    msgspec's reader with our own idea of decimals, and orjson's writer. Theirs and Java's ways part only with whole
    numbers beyond 64 bits (which orjson refuses), lone surrogates (which msgspec refuses), and with how control
    characters are escaped.
    """
    text = text.removeprefix(codecs.BOM_UTF8)
    try:
        if len(text) > _SHALLOW_BYTES and text.count(b"[") + text.count(b"{") > _SHORT_CUT_DEPTH:
            # msgspec's reader recurses on the C stack as far as the recursion limit allows, and some library may have
            # raised that; orjson's has a limit of its own.
            orjson.loads(text)
        written = orjson.dumps(_DECODERS[version._value_].decode(text))
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError):
        return None
    if b"\\" in written and b"\\u00" in written:  # one byte is found several times faster than four
        return None
    if len(text) > NAME_LENGTH_LIMIT and _LONG_STRING.search(text):
        return None
    return written


def _decoder(version: NodeVersion) -> msgspec.json.Decoder[object]:
    def read_decimal(spelling: str) -> float | orjson.Fragment:
        if len(spelling) > NUMBER_LENGTH_LIMIT:
            raise ValueError("for the long way to judge")
        number = float(spelling)
        if 1e-3 <= number < 1e7 or -1e7 < number <= -1e-3:
            return number  # orjson prints these as every Java does
        return orjson.Fragment(scalar_text(number, version))

    return msgspec.json.Decoder(float_hook=read_decimal)


#: by the value of a version: a member's own hash is written in Python
_DECODERS = {version.value: _decoder(version) for version in NodeVersion}
