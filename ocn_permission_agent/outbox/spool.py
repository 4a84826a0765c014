"""The spool: a file that takes copies while the store cannot, first in, first out.

::

    append ──▶ [ header │ taken │ taken │ waiting │ waiting ] ──▶ read ──▶ the store ──▶ advance
                                        ▲ head               ▲ end
    Once nothing waits the file is cut to nothing and begins anew, under another name.

A record is on disk when `append` returns; those who call at the same time share an fsync. A death may leave a piece of
a record at the end: it was never acknowledged, is cut off at the next opening, and counted. A record in the middle
whose checksum is wrong is passed over, and counted.
"""

import asyncio
import contextlib
import fcntl
import os
import queue
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ocn_permission_agent.errors import StoreUnavailable
from ocn_permission_agent.outbox.framing import HEAD_BYTES, HEADER_BYTES, framed, header, name_in, read_head

T = TypeVar("T")

LIMIT_BYTES = 64 * 1024 * 1024
#: what `probe` tries to write
_PROBE_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How far the spool is emptied: `name` of the filling and an offset in it. Kept in the store."""

    name: str
    offset: int

    def __str__(self) -> str:
        """``0a1b…:4711``, as in the store."""
        return f"{self.name}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> "Mark | None":
        """Read the text form; None for anything else."""
        name, colon, offset = text.partition(":")
        return cls(name=name, offset=int(offset)) if colon and offset.isdigit() else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The oldest records, in order, and how far the spool is emptied once they are in the store.

    A payload of None is a record that cannot be read.
    """

    payloads: tuple[bytes | None, ...]
    mark: Mark


@dataclass(frozen=True, slots=True)
class _Waiting:
    record: bytes
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[None]


