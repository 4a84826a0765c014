"""The same bytes sent to a node directly and through the proxy: what may differ is told by `proxy/differences.py`."""

import asyncio
import ssl
from dataclasses import dataclass

from ocn_permission_agent.proxy.differences import TOWARDS_NODE, TOWARDS_PLATFORM, Differences
from tests.integration.proxy.wire import RawNode, Seen, line_to, read_reply

PEER = b"127.0.0.1"


@dataclass(frozen=True)
class Exchange:
    """What the node saw, and what the platform got."""

    request: Seen
    reply: Seen


async def exchanged(
    address: tuple[str, int], node: RawNode, *pieces: bytes, tls: ssl.SSLContext | None = None
) -> Exchange:
    """Send a request, piece by piece, to an address behind which the node is."""
    before = len(customers(node))
    async with line_to(address, tls) as line, asyncio.timeout(20):
        for piece in pieces:
            line.writer.write(piece)
            await line.writer.drain()
            await asyncio.sleep(0)
        reply = await read_reply(line.reader, b"".join(pieces).split(b" ", 1)[0].decode())
    (seen,) = customers(node)[before:]
    return Exchange(seen, reply)


def customers(node: RawNode) -> list[Seen]:
    """What it saw but for copies."""
    return [seen for seen in node.seen if b"/ocn/message " not in seen.request_line]


def passed(seen: Seen, allowed: Differences) -> list[tuple[bytes, bytes]]:
    """The headers that must be the same with and without the proxy, in their order."""
    named = {word.strip().lower() for value in seen.values(b"connection") for word in value.split(b",")}
    return [(name, value) for name, value in seen.headers if not allowed.covers(name) and name.lower() not in named]


def assert_same(
    through: Exchange, direct: Exchange, *, scheme: bytes = b"http", node_host: bytes = b"", next_to: bool = True
) -> None:
    """Nothing differs but what may, and that as it must.

    Args:
        through: the proxy.
        direct: without it.
        scheme: by which the platform reached the proxy.
        node_host: the node's authority where `preserve_host` is off, or where the platform sent no Host.
        next_to: the platform speaks to the proxy itself: what is hop-by-hop in the reply is the proxy's.
    """
    assert_same_request(through.request, direct.request, scheme=scheme, node_host=node_host)
    assert_same_reply(through.reply, direct.reply)
    if next_to:
        assert_own_hop(through.reply)


def assert_same_request(through: Seen, direct: Seen, *, scheme: bytes, node_host: bytes) -> None:
    line = direct.request_line
    assert through.request_line == line.rpartition(b" ")[0] + b" HTTP/1.1"
    assert passed(through, TOWARDS_NODE) == passed(direct, TOWARDS_NODE)
    assert through.body == direct.body
    assert through.trailers == b""
    chunked = direct.values(b"transfer-encoding")
    for name in TOWARDS_NODE.left_out:
        expected = [b"chunked"] if name == b"transfer-encoding" and chunked else []
        if name == b"expect":
            expected = [value for value in direct.values(name) if value.lower() != b"100-continue"]
        assert through.values(name) == expected, name
    received_host = direct.values(b"host") or [node_host]
    assert through.headers[0] == (b"Host", node_host or received_host[0])
    assert len(through.values(b"host")) == 1
    peers = direct.values(b"x-forwarded-for")
    assert through.values(b"x-forwarded-for") == [b", ".join([*peers, PEER])]
    for name, own in ((b"x-forwarded-proto", scheme), (b"x-forwarded-host", received_host[0])):
        assert through.values(name) == [b", ".join(direct.values(name)) or own]


def assert_same_reply(through: Seen, direct: Seen) -> None:
    assert through.request_line.split(b" ", 1)[0] == b"HTTP/1.1"
    assert status_and_reason(through) == status_and_reason(direct)
    assert passed(through, TOWARDS_PLATFORM) == passed(direct, TOWARDS_PLATFORM)
    assert through.body == direct.body
    assert through.trailers == b""


def assert_own_hop(through: Seen) -> None:
    for name in TOWARDS_PLATFORM.left_out - TOWARDS_PLATFORM.own:
        assert through.values(name) == [], name
    assert through.values(b"connection") in ([], [b"close"])
    assert through.values(b"transfer-encoding") in ([], [b"chunked"])


def status_and_reason(reply: Seen) -> tuple[bytes, bytes]:
    _, status, *reason = reply.request_line.split(b" ", 2)
    return status, b"".join(reason)
