"""A time-out that begins anew with every exchange and is hardly ever reached: one timer serves many of them."""

from collections.abc import Callable
from typing import Protocol

_NEVER = float("inf")


class Timer(Protocol):
    """What will happen (`asyncio.TimerHandle`)."""

    def when(self) -> float:
        """At what time."""
        ...

    def cancel(self) -> None:
        """It will not."""
        ...


class Timers(Protocol):
    """Where the time, and what happens at a time, comes from: an event loop."""

    def time(self) -> float:
        """Seconds on its own clock."""
        ...

    def call_at(self, when: float, callback: Callable[[], None], /) -> Timer:
        """Have something called at a time."""
        ...


class Deadline:
    """Setting and clearing it costs next to nothing; the timer stays, and looks when it fires whether it is due.

    Args:
        loop: has the timer, and the time.
        passed: called when it is due; it is cleared then.
    """

    def __init__(self, loop: Timers, passed: Callable[[], None]) -> None:
        self._loop = loop
        self._passed = passed
        self._at = _NEVER
        self._timer: Timer | None = None

    def set(self, seconds: float) -> None:
        """Have it in so many seconds, instead of when it was."""
        self._at = self._loop.time() + seconds
        if self._timer is not None and self._timer.when() > self._at:
            self.stop()
        if self._timer is None:
            self._timer = self._loop.call_at(self._at, self._look)

    def clear(self) -> None:
        """There is none any more."""
        self._at = _NEVER

    def stop(self) -> None:
        """Give the timer back."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if self._loop.time() >= self._at:
            self._at = _NEVER
            self._passed()
        elif self._at != _NEVER:
            self._timer = self._loop.call_at(self._at, self._look)
