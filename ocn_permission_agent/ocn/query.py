"""Query parameters as a node puts them into a message: only those its handlers know, in their types (a.2, c.1)."""

import re

from ocn_permission_agent.ocpi.request import OcpiRequest
from ocn_permission_agent.ocpi.route import Module, RouteKind

_INTEGER = re.compile(r"[+-]?[0-9]{1,9}")
_LIST_PARAMETERS = ("date_from", "date_to", "offset", "limit")
_INTEGERS = frozenset({"offset", "limit", "duration"})


def query_params(request: OcpiRequest, *, response_url: str | None = None) -> tuple[tuple[str, str | int], ...] | None:
    """The `query_params` of a request's message in order, or None where its handler takes no parameters.

    Lists have them always, if only ``{}``; token requests always have a `type`, RFID by default; charging profiles
    have `duration` and `response_url`, the latter replaced by `response_url` if that is given.
    """
    given: dict[str, list[str]] = {}
    for name, value in request.query:
        given.setdefault(name, []).append(value)
    match request.kind:
        case RouteKind.LIST:
            return _known(given, _LIST_PARAMETERS)
        case RouteKind.AUTHORIZE:
            return (("type", ",".join(given.get("type", ())) or "RFID"),)
        case RouteKind.OBJECT if request.module is Module.TOKENS:
            return (("type", ",".join(given.get("type", ())) or "RFID"),)
        case RouteKind.PROFILE if request.method in ("GET", "DELETE"):
            if response_url is not None and "response_url" in given:
                given["response_url"] = [response_url]
            return _known(given, ("duration", "response_url") if request.method == "GET" else ("response_url",))
        case _:
            return None


def _known(given: dict[str, list[str]], names: tuple[str, ...]) -> tuple[tuple[str, str | int], ...]:
    typed = ((name, _typed(name, given[name])) for name in names if name in given)
    return tuple((name, value) for name, value in typed if value is not None)


def _typed(name: str, values: list[str]) -> str | int | None:
    """A parameter as the node's framework binds it: an empty number is as good as none."""
    if name not in _INTEGERS:
        return ",".join(values)
    first = values[0].strip()
    if not first:
        return None
    return int(first) if _INTEGER.fullmatch(first) else first
