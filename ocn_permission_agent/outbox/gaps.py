"""Gaps: copies that were due, or may have been, and will never exist. Counted in memory first, in the store soon after.

Until the store has them a journal beside it does (intents.py), so that no death of the process leaves one uncounted.
Of each hour and reason the first thousand are kept one by one, so that a person can tell the customer what to repeat;
a flood beyond that is one row with a count. It is logged likewise: one line per second and reason, with a count.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.log import Log
from ocn_permission_agent.metrics import Metrics

#: gaps of one reason and hour that are kept with what is known of each
DETAILS_PER_HOUR = 1_000
#: gaps with details in memory, until the store takes them
_DETAILS_IN_MEMORY = 2_000
_LINE_SECONDS = 1.0
#: nothing is known of who was meant: only their number is kept
_ONLY_COUNTED = frozenset({"first_sync"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """One of them. Texts are empty where nothing is known; `until` is given where it is a stretch of time.

    `intent` is its number in the journal, 0 where it has none. Where the customer's address is known, the gap goes into
    its ledger.
    """

    reason: str
    at: datetime
    until: datetime | None = None
    module: str = ""
    method: str = ""
    customer: str = ""
    customer_address: str = ""
    object_id: str = ""
    correlation_id: str = ""
    intent: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GapSum:
    """Many of one reason and hour, or of one reason altogether."""

    reason: str
    count: int
    first_at: datetime
    last_at: datetime

    def plus(self, other: "GapSum") -> "GapSum":
        """Both together; `reason` stays."""
        return replace(
            self,
            count=self.count + other.count,
            first_at=min(self.first_at, other.first_at),
            last_at=max(self.last_at, other.last_at),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Gaps:
    """What is to be written: some one by one, the rest by hour and reason."""

    details: tuple[Gap, ...] = ()
    sums: tuple[GapSum, ...] = ()


def hour_of(instant: datetime) -> datetime:
    """The full hour before."""
    return instant.replace(minute=0, second=0, microsecond=0)


def added_up(sums: Iterable[GapSum]) -> tuple[GapSum, ...]:
    """One sum for each reason and hour."""
    totals: dict[tuple[str, datetime], GapSum] = {}
    for each in sums:
        known = totals.get(_key(each))
        totals[_key(each)] = each if known is None else known.plus(each)
    return tuple(totals.values())


def taken_off(sums: Iterable[GapSum], gone: Iterable[GapSum]) -> tuple[GapSum, ...]:
    """What is left of sums of reasons and hours; those of which nothing is left are not in it."""
    less = {_key(each): each.count for each in added_up(gone)}
    rest = (replace(each, count=each.count - less.get(_key(each), 0)) for each in added_up(sums))
    return tuple(each for each in rest if each.count > 0)


def total_by_reason(sums: Iterable[GapSum]) -> tuple[GapSum, ...]:
    """One sum for each reason, in their alphabetical order."""
    totals: dict[str, GapSum] = {}
    for each in sums:
        known = totals.get(each.reason)
        totals[each.reason] = each if known is None else known.plus(each)
    return tuple(totals[reason] for reason in sorted(totals))


class Journal(Protocol):
    """What survives the death of the process until the store has it."""

    def keep(self, gap: Gap) -> Gap:
        """Keep a gap, in place of its intent; returned with its number."""
        ...

    def count(self, gap: Gap, each: GapSum) -> None:
        """Of this gap keep only that there was one more; its intent ends."""
        ...

    def forget(self, numbers: Iterable[int], sums: tuple[GapSum, ...]) -> None:
        """The store has them."""
        ...


class GapBook:
    """Takes gaps as they happen; whoever has the store writes them down: `take`, then `written` or `give_back`.

    Args:
        clock: spaces the lines of the log.
        metrics: ``gaps_total``.
        log: ``copy.missed``.
        journal: None keeps them in memory only.
    """

    def __init__(self, *, clock: Clock, metrics: Metrics, log: Log, journal: Journal | None = None) -> None:
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._journal = journal
        self._details: list[Gap] = []
        #: details that are being written down
        self._out = 0
        self._sums: dict[tuple[str, datetime], GapSum] = {}
        self._told: dict[str, float] = {}
        self._untold: dict[str, int] = {}

    def note(self, gap: Gap, *, error: str = "") -> None:
        """Count and tell a gap.

        Args:
            gap: what is known of it.
            error: what was wrong, in words; told, not kept.
        """
        self._metrics.gaps.labels(gap.reason).inc()
        self._keep(gap)
        now = self._clock.monotonic()
        if now - self._told.get(gap.reason, float("-inf")) < _LINE_SECONDS:
            self._untold[gap.reason] = self._untold.get(gap.reason, 0) + 1
            return
        self._told[gap.reason] = now
        known = {name: value for name, value in _known(gap).items() if value}
        self._log.warning(
            "copy.missed", reason=gap.reason, count=1 + self._untold.pop(gap.reason, 0), **known, error=error
        )

    def recall(self, each: GapSum) -> None:
        """Of an earlier process, and in the journal already: count and tell them."""
        self._metrics.gaps.labels(each.reason).inc(each.count)
        self._add(each)
        self._log.warning("copy.missed", reason=each.reason, count=each.count, until=each.last_at.isoformat())

    def tell_rest(self) -> None:
        """Tell what was held back of the log, once its second is over."""
        now = self._clock.monotonic()
        for reason in [reason for reason in self._untold if now - self._told[reason] >= _LINE_SECONDS]:
            self._told[reason] = now
            self._log.warning("copy.missed", reason=reason, count=self._untold.pop(reason))

    def unwritten(self) -> tuple[GapSum, ...]:
        """What no store has taken yet, by reason."""
        return total_by_reason([*self._sums.values(), *map(_sum_of, self._details)])

    def take(self) -> Gaps | None:
        """All that is unwritten, or None."""
        if not self._details and not self._sums:
            return None
        taken = Gaps(details=tuple(self._details), sums=tuple(self._sums.values()))
        self._details, self._sums = [], {}
        self._out += len(taken.details)
        return taken

    def written(self, taken: Gaps) -> None:
        """The store has them."""
        self._out -= len(taken.details)
        if self._journal is not None:
            self._journal.forget([gap.intent for gap in taken.details], taken.sums)

    def give_back(self, taken: Gaps) -> None:
        """It could not be written."""
        self._out -= len(taken.details)
        self._details = [*taken.details, *self._details]
        for each in taken.sums:
            self._add(each)

    def _keep(self, gap: Gap) -> None:
        if gap.reason in _ONLY_COUNTED or len(self._details) + self._out >= _DETAILS_IN_MEMORY:
            each = _sum_of(gap)
            self._add(each)
            if self._journal is not None:
                self._journal.count(gap, each)
        else:
            self._details.append(gap if self._journal is None else self._journal.keep(gap))

    def _add(self, more: GapSum) -> None:
        known = self._sums.get(_key(more))
        self._sums[_key(more)] = more if known is None else known.plus(more)


def _key(each: GapSum) -> tuple[str, datetime]:
    return each.reason, hour_of(each.first_at)


def _sum_of(gap: Gap) -> GapSum:
    return GapSum(reason=gap.reason, count=1, first_at=gap.at, last_at=gap.until or gap.at)


def _known(gap: Gap) -> dict[str, str]:
    return {
        "module": gap.module,
        "method": gap.method,
        "customer": gap.customer,
        "object_id": gap.object_id,
        "correlation_id": gap.correlation_id,
        "until": "" if gap.until is None else gap.until.isoformat(),
    }
