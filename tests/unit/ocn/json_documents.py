"""JSON documents as people, libraries and adversaries write them: spelling matters here, not only the value."""

import json

from hypothesis import strategies as st

_DIGITS = st.text("0123456789", min_size=1, max_size=20)
_WHOLE = st.integers(-(10**25), 10**25).map(str) | st.integers(-1000, 1000).map(str) | st.just("-0")
_FRACTION = st.builds(lambda whole, digits: f"{whole}.{digits}", _WHOLE, _DIGITS)
_EXPONENT = st.builds(
    lambda number, letter, sign, power: f"{number}{letter}{sign}{power}",
    _WHOLE | _FRACTION,
    st.sampled_from("eE"),
    st.sampled_from(["", "+", "-"]),
    st.integers(0, 330),
)
NUMBERS = _WHOLE | _FRACTION | _EXPONENT | st.floats(allow_nan=False, allow_infinity=False).map(repr)

_CHARACTERS = st.characters(codec="utf-8")
_RAW = st.text(_CHARACTERS, max_size=12).map(lambda text: json.dumps(text, ensure_ascii=False))
_ESCAPED = st.text(_CHARACTERS, max_size=12).map(json.dumps)
_ODD = st.lists(
    st.sampled_from(["\\/", "\\u00E4", "\\u000a", "\\b", "\\f", "x", "ä", "🚗", "\\ud83d\\ude97", "\\u001f", "\x7f"]),
    max_size=6,
).map(lambda pieces: f'"{"".join(pieces)}"')
STRINGS = _RAW | _ESCAPED | _ODD

_SPACE = st.sampled_from(["", "", "", " ", "\n", "\t \r\n"])
_LEAVES = NUMBERS | STRINGS | st.sampled_from(["true", "false", "null"])


def _array(items: list[str], space: str) -> str:
    return f"[{space}" + f"{space},".join(items) + f"{space}]"


def _object(members: list[tuple[str, str]], space: str) -> str:
    return "{" + space + f",{space}".join(f"{name}{space}:{space}{value}" for name, value in members) + space + "}"


_NAMES = STRINGS | st.sampled_from(['"id"', '"kwh"', '"1"', '""'])


def _containers(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds(_array, st.lists(inner, max_size=4), _SPACE) | st.builds(
        _object, st.lists(st.tuples(_NAMES, inner), max_size=4), _SPACE
    )


#: text that is JSON to everybody
DOCUMENTS = st.builds(
    lambda before, value, after: f"{before}{value}{after}",
    _SPACE,
    st.recursive(_LEAVES, _containers, max_leaves=12),
    _SPACE,
)


def _spoil(text: bytes, place: int, length: int, piece: bytes) -> bytes:
    place %= len(text) + 1
    return text[:place] + piece + text[place + length :]


_PIECES = st.sampled_from(
    rb', : [ ] { } " \ 0 - . e E+ 1.0 -0 9999999999999999999 NaN nul true \ud83d "a":1,'.split()
) | st.sampled_from([b"", b" ", b"\0", b"\x0b", b"\x1f", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf"])


def spoilt(texts: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Text that is hardly JSON any more: a piece of it is another one."""
    return st.builds(_spoil, texts, st.integers(0, 400), st.integers(0, 3), _PIECES | st.binary(max_size=3))
