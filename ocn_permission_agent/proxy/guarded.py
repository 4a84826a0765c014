"""One connection of a platform: aiohttp's, without its web framework, its words and its trust in the other end.

What aiohttp would say or log about a malformed request holds bytes of that request, `Authorization` included; both are
replaced here. A head has a limit as a whole, and a connection that is closed does not wait for ever until somebody has
read its last bytes.
"""

import asyncio
from typing import Any, Protocol

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_exceptions import LineTooLong

from ocn_permission_agent.errors import Refusal
from ocn_permission_agent.proxy.refusals import Refusals
from ocn_permission_agent.proxy.settings import ProxySettings

#: all that is said of a fault of ours
FAULT = "the proxy failed to handle the request"


class Hall(Protocol):
    """All connections together (`proxy/server.py`)."""

    @property
    def refusals(self) -> Refusals:
        """Counts and tells refusals that leave the connection without an answer."""
        ...

    def enter(self, connection: "GuardedConnection") -> None:
        """One more."""
        ...

    def leave(self, connection: "GuardedConnection") -> None:
        """One less."""
        ...

    def hear(self, connection: "GuardedConnection") -> None:
        """A request came in."""
        ...

    def tell(self, cause: Refusal, exc: object = None) -> None:
        """Log and count an answer that neither way had a part in."""
        ...


class Written(web.StreamResponse):
    """Tells aiohttp how an exchange ended whose bytes were written already, or are given here as a whole."""

    def __init__(self, data: bytes = b"", *, keep_alive: bool) -> None:
        super().__init__()
        self._data = data
        self._keep_alive = keep_alive

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        """Write what was given, untouched."""
        if self._data:
            await request.writer.write(self._data)
        return request.writer

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing more follows."""


class GuardedConnection(web.RequestHandler):
    """aiohttp's connection, speaking OCPI when a request is malformed and logging nothing of it.

    Args:
        server: aiohttp's own idea of all connections.
        hall: ours.
        loop: the running one.
        settings: the limits.
    """

    def __init__(
        self, server: web.Server, *, hall: Hall, loop: asyncio.AbstractEventLoop, settings: ProxySettings
    ) -> None:
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=settings.headers_timeout_seconds,
            access_log=None,  # type: ignore[arg-type]  # None means no access log
            max_line_size=settings.url_limit_bytes,
            max_field_size=settings.header_field_limit_bytes,
            # the exact limit is ours (proxy/headers.py), with a proper status; this one bounds what trailers can hold
            max_headers=4 * settings.headers_limit,
            lingering_time=settings.linger_seconds,
            auto_decompress=False,
        )
        self._hall = hall
        self._settings = settings
        self._wire: asyncio.Transport | None = None
        self._burial: asyncio.TimerHandle | None = None
        #: of a head that is not complete yet
        self._head_bytes = 0

    # --- life -----------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a place among the others, or another's."""
        super().connection_made(transport)
        self._wire = self.transport
        self._hall.enter(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Give the place back."""
        self._hall.leave(self)
        self._wire = None
        if self._burial is not None:
            self._burial.cancel()
        super().connection_lost(exc)

    def cut(self) -> None:
        """End it at once, whatever is unsaid."""
        if self._wire is not None:
            self._wire.abort()

    async def start(self) -> None:
        """Serve; then let nobody keep the closed connection by not reading what is left."""
        try:
            await super().start()
        finally:
            self._bury()

    def force_close(self) -> None:
        """Close, likewise."""
        super().force_close()
        self._bury()

    def _bury(self) -> None:
        if self._wire is not None and self._burial is None and self._wire.get_write_buffer_size() > 0:
            self._burial = self._loop.call_later(self._settings.body_idle_timeout_seconds, self._cut_unread)

    def _cut_unread(self) -> None:
        self._hall.refusals.note(Refusal.SLOW_READER)
        self.cut()

    @property
    def waits_for_peer(self) -> bool:
        """Whether it is the other end's turn: to begin or end a request, or to read its answer."""
        current = self._current_request
        return current is None or self.writing_paused or not current.content.is_eof()

    # --- what comes in --------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Parse, and watch what that is."""
        before = self._request_count
        self._parse(data)
        if self._request_count != before:
            self._head_bytes = 0
            self._hall.hear(self)
            self._came_in()
        elif self._waiter is not None and not self._waiter.done():
            self._more_of_a_head(len(data))
        self._wake_reader_of_broken_body()

    def _parse(self, data: bytes) -> None:
        super().data_received(data)

    def _came_in(self) -> None:
        """A head is complete, or turned out to be malformed."""

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Go on where reading was paused; aiohttp asks for it after every body, and would parse nothing each time."""
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def _wake_reader_of_broken_body(self) -> None:
        """Where parsing fails inside a body, aiohttp leaves whoever reads it waiting."""
        current = self._current_request
        if current is None or not self._messages or current.content.is_eof():
            return
        failure = getattr(self._messages[-1][0], "exc", None)
        if failure is not None:
            current.content.set_exception(web.RequestPayloadError("the body's framing is broken"))

    def _more_of_a_head(self, size_bytes: int) -> None:
        self._head_bytes += size_bytes
        if self._head_bytes <= self._settings.head_limit_bytes or self._force_close or self._close:
            return
        self._hall.tell(Refusal.HEADER_SIZE)
        limit = self._settings.head_limit_bytes
        if self._wire is not None:
            self._wire.write(self._own(Refusal.HEADER_SIZE, f"head longer than {limit} bytes"))
        self.force_close()

    def _process_keepalive(self) -> None:
        """The time for a head is over."""
        open_before = not self._force_close
        super()._process_keepalive()
        if open_before and self._force_close and self._head_bytes:
            self._hall.refusals.note(Refusal.SLOW_HEAD)

    # --- what is malformed ----------------------------------------------------------------------------------------

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  holds bytes of the request
    ) -> web.StreamResponse:
        """Answer a malformed request, or a fault of ours, with an OCPI body; the connection ends."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is on its way already")
        if status == 400:
            cause, reason = self._cause_of(exc)
        else:
            cause, reason = Refusal.FAULT, FAULT
        self._hall.tell(cause, exc)
        return Written(self._own(cause, reason), keep_alive=False)

    def _own(self, cause: Refusal, reason: str) -> bytes:
        return self._hall.refusals.answer(cause, reason, close=True)

    def _cause_of(self, exc: BaseException | None) -> tuple[Refusal, str]:
        if not isinstance(exc, LineTooLong):
            return Refusal.MALFORMED, "the request is malformed"
        if self._settings.header_field_limit_bytes in exc.args:
            return Refusal.HEADER_SIZE, f"header longer than {self._settings.header_field_limit_bytes} bytes"
        return Refusal.URL_SIZE, f"URL longer than {self._settings.url_limit_bytes} bytes"

    def log_exception(self, *args: Any, **kw: Any) -> None:  # noqa: ARG002  both may hold bytes of a request
        """Told without the text: it may hold bytes of a request."""
        self._hall.tell(Refusal.FAULT, kw.get("exc_info"))
