"""What watcher and auditor have for each other: one follows the logs, the other looks at the state.

::

    watcher ──"a poll was complete", "the state contradicts the logs"──▶ auditor
    watcher ◀──"look at these entries", "these logs were not told"────── auditor
"""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence

from ocn_permission_agent.chain.follower import FoundLog
from ocn_permission_agent.chain.touched import Touched


class Errands:
    """Of one watcher and one auditor. What comes while the watcher is at work is for its next poll."""

    def __init__(self) -> None:
        self._polled = asyncio.Event()
        self._contradiction = asyncio.Event()
        self._look_again = Touched()
        self._found: tuple[FoundLog, ...] = ()

    # --- the auditor's side ---------------------------------------------------------------------------------------

    async def first_poll(self) -> None:
        """Wait until a poll of this run was complete."""
        await self._polled.wait()

    async def contradiction(self) -> None:
        """Wait until a look at the state contradicted the logs."""
        await self._contradiction.wait()

    def take_contradiction(self) -> bool:
        """Whether that happened since this was asked last."""
        happened = self._contradiction.is_set()
        self._contradiction.clear()
        return happened

    def look_at(self, touched: Touched) -> None:
        """Look at these entries at the next poll."""
        self._look_again |= touched

    def take_found(self, found: Sequence[FoundLog]) -> None:
        """Put these logs into their places at the next poll."""
        self._found += tuple(found)

    # --- the watcher's side ---------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def looking(self) -> Iterator[Touched]:
        """The entries that were asked for so far; asked for again if looking at them fails."""
        touched, self._look_again = self._look_again, Touched()
        try:
            yield touched
        except BaseException:
            self._look_again |= touched
            raise

    @contextlib.contextmanager
    def putting_into_place(self) -> Iterator[tuple[FoundLog, ...]]:
        """The logs that were found so far; there again if that fails."""
        found, self._found = self._found, ()
        try:
            yield found
        except BaseException:
            self._found = (*found, *self._found)
            raise

    def polled(self) -> None:
        """A poll was complete."""
        self._polled.set()

    def contradicted(self) -> None:
        """The state says what no log had said."""
        self._contradiction.set()
