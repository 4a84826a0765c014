"""Intents: what may be owed once the node has answered, noted before it is asked; and gaps until the store has them.

A line per request is written and not synced: it survives the death of the process, not that of the machine, and costs
some microseconds. Its end is written with the next line, or when the turn of the event loop is over. An intent that no
end follows was left by a process that died: its copy may have been due, and nobody knows. One that has become a gap
stays, with its reason, until the gap is in the store (intent_lines.py).
"""

import asyncio
import contextlib
import errno
import os
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from ocn_permission_agent.errors import StoreUnavailable
from ocn_permission_agent.outbox.gaps import Gap, GapSum, added_up, taken_off
from ocn_permission_agent.outbox.intent_lines import (
    Left,
    begun_line,
    counted_line,
    ended_line,
    left_in,
    missed_line,
)
from ocn_permission_agent.outbox.rows import to_us

#: the file is written anew, with what is open only, when it has grown by this much
_GROWTH_BYTES = 256 * 1024


class Intents:
    """One file, used by one process at a time. Before `open` what is noted is in memory only.

    Args:
        path: made when it is opened, readable by its owner only.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        #: None until it is opened
        self._file: int | None = None
        self._next = 1
        #: on their way to the node
        self._open: dict[int, bytes] = {}
        #: gaps that no store has taken yet: one by one, and those of which only the number is known
        self._missed: dict[int, bytes] = {}
        self._sums: tuple[GapSum, ...] = ()
        self._grown_bytes = 0
        #: ends that are written with the next line: until then, a death makes gaps of what is in fact recorded
        self._delayed: list[bytes] = []
        #: the loop that will see to it that they are, at the end of its turn
        self._promised: asyncio.AbstractEventLoop | None = None
        #: lines that could not be written since the last look
        self.failures = 0

    @property
    def is_open(self) -> bool:
        """Whether lines reach the file."""
        return self._file is not None

    def open(self) -> Left:
        """Begin; returns what a dead process left. It stays in the file until `forget`.

        Raises:
            StoreUnavailable: the file cannot be used now.
        """
        try:
            left = left_in(self._path.read_bytes()) if self._path.exists() else Left()
            gaps = tuple(_renumbered(gap, number) for number, gap in enumerate(left.gaps, self._next))
            missed = {gap.intent: missed_line(gap) for gap in gaps}
            before = self._missed, self._sums
            self._missed, self._sums = missed | self._missed, added_up((*left.sums, *self._sums))
            try:
                self._write_anew()
            except OSError:
                self._missed, self._sums = before
                raise
        except OSError as error:
            raise StoreUnavailable(f"intents cannot be noted in {self._path}: {error.strerror}") from error
        self._next += len(gaps)
        return Left(gaps=gaps, sums=left.sums)

    def begin(
        self,
        *,
        at: datetime,
        customer: str,
        customer_address: str,
        module: str,
        method: str,
        object_id: str,
        correlation_id: str,
    ) -> int:
        """Note that a request goes to the node; returns the number to `end` it with."""
        number, self._next = self._next, self._next + 1
        line = begun_line(
            number,
            at_us=to_us(at),
            customer=customer,
            customer_address=customer_address,
            module=module,
            method=method,
            object_id=object_id,
            correlation_id=correlation_id,
        )
        self._open[number] = line
        self._append(line)
        return number

    def end(self, number: int) -> bool:
        """Note that it is recorded, or need not be; whether that is new. One that is a gap stays."""
        if self._open.pop(number, None) is None:
            return False
        self._append_soon(ended_line(number))
        return True

    # --- gaps.Journal ---------------------------------------------------------------------------------------------

    def keep(self, gap: Gap) -> Gap:
        """See `gaps.Journal`: under the number of its intent, if it has one."""
        if not gap.intent:
            gap = _renumbered(gap, self._next)
            self._next += 1
        self._open.pop(gap.intent, None)
        line = missed_line(gap)
        if self._missed.get(gap.intent) != line:
            self._missed[gap.intent] = line
            self._append(line)
        return gap

    def count(self, gap: Gap, each: GapSum) -> None:
        """See `gaps.Journal`."""
        self._sums = added_up((*self._sums, each))
        self._append(counted_line(each))
        if self._open.pop(gap.intent, None) or self._missed.pop(gap.intent, None):
            self._append(ended_line(gap.intent))

    def forget(self, numbers: Iterable[int], sums: tuple[GapSum, ...]) -> None:
        """See `gaps.Journal`."""
        for number in numbers:
            if self._missed.pop(number, None) is not None:
                self._append(ended_line(number))
        if sums:
            self._sums = taken_off(self._sums, sums)
            self._heal()

    # --- the file -------------------------------------------------------------------------------------------------

    def mend(self) -> int:
        """After lines could not be written: write all that is open, if that can be done now; how many they were."""
        failures, self.failures = self.failures, 0
        if failures:
            self._heal()
        return failures

    def close(self) -> None:
        """Free the file; what is open stays so."""
        self._write_delayed()
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _append_soon(self, line: bytes) -> None:
        """Write a line before the next one, or when the turn of the event loop is over."""
        self._delayed.append(line)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # there is no event loop
            self._write_delayed()
            return
        if loop is not self._promised:
            self._promised = loop
            loop.call_soon(self._write_delayed)

    def _write_delayed(self) -> None:
        self._promised = None
        if self._delayed:
            self._append(b"")

    def _append(self, line: bytes) -> None:
        if self._delayed:
            line = b"".join((*self._delayed, line))
            self._delayed.clear()
        if self._file is None:
            return
        try:
            if os.write(self._file, line) == len(line):
                self._grown_bytes += len(line)
            else:
                self._grown_bytes = _GROWTH_BYTES  # half a line: heal it at once
        except OSError:
            self.failures += line.count(b"\n")
            return
        if self._grown_bytes >= _GROWTH_BYTES:
            self._heal()

    def _heal(self) -> None:
        if self._file is None:
            return
        try:
            self._write_anew()
        except OSError:
            self.failures += 1

    def _write_anew(self) -> None:
        """Replace the file by one that holds what is open; a death in between leaves one of the two."""
        fresh = self._path.with_name(self._path.name + ".new")
        with contextlib.ExitStack() as undo:
            file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
            undo.callback(os.close, file)
            data = b"".join((*map(counted_line, self._sums), *self._missed.values(), *self._open.values()))
            if data and os.write(file, data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            fresh.replace(self._path)
            undo.pop_all()
        self._delayed.clear()
        self.close()
        self._file, self._grown_bytes = file, 0


def _renumbered(gap: Gap, number: int) -> Gap:
    return replace(gap, intent=number)
