"""What a node does to a typed body on its way through: bound to a data class and written again (b.5). Pure.

Unknown members vanish, members take the class's order, nulls vanish, numbers become 32-bit floats.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import assert_never

from ocn_permission_agent.errors import CanonicalError
from ocn_permission_agent.ocn.java_double import single_text
from ocn_permission_agent.ocn.json_text import JsonValue, SpelledFloat, parse_json, scalar_text, string_text
from ocn_permission_agent.ocn.version import NodeVersion


class Plain(Enum):
    """A member without members of its own."""

    #: a string; numbers and booleans are taken as their text
    TEXT = "text"
    #: a 32-bit float
    REAL = "real"
    #: a 32-bit float that is 0.0 where it is missing
    REAL_OR_ZERO = "real or zero"
    #: an integer
    WHOLE = "whole"
    #: true or false
    FLAG = "flag"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some words."""

    words: frozenset[str]


@dataclass(frozen=True, slots=True)
class Many:
    """A list."""

    of: "Kind"


@dataclass(frozen=True, slots=True)
class Shape:
    """An object: members in the order in which the node writes them; `writes_null`: those without a value too."""

    members: Mapping[str, "Kind"]
    writes_null: bool = False


#: what the parser puts where a mandatory one of these is missing or null
_ZEROS = {Plain.REAL: "0.0", Plain.WHOLE: "0", Plain.FLAG: "false"}

Kind = Plain | Choice | Many | Shape


def rebound(body: bytes, shape: Shape, version: NodeVersion) -> bytes:
    """The body as the node writes it again.

    Raises:
        CanonicalError: a mandatory member is missing, or something is of a wrong type or an unknown word.
    """
    value = parse_json(body.decode(), number=SpelledFloat)
    return _written(value, shape, "body", version).encode()


def _written(value: JsonValue, kind: Kind, where: str, version: NodeVersion) -> str:
    match kind:
        case Shape():
            return _object(value, kind, where, version)
        case Many(of):
            if not isinstance(value, list):
                raise CanonicalError(f"{where} is no list")
            return "[" + ",".join(_written(item, of, where, version) for item in value) + "]"
        case Choice(words):
            if not isinstance(value, str) or value not in words:
                raise CanonicalError(f"{where} is none of {', '.join(sorted(words))}")
            return string_text(value)
        case Plain():
            return _plain(value, kind, where, version)
        case _:
            assert_never(kind)


def _object(value: JsonValue, shape: Shape, where: str, version: NodeVersion) -> str:
    if not isinstance(value, dict):
        raise CanonicalError(f"{where} is no object")
    texts = []
    for spelled, kind in shape.members.items():
        name = spelled.removesuffix("?")
        given = value.get(name)
        if given is not None:
            texts.append(f"{string_text(name)}:{_written(given, kind, name, version)}")
        elif kind is Plain.REAL_OR_ZERO:
            texts.append(f"{string_text(name)}:0.0")
        elif name == spelled and isinstance(kind, Plain) and kind in _ZEROS:
            texts.append(f"{string_text(name)}:{_ZEROS[kind]}")
        elif shape.writes_null:
            texts.append(f"{string_text(name)}:null")
        elif name == spelled:
            raise CanonicalError(f"{name} is missing or null")
    return "{" + ",".join(texts) + "}"


def _plain(value: JsonValue, kind: Plain, where: str, version: NodeVersion) -> str:
    text: str | None
    match kind:
        case Plain.TEXT:
            text = _text(value, version)
        case Plain.REAL | Plain.REAL_OR_ZERO:
            number = _number(value)
            text = None if number is None else single_text(number, version)
        case Plain.WHOLE:
            number = _number(value)
            text = None if number is None else str(int(number))
        case Plain.FLAG:
            text = scalar_text(value, version) if isinstance(value, bool) else None
        case _:
            assert_never(kind)
    if text is None:
        raise CanonicalError(f"{where} is not {kind.value}")
    return text


def _text(value: JsonValue, version: NodeVersion) -> str | None:
    """A string, or the text of a number or a boolean."""
    if isinstance(value, str):
        return string_text(value)
    if isinstance(value, SpelledFloat):
        return string_text(value.spelling)
    return string_text(scalar_text(value, version)) if isinstance(value, bool | int | float) else None


def _number(value: JsonValue) -> float | None:
    """A number, also one in quotes, as the parser coerces it."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None
    return value if isinstance(value, int | float) else None
