"""The connections to the node: kept alive, one request at a time on each, and no request ever sent twice.

aiohttp parses (its C parser and its flow control); what is written are our own bytes. Its `ClientSession` is not used:
it repeats idempotent requests on a connection that the node has closed, and writes header bytes anew.
"""

import asyncio
import ssl
from collections import deque
from typing import Self

from aiohttp import ClientError, StreamReader
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpProcessingError, RawResponseMessage, StreamWriter
from aiohttp.streams import EofStream
from yarl import URL

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.errors import UpstreamBroken, UpstreamTimeout, UpstreamUnreachable
from ocn_permission_agent.proxy.settings import NodeSettings, ProxySettings
from ocn_permission_agent.proxy.tls import node_context

#: a node's own headers may be longer than what platforms may send
_REPLY_FIELD_LIMIT_BYTES = 64 * 1024
_READ_BUFFER_BYTES = 64 * 1024
_POOL_LIMIT = 512
#: what reading from a connection that ended raises; RuntimeError is the reader's "Connection closed."
_CUT = (ClientError, HttpProcessingError, EofStream, OSError, RuntimeError)


class NodeReply:
    """The node's reply: its head, and its body piece by piece."""

    def __init__(self, message: RawResponseMessage, content: StreamReader, *, idle_seconds: float) -> None:
        self.status = message.code
        self.reason = message.reason
        self.raw_headers = message.raw_headers
        self._content = content
        self._idle_seconds = idle_seconds

    @property
    def complete(self) -> bool:
        """Whether all of the body has arrived; the next `read` then has all that is left."""
        return self._content.is_eof()

    @property
    def drained(self) -> bool:
        """Whether all of the body has been read."""
        return self._content.at_eof()

    @property
    def length(self) -> int | None:
        """What `Content-Length` announces, if it does."""
        text = self.header(b"content-length")
        return int(text) if text.isascii() and text.isdigit() else None

    def header(self, name: bytes) -> str:
        """All values of a header, joined by commas; empty for none."""
        values = [value.decode("latin-1") for key, value in self.raw_headers if key.lower() == name]
        return ",".join(values)

    async def read(self) -> bytes:
        """The next piece of the body as sent, empty at its end.

        Raises:
            UpstreamBroken: cut.
            UpstreamTimeout: nothing came for too long.
        """
        content = self._content
        try:
            if content.is_eof():
                return content.read_nowait()
            async with asyncio.timeout(self._idle_seconds):
                return await content.readany()
        except TimeoutError as error:
            raise UpstreamTimeout("the node stopped in the middle of its answer") from error
        except _CUT as error:
            raise UpstreamBroken("the node cut its answer") from error


class NodeConnection:
    """One connection, for one request at a time."""

    def __init__(self, protocol: ResponseHandler, *, settings: ProxySettings) -> None:
        self._protocol = protocol
        self._settings = settings
        self._writer = StreamWriter(protocol, asyncio.get_running_loop())
        self._reply: NodeReply | None = None
        self.idle_since = 0.0

    @property
    def reusable(self) -> bool:
        """Whether nothing speaks against another request; asked again when the connection leaves the pool."""
        return self._protocol.is_connected() and not self._protocol.should_close

    @property
    def answered(self) -> bool:
        """Whether the reply has been read to its end."""
        return self._reply is not None and self._reply.drained

    def begin(self, method: str) -> None:
        """Get ready for one exchange."""
        self._reply = None
        self._protocol.set_response_params(
            skip_payload=method == "HEAD",
            read_until_eof=True,
            auto_decompress=False,
            read_bufsize=_READ_BUFFER_BYTES,
            max_line_size=_REPLY_FIELD_LIMIT_BYTES,
            max_field_size=_REPLY_FIELD_LIMIT_BYTES,
        )

    async def send(self, data: bytes) -> None:
        """Write bytes of the request, waiting while the node does not read.

        Raises:
            UpstreamBroken: the connection is gone.
            UpstreamTimeout: the node does not read.
        """
        try:
            await self._writer.write(data, drain=False)
            if self._protocol.writing_paused:
                async with asyncio.timeout(self._settings.node_answer_timeout_seconds):
                    await self._writer.drain()
        except TimeoutError as error:
            raise UpstreamTimeout("the node does not read the request") from error
        except _CUT as error:
            raise UpstreamBroken("the node closed the connection") from error

    async def reply(self) -> NodeReply:
        """The head of the final answer, interim ones left out. The caller sets the time-out.

        Raises:
            UpstreamBroken: the connection ended, or what came is no HTTP.
        """
        try:
            while True:
                message, content = await self._protocol.read()
                if message.code >= 200:
                    break
        except _CUT as error:
            raise UpstreamBroken("the node closed the connection without an answer") from error
        self._reply = NodeReply(message, content, idle_seconds=self._settings.body_idle_timeout_seconds)
        return self._reply

    def abort(self) -> None:
        """End the connection at once."""
        self._protocol.force_close()
        if self._protocol.transport is not None:
            self._protocol.transport.abort()

    def close(self) -> None:
        """End the connection."""
        self._protocol.close()


class Upstream:
    """The node, and the connections to it that wait for the next request.

    Raises:
        ConfigError: `node.ca_file` cannot be used.
    """

    def __init__(self, *, node: NodeSettings, settings: ProxySettings, clock: Clock) -> None:
        parsed = URL(node.url)
        self._host = parsed.host or ""
        self._port = parsed.port or 80
        self._tls = node_context(node.ca_file) if parsed.scheme == "https" else None
        self._settings = settings
        self._clock = clock
        self._idle: deque[NodeConnection] = deque()
        #: authority for `Host`
        self.authority = (parsed.host_port_subcomponent or "").encode("ascii")

    async def connect(self) -> NodeConnection:
        """A connection that is free: the one used last, or a new one.

        Raises:
            UpstreamUnreachable: none could be made; nothing was sent.
        """
        while self._idle:
            connection = self._idle.pop()
            young = self._clock.monotonic() - connection.idle_since < self._settings.node_idle_seconds
            if young and connection.reusable:
                return connection
            connection.close()
        return await self._open()

    def give_back(self, connection: NodeConnection, *, request_complete: bool) -> None:
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

    async def _open(self) -> NodeConnection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._settings.connect_timeout_seconds):
                _, protocol = await loop.create_connection(
                    lambda: ResponseHandler(loop), self._host, self._port, ssl=self._tls
                )
        except (OSError, TimeoutError, ssl.SSLError) as error:
            raise UpstreamUnreachable(f"no connection to the node: {type(error).__name__}") from error
        return NodeConnection(protocol, settings=self._settings)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
