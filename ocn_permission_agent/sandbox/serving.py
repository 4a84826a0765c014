"""HTTP on loopback for the sandbox: a server that can go away and come back on the same port.

The port is reserved when the server is made, by a bound socket that never listens, so a URL is known before anything
runs, a server that is down answers "connection refused", and nobody else gets its port meanwhile.
"""

import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from aiohttp import web

#: what handlers may still do when their server goes down, in seconds; then they are cut
GRACE_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A request as it came in: path and query still percent-encoded, header names in lower case, body as bytes."""

    method: str
    raw_path: str
    raw_query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What to answer with; a body is JSON unless told otherwise. `cut` closes the connection and answers nothing."""

    http_status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    cut: bool = False


Handler = Callable[[Incoming], Awaitable[Answer]]


class LoopbackServer:
    """Serves `handler` on 127.0.0.1.

    Args:
        handler: answers one request; what it raises becomes aiohttp's 500.
        port: 0 takes any free one.

    Raises:
        OSError: the port is in use.
    """

    def __init__(self, handler: Handler, *, port: int = 0) -> None:
        self._handler = handler
        self._reservation = _bound(port)
        #: the same all its life
        self.port: int = self._reservation.getsockname()[1]
        self._runner: web.ServerRunner | None = None

    @property
    def url(self) -> str:
        """``http://127.0.0.1:<port>``, whether up or down."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def is_up(self) -> bool:
        """Whether it accepts connections."""
        return self._runner is not None

    async def up(self) -> None:
        """Listen; nothing happens when it already does."""
        if self._runner is not None:
            return
        runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=GRACE_SECONDS)
        await runner.setup()
        await web.SockSite(runner, _bound(self.port)).start()
        self._runner = runner

    async def down(self) -> None:
        """Refuse connections from now on and cut those that are open; the port stays ours."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def close(self) -> None:
        """Go down for good and give the port back."""
        await self.down()
        self._reservation.close()

    async def __aenter__(self) -> Self:
        await self.up()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        raw_path, _, raw_query = request.raw_path.partition("?")
        answer = await self._handler(
            Incoming(
                method=request.method,
                raw_path=raw_path,
                raw_query=raw_query,
                headers={name.lower(): value for name, value in request.headers.items()},
                body=await request.content.read(),
            )
        )
        if answer.cut and request.transport is not None:
            request.transport.close()
        headers = dict(answer.headers)
        if answer.body:
            headers.setdefault("Content-Type", answer.content_type)
        return web.Response(status=answer.http_status, body=answer.body, headers=headers)


def _bound(port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(("127.0.0.1", port))
    except OSError:
        bound.close()
        raise
    bound.setblocking(False)
    return bound


def free_ports(count: int) -> list[int]:
    """Ports that are free now, no two alike, for programs that take a port by its number."""
    with ExitStack() as taken:
        probes = [taken.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
