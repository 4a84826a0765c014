"""One HTTP/1.1 connection to the operator's own node: one request at a time, our own bytes out, the reply's bytes in.

llhttp (`httptools`) parses, strictly: what it rejects is a broken reply. It never sees a server that the operator did
not name. Nothing here sends anything by itself, so nothing is ever sent twice.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import cast

import httptools

from ocn_permission_agent.errors import UpstreamBroken, UpstreamError, UpstreamTimeout
from ocn_permission_agent.net.deadline import Deadline
from ocn_permission_agent.net.wire_reply import WireReply

#: a node's own headers may be longer than what platforms may send
_FIELD_LIMIT_BYTES = 64 * 1024
_HEAD_LIMIT_BYTES = 256 * 1024
_FRAMED = frozenset({b"content-length", b"transfer-encoding"})


@dataclass(frozen=True, slots=True, kw_only=True)
class WireTimes:
    """How long the node may take, in seconds.

    `answer`: to read a request and to begin its answer. `body_idle`: between two pieces of an answer.
    """

    answer: float
    body_idle: float


class WireConnection(asyncio.Protocol):
    """One connection, made by `loop.create_connection`."""

    def __init__(self, *, times: WireTimes) -> None:
        self._times = times
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        #: what is being parsed; becomes `_reply` with the end of its head
        self._reading: WireReply | None = None
        self._reply: WireReply | None = None
        #: whoever waits for the answer to begin
        self._tell: Callable[[], None] | None = None
        self._failure: UpstreamError | None = None
        #: when the answer has to have begun
        self._deadline = Deadline(self._loop, self._too_late)
        self._writable: asyncio.Future[None] | None = None
        self._bodiless = False
        self._awaiting = False
        self._in_head = False
        self._head_bytes = 0
        self._ends_with_connection = False
        self._spent = False
        #: since when it waits for a request, in seconds of whoever keeps it
        self.idle_since = 0.0

    # --- one exchange -----------------------------------------------------------------------------------------------

    @property
    def reusable(self) -> bool:
        """Whether nothing speaks against another request; asked again when the connection leaves the pool."""
        return self._transport is not None and not self._spent and not self._transport.is_closing()

    @property
    def answered(self) -> bool:
        """Whether the reply has been read to its end."""
        return self._reply is not None and self._reply.drained

    def begin(self, method: str) -> None:
        """Get ready for one exchange."""
        self._reply = None
        self._bodiless = method == "HEAD"
        self._awaiting = True

    def write(self, data: bytes) -> bool:
        """Hand bytes of the request over; whether the node reads as fast as we write. If not, call `drain`.

        Raises:
            UpstreamBroken: the connection is gone.
        """
        if self._transport is None or self._transport.is_closing():
            raise UpstreamBroken("the node closed the connection")
        self._transport.write(data)
        return self._writable is None

    async def drain(self) -> None:
        """Wait until the node has read enough.

        Raises:
            UpstreamBroken: the connection is gone.
            UpstreamTimeout: the node does not read.
        """
        if self._writable is None:
            return
        try:
            async with asyncio.timeout(self._times.answer):
                await asyncio.shield(self._writable)
        except TimeoutError as error:
            raise UpstreamTimeout("the node does not read the request") from error

    async def send(self, data: bytes) -> None:
        """Write bytes of the request, waiting while the node does not read; raises as `write` and `drain`."""
        if not self.write(data):
            await self.drain()

    def when_answered(self, tell: Callable[[], None], seconds: float | None = None) -> None:
        """Have `tell` called, once, as soon as there is an `outcome`, with all of the answer that came in one piece.

        Args:
            tell: called after what arrived has been parsed; what it raises would end the connection.
            seconds: for the answer to begin; None waits for as long as it takes.
        """
        self._tell = tell
        if seconds is not None:
            self._deadline.set(seconds)

    def outcome(self) -> WireReply:
        """The final answer, as far as it is here; only once `when_answered` has told.

        Raises:
            UpstreamBroken: the connection ended, or what came is no HTTP.
            UpstreamTimeout: no answer in time.
        """
        if self._reply is not None:
            return self._reply
        raise self._failure or UpstreamBroken("the node closed the connection without an answer")

    async def reply(self, seconds: float | None = None) -> WireReply:
        """The head of the final answer, interim ones left out.

        Args:
            seconds: for the answer to begin; None waits for as long as it takes.

        Raises:
            UpstreamBroken, UpstreamTimeout: see `outcome`.
        """
        if self._reply is None and self._failure is None:
            waiter = self._loop.create_future()
            self.when_answered(partial(_wake, waiter), seconds)
            try:
                await waiter
            finally:
                self._tell = None
                self._deadline.clear()
        return self.outcome()

    def abort(self) -> None:
        """End the connection at once."""
        self._spent = True
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """End the connection."""
        self._spent = True
        if self._transport is not None:
            self._transport.close()

    def stop_reading(self) -> None:
        """Leave what comes next in the socket."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def go_on_reading(self) -> None:
        """Read from the socket again."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _too_late(self) -> None:
        self._spent = True
        self._failure = UpstreamTimeout("the node did not answer in time")
        self._tell_whoever_waits()

    def _fail(self, why: str) -> None:
        """Nothing more is read from this connection."""
        self._spent = True
        failure = UpstreamBroken(why)
        if self._failure is None:
            self._failure = failure
        if self._reply is not None:
            self._reply.fail(failure)
        self._tell_whoever_waits()

    def _tell_whoever_waits(self) -> None:
        tell, self._tell = self._tell, None
        self._deadline.clear()
        if tell is not None:
            tell()

    # --- asyncio's side ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._transport = None
        self._deadline.stop()
        if self._ends_with_connection and exc is None and self._reply is not None:
            self._reply.finish()
        self._fail("the node closed the connection")
        if self._writable is not None and not self._writable.done():
            self._writable.set_exception(UpstreamBroken("the node closed the connection"))
            self._writable.exception()  # there need not be anybody who waits

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self._failure is not None:
            return
        if not self._awaiting and (self._reply is None or self._reply.complete):
            # Whatever it is, it must not be taken for the answer to the next request.
            self.close()
            return
        if self._in_head or self._reply is None:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.close()
            if self._reply is not None and self._reply.complete:
                self._tell_whoever_waits()  # what follows a complete answer is nobody's
            else:
                self._fail("the node's answer is no HTTP")
            return
        if self._in_head and self._head_bytes > _HEAD_LIMIT_BYTES:
            self._fail("the node's answer has too long a head")
            self.close()
        elif self._reply is not None and self._tell is not None:
            self._tell_whoever_waits()

    # --- the parser's side ------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """See `httptools`."""
        if not self._awaiting:
            raise ValueError("an answer to nothing")
        self._in_head = True
        self._reading = WireReply(self, idle_seconds=self._times.body_idle)

    def on_status(self, phrase: bytes) -> None:
        """See `httptools`; may come in pieces."""
        if self._reading is not None:
            self._reading.reason += phrase

    def on_header(self, name: bytes, value: bytes) -> None:
        """See `httptools`; trailers come here too and are not kept."""
        reply = self._reading
        if self._in_head and reply is not None:
            if len(name) + len(value) > _FIELD_LIMIT_BYTES:
                raise ValueError("too long a header")
            reply.raw_headers.append((name, value.strip(b" \t")))
            reply.names.append(name.lower())

    def on_headers_complete(self) -> None:
        """See `httptools`."""
        self._in_head = False
        reply = self._reading
        if reply is None:
            return
        reply.status = self._parser.get_status_code()
        if reply.status < 200:
            return
        self._reading = None
        self._awaiting = False
        self._head_bytes = 0
        self._reply = reply
        if self._bodiless:
            # The parser would wait for the body that Content-Length speaks of.
            self._keep_if_it_may_go_on()
            self._parser = httptools.HttpResponseParser(self)
            reply.finish()
        elif reply.status not in (204, 304):
            self._ends_with_connection = _FRAMED.isdisjoint(reply.names)

    def on_body(self, piece: bytes) -> None:
        """See `httptools`."""
        reply = self._reply
        if reply is not None and not self._bodiless:
            reply.arrived(piece)

    def on_message_complete(self) -> None:
        """See `httptools`."""
        if self._awaiting:
            return  # an interim answer
        reply = self._reply
        if reply is not None and not reply.complete:
            self._keep_if_it_may_go_on()
            reply.finish()

    def _keep_if_it_may_go_on(self) -> None:
        if not self._parser.should_keep_alive():
            self._spent = True


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
