"""What a session has become by all that was said of it, so that one PUT can stand for many copies. Pure.

The rules of OCPI 2.2.1 §9.2.2 as delivery.md "Classes" words them: fields of the top level are replaced as a whole,
null removes one, the `charging_periods` of a PATCH are appended unless an equal period is there, and a PUT replaces
everything. Values are kept as the customer spelled them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

#: larger than this a session is not merged any more, whatever its copies bring
SIZE_LIMIT_BYTES = 8 * 1024 * 1024
_PERIODS = "charging_periods"
_Value: TypeAlias = msgspec.Raw | msgspec.UnsetType


class _Status(msgspec.Struct):
    """The one member that tells whether a session is over."""

    status: _Value = msgspec.UNSET


_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_STATUS = msgspec.json.Decoder(_Status)
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_OVER = frozenset({"COMPLETED", "INVALID"})


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """One copy of a session's lane: a PUT or a PATCH."""

    id: int
    method: str
    body: bytes


class MergedSession(msgspec.Struct, frozen=True, kw_only=True):
    """A whole session; `through_id` is the newest copy that is in it. There is none that did not begin with a PUT."""

    through_id: int
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class FullPut:
    """The newest copy of a run, as a PUT of the whole session, in the place of all others of the run."""

    merged: MergedSession
    superseded: tuple[int, ...]


def follow(base: MergedSession | None, said: Said) -> MergedSession | None:
    """The session after one more copy.

    None where it is not known as a whole: it did not begin with a PUT, or a body is no JSON object.
    """
    return _followed(base, said)[0]


def follow_open(base: MergedSession | None, said: Said) -> MergedSession | None:
    """The session after one more copy; None also where it has come to its end: nothing more will be said of it."""
    merged, status = _followed(base, said)
    return None if _is_end(status) else merged


def full_put(base: MergedSession | None, run: Sequence[Said]) -> FullPut | None:
    """One PUT for all that waits; None where the session is not known as a whole.

    Args:
        base: what is known of the session without the run.
        run: the oldest copies that wait, in order; not empty.
    """
    merged = base
    for said in run:
        merged = follow(merged, said)
    if merged is None:
        return None
    return FullPut(merged=merged, superseded=tuple(said.id for said in run[:-1]))


def _followed(base: MergedSession | None, said: Said) -> tuple[MergedSession | None, _Value]:
    """The session after one more copy, and its status."""
    try:
        if base is not None and said.id <= base.through_id:
            return base, _status_of(base.body)
        if said.method == "PUT":
            return MergedSession(through_id=said.id, body=said.body), _status_of(said.body)
        if base is None:
            return None, msgspec.UNSET
        session = _MEMBERS.decode(base.body)
        _patch(session, _MEMBERS.decode(said.body))
        body = msgspec.json.encode(session)
    except _UNREADABLE:
        return None, msgspec.UNSET
    merged = MergedSession(through_id=said.id, body=body) if len(body) <= SIZE_LIMIT_BYTES else None
    return merged, session.get("status", msgspec.UNSET)


def _status_of(body: bytes) -> _Value:
    """What an object says as its status."""
    if body.isascii():
        return _STATUS.decode(body).status
    return _MEMBERS.decode(body).get("status", msgspec.UNSET)  # this one refuses names that are not UTF-8


def _is_end(status: _Value) -> bool:
    try:
        return status is not msgspec.UNSET and msgspec.json.decode(status) in _OVER
    except (*_UNREADABLE, TypeError):
        return False


def _patch(session: dict[str, msgspec.Raw], patch: Mapping[str, msgspec.Raw]) -> None:
    for name, value in patch.items():
        if _is_null(value):
            session.pop(name, None)
        elif name == _PERIODS:
            session[name] = _appended(session.get(name), value)
        else:
            session[name] = value


def _appended(known: msgspec.Raw | None, new: msgspec.Raw) -> msgspec.Raw:
    """The periods that are known and those that are not yet among them."""
    periods = [] if known is None or _is_null(known) else _LIST.decode(known)
    values = [msgspec.json.decode(period) for period in periods]
    for period in _LIST.decode(new):
        value = msgspec.json.decode(period)
        if value not in values:
            periods.append(period)
            values.append(value)
    return msgspec.Raw(msgspec.json.encode(periods))


def _is_null(value: msgspec.Raw) -> bool:
    return bytes(value) == b"null"
