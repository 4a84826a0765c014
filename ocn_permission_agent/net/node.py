"""The connections to the operator's own node: kept alive, handed out one by one."""

import asyncio
import ssl
from collections import deque
from typing import Self

from yarl import URL

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.errors import UpstreamUnreachable
from ocn_permission_agent.net.wire import WireConnection, WireTimes

_POOL_LIMIT = 512


class NodeConnections:
    """The node, and the connections to it that wait for the next request.

    Args:
        url: ``http(s)://host[:port]``; the operator's, trusted.
        tls: how an https node is verified.
        times: how long the node may take.
        connect_seconds: for a new connection.
        idle_seconds: how long a connection is kept; shorter than any node keeps it, because a request that meets a
            closing connection is not sent again.
        clock: ages the idle ones.
    """

    def __init__(
        self,
        *,
        url: str,
        tls: ssl.SSLContext | None,
        times: WireTimes,
        connect_seconds: float,
        idle_seconds: float,
        clock: Clock,
    ) -> None:
        parsed = URL(url)
        self._host = parsed.host or ""
        self._port = parsed.port or 80
        self._tls = tls if parsed.scheme == "https" else None
        self._times = times
        self._connect_seconds = connect_seconds
        self._idle_seconds = idle_seconds
        self._clock = clock
        self._idle: deque[WireConnection] = deque()
        #: authority for `Host`
        self.authority = (parsed.host_port_subcomponent or "").encode("ascii")

    def idle(self) -> WireConnection | None:
        """The connection that was used last, if it may be used again."""
        while self._idle:
            connection = self._idle.pop()
            if connection.reusable and self._clock.monotonic() - connection.idle_since < self._idle_seconds:
                return connection
            connection.close()
        return None

    async def open(self) -> WireConnection:
        """A new connection.

        Raises:
            UpstreamUnreachable: none could be made; nothing was sent.
        """
        times = self._times
        try:
            async with asyncio.timeout(self._connect_seconds):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: WireConnection(times=times), self._host, self._port, ssl=self._tls
                )
        except (OSError, TimeoutError, ssl.SSLError) as error:
            raise UpstreamUnreachable(f"no connection to the node: {type(error).__name__}") from error
        return connection

    def give_back(self, connection: WireConnection, *, request_complete: bool) -> None:
        """Keep a connection for the next request if the exchange on it ended cleanly, else close it."""
        if request_complete and connection.answered and connection.reusable and len(self._idle) < _POOL_LIMIT:
            connection.idle_since = self._clock.monotonic()
            self._idle.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop().close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
