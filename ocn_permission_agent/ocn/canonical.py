"""Canonical text: what an OCN node writes after it has parsed a JSON text, and so what gets signed.

The receiver of a message parses it, writes it again and verifies the signature over its *own* text (ocn-protocol.md
c.2). Sending and signing that very text is what makes a signature hold.
"""

import re

import orjson

from ocn_permission_agent.errors import CanonicalError
from ocn_permission_agent.ocn.json_text import DEPTH_LIMIT, NAME_LENGTH_LIMIT, parse_json, write_json
from ocn_permission_agent.ocn.version import NodeVersion

#: no OCPI object comes near it; the proxy's own limit for bodies is lower
SIZE_LIMIT_BYTES = 64 * 1024 * 1024

#: Numbers that Java may print otherwise than orjson, or not read at all: with an exponent, beyond 18 digits, from 10^7
#: up with a fraction (also by rounding), below 0.001, minus zero, hundreds of decimals. Also finds such text inside
#: strings, which only costs the short cut.
_UNUSUAL_NUMBER = re.compile(
    rb"[:,\[][ \t\n\r]*+-?(?:0(?:\.000|[eE])|[1-9][0-9]{18}|[1-9][0-9]{7,}+\.|9999999\.9{8}|"
    rb"[0-9]++(?:\.[0-9]++)?+[eE]|[0-9]++\.[0-9]{900})"
    rb"|-0(?![.0-9])"
)
#: orjson writes nothing that is nested deeper
_SHORT_CUT_DEPTH = 254
_LONG_NAME = re.compile(rb'"[^"]{%d}' % NAME_LENGTH_LIMIT)


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
    return _ordinary(text, depth_limit) or write_json(
        parse_json(decode(text), depth_limit=depth_limit), version
    ).encode("utf-8")


def decode(text: bytes) -> str:
    """The characters of a JSON text.

    Raises:
        CanonicalError: not UTF-8.
    """
    try:
        return text.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise CanonicalError(f"JSON is not UTF-8 at byte {error.start}") from error


def _ordinary(text: bytes, depth_limit: int) -> bytes | None:
    """The short cut for what OCPI bodies usually are; None where it might differ from the long way.

    orjson writes exactly what Java writes as long as no number is unusual and nothing had to be escaped.
    """
    if (
        text[:1] not in (b"{", b"[")
        or b"\\" in text
        or (depth_limit < _SHORT_CUT_DEPTH and text.count(b"{") + text.count(b"[") > depth_limit)
        or _UNUSUAL_NUMBER.search(text)
        or (len(text) > NAME_LENGTH_LIMIT and _LONG_NAME.search(text))
    ):
        return None
    try:
        return orjson.dumps(orjson.loads(text))
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None
