"""Requests of ours to the operator's own node: every copy for a service that this node hosts takes this way."""

import asyncio
import ssl
import zlib
from collections.abc import Awaitable, Mapping
from typing import Self, TypeVar
from urllib.parse import urljoin, urlsplit

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.errors import UpstreamError, UpstreamTimeout, UpstreamUnreachable
from ocn_permission_agent.net.answer import ANSWER_LIMIT_BYTES, Answer, NoAnswer, Sent
from ocn_permission_agent.net.node import NodeConnections
from ocn_permission_agent.net.wire import WireTimes
from ocn_permission_agent.net.wire_reply import WireReply

T = TypeVar("T")

#: shorter than a server keeps a connection: a POST that meets a closing one has an unknown outcome
_KEEP_ALIVE_SECONDS = 8.0
_CONNECT_SECONDS = 5.0
#: at one time; more wait, and that counts against their time
_CONNECTIONS = 64
#: the time-out of each request is its own
_UNLIMITED = WireTimes(answer=3600.0, body_idle=3600.0)
#: what an answer is told apart by, and its coding; nothing else of its head is looked at
_READ_HEADERS = frozenset({b"content-type", b"retry-after", b"location", b"content-encoding"})
#: is undone
_CODING = "content-encoding"
#: zlib's word for "gzip or deflate, whichever it is"
_ANY_WRAPPER = zlib.MAX_WBITS | 32


class OwnNode:
    """Posts to one node, and answers with a value whatever happens.

    Args:
        url: the node's; only URLs of its origin are called.
        tls: how an https node is verified.
        clock: ages idle connections.
    """

    def __init__(self, *, url: str, tls: ssl.SSLContext | None = None, clock: Clock) -> None:
        self._origin = _origin(url)
        self._connections = NodeConnections(
            url=url,
            tls=tls,
            times=_UNLIMITED,
            connect_seconds=_CONNECT_SECONDS,
            idle_seconds=_KEEP_ALIVE_SECONDS,
            clock=clock,
        )
        self._clock = clock
        self._room = asyncio.Semaphore(_CONNECTIONS)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._connections.close()

    async def get(self, url: str, *, timeout_seconds: float) -> Answer | NoAnswer:
        """Send one GET, as `request`."""
        return await self.request("GET", url, headers={}, body=b"", timeout_seconds=timeout_seconds)

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes, timeout_seconds: float
    ) -> Answer | NoAnswer:
        """Send one request, never twice, but for one redirect that only adds or drops a trailing slash.

        Args:
            method: as sent.
            url: of the node.
            headers: exactly those that are sent, besides Host and Content-Length.
            body: as sent, empty for none.
            timeout_seconds: for everything, the answer's body included.
        """
        try:
            target, call = self._target(url), _Call(self._connections, method, headers, body)
        except ValueError as error:
            return NoAnswer(sent=Sent.NO, detail=_told(error))
        deadline = _Deadline(self._clock, timeout_seconds)
        try:
            if self._room.locked():
                await deadline.keep(self._room.acquire())
            else:
                await self._room.acquire()
            try:
                answer = await call.send(target, deadline)
                again = _same_but_for_a_slash(self._origin, target, answer)
                return answer if again is None else await call.send(again, deadline)
            finally:
                self._room.release()
        except UpstreamUnreachable as error:
            return NoAnswer(sent=Sent.NO, detail=str(error))
        except (TimeoutError, UpstreamTimeout):
            return NoAnswer(sent=call.sent, detail=f"no complete answer within {timeout_seconds:g} s")
        except UpstreamError as error:
            return NoAnswer(sent=call.sent, detail=str(error))

    def _target(self, url: str) -> str:
        if not (url.startswith(self._origin + "/") and url.isascii() and url.isprintable() and " " not in url):
            raise ValueError("the URL is not the own node's, or cannot be sent")
        return url.removeprefix(self._origin)


