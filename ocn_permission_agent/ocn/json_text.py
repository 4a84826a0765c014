"""JSON text to values and back, by the rules of the nodes' parser and writer (Jackson; ocn-protocol.md c.3).

Strict where Jackson is strict (no NaN, no comments, no trailing commas, no raw control characters) and lax where it is
lax: text after the value is ignored. Works without recursion, so that depth is bounded by a limit and not by a crash.
"""

import math
import re
import unicodedata
from collections.abc import Iterator
from typing import TypeAlias, Union

from ocn_permission_agent.errors import CanonicalError
from ocn_permission_agent.ocn.java_double import double_text
from ocn_permission_agent.ocn.version import NodeVersion

#: (a Union and no quoted text, so that ``JsonValue | X`` works while a module is loaded)
JsonValue: TypeAlias = Union[dict[str, "JsonValue"], list["JsonValue"], str, int, float, bool, None]  # noqa: UP007
Container: TypeAlias = dict[str, JsonValue] | list[JsonValue]

#: what 2.x's parser allows; 1.x has no limits of its own, so these are ours there
DEPTH_LIMIT = 1000
NUMBER_LENGTH_LIMIT = 1000
NAME_LENGTH_LIMIT = 50_000

# Before 3.11.5 (Debian 12 has 3.11.2) Python takes what is repeated possessively as matched where a choice or a
# repetition within it fails behind its beginning: `(?:a(?:b|c))*+`, `(?:a[0-9]++)?+`. No such group is here. Repeated
# greedily, some million escapes would take 500 MiB; so the digits of `\u` are looked at when a string is read.
_TOKEN = re.compile(
    r"[ \t\n\r]*+(?:"
    r'("[^"\\\x00-\x1f]*+")'
    r"|([{}\[\]:,])"
    r"|(-?(?:0|[1-9][0-9]*+)(?![0-9.eE]))"
    r"|(-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?(?![0-9.eE]))"
    r"|(true|false|null)"
    r'|("[^"\\\x00-\x1f]*+(?:\\["\\/bfnrtu][^"\\\x00-\x1f]*+)*+")'
    r")"
)
_PLAIN, _MARK, _WHOLE, _BROKEN, _WORD, _ESCAPED = range(1, 7)
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_ESCAPE = re.compile(r'\\(?:u([0-9a-fA-F]{4})|(["\\/bfnrt])|u)')
_UNESCAPED = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_SURROGATE = re.compile("[\ud800-\udfff]")
_TO_ESCAPE = re.compile(r'["\\\x00-\x1f]')
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


class SpelledFloat(float):
    """A double that remembers how it was spelled: Jackson shows the spelling where text was wanted."""

    spelling: str

    def __new__(cls, spelling: str) -> "SpelledFloat":  # noqa: D102
        number = super().__new__(cls, spelling)
        number.spelling = spelling
        return number


def parse_json(text: str, *, depth_limit: int = DEPTH_LIMIT, number: type[float] = float) -> JsonValue:
    """Read the first JSON value of a text as Jackson's untyped reading does.

    Whole numbers become int of any size, all others float (or `number`); of members with one name the last value
    stands at the first one's place; a lone surrogate becomes ``?``, as it would when the text is signed.

    Raises:
        CanonicalError: Jackson would reject it, or it is beyond a limit.
    """
    return _Reader(text, depth_limit, number).read()


def write_json(value: JsonValue, version: NodeVersion) -> str:
    """The text that Jackson writes for a value that was parsed."""
    pieces: list[str] = []
    unfinished: list[Iterator[tuple[str, JsonValue]]] = [iter([("", value)])]
    closing_marks = [""]
    while unfinished:
        for lead, child in unfinished[-1]:
            pieces.append(lead)
            if isinstance(child, dict):
                pieces.append("{")
                unfinished.append(_members_of(child))
                closing_marks.append("}")
                break
            if isinstance(child, list):
                pieces.append("[")
                unfinished.append(_items_of(child))
                closing_marks.append("]")
                break
            pieces.append(scalar_text(child, version))
        else:
            unfinished.pop()
            pieces.append(closing_marks.pop())
    return "".join(pieces)


def string_text(text: str) -> str:
    """A string in quotes; only quote, backslash and control characters are escaped (c.3 rule 4)."""
    if _TO_ESCAPE.search(text) is None:
        return f'"{text}"'
    return f'"{_TO_ESCAPE.sub(_escape, text)}"'


