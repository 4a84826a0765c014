"""Binding a received message to a node's classes: what its parser forgives and what it does not (c.3 rules 5-9)."""

from ocn_permission_agent.errors import CanonicalError
from ocn_permission_agent.ocn.json_text import JsonValue, SpelledFloat, scalar_text
from ocn_permission_agent.ocn.version import NodeVersion

#: in the order of the node's enum, because a number is read as a place in it
MODULES = (
    "CDRS",
    "CHARGING_PROFILES",
    "COMMANDS",
    "CREDENTIALS",
    "HUB_CLIENT_INFO",
    "LOCATIONS",
    "SESSIONS",
    "TARIFFS",
    "TOKENS",
    "CUSTOM",
)
INTERFACE_ROLES = ("SENDER", "RECEIVER")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")

Members = dict[str, JsonValue]


def members_of(value: JsonValue, where: str, known: tuple[str, ...], version: NodeVersion) -> Members:
    """The members of an object; a stranger among them is fatal to 1.x and dropped by 2.x.

    Raises:
        CanonicalError: no object, or a stranger in 1.x.
    """
    if not isinstance(value, dict):
        raise CanonicalError(f"{where} is not an object")
    strangers = [name for name in value if name not in known]
    if strangers and version is NodeVersion.V1:
        raise CanonicalError(f"unrecognised member {strangers[0]!r} in {where}")
    return value


def text_or_none(members: Members, name: str) -> str | None:
    """A string member; numbers and booleans become their text as spelled.

    Raises:
        CanonicalError: an object or array.
    """
    value = members.get(name)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        raise CanonicalError(f"{name} is not text")
    return value.spelling if isinstance(value, SpelledFloat) else scalar_text(value, NodeVersion.V1)


def text_of(members: Members, name: str) -> str:
    """A string member that must be there.

    Raises:
        CanonicalError: missing, null, or no text.
    """
    text = text_or_none(members, name)
    if text is None:
        raise CanonicalError(f"{name} is missing or null")
    return text


def enum_of(members: Members, name: str, names: tuple[str, ...]) -> str:
    """A member of an enum, by its exact name or by its place.

    Raises:
        CanonicalError: neither.
    """
    value = members.get(name)
    if isinstance(value, str):
        word = value.strip()
        if word in names:
            return word
        value = int(word) if word.isascii() and word.isdigit() and len(word) < 5 else None
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(names):
        return names[value]
    raise CanonicalError(f"{name} is none of {', '.join(names)}")


def flag_or_none(members: Members, name: str) -> bool | None:
    """A boolean member; ``"true"`` and numbers are taken too.

    Raises:
        CanonicalError: anything else.
    """
    value = members.get(name)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value != 0
    if isinstance(value, str):
        word = value.strip()
        if word == "":
            return None
        if word in ("true", "True", "TRUE"):
            return True
        if word in ("false", "False", "FALSE"):
            return False
    raise CanonicalError(f"{name} is not a boolean")
