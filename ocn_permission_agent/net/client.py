"""One POST to somebody else's server, and what came of it.

Two flavours: to the operator's own node (trusted), and to a URL from the registry (guarded: https, an address that the
deny table admits, checked on the very socket that is connected, so that nothing can change in between).
"""

import asyncio
import errno
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Self

from aiohttp import (
    AddrInfoType,
    ClientConnectorError,
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    ConnectionTimeoutError,
    DummyCookieJar,
    InvalidURL,
    TCPConnector,
    TraceConfig,
)
from aiohttp.abc import AbstractResolver
from yarl import URL

from ocn_permission_agent.net.answer import ANSWER_LIMIT_BYTES, Answer, NoAnswer, Sent
from ocn_permission_agent.net.guard import refusal_of_literal
from ocn_permission_agent.net.settings import NetworkSettings

#: what an answer is told apart by; nothing else of its head is kept
_KEPT_HEADERS = ("content-type", "retry-after", "location")
#: shorter than a server keeps a connection: a POST that meets a closing one has an unknown outcome
_KEEP_ALIVE_SECONDS = 8.0
_CONNECT_SECONDS = 5.0
_CONNECTIONS_PER_HOST = 16
_AUTO_HEADERS = ("Accept", "Accept-Encoding", "User-Agent", "Content-Type")


class _Refused(OSError):
    """The address is forbidden; nothing was sent."""


@dataclass(slots=True)
class _Progress:
    """Whether a connection was there to carry the request."""

    connected: bool = False


class HttpTransport:
    """Sends requests to URLs from the registry, and answers with a value whatever happens.

    Args:
        guard: what is called at all.
        resolver: of names; None for the system's.
    """

    def __init__(self, guard: NetworkSettings, *, resolver: AbstractResolver | None = None) -> None:
        self._guard = guard
        self._resolver = resolver
        self._session: ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes, timeout_seconds: float
    ) -> Answer | NoAnswer:
        """Send one request, never twice, but for one redirect that only adds or drops a trailing slash.

        Args:
            method: as sent.
            url: where to.
            headers: exactly those that are sent, besides Host and Content-Length.
            body: as sent, empty for none.
            timeout_seconds: for everything, the answer's body included.
        """
        return await self._call(method, url, headers=headers, body=body or None, timeout_seconds=timeout_seconds)

    async def get(self, url: str, *, timeout_seconds: float) -> Answer | NoAnswer:
        """Send one GET, as `request`."""
        return await self._call("GET", url, headers={}, body=None, timeout_seconds=timeout_seconds)

    async def _call(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, timeout_seconds: float
    ) -> Answer | NoAnswer:
        """One request; what it came to is a value."""
        progress = _Progress()
        try:
            target = self._checked(url)
            async with asyncio.timeout(timeout_seconds):
                answer = await self._send(method, target, headers, body, progress)
                again = _same_but_for_a_slash(target, answer)
                if again is not None:
                    answer = await self._send(method, again, headers, body, progress)
                return answer
        except (_Refused, InvalidURL, ValueError) as error:
            return NoAnswer(sent=Sent.NO, detail=_told(error))
        except (ClientConnectorError, ConnectionTimeoutError) as error:
            return NoAnswer(sent=Sent.NO, detail=_told(error))
        except TimeoutError:
            sent = Sent.MAYBE if progress.connected else Sent.NO
            return NoAnswer(sent=sent, detail=f"no complete answer within {timeout_seconds:g} s")
        except (ClientError, OSError) as error:
            return NoAnswer(sent=Sent.MAYBE if progress.connected else Sent.NO, detail=_told(error))

    def _checked(self, url: str) -> URL:
        """The URL, if its form is one that is called at all."""
        target = URL(url)
        if target.scheme not in ("http", "https") or not target.host:
            raise _Refused(f"{target.scheme or 'no'} URL: only http and https are called")
        if target.scheme == "http" and not self._guard.allow_http:
            raise _Refused("plain http is not allowed; see [network] allow_http")
        if target.user is not None or target.password is not None:
            raise _Refused("the URL holds a user name")
        return target

    async def _send(
        self, method: str, url: URL, headers: Mapping[str, str], body: bytes | None, progress: _Progress
    ) -> Answer:
        progress.connected = False
        async with self._open_session().request(
            method,
            url,
            data=body,
            headers=headers,
            skip_auto_headers=_AUTO_HEADERS,
            allow_redirects=False,
            trace_request_ctx=progress,
        ) as response:
            return await _read(response)

    def _open_session(self) -> ClientSession:
        if self._session is None:
            connector = TCPConnector(
                limit=0,
                limit_per_host=_CONNECTIONS_PER_HOST,
                keepalive_timeout=_KEEP_ALIVE_SECONDS,
                use_dns_cache=False,
                resolver=self._resolver,
                socket_factory=self._socket,
            )
            self._session = ClientSession(
                connector=connector,
                cookie_jar=DummyCookieJar(),
                timeout=ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
                trust_env=False,
                trace_configs=[_trace()],
            )
            # aiohttp would send a PUT or DELETE again by itself when its connection is closed without an answer.
            self._session._retry_connection = False
        return self._session

    def _socket(self, address: AddrInfoType) -> socket.socket:
        """The socket for one resolved address, or a refusal before anything leaves."""
        family, kind, protocol, _, peer = address
        why = refusal_of_literal(str(peer[0]), allowed=self._guard.allow_addresses)
        if why is not None:
            raise _Refused(errno.EACCES, f"the address is forbidden: {why}")
        return socket.socket(family=family, type=kind, proto=protocol)