def scalar_text(value: JsonValue, version: NodeVersion) -> str:
    """The text of a value that is no container."""
    if isinstance(value, str):
        return string_text(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        text = double_text(value, version)
        return text if math.isfinite(value) else f'"{text}"'
    raise TypeError(f"{type(value).__name__} is no JSON value")


def _members_of(members: dict[str, JsonValue]) -> Iterator[tuple[str, JsonValue]]:
    separator = ""
    for name, child in members.items():
        yield f"{separator}{string_text(name)}:", child
        separator = ","


def _items_of(items: list[JsonValue]) -> Iterator[tuple[str, JsonValue]]:
    separator = ""
    for child in items:
        yield separator, child
        separator = ","


def _escape(found: re.Match[str]) -> str:
    char = found[0]
    return _ESCAPES.get(char) or f"\\u{ord(char):04X}"


def _unescape(found: re.Match[str]) -> str:
    if found[1]:
        return chr(int(found[1], 16))
    if found[2]:
        return _UNESCAPED[found[2]]
    raise CanonicalError("JSON has an escape without its four digits")


def _read_string(piece: str) -> str:
    text = _ESCAPE.sub(_unescape, piece[1:-1])
    if _SURROGATE.search(text):
        # Two escapes may make one character; what stays alone is signed as a question mark.
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
        text = _SURROGATE.sub("?", text)
    return text


class _Reader:
    """One pass over a text."""

    __slots__ = ("_depth_limit", "_number", "_place", "_text")

    def __init__(self, text: str, depth_limit: int, number: type[float]) -> None:
        self._text = text
        self._place = 0
        self._depth_limit = depth_limit
        self._number = number

    def read(self) -> JsonValue:
        kind, piece = self._next()
        if kind != _MARK:
            value = self._scalar(kind, piece)
            self._check_end_of_root(kind)
            return value
        root = self._container(piece)
        unfinished = [root]
        while unfinished:
            innermost = unfinished[-1]
            opened = self._fill_object(innermost) if isinstance(innermost, dict) else self._fill_array(innermost)
            if opened is None:
                unfinished.pop()
            elif len(unfinished) >= self._depth_limit:
                raise CanonicalError(f"JSON is nested deeper than {self._depth_limit}")
            else:
                unfinished.append(opened)
        return root

    def _fill_object(self, members: dict[str, JsonValue]) -> Container | None:
        """Read members until the object ends (None) or a container opens inside it."""
        fresh = not members
        while True:
            kind, piece = self._next()
            if piece == "}":
                return None
            if not fresh:
                self._expect(piece == ",")
                kind, piece = self._next()
            self._expect(kind in (_PLAIN, _ESCAPED))
            name = self._name(kind, piece)
            kind, piece = self._next()
            self._expect(piece == ":")
            kind, piece = self._next()
            if kind == _MARK:
                child = self._container(piece)
                members[name] = child
                return child
            members[name] = self._scalar(kind, piece)
            fresh = False

    def _fill_array(self, items: list[JsonValue]) -> Container | None:
        """Read items until the array ends (None) or a container opens inside it."""
        fresh = not items
        while True:
            kind, piece = self._next()
            if piece == "]":
                return None
            if not fresh:
                self._expect(piece == ",")
                kind, piece = self._next()
            if kind == _MARK:
                child = self._container(piece)
                items.append(child)
                return child
            items.append(self._scalar(kind, piece))
            fresh = False

    def _next(self) -> tuple[int, str]:
        found = _TOKEN.match(self._text, self._place)
        if found is None:
            raise self._malformed()
        self._place = found.end()
        kind = found.lastindex
        assert kind is not None  # every alternative is a group  # noqa: S101
        return kind, found[kind]

    def _scalar(self, kind: int, piece: str) -> JsonValue:
        if kind == _PLAIN:
            return piece[1:-1]
        if kind == _ESCAPED:
            return _read_string(piece)
        if kind == _WORD:
            return _WORDS[piece]
        if len(piece) > NUMBER_LENGTH_LIMIT and sum(char.isdigit() for char in piece) > NUMBER_LENGTH_LIMIT:
            raise CanonicalError(f"JSON has a number of more than {NUMBER_LENGTH_LIMIT} digits")
        return int(piece) if kind == _WHOLE else self._number(piece)

    def _name(self, kind: int, piece: str) -> str:
        name = piece[1:-1] if kind == _PLAIN else _read_string(piece)
        if len(name) > NAME_LENGTH_LIMIT:
            raise CanonicalError(f"JSON has a member name longer than {NAME_LENGTH_LIMIT} characters")
        return name

    def _container(self, mark: str) -> Container:
        self._expect(mark in "{[")
        return {} if mark == "{" else []

    def _check_end_of_root(self, kind: int) -> None:
        """A number at the root wants white space behind it, a word no letter; anything else may follow anything."""
        after = self._text[self._place : self._place + 1]
        if not after:
            return
        if kind in (_WHOLE, _BROKEN):
            self._expect(after in " \t\n\r")
        if kind == _WORD:
            self._expect(not _continues_word(after))

    def _expect(self, met: bool) -> None:
        if not met:
            raise self._malformed()

    def _malformed(self) -> CanonicalError:
        if not self._text[self._place :].strip(" \t\n\r"):
            return CanonicalError("JSON ends too early")
        return CanonicalError(f"not JSON at character {self._place}")


def _continues_word(char: str) -> bool:
    return char >= "0" and (f"a{char}".isidentifier() or unicodedata.category(char) in ("Cc", "Cf", "Sc"))
