"""Which of the changes that wait for a location, tariff or token need to be sent at all (delivery.md "Classes"). Pure.

A PUT or a DELETE says all there is to say about its URL and what lies below it; PATCHes of one URL that follow each
other are one PATCH. Nothing here appends, so the object ends the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One copy of an object's lane: a PUT, PATCH or DELETE. `segments` and `query` are its URL."""

    id: int
    method: str
    segments: tuple[str, ...]
    query: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A change that is still to be sent, in the place of those it supersedes; `merged` tells that its body is new."""

    change: Change
    superseded: tuple[int, ...] = ()
    merged: bool = False


def still_to_send(changes: Sequence[Change]) -> tuple[Kept, ...]:
    """Reduce what waits, in order, to what leads to the same object."""
    kept: list[Kept] = []
    for change in changes:
        if change.method == "PATCH":
            together = _together(kept[-1], change) if kept else None
            if together is None:
                kept.append(Kept(change=change))
            else:
                kept[-1] = together
            continue
        covered = [each for each in kept if _covers(change, each.change)]
        kept = [each for each in kept if each not in covered]
        superseded = (number for each in covered for number in (*each.superseded, each.change.id))
        kept.append(Kept(change=change, superseded=tuple(sorted(superseded))))
    return tuple(kept)


def _covers(newer: Change, older: Change) -> bool:
    """Whether the older one is about the newer one's URL or something below it."""
    return newer.query == older.query and older.segments[: len(newer.segments)] == newer.segments


def _together(first: Kept, second: Change) -> Kept | None:
    """Two PATCHes as one; None where they are not, or cannot be."""
    patch = first.change
    if patch.method != "PATCH" or (patch.segments, patch.query) != (second.segments, second.query):
        return None
    try:
        members = _MEMBERS.decode(patch.body) | _MEMBERS.decode(second.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    change = Change(
        id=second.id,
        method="PATCH",
        segments=second.segments,
        query=second.query,
        body=msgspec.json.encode(members),
    )
    return Kept(change=change, superseded=(*first.superseded, patch.id), merged=True)
