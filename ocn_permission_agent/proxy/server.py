"""aiohttp's server without its web framework: no routes, no access log, no decompression, no text of its own.

What aiohttp would say or log about a malformed request holds bytes of that request, `Authorization` included; both are
replaced here. So is its trust in the other end: a head has a limit as a whole, connections have one together, and one
that is closed does not wait for ever until somebody has read its last bytes.
"""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpRequestParser
from aiohttp.http_exceptions import LineTooLong

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.errors import ConfigError, Refusal
from ocn_permission_agent.proxy.answers import own_answer
from ocn_permission_agent.proxy.refusals import Refusals
from ocn_permission_agent.proxy.settings import ProxySettings

Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
OnMalformed = Callable[[int], None]

#: how many connections are looked at when one has to go: a new one must cost little
_LOOK_AT = 64


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


class _Connection(web.RequestHandler):
    """aiohttp's connection, speaking OCPI when a request is malformed and logging nothing of it."""

    def __init__(self, server: "HttpServer", *, loop: asyncio.AbstractEventLoop, settings: ProxySettings) -> None:
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
        self._server = server
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
        self._server.enter(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Give the place back."""
        self._server.leave(self)
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
        self._server.refusals.note(Refusal.SLOW_READER)
        self.cut()

    @property
    def waits_for_peer(self) -> bool:
        """Whether it is the other end's turn: to begin or end a request, or to read its answer."""
        current = self._current_request
        return current is None or self.writing_paused or not current.content.is_eof()

    # --- what comes in --------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Parse; where that fails inside a body, wake whoever reads the body: aiohttp leaves it waiting."""
        before = self._request_count
        super().data_received(data)
        if self._request_count != before:
            self._head_bytes = 0
            self._server.hear(self)
        elif self._waiter is not None and not self._waiter.done():
            self._more_of_a_head(len(data))
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
        self._server.tell(Refusal.HEADER_SIZE)
        limit = self._settings.head_limit_bytes
        if self._wire is not None:
            self._wire.write(self._own(Refusal.HEADER_SIZE, f"head longer than {limit} bytes"))
        self.force_close()

    def _process_keepalive(self) -> None:
        """The time for a head is over."""
        open_before = not self._force_close
        super()._process_keepalive()
        if open_before and self._force_close and self._head_bytes:
            self._server.refusals.note(Refusal.SLOW_HEAD)

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
            cause, reason = Refusal.FAULT, "the proxy failed to handle the request"
        self._server.tell(cause, exc)
        return Written(self._own(cause, reason), keep_alive=False)

    def _own(self, cause: Refusal, reason: str) -> bytes:
        return own_answer(
            http_status=cause.http_status or 500,
            status_code=cause.ocpi_status,
            status_message=reason,
            now=self._server.clock.now(),
            close=True,
        )

    def _cause_of(self, exc: BaseException | None) -> tuple[Refusal, str]:
        if not isinstance(exc, LineTooLong):
            return Refusal.MALFORMED, "the request is malformed"
        if self._settings.header_field_limit_bytes in exc.args:
            return Refusal.HEADER_SIZE, f"header longer than {self._settings.header_field_limit_bytes} bytes"
        return Refusal.URL_SIZE, f"URL longer than {self._settings.url_limit_bytes} bytes"

    def log_exception(self, *args: Any, **kw: Any) -> None:  # noqa: ARG002  both may hold bytes of a request
        """Told without the text: it may hold bytes of a request."""
        self._server.tell(Refusal.FAULT, kw.get("exc_info"))


class HttpServer(web.Server):
    """Makes a connection for each platform that comes.

    Args:
        handle: answers one request.
        settings: the limits.
        clock: for the timestamps of our own answers.
        refusals: told of malformed requests, faults and limits.
        on_malformed: told the status of each answer that `handle` had no part in.

    Raises:
        ConfigError: aiohttp was built without its C parser, whose strictness the proxy relies on.
    """

    def __init__(
        self, handle: Handle, *, settings: ProxySettings, clock: Clock, refusals: Refusals, on_malformed: OnMalformed
    ) -> None:
        if not HttpRequestParser.__module__.endswith("._http_parser"):
            raise ConfigError(["aiohttp is installed without its C parser; install a wheel of it"])
        super().__init__(handle)
        self.clock = clock
        self.refusals = refusals
        self._settings = settings
        self._on_malformed = on_malformed
        #: all of them, first the one that sent its last request longest ago
        self._order: dict[_Connection, None] = {}

    def __call__(self) -> web.RequestHandler:
        """A new connection."""
        return _Connection(self, loop=asyncio.get_running_loop(), settings=self._settings)

    def enter(self, connection: _Connection) -> None:
        """One more; where there are too many, one of those goes that keep us waiting, at worst the newcomer."""
        self._order[connection] = None
        if len(self._order) <= self._settings.max_connections:
            return
        oldest = islice(self._order, _LOOK_AT)
        leaving = next((each for each in oldest if each.waits_for_peer), connection)
        self.leave(leaving)
        leaving.cut()
        self.refusals.note(Refusal.CROWDED)

    def leave(self, connection: _Connection) -> None:
        """One less."""
        self._order.pop(connection, None)

    def hear(self, connection: _Connection) -> None:
        """A request came in."""
        if self._order.pop(connection, connection) is None:
            self._order[connection] = None

    def tell(self, cause: Refusal, exc: object = None) -> None:
        """Log and count an answer that the handler had no part in."""
        if cause is Refusal.FAULT and isinstance(exc, BaseException):
            self.refusals.note(cause, error=type(exc).__name__, where=_innermost(exc))
        else:
            self.refusals.note(cause)
        self._on_malformed(cause.http_status or 500)


def _innermost(exc: BaseException) -> str:
    """File and line where an exception was raised; its text may hold anything and is left out."""
    traceback = exc.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    if traceback is None:
        return "unknown"
    return f"{traceback.tb_frame.f_code.co_filename.rpartition('/')[2]}:{traceback.tb_lineno}"
