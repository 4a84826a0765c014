"""aiohttp's server without its web framework: no routes, no access log, no decompression, no text of its own.

What aiohttp would say or log about a malformed request holds bytes of that request, `Authorization` included; both are
replaced here.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpRequestParser
from aiohttp.http_exceptions import LineTooLong

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.errors import ConfigError
from ocn_permission_agent.log import Log
from ocn_permission_agent.proxy.answers import own_answer
from ocn_permission_agent.proxy.settings import ProxySettings

Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
OnMalformed = Callable[[int], None]


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
            # the exact limit is ours (proxy/headers.py), with a proper status; this one bounds what a head can hold
            max_headers=4 * settings.headers_limit,
            lingering_time=settings.linger_seconds,
            auto_decompress=False,
        )
        self._server = server
        self._settings = settings

    def data_received(self, data: bytes) -> None:
        """Parse; where that fails inside a body, wake whoever reads the body: aiohttp leaves it waiting."""
        super().data_received(data)
        current = self._current_request
        if current is None or not self._messages or current.content.is_eof():
            return
        failure = getattr(self._messages[-1][0], "exc", None)
        if failure is not None:
            current.content.set_exception(web.RequestPayloadError("the body's framing is broken"))

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
            status, reason = self._status_of(exc)
            code = 2001
        else:
            code, reason = 3000, "the proxy failed to handle the request"
        self._server.tell(status, exc)
        answer = own_answer(
            http_status=status,
            status_code=code,
            status_message=reason,
            now=self._server.clock.now(),
            close=True,
        )
        return Written(answer, keep_alive=False)

    def _status_of(self, exc: BaseException | None) -> tuple[int, str]:
        if not isinstance(exc, LineTooLong):
            return 400, "the request is malformed"
        if self._settings.header_field_limit_bytes in exc.args:
            return 431, f"header longer than {self._settings.header_field_limit_bytes} bytes"
        return 414, f"URL longer than {self._settings.url_limit_bytes} bytes"

    def log_exception(self, *args: Any, **kw: Any) -> None:  # noqa: ARG002  both may hold bytes of a request
        """Told without the text: it may hold bytes of a request."""
        self._server.tell(500, kw.get("exc_info"))


class HttpServer(web.Server):
    """Makes a connection for each platform that comes.

    Args:
        handle: answers one request.
        settings: the limits.
        clock: for the timestamps of our own answers.
        log: told of malformed requests and faults, without their content.
        on_malformed: told the status of each answer that `handle` had no part in.

    Raises:
        ConfigError: aiohttp was built without its C parser, whose strictness the proxy relies on.
    """

    def __init__(
        self, handle: Handle, *, settings: ProxySettings, clock: Clock, log: Log, on_malformed: OnMalformed
    ) -> None:
        if not HttpRequestParser.__module__.endswith("._http_parser"):
            raise ConfigError(["aiohttp is installed without its C parser; install a wheel of it"])
        super().__init__(handle)
        self.clock = clock
        self._settings = settings
        self._log = log
        self._on_malformed = on_malformed

    def __call__(self) -> web.RequestHandler:
        """A new connection."""
        return _Connection(self, loop=asyncio.get_running_loop(), settings=self._settings)

    def tell(self, status: int, exc: object) -> None:
        """Log and count an answer that the handler had no part in."""
        if isinstance(exc, BaseException) and exc.__traceback__ is not None and status >= 500:
            self._log.error("request.failed", error=type(exc).__name__, where=_innermost(exc))
        else:
            self._log.debug("request.refused", status=status, cause=type(exc).__name__)
        self._on_malformed(status)


def _innermost(exc: BaseException) -> str:
    """File and line where an exception was raised; its text may hold anything and is left out."""
    traceback = exc.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    if traceback is None:
        return "unknown"
    return f"{traceback.tb_frame.f_code.co_filename.rpartition('/')[2]}:{traceback.tb_lineno}"
