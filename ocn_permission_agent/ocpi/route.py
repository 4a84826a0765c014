"""The OCPI routes of an OCN node, and which of them a path is (ocn-protocol.md a.2).

OCN Node 1.x serves ``/ocpi/{role}/2.2/{module}…``, 2.x ``/{api_prefix}/ocpi/{role}/2.2.1/{module}…``. One module is
odd: charging profiles have version before role, ``/ocpi/2.2/{role}/chargingprofiles…``.
"""

import re
from enum import Enum
from typing import NamedTuple
from urllib.parse import unquote


class Module(Enum):
    """An OCPI functional module that a permission can cover; the value is its name in a path."""

    CDRS = "cdrs"
    CHARGING_PROFILES = "chargingprofiles"
    COMMANDS = "commands"
    LOCATIONS = "locations"
    SESSIONS = "sessions"
    TARIFFS = "tariffs"
    TOKENS = "tokens"

    # Each member is one object; Enum would hash its name, in Python, at every look-up.
    __hash__ = object.__hash__


class InterfaceRole(Enum):
    """The interface that a request is sent to; the value is its name in a path."""

    SENDER = "sender"
    RECEIVER = "receiver"

    __hash__ = object.__hash__


class RouteKind(Enum):
    """What a route is for; delivery classes and the spelling of `url_path` depend on it."""

    #: a list, paginated
    LIST = "list"
    #: one object, by its path
    OBJECT = "object"
    #: a new charge detail record
    CDR = "cdr"
    #: charging preferences of a session
    PREFERENCES = "preferences"
    #: real-time authorisation of a token
    AUTHORIZE = "authorize"
    #: a command, answered later through its `response_url`
    COMMAND = "command"
    #: the later result of a command or of a charging profile
    RESULT = "result"
    #: a charging profile of a session
    PROFILE = "profile"
    #: something a node keeps under a number of its own (a next page, a CDR's Location): means nothing elsewhere
    PROXIED = "proxied"


class Route(NamedTuple):
    """A known route.

    `segments` is what follows the module, percent-decoded. `url_path` is what the node appends to the endpoint of the
    receiver, spelled as the node spells it (with or without leading slash), or None.
    """

    kind: RouteKind
    module: Module
    interface_role: InterfaceRole
    version: str
    segments: tuple[str, ...]
    url_path: str | None


class PathFault(Enum):
    """Why a path is no route."""

    #: nothing of OCPI's modules
    UNKNOWN = "unknown"
    #: might be a route after some server's idea of decoding; never copied
    UNCLEAR = "unclear_path"


#: kind by (role, module, method); the length of the tail decides below where one module has several.
_LISTS = frozenset({Module.CDRS, Module.SESSIONS, Module.LOCATIONS, Module.TARIFFS, Module.TOKENS})
_OBJECT_METHODS: dict[Module, frozenset[str]] = {
    Module.SESSIONS: frozenset({"GET", "PUT", "PATCH"}),
    Module.LOCATIONS: frozenset({"GET", "PUT", "PATCH"}),
    Module.TARIFFS: frozenset({"GET", "PUT", "DELETE"}),
    Module.TOKENS: frozenset({"GET", "PUT", "PATCH"}),
}
COMMANDS = frozenset({"CANCEL_RESERVATION", "RESERVE_NOW", "START_SESSION", "STOP_SESSION", "UNLOCK_CONNECTOR"})
#: decoded, these split a path again or end it: a real 1.x node cuts at ``#`` and starts a query at ``?``
_AMBIGUOUS = frozenset("/\\;%?#")
#: what nearly every path is: nothing encoded, no segment empty or of dots alone
_PLAIN_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~!$&'()*+,=:@-]+)+")
_VERSIONS = frozenset({"2.2", "2.2.1"})
_MODULES = {module.value: module for module in Module}
_ROLES = {role.value: role for role in InterfaceRole}