class _Deadline:
    """When a request is given up.

    Mostly there is nothing to wait for but the beginning of the answer, and for that the connection has an alarm of its
    own: `asyncio.timeout` around all of it takes as long as the rest of what is done here.
    """

    __slots__ = ("_at", "_clock")

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._at = clock.monotonic() + seconds

    @property
    def left_seconds(self) -> float:
        """How long there is still time; 0 for none."""
        return max(0.0, self._at - self._clock.monotonic())

    async def keep(self, waiting: Awaitable[T]) -> T:
        """Wait for something else until then; raises TimeoutError."""
        async with asyncio.timeout(self.left_seconds):
            return await waiting


class _Call:
    """One request, and how far it got."""

    def __init__(self, connections: NodeConnections, method: str, headers: Mapping[str, str], body: bytes) -> None:
        self._connections = connections
        self._method = method
        lines = "".join([f"\r\n{name}: {value}" for name, value in headers.items()])
        if lines.count("\n") != len(headers) or lines.count("\r") != len(headers):
            raise ValueError("a header holds a line break")
        length = f"\r\nContent-Length: {len(body)}" if body else ""
        self._rest = b"%b%b\r\n\r\n%b" % (connections.authority, f"{lines}{length}".encode("ascii"), body)
        self.sent = Sent.NO

    async def send(self, target: str, deadline: _Deadline) -> Answer:
        """Send it, read the answer."""
        connections = self._connections
        connection = connections.idle()
        if connection is None:
            connection = await deadline.keep(connections.open())
        self.sent = Sent.MAYBE
        whole = False
        try:
            connection.begin(self._method)
            if not connection.write(f"{self._method} {target} HTTP/1.1\r\nHost: ".encode("ascii") + self._rest):
                await deadline.keep(connection.drain())
            whole = True
            return await _read(await connection.reply(deadline.left_seconds), deadline)
        finally:
            connections.give_back(connection, request_complete=whole)


async def _read(reply: WireReply, deadline: _Deadline) -> Answer:
    """The answer, its body cut at the limit; the rest of a longer one is not read, and its connection is closed."""
    body = reply.take()
    while not reply.drained and len(body) <= ANSWER_LIMIT_BYTES:
        body += await deadline.keep(reply.read())
    cut = len(body) > ANSWER_LIMIT_BYTES
    kept: dict[str, str] = {}
    for name, value in reply.raw_headers:
        lower = name.lower()
        if lower in _READ_HEADERS:
            kept.setdefault(lower.decode("ascii"), value.decode("utf-8", "surrogateescape"))
    body = _plain(kept.pop(_CODING, ""), body[:ANSWER_LIMIT_BYTES])
    return Answer(status=reply.status, headers=kept, body=body, cut=cut)


def _plain(coding: str, body: bytes) -> bytes:
    """The body without its coding; nobody asked for one, but some servers compress unasked."""
    if coding.strip().lower() not in ("gzip", "x-gzip", "deflate"):
        return body
    try:
        return zlib.decompressobj(_ANY_WRAPPER).decompress(body, ANSWER_LIMIT_BYTES)
    except zlib.error:
        return body


def _same_but_for_a_slash(origin: str, target: str, answer: Answer) -> str | None:
    """Where a redirect leads that may be followed: same origin, same path but for a slash at its end."""
    if answer.status not in (307, 308):
        return None
    try:
        location = urlsplit(urljoin(origin + target, answer.headers.get("location", "")))
    except ValueError:
        return None
    was = urlsplit(target)
    same_origin = f"{location.scheme}://{location.netloc}" == origin
    same_path = location.path.rstrip("/") == was.path.rstrip("/") and location.path != was.path
    if not (same_origin and same_path and location.query == was.query):
        return None
    return location.path + (f"?{location.query}" if location.query else "")


def _told(error: ValueError) -> str:
    """What cannot be sent, without any of it."""
    return "a header cannot be written in ASCII" if isinstance(error, UnicodeError) else str(error)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
