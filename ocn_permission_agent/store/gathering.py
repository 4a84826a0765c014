"""When what waits to be written is handed over to the thread that writes: not piece by piece, and not too late.

Many small commits cost more than a few larger ones, for the disk, and because the thread takes the interpreter from the
event loop for each. So there is a pace; but a group that is large enough does not wait for it. While one is being
written the next one gathers.
"""

import asyncio
import math
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


@dataclass(slots=True)
class _Waiting(Generic[J]):
    """Pieces that one loop has not handed over yet, and when it will; `overdue`: once it has its last ones back."""

    pieces: list[J]
    due_at: float
    timer: asyncio.Handle
    overdue: bool = False


class Gathering(Generic[J]):
    """Gathers pieces, in each event loop its own.

    Args:
        take: gets those that are handed over, oldest first.
        pace_seconds: from one hand-over to the next, at least, until there are enough; up to five times as much where
            commits take long, and 0 for no pace.
    """

    def __init__(self, take: Callable[[list[J]], None], *, pace_seconds: float) -> None:
        self._take = take
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
        if len(waiting.pieces) >= _ENOUGH:
            self._fall_due()
        elif due_at < waiting.due_at:
            waiting.timer.cancel()
            waiting.due_at, waiting.timer = due_at, self._call(loop, due_at)

    def hand_over(self) -> None:
        """Do it now, for the running loop."""
        loop = asyncio.get_running_loop()
        waiting = self._waiting.pop(loop, None)
        if waiting is not None:
            waiting.timer.cancel()
            self._handed_over_at = loop.time()
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
