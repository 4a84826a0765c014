"""The paths of a notary: ``$['body']['evses'][0]['uid']``, and nothing else of JSONPath (ocn-protocol.md d.2, d.4).

The fields of a signature are chosen by whoever signed: a filter or a recursive descent would run on our time, so only
literal steps are read.
"""

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Final

from ocn_permission_agent.errors import SignatureError
from ocn_permission_agent.ocn.json_text import JsonValue

_PATH = re.compile(r"\$(?:\['[^'\\]*'\]|\[(?:0|[1-9][0-9]{0,8})\])+")
_STEP = re.compile(r"\['([^'\\]*)'\]|\[([0-9]+)\]")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_UNSPEAKABLE = frozenset("'\\")


class Missing:
    """The type of `MISSING`."""

    __slots__ = ()


#: what stands at a path that leads nowhere
MISSING: Final = Missing()


def leaves_of(values: Mapping[str, JsonValue]) -> Iterator[tuple[str, JsonValue]]:
    """The path and value of everything that takes part in a signature, in the order of signing.

    Depth first, members as they stand; null, ``""`` and empty containers take no part.
    """
    unfinished: list[Iterator[tuple[str, JsonValue]]] = [_children("$", dict(values))]
    while unfinished:
        for path, child in unfinished[-1]:
            if isinstance(child, dict | list):
                unfinished.append(_children(path, child))
                break
            if child is not None and child != "":
                yield path, child
        else:
            unfinished.pop()


def _children(path: str, container: dict[str, JsonValue] | list[JsonValue]) -> Iterator[tuple[str, JsonValue]]:
    if isinstance(container, dict):
        for name, child in container.items():
            yield f"{path}['{name}']", child
    else:
        for index, child in enumerate(container):
            yield f"{path}[{index}]", child


def is_verifiable(path: str) -> bool:
    """Whether a verifier, who reads paths in lower case, would find what stands at the path."""
    return path == path.lower() and _PATH.fullmatch(path) is not None


def value_at(values: JsonValue, path: str) -> JsonValue | Missing:
    """What stands at a path.

    Raises:
        SignatureError: the path is not literal.
    """
    here: JsonValue = values
    for step in steps_of(path):
        if isinstance(here, dict) and isinstance(step, str) and step in here:
            here = here[step]
        elif isinstance(here, list) and _INDEX.fullmatch(str(step)) and int(step) < len(here):
            here = here[int(step)]
        else:
            return MISSING
    return here


def with_value(values: JsonValue, path: str, value: JsonValue) -> JsonValue:
    """The values with another one at the path; containers on the way are made where missing, nothing is changed.

    Raises:
        SignatureError: the path is not literal, or leads through something that is no container.
    """
    steps = steps_of(path)
    root = _shallow(values, steps[0])
    here = root
    for step, following in itertools.pairwise(steps):
        child = _shallow(value_of(here, step), following)
        _put(here, step, child)
        here = child
    _put(here, steps[-1], value)
    return root


def steps_of(path: str) -> list[str | int]:
    """The steps of a path: names as str, places as int.

    Raises:
        SignatureError: the path is not literal.
    """
    if not _PATH.fullmatch(path):
        raise SignatureError("a signed path is not of the literal form $['name'][0]")
    return [int(place) if place else name for name, place in _STEP.findall(path)]


def value_of(container: dict[str, JsonValue] | list[JsonValue], step: str | int) -> JsonValue:
    """The child of a container, None where there is none."""
    if isinstance(container, dict):
        return container.get(str(step))
    return container[int(step)] if _INDEX.fullmatch(str(step)) and int(step) < len(container) else None


def _shallow(value: JsonValue, step: str | int) -> dict[str, JsonValue] | list[JsonValue]:
    if isinstance(value, dict):
        return dict(value)
    if isinstance(value, list):
        return list(value)
    if value is None:
        return [] if isinstance(step, int) else {}
    raise SignatureError("a rewritten path leads through a plain value")


def _put(container: dict[str, JsonValue] | list[JsonValue], step: str | int, value: JsonValue) -> None:
    if isinstance(container, dict):
        container[str(step)] = value
    elif _INDEX.fullmatch(str(step)) and int(step) <= len(container):
        container[int(step) : int(step) + 1] = [value]
    else:
        raise SignatureError("a rewritten path leads beyond the end of an array")
