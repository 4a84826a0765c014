"""Bodies on their way: held while there is room, or passed on piece by piece."""

from typing import NamedTuple, Protocol

from ocn_permission_agent.errors import UpstreamBroken
from ocn_permission_agent.net.wire_reply import WireReply
from ocn_permission_agent.proxy.buffers import Share
from ocn_permission_agent.proxy.client import Client
from ocn_permission_agent.proxy.exchange import LAST_CHUNK, as_chunk, whole
from ocn_permission_agent.proxy.headers import ReplyFraming, frame_reply, reply_head


class Source(Protocol):
    """Where a body comes from: a platform or the node."""

    @property
    def complete(self) -> bool:
        """Whether all has arrived; the next `read` then has all that is left."""
        ...

    def take(self) -> bytes:
        """What has arrived and was not read yet."""
        ...

    async def read(self) -> bytes:
        """The next piece; empty may mean the end, see `complete`."""
        ...


class Gathered(NamedTuple):
    """What was read of a body; `whole` tells that it is all of it."""

    data: bytes
    whole: bool


_NOTHING_YET = Gathered(b"", whole=False)


def arrived(source: Source) -> Gathered:
    """All of a body if it is there already, without waiting and without being counted as held."""
    return Gathered(source.take(), whole=True) if source.complete else _NOTHING_YET


async def gather(source: Source, share: Share, *, announced_bytes: int | None, limit_bytes: int) -> Gathered:
    """Read a body to its end, or as far as there is room for it.

    Args:
        source: where it comes from.
        share: what it is counted against.
        announced_bytes: its `Content-Length`; one for which there is no room is not begun.
        limit_bytes: of this one body.
    """
    if announced_bytes is not None and (announced_bytes > limit_bytes or announced_bytes > share.free_bytes):
        return Gathered(b"", whole=False)
    pieces: list[bytes] = []
    size_bytes = 0
    while True:
        last = source.complete
        piece = await source.read()
        pieces.append(piece)
        size_bytes += len(piece)
        if not share.take(len(piece)) or size_bytes > limit_bytes:
            return Gathered(b"".join(pieces), whole=last)
        if last:
            return Gathered(b"".join(pieces), whole=True)


def head_of(reply: WireReply, *, method: str, client_is_old: bool, keep_alive: bool) -> tuple[bytes, ReplyFraming]:
    """A reply's head as the platform gets it, and how what follows is framed.

    Args:
        reply: the node's.
        method: of the request.
        client_is_old: the platform speaks HTTP/1.0.
        keep_alive: whether the platform's connection may serve another request.

    Raises:
        UpstreamBroken: it cannot be passed on safely.
    """
    framing = frame_reply(
        method=method,
        status=reply.status,
        names=reply.names,
        client_is_old=client_is_old,
        keep_alive=keep_alive,
    )
    try:
        head = reply_head(
            status=reply.status,
            reason=reply.reason,
            names=reply.names,
            raw_headers=reply.raw_headers,
            framing=framing,
        )
    except ValueError as error:
        raise UpstreamBroken("the node's answer has a malformed head") from error
    return head, framing


def whole_answer(head: bytes, framing: ReplyFraming, body: bytes) -> bytes:
    """An answer of which all is here, as the platform gets it."""
    return head if framing.bodiless else whole(head, body, chunked=framing.chunked)


async def answer(reply: WireReply, start: Gathered, *, client: Client, method: str, keep_alive: bool) -> bool:
    """Pass a reply on: its head, what was read of its body, and the rest as it comes.

    Args:
        reply: the node's.
        start: what was read of its body.
        client: the platform.
        method: of the request.
        keep_alive: whether the platform's connection may serve another request.

    Returns:
        Whether the platform's connection may go on.

    Raises:
        UpstreamBroken: the node cut its answer, or its head cannot be passed on safely.
        UpstreamTimeout: the node stopped in the middle.
        ClientGone: the platform left.
    """
    head, framing = head_of(reply, method=method, client_is_old=client.is_old, keep_alive=keep_alive)
    if framing.bodiless or start.whole:
        await client.send(whole_answer(head, framing, start.data))
        return not framing.close
    first = as_chunk(start.data) if framing.chunked else start.data
    await client.send(head + first)
    last = False
    while not last:
        last = reply.complete
        piece = await reply.read()
        framed = as_chunk(piece) if framing.chunked else piece
        if last and framing.chunked:
            framed += LAST_CHUNK
        if framed:
            await client.send(framed)
    return not framing.close
