"""Calls that a node makes, and the names of what goes wrong with them (ocn-protocol.md b.1 rows 13-15).

Every call has a connection of its own, as the nodes' HTTP clients had.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from ocn_permission_agent.sandbox.node.refusal import Crash, Refusal, Unanswered

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class RawReply:
    """An HTTP reply; header names as they came."""

    http_status: int
    headers: Mapping[str, str]
    body: bytes


class Outgoing:
    """The HTTP client of one node; an async context manager.

    Args:
        timeout_seconds: for the whole of a call; a 1.x node waits about 30, a 2.x node 15.
        timeouts_crash: whether the node did not foresee that there may be no answer in time.
        redirected_methods: those that follow a redirect, anywhere, with method, body and every header.
    """

    def __init__(
        self,
        *,
        timeout_seconds: float,
        timeouts_crash: bool = False,
        redirected_methods: frozenset[str] = frozenset(),
    ) -> None:
        self._timeouts_crash = timeouts_crash
        self._redirected_methods = redirected_methods
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(force_close=True, limit=0)
        self._session = aiohttp.ClientSession(connector=connector, timeout=self._timeout)
        self._session._retry_connection = False  # nothing is ever sent twice
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def call(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes = b"") -> RawReply:
        """Call `url`, percent-encoded as it is.

        Raises:
            Refusal: 4003 nobody listens there, 4002 no answer in time.
            Unanswered: the connection was closed without an answer.
            Crash: anything else, e.g. an unknown host or a connection that was reset.
        """
        for _ in range(_MOST_REDIRECTS):
            reply = await self._call(method, url, headers=headers, body=body)
            elsewhere = reply.headers.get("Location")
            if reply.http_status not in _REDIRECTS or elsewhere is None:
                return reply
            if method not in self._redirected_methods:
                raise Crash(f"Unhandled redirect: {method} {url}")
            url = str(URL(url, encoded=True).join(URL(elsewhere, encoded=True)))
        raise Crash("Too many redirects")

    async def _call(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes) -> RawReply:
        if self._session is None:
            raise RuntimeError("use it inside `async with`")
        try:
            async with self._session.request(
                method,
                URL(url, encoded=True),
                headers=headers,
                data=body or None,
                allow_redirects=False,
                skip_auto_headers=("Content-Type",),
            ) as reply:
                return RawReply(
                    http_status=reply.status,
                    headers=dict(reply.headers),
                    body=await reply.read(),
                )
        except TimeoutError as error:
            if self._timeouts_crash:
                raise Crash(f"Request timeout has expired [url={url}, request_timeout=unknown ms]") from error
            raise Refusal(200, 4002, "Read timed out") from error
        except aiohttp.ClientConnectorDNSError as error:
            raise Crash("unknown host") from error
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError) as error:
            raise Crash("TLS failure") from error
        except aiohttp.ClientConnectorError as error:
            raise Refusal(200, 4003, "Connection refused") from error
        except aiohttp.ServerDisconnectedError as error:
            raise Unanswered("Unexpected end of file from server") from error
        except (aiohttp.ClientError, ValueError, asyncio.IncompleteReadError) as error:
            raise Crash(str(error)) from error
