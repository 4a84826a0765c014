"""A reply of the operator's own node, while it arrives."""

import asyncio
from collections import deque
from typing import Protocol

from ocn_permission_agent.errors import UpstreamBroken, UpstreamTimeout

#: of a reply's body; more is not read from the socket before somebody takes it
_READ_AHEAD_BYTES = 128 * 1024


class Tap(Protocol):
    """The connection, as far as a reply decides whether more is read from it."""

    def stop_reading(self) -> None:
        """Leave what comes next in the socket."""
        ...

    def go_on_reading(self) -> None:
        """Read from the socket again."""
        ...


class WireReply:
    """A reply: its head, and its body piece by piece."""

    __slots__ = (
        "_by_name", "_connection", "_failure", "_held_bytes", "_idle_seconds", "_pieces", "_waiter", "complete",
        "names", "raw_headers", "reason", "status",
    )  # fmt: skip

    def __init__(self, connection: Tap, *, idle_seconds: float) -> None:
        self._connection = connection
        self._idle_seconds = idle_seconds
        self._pieces: deque[bytes] = deque()
        self._held_bytes = 0
        self._waiter: asyncio.Future[None] | None = None
        self._failure: UpstreamBroken | None = None
        self.status = 0
        #: the reason phrase as received
        self.reason = b""
        #: name and value as received, in their order
        self.raw_headers: list[tuple[bytes, bytes]] = []
        #: of those, in lower case
        self.names: list[bytes] = []
        self._by_name: dict[bytes, str] | None = None
        #: whether all of the body has arrived; the next `read` then has all that is left
        self.complete = False

    @property
    def drained(self) -> bool:
        """Whether all of the body has been read."""
        return self.complete and not self._pieces

    @property
    def length(self) -> int | None:
        """What `Content-Length` announces, if it does."""
        text = self.header(b"content-length")
        return int(text) if text.isascii() and text.isdigit() else None

    def header(self, name: bytes) -> str:
        """All values of a header, joined by commas; empty for none."""
        if self._by_name is None:
            self._by_name = {}
            for lower, (_, value) in zip(self.names, self.raw_headers, strict=True):
                text = value.decode("latin-1")
                known = self._by_name.get(lower)
                self._by_name[lower] = text if known is None else f"{known},{text}"
        return self._by_name.get(name, "")

    def take(self) -> bytes:
        """What has arrived and was not read yet."""
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        if self._held_bytes > _READ_AHEAD_BYTES:
            self._connection.go_on_reading()
        self._held_bytes = 0
        return data

    async def read(self) -> bytes:
        """The next piece of the body as sent, empty at its end.

        Raises:
            UpstreamBroken: cut.
            UpstreamTimeout: nothing came for too long.
        """
        if not self._pieces and not self.complete and self._failure is None:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(self._idle_seconds):
                    await self._waiter
            except TimeoutError as error:
                raise UpstreamTimeout("the node stopped in the middle of its answer") from error
            finally:
                self._waiter = None
        if not self._pieces and self._failure is not None:
            raise self._failure
        return self.take()

    # --- called by the connection -----------------------------------------------------------------------------------

    def arrived(self, piece: bytes) -> None:
        """A piece of the body is here."""
        self._pieces.append(piece)
        self._held_bytes += len(piece)
        if self._held_bytes > _READ_AHEAD_BYTES:
            self._connection.stop_reading()
        self._wake()

    def finish(self) -> None:
        """All of the body is here."""
        self.complete = True
        self._wake()

    def fail(self, failure: UpstreamBroken) -> None:
        """Nothing more will come."""
        if not self.complete:
            self._failure = failure
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
