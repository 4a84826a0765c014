"""Noticing that the store was put back from a backup: a number in it and the same number in a file beside it.

Both are raised at every start, after every backup, every ten seconds and at an orderly end, in the store first. A store
whose number is lower than the file's is an older copy of itself. A copy made by `backup` says so too, for where the
file is gone with the machine. What was pending in it may have been delivered since: it is parked until a person
decides, and the time between is one gap, because what was recorded then is not there any more.

Several agents share one store and have a file each. The number in the store only grows, so it is never lower than any
of their files. After a restore the first agent that starts does what is to be done and begins a new *era*; the others,
whose files are of the era before, see in the store that this is over and done with.
"""

import asyncio
import contextlib
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.errors import StoreRestored, StoreUnavailable
from ocn_permission_agent.log import Log
from ocn_permission_agent.outbox.gaps import Gap, GapBook, Gaps

#: why deliveries are parked then
RESTORED = "restored: the store is a backup; this may have been delivered since, a person must decide"
#: a copy of the file that is younger than this when the agent is killed is not told from the store itself
RAISED_EVERY_SECONDS = 10.0
#: while another agent begins
_TURN_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredGeneration:
    """What the store says of itself: 0 before its first start; `last_used` None when nothing was ever written.

    `eras` are all that it has known, oldest first; a store that was never put back knows none.
    """

    number: int
    is_backup: bool
    last_used: datetime | None
    eras: tuple[str, ...] = ()

    @property
    def era(self) -> str:
        """The one it is in; "" for the first, which has no name."""
        return self.eras[-1] if self.eras else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What the file says: 0 when there is none."""

    number: int = 0
    era: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """How a start goes on: with which number, and whether the store was put back."""

    number: int
    restored: bool


class GenerationStore(Protocol):
    """The store, as far as its generation goes; any method may raise `StoreUnavailable`."""

    async def generation(self) -> StoredGeneration:
        """Which one it is of."""
        ...

    async def raise_generation(self, number: int, *, era: str, now: datetime) -> None:
        """Begin a generation, if it is a later one; and an era, if that is not the newest already."""
        ...

    async def note(self, gaps: Gaps) -> None:
        """Write gaps down."""
        ...


class Parking(Protocol):
    """The outbox, as a restore needs it."""

    async def park_pending(self, *, reason: str, now: datetime) -> int:
        """Park all that is pending, whether in flight or not; returns how many."""
        ...


class Turn(Protocol):
    """By which agents do it one after the other; any method may raise `StoreUnavailable`."""

    async def take(self) -> bool:
        """Whether it is ours now."""
        ...

    async def release(self) -> None:
        """The next one, please."""
        ...


def beginning(stored: StoredGeneration, beside: Beside) -> Beginning:
    """Compare the store with the file.

    A file of an era that the store does not know tells of a store that was there later than this one.
    """
    same = beside.era == stored.era
    older = stored.number < beside.number if same else beside.era not in {"", *stored.eras}
    return Beginning(number=max(stored.number, beside.number) + 1, restored=stored.is_backup or older)


def _random_era() -> str:
    return secrets.token_hex(8)


class Generation:
    """The number of this run.

    Args:
        path: the file beside the store.
        clock: dates the gap.
        gaps: takes it, when the store cannot.
        log: one warning when the store was put back.
        new_era: makes the name of an era that nobody has used.
    """

    def __init__(
        self, path: Path, *, clock: Clock, gaps: GapBook, log: Log, new_era: Callable[[], str] = _random_era
    ) -> None:
        self._path = path
        self._clock = clock
        self._gaps = gaps
        self._log = log
        self._new_era = new_era
        self._raised = clock.monotonic()

    async def begin(self, store: GenerationStore, outbox: Parking, *, turn: Turn | None = None) -> bool:
        """Begin a generation before anything is recorded or sent; whether the store was put back.

        A death in between begins again: the store's number is raised last.

        Args:
            store: of this agent, or of several.
            outbox: whose pending deliveries a person must decide about.
            turn: for several: they begin one after the other.

        Raises:
            StoreUnavailable: again later.
        """
        if turn is None:
            return await self._begin(store, outbox)
        while not await turn.take():
            await self._clock.sleep(_TURN_SECONDS)
        try:
            return await self._begin(store, outbox)
        finally:
            await turn.release()

    async def _begin(self, store: GenerationStore, outbox: Parking) -> bool:
        stored = await store.generation()
        found = beginning(stored, read_beside(self._path))
        now = self._clock.now()
        if found.restored:
            parked = await outbox.park_pending(reason=RESTORED, now=now)
            since = min(stored.last_used or now, now)
            self._log.error("store.restored", parked=parked, since=since.isoformat())
            self._gaps.note(Gap(reason="restored", at=since, until=now))
            await self._write_down(store)
        await self._raise(store, found.number, era=self._new_era() if found.restored else stored.era)
        return found.restored

    async def go_on(self, store: GenerationStore, *, at_once: bool = False) -> None:
        """Raise the number when its time is over, or at once: after a backup, and at the end.

        Raises:
            StoreUnavailable: again later.
            StoreRestored: the store was put back while we had it open; begin anew.
        """
        if at_once or self._clock.monotonic() - self._raised >= RAISED_EVERY_SECONDS:
            stored = await store.generation()
            found = beginning(stored, read_beside(self._path))
            if found.restored and not stored.is_backup:
                raise StoreRestored("the store is an older one than a moment ago")
            await self._raise(store, found.number, era=stored.era)

    async def _raise(self, store: GenerationStore, number: int, *, era: str) -> None:
        await store.raise_generation(number, era=era, now=self._clock.now())
        self._raised = self._clock.monotonic()
        try:
            await asyncio.to_thread(write_beside, self._path, Beside(number=number, era=era))
        except OSError as error:
            self._log.warning("generation.unwritten", reason=error.strerror or str(error))

    async def _write_down(self, store: GenerationStore) -> None:
        taken = self._gaps.take()
        if taken is not None:
            try:
                await store.note(taken)
            except StoreUnavailable:
                self._gaps.give_back(taken)
                raise
            self._gaps.written(taken)


def read_beside(path: Path) -> Beside:
    """What the file says; nothing if there is none to be read."""
    with contextlib.suppress(OSError, ValueError):
        number, _, era = path.read_text(encoding="ascii").strip().partition(" ")
        return Beside(number=int(number), era=era)
    return Beside()


def write_beside(path: Path, beside: Beside) -> None:
    """Replace the file; on disk on return.

    Raises:
        OSError: it is as it was.
    """
    fresh = path.with_name(path.name + ".new")
    file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, f"{beside.number} {beside.era}".strip().encode("ascii") + b"\n")
        os.fsync(file)
    finally:
        os.close(file)
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