async def _read(response: ClientResponse) -> Answer:
    """The answer, its body cut at the limit."""
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > ANSWER_LIMIT_BYTES:
            response.close()
            break
    kept = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
    return Answer(
        status=response.status,
        headers=kept,
        body=bytes(body[:ANSWER_LIMIT_BYTES]),
        cut=len(body) > ANSWER_LIMIT_BYTES,
    )


def _same_but_for_a_slash(url: URL, answer: Answer) -> URL | None:
    """Where a redirect leads that may be followed: same origin, same path but for a slash at its end."""
    if answer.status not in (307, 308):
        return None
    location = answer.headers.get("location", "")
    try:
        target = url.join(URL(location))
    except ValueError:
        return None
    same_origin = (target.scheme, target.host, target.port) == (url.scheme, url.host, url.port)
    same_path = target.raw_path.rstrip("/") == url.raw_path.rstrip("/") and target.raw_path != url.raw_path
    same_rest = target.raw_query_string == url.raw_query_string and target.user is None
    return target if same_origin and same_path and same_rest else None


def _trace() -> TraceConfig:
    """Notes when a connection is there to carry the request."""
    trace = TraceConfig()

    async def connected(_session: ClientSession, context: SimpleNamespace, _params: Any) -> None:
        context.trace_request_ctx.connected = True

    trace.on_connection_create_end.append(connected)
    trace.on_connection_reuseconn.append(connected)
    return trace


def _told(error: BaseException) -> str:
    """What went wrong, in words that hold nothing of the message."""
    if isinstance(error, ClientConnectorError):
        certificate = getattr(error, "certificate_error", None)
        return f"no connection: {_os_text(error.os_error) if certificate is None else 'bad TLS certificate'}"
    if isinstance(error, _Refused):
        return str(error.strerror or error.args[0])
    if isinstance(error, InvalidURL | ValueError):
        return "the URL cannot be read"
    return f"{type(error).__name__}: {_os_text(error)}" if isinstance(error, OSError) else type(error).__name__


def _os_text(error: OSError) -> str:
    """The system's words for an error."""
    return (error.strerror or str(error) or type(error).__name__)[:200]
