"""When what waits to be written is handed over to the thread that writes: not piece by piece, and not too late.

Many small commits cost more than a few larger ones, for the disk, and because the thread takes the interpreter from the
event loop for each. So there is a pace; but a group that is large enough does not wait for it. While one is being
written the next one gathers.

A busy loop waits for longer: what it saves by fewer groups is time that it has not got (ADR 0020).
"""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

J = TypeVar("J")

#: from one hand-over to the next, so that there are not many small commits where a few larger ones would do; what
#: nobody waits for may wait for as long until others share its commit
PACE_SECONDS = 0.002
#: where the thread has to fight for the interpreter its commits take longer, and then fewer and larger ones are better
#: for both sides: the pace is so many times what the last commit took, but no more than so many times the least pace
_OF_A_COMMIT, _SLOWEST = 3, 5
#: so many share their commit well enough: they are handed over whatever the pace
_ENOUGH = 64
#: a loop is busy that works for so much of its time; when it is due to hand over, it waits until so many have gathered,
#: or for so many times the least pace since the last ones
_BUSY, _WORTHWHILE, _AT_LAST = 0.6, 48, 15


@dataclass(slots=True)
class _Waiting(Generic[J]):
    """Pieces that one loop has not handed over yet, and when it will; `overdue`: once it has its last ones back.

    `for_more`: they were due, and wait for others to be worth a group.
    """

    pieces: list[J]
    due_at: float
    timer: asyncio.Handle
    overdue: bool = False
    for_more: bool = False


class _Load:
    """How much of its time a loop works, from one look to the next."""

    def __init__(self, spent_seconds: Callable[[], float]) -> None:
        self._spent_seconds = spent_seconds
        self._looked: tuple[asyncio.AbstractEventLoop, float, float] | None = None
        self.is_busy = False

    def look(self, loop: asyncio.AbstractEventLoop) -> None:
        """In the loop. With several loops none counts as busy."""
        now, spent = loop.time(), self._spent_seconds()
        self.is_busy = False
        if self._looked is not None and self._looked[0] is loop:
            _, then, spent_then = self._looked
            self.is_busy = spent - spent_then > _BUSY * (now - then)
        self._looked = loop, now, spent


class Gathering(Generic[J]):
    """Gathers pieces, in each event loop its own.

    Args:
        take: gets those that are handed over, oldest first.
        pace_seconds: from one hand-over to the next, at least, until there are enough; up to five times as much where
            commits take long, fifteen times where the loop is busy, and 0 for no pace.
        spent_seconds: how long the calling thread has worked.
    """

    def __init__(
        self,
        take: Callable[[list[J]], None],
        *,
        pace_seconds: float,
        spent_seconds: Callable[[], float] = time.thread_time,
    ) -> None:
        self._take = take
        self._load = _Load(spent_seconds)
        self._pace_seconds = pace_seconds
        self._waiting: dict[asyncio.AbstractEventLoop, _Waiting[J]] = {}
        #: loops whose last pieces are being written
        self._out: set[asyncio.AbstractEventLoop] = set()
        self._handed_over_at = -math.inf
        #: seconds that the last commit took; told by the thread
        self.commit_took = 0.0

    def add(self, piece: J, *, patient: bool) -> None:
        """Hand it over with others as soon as the pace allows, or, if it is patient, after a pause at the latest."""
        loop = asyncio.get_running_loop()
        due_at = self._handed_over_at + self._pace()
        if patient:
            due_at = max(due_at, loop.time() + self._pace_seconds)
        waiting = self._waiting.get(loop)
        if waiting is None:
            self._waiting[loop] = _Waiting([piece], due_at, self._call(loop, due_at))
            return
        waiting.pieces.append(piece)
        if len(waiting.pieces) >= (_WORTHWHILE if waiting.for_more else _ENOUGH):
            self._go()
        elif due_at < waiting.due_at and not waiting.for_more:
            waiting.timer.cancel()
            waiting.due_at, waiting.timer = due_at, self._call(loop, due_at)

    def hand_over(self) -> None:
        """Do it now, for the running loop."""
        loop = asyncio.get_running_loop()
        waiting = self._waiting.pop(loop, None)
        if waiting is not None:
            waiting.timer.cancel()
            self._handed_over_at = loop.time()
            self._load.look(loop)
            self._out.add(loop)
            self._take(waiting.pieces)

    def returned(self) -> None:
        """What the running loop handed over is written: what is due by now comes next."""
        loop = asyncio.get_running_loop()
        self._out.discard(loop)
        if (waiting := self._waiting.get(loop)) is not None and waiting.overdue:
            self.hand_over()

    def _fall_due(self) -> None:
        loop = asyncio.get_running_loop()
        waiting = self._waiting[loop]
        if waiting.for_more or not self._load.is_busy or len(waiting.pieces) >= _WORTHWHILE:
            self._go()
            return
        waiting.for_more, waiting.due_at = True, self._handed_over_at + _AT_LAST * self._pace_seconds
        waiting.timer = self._call(loop, waiting.due_at)

    def _go(self) -> None:
        """Hand over, or as soon as the last ones are back."""
        loop = asyncio.get_running_loop()
        if loop in self._out:
            self._waiting[loop].overdue = True
        else:
            self.hand_over()

    def _call(self, loop: asyncio.AbstractEventLoop, due_at: float) -> asyncio.Handle:
        if due_at > loop.time():
            return loop.call_at(due_at, self._fall_due)
        return loop.call_soon(self._fall_due)

    def _pace(self) -> float:
        return min(max(self._pace_seconds, _OF_A_COMMIT * self.commit_took), _SLOWEST * self._pace_seconds)
