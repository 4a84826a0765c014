"""The lines of the intents file: what is on its way to the node, and gaps that no store has taken yet. Pure.

=========================================================================  ===========================================
``[7,1772359200000000,"DE*CPO","0x…","sessions","PUT","s1","corr-1"]``      7 begins: a request goes to the node
``[7,1772359200000000,"DE*CPO","0x…",…,"corr-1","store_unavailable",null]`` 7 is a gap now; a time for a stretch of it
``["first_sync",12,1772359200000000,1772359260000000]``                     so many more gaps: no more is known of them
``7``                                                                       7 ends: recorded, not due, or in the store
=========================================================================  ===========================================

Times are microseconds. The newest line of a number counts. What is no line was cut off by a death or a full disk.
"""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from ocn_permission_agent.outbox.gaps import Gap, GapSum, added_up
from ocn_permission_agent.outbox.rows import from_us, from_us_or_none, to_us

_encode = msgspec.json.Encoder().encode
_Missed = tuple[int, int, str, str, str, str, str, str, str, int | None]
_Counted = tuple[str, int, int, int]
_DECODER = msgspec.json.Decoder(int | list[int | str | None])
#: of a request whose end no line tells
UNKNOWN = "unknown_outcome"


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What a file holds that did not end; `gaps` under their numbers."""

    gaps: tuple[Gap, ...] = ()
    sums: tuple[GapSum, ...] = ()


def begun_line(
    number: int,
    *,
    at_us: int,
    customer: str,
    customer_address: str,
    module: str,
    method: str,
    object_id: str,
    correlation_id: str,
) -> bytes:
    """A request begins."""
    return _encode((number, at_us, customer, customer_address, module, method, object_id, correlation_id)) + b"\n"


def missed_line(gap: Gap) -> bytes:
    """A gap under its number."""
    known = (gap.customer, gap.customer_address, gap.module, gap.method, gap.object_id, gap.correlation_id, gap.reason)
    return _encode((gap.intent, to_us(gap.at), *known, None if gap.until is None else to_us(gap.until))) + b"\n"


def counted_line(each: GapSum) -> bytes:
    """More gaps of a reason."""
    return _encode((each.reason, each.count, to_us(each.first_at), to_us(each.last_at))) + b"\n"


def ended_line(number: int) -> bytes:
    """The end of a number."""
    return b"%d\n" % number


def left_in(data: bytes) -> Left:
    """What did not end."""
    gaps: dict[int, Gap] = {}
    sums: list[GapSum] = []
    for text in data.split(b"\n"):
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError, OverflowError):
            line = _DECODER.decode(text)
            if isinstance(line, int):
                gaps.pop(line, None)
            elif len(line) == 4:
                sums.append(_sum(msgspec.convert(line, _Counted)))
            else:
                gap = _gap(line)
                gaps[gap.intent] = gap
    return Left(gaps=tuple(gaps.values()), sums=added_up(sums))


def _gap(line: Iterable[int | str | None]) -> Gap:
    values = list(line)
    if len(values) == 8:
        values += [UNKNOWN, None]
    number, at_us, customer, customer_address, module, method, object_id, correlation_id, reason, until_us = (
        msgspec.convert(values, _Missed)
    )
    return Gap(
        intent=number,
        reason=reason,
        at=from_us(at_us),
        until=from_us_or_none(until_us),
        module=module,
        method=method,
        customer=customer,
        customer_address=customer_address,
        object_id=object_id,
        correlation_id=correlation_id,
    )


def _sum(line: _Counted) -> GapSum:
    reason, count, first_us, last_us = line
    return GapSum(reason=reason, count=count, first_at=from_us(first_us), last_at=from_us(last_us))