def find_route(method: str, raw_path: str, *, api_prefix: str = "") -> Route | PathFault:
    """Tell which route a request line means.

    Args:
        method: as received.
        raw_path: path as received, still percent-encoded, without the query.
        api_prefix: 2.x's ``ocn.node.apiPrefix`` without slashes around it; empty for 1.x.
    """
    prefix = f"/{api_prefix}/ocpi/" if api_prefix else "/ocpi/"
    if raw_path == "/":
        return PathFault.UNKNOWN
    segments = _split(raw_path)
    if segments is None:
        return PathFault.UNCLEAR
    if not raw_path.startswith(prefix):
        # An encoded letter of the prefix itself ("/%6fcpi/") still reaches the node's handlers.
        return PathFault.UNCLEAR if ("/" + "/".join(segments)).startswith(prefix) else PathFault.UNKNOWN
    tail = segments[prefix.count("/") - 1 :]
    if len(tail) < 3:
        return PathFault.UNKNOWN
    first, second, name, *rest = tail
    role, version = (_ROLES.get(first), second) if name != "chargingprofiles" else (_ROLES.get(second), first)
    module = _MODULES.get(name)
    if role is None or module is None or version not in _VERSIONS:
        return PathFault.UNKNOWN
    named = tuple(rest)
    found = _shape(method, module, role, named)
    if found is None:
        return PathFault.UNKNOWN
    kind, url_path = found
    return Route(kind, module, role, version, named, url_path)


def _split(raw_path: str) -> tuple[str, ...] | None:
    """The decoded segments, or None where servers disagree on what the path means."""
    if _PLAIN_PATH.fullmatch(raw_path):
        return tuple(raw_path[1:].split("/"))
    pieces = raw_path.split("/")
    if pieces[0] != "":
        return None
    decoded = []
    for piece in pieces[1:]:
        if "%" in piece:
            try:
                piece = unquote(piece, errors="strict")  # noqa: PLW2901  the decoded spelling replaces the raw one
            except UnicodeDecodeError:
                return None
        if piece in ("", ".", "..") or any(char in piece for char in _AMBIGUOUS) or not piece.isprintable():
            return None
        decoded.append(piece)
    return tuple(decoded)


def _shape(
    method: str, module: Module, role: InterfaceRole, rest: tuple[str, ...]
) -> tuple[RouteKind, str | None] | None:
    """Kind and `url_path` of what follows the module; None where no handler of a node takes it."""
    if module is Module.CHARGING_PROFILES:
        return _profile_shape(method, role, rest)
    if role is InterfaceRole.SENDER:
        return _sender_shape(method, module, rest)
    return _receiver_shape(method, module, rest)


def _profile_shape(method: str, role: InterfaceRole, rest: tuple[str, ...]) -> tuple[RouteKind, str | None] | None:
    match (role, method, rest):
        case (InterfaceRole.SENDER, "POST", ("result", uid)):
            return RouteKind.RESULT, uid
        case (InterfaceRole.SENDER, "PUT", (session_id,)):
            return RouteKind.PROFILE, session_id
        case (InterfaceRole.RECEIVER, "GET" | "PUT" | "DELETE", (session_id,)):
            return RouteKind.PROFILE, session_id
        case _:
            return None


def _sender_shape(method: str, module: Module, rest: tuple[str, ...]) -> tuple[RouteKind, str | None] | None:
    match (module, method, rest):
        case (_, "GET", ()) if module in _LISTS:
            return RouteKind.LIST, None
        case (_, "GET", ("page", uid)) if module in _LISTS:
            return RouteKind.PROXIED, uid
        case (Module.SESSIONS, "PUT", (session_id, "charging_preferences")):
            return RouteKind.PREFERENCES, f"/{session_id}/charging_preferences"
        case (Module.LOCATIONS, "GET", (location_id,)):
            return RouteKind.OBJECT, location_id
        case (Module.LOCATIONS, "GET", (_, _) | (_, _, _)):
            return RouteKind.OBJECT, "/" + "/".join(rest)
        case (Module.TOKENS, "POST", (uid, "authorize")):
            return RouteKind.AUTHORIZE, f"{uid}/authorize"
        case (Module.COMMANDS, "POST", (command, uid)) if command in COMMANDS:
            return RouteKind.RESULT, uid
        case _:
            return None


def _receiver_shape(method: str, module: Module, rest: tuple[str, ...]) -> tuple[RouteKind, str | None] | None:
    if method in _OBJECT_METHODS.get(module, ()):
        depth_allowed = (3, 4, 5) if module is Module.LOCATIONS else (3,)
        return (RouteKind.OBJECT, "/" + "/".join(rest)) if len(rest) in depth_allowed else None
    match (module, method, rest):
        case (Module.CDRS, "POST", ()):
            return RouteKind.CDR, None
        case (Module.CDRS, "GET", (number,)):
            return RouteKind.PROXIED, number
        case (Module.COMMANDS, "POST", (command,)) if command in COMMANDS:
            return RouteKind.COMMAND, command
        case _:
            return None
