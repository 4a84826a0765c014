"""Noticing that the store was put back from a backup: a number in it and the same number in a file beside it.

Both are raised at every start, after every backup, every ten seconds and at an orderly end, in the store first. A store
whose number is lower than the file's is an older copy of itself. A copy made by `backup` says so too, for where the
file is gone with the machine. What was pending in it may have been delivered since: it is parked until a person
decides, and the time between is one gap, because what was recorded then is not there any more.
"""

import asyncio
import contextlib
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.errors import StoreUnavailable
from ocn_permission_agent.log import Log
from ocn_permission_agent.outbox.gaps import Gap, GapBook, Gaps

#: why deliveries are parked then
RESTORED = "restored: the store is a backup; this may have been delivered since, a person must decide"
#: a copy of the file that is younger than this when the agent is killed is not told from the store itself
RAISED_EVERY_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredGeneration:
    """What the store says of itself: 0 before its first start; `last_used` None when nothing was ever written."""

    number: int
    is_backup: bool
    last_used: datetime | None


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

    async def raise_generation(self, number: int, *, now: datetime) -> None:
        """Begin a generation."""
        ...

    async def note(self, gaps: Gaps) -> None:
        """Write gaps down."""
        ...


class Parking(Protocol):
    """The outbox, as a restore needs it."""

    async def park_pending(self, *, reason: str, now: datetime) -> int:
        """Park all that is pending, whether in flight or not; returns how many."""
        ...


def beginning(stored: StoredGeneration, beside: int) -> Beginning:
    """Compare the store's number with the file's (0: there is none)."""
    restored = stored.is_backup or stored.number < beside
    return Beginning(number=max(stored.number, beside) + 1, restored=restored)


class Generation:
    """The number of this run.

    Args:
        path: the file beside the store.
        clock: dates the gap.
        gaps: takes it, when the store cannot.
        log: one warning when the store was put back.
    """

    def __init__(self, path: Path, *, clock: Clock, gaps: GapBook, log: Log) -> None:
        self._path = path
        self._clock = clock
        self._gaps = gaps
        self._log = log
        self._raised = clock.monotonic()

    async def begin(self, store: GenerationStore, outbox: Parking) -> bool:
        """Begin a generation before anything is recorded or sent; whether the store was put back.

        A death in between begins again: the store's number is raised last.

        Raises:
            StoreUnavailable: again later.
        """
        stored = await store.generation()
        found = beginning(stored, read_number(self._path))
        now = self._clock.now()
        if found.restored:
            parked = await outbox.park_pending(reason=RESTORED, now=now)
            since = min(stored.last_used or now, now)
            self._log.error("store.restored", parked=parked, since=since.isoformat())
            self._gaps.note(Gap(reason="restored", at=since, until=now))
            await self._write_down(store)
        await self._raise(store, found.number)
        return found.restored

    async def go_on(self, store: GenerationStore, *, at_once: bool = False) -> None:
        """Raise the number when its time is over, or at once: after a backup, and at the end.

        Raises:
            StoreUnavailable: again later.
        """
        if at_once or self._clock.monotonic() - self._raised >= RAISED_EVERY_SECONDS:
            await self._raise(store, beginning(await store.generation(), read_number(self._path)).number)

    async def _raise(self, store: GenerationStore, number: int) -> None:
        await store.raise_generation(number, now=self._clock.now())
        self._raised = self._clock.monotonic()
        try:
            await asyncio.to_thread(write_number, self._path, number)
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


def read_number(path: Path) -> int:
    """The number in the file; 0 if there is none to be read."""
    with contextlib.suppress(OSError, ValueError):
        return int(path.read_text(encoding="ascii"))
    return 0


def write_number(path: Path, number: int) -> None:
    """Replace the file; on disk on return.

    Raises:
        OSError: it is as it was.
    """
    fresh = path.with_name(path.name + ".new")
    file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, b"%d\n" % number)
        os.fsync(file)
    finally:
        os.close(file)
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
