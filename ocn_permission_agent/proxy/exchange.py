"""One request to the node and its reply: sent once, never again.

A body that is still arriving is passed on while the reply is awaited, because a node may answer before it has read all.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeVar

from ocn_permission_agent.errors import AgentError, RequestRefused, UpstreamBroken, UpstreamError, UpstreamTimeout
from ocn_permission_agent.net.node import NodeConnections
from ocn_permission_agent.net.wire import WireConnection
from ocn_permission_agent.net.wire_reply import WireReply
from ocn_permission_agent.proxy.client import Client, ClientGone

T = TypeVar("T")
#: takes the reply; told whether the request had been sent in full by then
TakeReply = Callable[[WireReply, bool], Awaitable[T]]

LAST_CHUNK = b"0\r\n\r\n"


class Outgoing(NamedTuple):
    """A request on its way: its head, and what has been read of its body already.

    `complete` tells that `first` is all of the body.
    """

    method: str
    head: bytes
    first: bytes
    complete: bool
    chunked: bool


def as_chunk(piece: bytes) -> bytes:
    """A piece of a body in chunked framing; nothing for nothing, since an empty chunk ends the body."""
    return b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""


def whole(head: bytes, body: bytes, *, chunked: bool) -> bytes:
    """A message of which all is here, in one piece."""
    return head + as_chunk(body) + LAST_CHUNK if chunked else head + body


async def exchange(
    outgoing: Outgoing,
    take: TakeReply[T],
    *,
    upstream: NodeConnections,
    client: Client,
    answer_timeout_seconds: float,
) -> T:
    """Send a request and hand its reply to `take`, whose result is returned.

    Raises:
        UpstreamUnreachable: nothing was sent.
        UpstreamTimeout: no answer, or no more of it.
        UpstreamBroken: the node cut the connection.
        RequestRefused: the rest of the body is not fit to be passed on.
        ClientGone: the platform left.
    """
    connection = upstream.idle() or await upstream.open()
    if outgoing.complete:
        return await _at_once(outgoing, take, upstream, connection, answer_timeout_seconds)
    upload = _Upload(outgoing, connection=connection, client=client, timeout_seconds=answer_timeout_seconds)
    try:
        connection.begin(outgoing.method)
        return await _while_uploading(upload, take)
    finally:
        upstream.give_back(connection, request_complete=upload.done)


async def _at_once(
    outgoing: Outgoing,
    take: TakeReply[T],
    upstream: NodeConnections,
    connection: WireConnection,
    answer_timeout_seconds: float,
) -> T:
    """Send a request that is all here: what nearly every request is, in as few steps as possible."""
    sent = False
    try:
        connection.begin(outgoing.method)
        try:
            if not connection.write(whole(outgoing.head, outgoing.first, chunked=outgoing.chunked)):
                await connection.drain()
            sent = True
        except UpstreamBroken:
            pass  # a node that closes without reading all may have answered before; `reply` tells
        return await take(await connection.reply(answer_timeout_seconds), True)
    finally:
        upstream.give_back(connection, request_complete=sent)


async def _while_uploading(upload: "_Upload", take: TakeReply[T]) -> T:
    failure: AgentError | None = None
    results: list[T] = []
    async with asyncio.TaskGroup() as group:
        pump = group.create_task(upload.run())
        try:
            reply = await upload.reply()
            results.append(await take(reply, upload.done))
        except (UpstreamError, ClientGone, RequestRefused) as error:
            failure = error
        finally:
            pump.cancel()
    if failure is not None:
        raise upload.failure or failure
    return results[0]


class _Upload:
    """The way to the node of a request that is still arriving."""

    def __init__(
        self, outgoing: Outgoing, *, connection: WireConnection, client: Client, timeout_seconds: float
    ) -> None:
        self._outgoing = outgoing
        self._connection = connection
        self._client = client
        self._timeout_seconds = timeout_seconds
        self._deadline: asyncio.Timeout | None = None
        #: whether the node has got the whole request
        self.done = False
        #: why the platform's body could not be passed on to its end
        self.failure: AgentError | None = None

    async def run(self) -> None:
        """Pass the body on as it arrives. What goes wrong is not raised: it ends the connection; `reply` sees that."""
        try:
            await self._pass_on()
            self.done = True
        except (RequestRefused, ClientGone, UpstreamTimeout) as error:
            self.failure = error
            self._connection.abort()
        except UpstreamBroken:
            pass  # an early answer may have arrived before the connection ended; `reply` tells
        if self._deadline is not None:
            self._deadline.reschedule(asyncio.get_running_loop().time() + self._timeout_seconds)

    async def _pass_on(self) -> None:
        outgoing = self._outgoing
        await self._connection.send(outgoing.head + self._framed(outgoing.first))
        while True:
            piece = await self._client.read()
            if piece:
                await self._connection.send(self._framed(piece))
            elif self._client.complete:
                break
        if outgoing.chunked:
            await self._connection.send(LAST_CHUNK)

    def _framed(self, piece: bytes) -> bytes:
        return as_chunk(piece) if self._outgoing.chunked else piece

    async def reply(self) -> WireReply:
        """Wait for the node's answer; the time runs from the end of the request."""
        try:
            async with asyncio.timeout(None) as self._deadline:
                return await self._connection.reply()
        except TimeoutError as error:
            raise UpstreamTimeout("the node did not answer in time") from error
        finally:
            self._deadline = None
