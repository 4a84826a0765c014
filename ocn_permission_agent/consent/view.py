"""The one mutable cell between the watcher, who writes it, and proxy, courier and status, who read it."""

from collections.abc import Callable
from datetime import timedelta

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.consent.decisions import Decisions
from ocn_permission_agent.consent.index import ConsentIndex
from ocn_permission_agent.metrics import Metrics

#: a block further ahead of our clock than this means that one of the two clocks is wrong (C8)
FUTURE_TOLERANCE = timedelta(seconds=30)


class ConsentView:
    """The newest index, and whether it is fresh enough to send by (C8).

    Args:
        clock: wall and monotonic time.
        max_staleness_seconds: from this age on the view is not fresh.
        metrics: gets the age.
    """

    def __init__(self, *, clock: Clock, max_staleness_seconds: float, metrics: Metrics) -> None:
        self._clock = clock
        self._max_staleness_seconds = max_staleness_seconds
        self._index = ConsentIndex.empty()
        self._decisions = Decisions.none()
        #: monotonic time at which the head last advanced; None until the first complete poll of this run
        self._advanced_at: float | None = None
        self._told: list[Callable[[], None]] = []
        self._told_when_clear: list[Callable[[], None]] = []
        metrics.consent_view_age_seconds.set_function(self.age_seconds)

    @property
    def index(self) -> ConsentIndex:
        """The newest index; the empty one before the first sync."""
        return self._index

    def publish(self, index: ConsentIndex, *, head_age_seconds: float = 0.0) -> None:
        """Take over what a complete poll found. Only another block than before makes the view younger.

        Args:
            index: of the newest block.
            head_age_seconds: since the head advanced to it; more than nothing when another agent polled.
        """
        was_clear = self.clear
        if self._advanced_at is None or index.block_hash != self._index.block_hash:
            self._advanced_at = self._clock.monotonic() - head_age_seconds
        self._index = index.decided(self._decisions)
        self._tell()
        if self.clear and not was_clear:
            for tell in self._told_when_clear:
                tell()

    def amend(self, index: ConsentIndex) -> None:
        """Take over another judgement of what is known already; unlike a complete poll it makes nothing younger."""
        self._index = index.decided(self._decisions)
        self._tell()

    def decide(self, decisions: Decisions) -> None:
        """Take over what the operator decided: at once, and for every index to come. Makes nothing younger."""
        self._decisions = decisions
        self._index = self._index.decided(decisions)
        self._tell()

    @property
    def decisions(self) -> Decisions:
        """What the operator decided."""
        return self._decisions

    def on_publish(self, tell: Callable[[], None]) -> None:
        """Have `tell` called after every publication; it must be quick and must not fail."""
        self._told.append(tell)

    def on_clear(self, tell: Callable[[], None]) -> None:
        """Have `tell` called after a publication that ended a doubt about the view itself; as for `on_publish`."""
        self._told_when_clear.append(tell)

    def restore(self, index: ConsentIndex) -> None:
        """Take over what the store remembers: known, but not fresh until the first complete poll."""
        self._index = index.decided(self._decisions)
        self._advanced_at = None

    def head_age_seconds(self) -> float:
        """Since the head advanced; infinite before any poll."""
        return float("inf") if self._advanced_at is None else self._clock.monotonic() - self._advanced_at

    def age_seconds(self) -> float:
        """The larger of the time since the head advanced and the time since its block; infinite before any poll."""
        since_block = (self._clock.now() - self._index.block_time).total_seconds()
        return max(self.head_age_seconds(), since_block)

    def _tell(self) -> None:
        for tell in self._told:
            tell()

    @property
    def fresh(self) -> bool:
        """Whether copies may leave."""
        return self.age_seconds() < self._max_staleness_seconds

    @property
    def clear(self) -> bool:
        """Whether the view as a whole is in no doubt (C8, C12)."""
        return self.fresh and self._index.doubt is None and self._index.distrust is None

    @property
    def block_from_the_future(self) -> bool:
        """Whether the newest block is more than 30 s ahead of our clock: an alarm, one of the clocks is wrong."""
        return self._index.block_time > self._clock.now() + FUTURE_TOLERANCE
