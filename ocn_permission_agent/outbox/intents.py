"""Intents: what may be owed once the node has answered, noted before it is asked.

A line per request is written and not synced: it survives the death of the process, not that of the machine, and costs
some microseconds. ``[7,1772359200000000,"DE*CPO","sessions","PUT","s1","corr-1"]`` begins, ``7`` ends. A line that no
end follows was left by a process that died: its copy may have been due, and nobody knows.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from ocn_permission_agent.errors import StoreUnavailable
from ocn_permission_agent.outbox.gaps import Gap
from ocn_permission_agent.outbox.rows import from_us, to_us

#: the file is written anew, with what is open only, when it has grown by this much
_GROWTH_BYTES = 256 * 1024
_ENCODE = msgspec.json.Encoder().encode
_Line = tuple[int, int, str, str, str, str, str]
_DECODER = msgspec.json.Decoder(_Line | int)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftBehind:
    """An intent of a process that died, still open under `number`."""

    number: int
    gap: Gap


class Intents:
    """One file, used by one process at a time. Before `open` nothing is noted.

    Args:
        path: made when it is opened, readable by its owner only.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        #: None until it is opened
        self._file: int | None = None
        self._next = 1
        self._open: dict[int, bytes] = {}
        self._grown_bytes = 0
        #: lines that could not be written since the last look
        self.failures = 0

    @property
    def is_open(self) -> bool:
        """Whether lines reach the file."""
        return self._file is not None

    def open(self) -> tuple[LeftBehind, ...]:
        """Begin; returns what a dead process left open. It stays so until `end`.

        Raises:
            StoreUnavailable: the file cannot be used now.
        """
        try:
            return self._begun()
        except OSError as error:
            raise StoreUnavailable(f"intents cannot be noted in {self._path}: {error.strerror}") from error

    def _begun(self) -> tuple[LeftBehind, ...]:
        left = tuple(_unfinished(self._path.read_bytes())) if self._path.exists() else ()
        self._open = {number: _ENCODE((number, *line[1:])) + b"\n" for number, line in enumerate(left, self._next)}
        self._next += len(left)
        self._write_anew()
        return tuple(LeftBehind(number=number, gap=_gap(line)) for number, line in zip(self._open, left, strict=True))

    def begin(
        self, *, at: datetime, customer: str, module: str, method: str, object_id: str, correlation_id: str
    ) -> int:
        """Note that a request goes to the node; returns the number to `end` it with."""
        number, self._next = self._next, self._next + 1
        line = _ENCODE((number, to_us(at), customer, module, method, object_id, correlation_id)) + b"\n"
        self._open[number] = line
        self._append(line)
        return number

    def end(self, number: int) -> bool:
        """Note that it is recorded, or need not be, or is counted as a gap; whether that is new."""
        if self._open.pop(number, None) is None:
            return False
        self._append(b"%d\n" % number)
        return True

    def close(self) -> None:
        """Free the file; what is open stays so."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _append(self, line: bytes) -> None:
        if self._file is None:
            return
        try:
            if os.write(self._file, line) == len(line):
                self._grown_bytes += len(line)
            else:
                self._grown_bytes = _GROWTH_BYTES  # half a line: heal it at once
            if self._grown_bytes >= _GROWTH_BYTES:
                self._write_anew()
        except OSError:
            self.failures += 1

    def _write_anew(self) -> None:
        """Replace the file by one that holds what is open; a death in between leaves one of the two."""
        fresh = self._path.with_name(self._path.name + ".new")
        with contextlib.ExitStack() as undo:
            file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
            undo.callback(os.close, file)
            data = b"".join(self._open.values())
            if data and os.write(file, data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            fresh.replace(self._path)
            undo.pop_all()
        self.close()
        self._file, self._grown_bytes = file, 0


def _unfinished(data: bytes) -> Iterator[_Line]:
    """The lines that begin and do not end; what is no line was cut off by a death or a full disk."""
    begun: dict[int, _Line] = {}
    for text in data.split(b"\n"):
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
            line = _DECODER.decode(text)
            if isinstance(line, int):
                begun.pop(line, None)
            else:
                begun[line[0]] = line
    yield from begun.values()


def _gap(line: _Line) -> Gap:
    _, at_us, customer, module, method, object_id, correlation_id = line
    return Gap(
        reason="unknown_outcome",
        at=from_us(at_us),
        module=module,
        method=method,
        customer=customer,
        object_id=object_id,
        correlation_id=correlation_id,
    )