class Spool:
    """One file, used by one process at a time.

    Args:
        path: made when it is opened, readable by its owner only.
        limit_bytes: the file never grows beyond it.
    """

    def __init__(self, path: Path, *, limit_bytes: int = LIMIT_BYTES) -> None:
        self._path = path
        self._limit_bytes = limit_bytes
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spool")
        self._queue: queue.SimpleQueue[_Waiting] = queue.SimpleQueue()
        self._file: int | None = None
        self._name = ""
        self._head = 0
        self._end = 0
        self._promised = 0

    @property
    def is_open(self) -> bool:
        """Whether it can be appended to."""
        return self._file is not None

    @property
    def holds_something(self) -> bool:
        """Whether anything waits, or is being written: then whatever comes must queue behind it."""
        return self._promised > 0 or self._head < self._end

    @property
    def waiting_bytes(self) -> int:
        """What waits."""
        return self._end - self._head

    async def open(self) -> int:
        """Open the file, cut off what a death left unfinished; returns how many pieces cannot be read.

        Raises:
            StoreUnavailable: cannot be opened now, or another process uses it.
        """
        return await self._in_thread(self._open)

    async def append(self, payload: bytes) -> None:
        """Write a record behind all others; it is on disk on return.

        Raises:
            StoreUnavailable: full, or it cannot be written; nothing was kept.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(framed(payload), loop, loop.create_future())
        self._promised += 1
        try:
            self._queue.put(waiting)
            self._thread.submit(self._write_all)
            await waiting.done
        finally:
            self._promised -= 1

    async def read(self, *, most: int, most_bytes: int) -> Batch:
        """The oldest records: at most `most`, and no more once there are `most_bytes`, but at least one.

        Raises:
            StoreUnavailable: the file cannot be read.
        """
        return await self._in_thread(lambda: self._read(most, most_bytes))

    async def advance(self, mark: Mark) -> None:
        """Note that everything up to a mark is in the store; an emptied file begins anew.

        A mark of another filling means nothing.

        Raises:
            StoreUnavailable: the spool is not open.
        """
        if mark.name == self._name:
            self._head = max(self._head, min(mark.offset, self._end))
            await self._in_thread(self._begin_anew)

    async def settled(self) -> None:
        """Wait until nobody is writing; whoever calls keeps others from beginning."""
        while self._promised:
            await self._in_thread(_nothing)

    async def probe(self) -> None:
        """Find out whether a record could be written now.

        Raises:
            StoreUnavailable: full, or it cannot be written.
        """
        await self._in_thread(self._probe)

    async def close(self) -> None:
        """Finish what was handed in and free the file."""
        await asyncio.to_thread(self._thread.shutdown)
        if self._file is not None:
            os.close(self._file)
            self._file = None

    # --- in the thread --------------------------------------------------------------------------------------------

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except OSError as error:
            raise StoreUnavailable(f"the spool {self._path} cannot be used: {error.strerror}") from error

    def _open(self) -> int:
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with contextlib.ExitStack() as undo:
            undo.callback(os.close, file)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise StoreUnavailable(f"the spool {self._path} is in use by another agent") from error
            _make_durable(self._path.parent)
            size = os.fstat(file).st_size
            name = name_in(os.pread(file, HEADER_BYTES, 0))
            end, broken = (0, int(size > 0)) if name is None else _intact(file, size)
            if end < size:
                os.ftruncate(file, end)
            undo.pop_all()
        self._file, self._name = file, name or ""
        self._head, self._end = min(HEADER_BYTES, end), end
        return broken

    def _write_all(self) -> None:
        """Write all that waits with one fsync; who comes meanwhile is served by the next call."""
        group: list[_Waiting] = []
        with contextlib.suppress(queue.Empty):
            while True:
                group.append(self._queue.get_nowait())
        if group:
            outcomes = self._write(group)
            for loop in {waiting.loop for waiting in group}:
                done = [
                    (waiting.done, outcome)
                    for waiting, outcome in zip(group, outcomes, strict=True)
                    if waiting.loop is loop
                ]
                with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                    loop.call_soon_threadsafe(_resolve, done)

    def _write(self, group: list[_Waiting]) -> list[StoreUnavailable | None]:
        if self._file is None:
            return [StoreUnavailable("the spool is not open")] * len(group)
        name, pieces, end = self._name, [], self._end
        if end == 0:
            start = header(secrets.token_bytes(15))
            name, pieces, end = name_in(start) or "", [start], len(start)
        outcomes: list[StoreUnavailable | None] = []
        for waiting in group:
            if end + len(waiting.record) > self._limit_bytes:
                outcomes.append(StoreUnavailable(f"the spool is full: {self._limit_bytes} bytes"))
                continue
            pieces.append(waiting.record)
            end += len(waiting.record)
            outcomes.append(None)
        if all(outcome is not None for outcome in outcomes):
            return outcomes
        try:
            _write_at(self._file, b"".join(pieces), self._end)
            os.fdatasync(self._file)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._end)
            failure = StoreUnavailable(f"the spool cannot be written: {error.strerror}")
            return [outcome or failure for outcome in outcomes]
        if self._end == 0:
            self._name, self._head = name, HEADER_BYTES
        self._end = end
        return outcomes

    def _read(self, most: int, most_bytes: int) -> Batch:
        payloads: list[bytes | None] = []
        at, taken, file = self._head, 0, self._opened()
        while at < self._end and len(payloads) < most and taken < most_bytes:
            head = read_head(os.pread(file, HEAD_BYTES, at))
            if head is None:
                payloads.append(None)
                at = self._end
                break
            payload = os.pread(file, head.length, at + HEAD_BYTES)
            payloads.append(payload if head.fits(payload) else None)
            at += HEAD_BYTES + head.length
            taken += head.length
        return Batch(payloads=tuple(payloads), mark=Mark(name=self._name, offset=at))

    def _begin_anew(self) -> None:
        if self._head < self._end or self._end == 0:
            return
        with contextlib.suppress(OSError):  # it still counts as emptied; what comes next is written behind it
            os.ftruncate(self._opened(), 0)
            self._end = 0  # first, so that it never looks as if something waited
            self._head = 0

    def _probe(self) -> None:
        file = self._opened()
        if self._end + _PROBE_BYTES > self._limit_bytes:
            raise StoreUnavailable(f"the spool is full: {self._limit_bytes} bytes")
        try:
            _write_at(file, b"\0" * _PROBE_BYTES, self._end)
            os.fdatasync(file)
        finally:
            os.ftruncate(file, self._end)

    def _opened(self) -> int:
        if self._file is None:
            raise StoreUnavailable("the spool is not open")
        return self._file


def _intact(file: int, size: int) -> tuple[int, int]:
    """(where the last complete record ends, how many pieces cannot be read)."""
    at, broken = HEADER_BYTES, 0
    while at < size:
        head = read_head(os.pread(file, HEAD_BYTES, at))
        if head is None or at + HEAD_BYTES + head.length > size:
            return at, broken + 1
        broken += not head.fits(os.pread(file, head.length, at + HEAD_BYTES))
        at += HEAD_BYTES + head.length
    return at, broken


def _nothing() -> None:
    pass


def _write_at(file: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, at)
        view, at = view[written:], at + written


def _make_durable(folder: Path) -> None:
    """A new file is only there for sure once its folder is on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _resolve(done: list[tuple[asyncio.Future[None], StoreUnavailable | None]]) -> None:
    for future, outcome in done:
        if future.done():
            continue
        if outcome is None:
            future.set_result(None)
        else:
            future.set_exception(outcome)
