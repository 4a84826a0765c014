"""How many attempts per second one provider gets. Pure but for its own memory."""

from collections import deque


class RateLimit:
    """At most `rate` starts in any second; of a rate below one, one start in `1 / rate` seconds.

    Times are seconds of a monotonic clock.
    """

    def __init__(self, rate: float) -> None:
        self._most = max(1, int(rate))
        self._span_seconds = self._most / rate
        self._starts: deque[float] = deque()

    def room(self, now: float) -> int:
        """How many may start now."""
        while self._starts and self._starts[0] <= now - self._span_seconds:
            self._starts.popleft()
        return self._most - len(self._starts)

    def take(self, now: float, count: int) -> None:
        """Note that so many start now."""
        self._starts.extend([now] * count)

    def give_back(self) -> None:
        """The newest start did not take place."""
        if self._starts:
            self._starts.pop()

    def free_in_seconds(self, now: float) -> float:
        """How long until one more may start; 0 if one may now."""
        if self.room(now) > 0:
            return 0.0
        return max(0.0, self._starts[0] + self._span_seconds - now)
