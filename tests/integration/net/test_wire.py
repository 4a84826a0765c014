"""The connection to the operator's own node, against servers that answer with given bytes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop

from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.errors import UpstreamBroken, UpstreamTimeout, UpstreamUnreachable
from ocn_permission_agent.net.node import NodeConnections
from ocn_permission_agent.net.wire import WireConnection, WireTimes
from ocn_permission_agent.net.wire_reply import WireReply

ASK = b"GET / HTTP/1.1\r\nHost: node\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Node:
    """Answers each request on a connection with the next of the given bytes; None closes the connection."""

    def __init__(self, *answers: bytes | None) -> None:
        self.answers = answers
        self.connections = 0
        self.ended = asyncio.Semaphore(0)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self.answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self.ended.release()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in self.answers:
            if answer is None:
                return
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
        await reader.read()


class Connections(NodeConnections):
    """Remembers all that were opened."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.opened: list[WireConnection] = []

    async def open(self) -> WireConnection:
        connection = await super().open()
        self.opened.append(connection)
        return connection


@asynccontextmanager
async def connections_to(node: Node, **times: float) -> AsyncIterator[NodeConnections]:
    server = await asyncio.start_server(node.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with (
        server,
        Connections(
            url=f"http://127.0.0.1:{port}",
            tls=None,
            times=WireTimes(answer=times.get("answer", 5.0), body_idle=times.get("body_idle", 5.0)),
            connect_seconds=5.0,
            idle_seconds=10.0,
            clock=SystemClock(),
        ) as connections,
    ):
        yield connections
        for connection in connections.opened:
            connection.close()
            await node.ended.acquire()


async def ask(connection: WireConnection, method: str = "GET", seconds: float | None = 5.0) -> tuple[WireReply, bytes]:
    connection.begin(method)
    await connection.send(ASK)
    reply = await connection.reply(seconds)
    body = b""
    while not reply.drained:
        body += await reply.read()
    return reply, body


async def test_head_is_handed_over_as_it_came_but_for_blanks_around_values() -> None:
    answer = b"HTTP/1.1 200 \xe4 K\r\nX-Two:  a \t\r\nx-empty:\r\nX-two: \xffb\r\nContent-Length: 0\r\n\r\n"
    async with connections_to(Node(answer)) as connections:
        reply, body = await ask(await connections.open())
    assert (reply.status, reply.reason, body) == (200, b"\xe4 K", b"")
    assert reply.raw_headers == [
        (b"X-Two", b"a"), (b"x-empty", b""), (b"X-two", b"\xffb"), (b"Content-Length", b"0"),
    ]  # fmt: skip


async def test_connection_serves_one_request_after_the_other_whatever_the_kind_of_reply() -> None:
    node = Node(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n3;x=y\r\nyou\r\n0\r\nTrailer: t\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        OK,
    )
    bodies = []
    async with connections_to(node) as connections:
        for method in ("GET", "HEAD", "GET", "DELETE", "GET", "GET"):
            connection = connections.idle() or await connections.open()
            _, body = await ask(connection, method)
            bodies.append(body)
            connections.give_back(connection, request_complete=True)
    assert bodies == [b"hi", b"", b"hiyou", b"", b"", b"hi"]
    assert node.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi!",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 7_000,
    ],
)
async def test_what_is_no_http_is_broken_and_its_connection_is_not_used_again(answer: bytes) -> None:
    async with connections_to(Node(answer)) as connections:
        connection = await connections.open()
        with pytest.raises(UpstreamBroken):
            await ask(connection)
        assert not connection.reusable


@pytest.mark.parametrize("behind", [OK, b"HTTP/1.1 200 O", b"x"])
async def test_what_comes_behind_an_answer_is_never_the_answer_to_the_next_request(behind: bytes) -> None:
    async with connections_to(Node(OK + behind, OK)) as connections:
        connection = await connections.open()
        _, body = await ask(connection)
        assert body == b"hi"
        assert not connection.reusable


async def test_what_comes_while_nothing_is_asked_ends_the_connection() -> None:
    asked, ended = asyncio.Event(), asyncio.Event()

    class Chatty(Node):
        async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(OK)
            await asked.wait()
            writer.write(b"HTTP/1.1 2")
            await reader.read()
            ended.set()

    async with connections_to(Chatty()) as connections:
        connection = await connections.open()
        await ask(connection)
        connections.give_back(connection, request_complete=True)
        asked.set()
        async with asyncio.timeout(5):
            await ended.wait()  # the node sees the end of the connection
        assert not connection.reusable
        assert connections.idle() is None


async def test_a_reply_may_end_with_its_connection() -> None:
    async with connections_to(Node(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhi", None)) as connections:
        connection = await connections.open()
        _, body = await ask(connection)
        assert body == b"hi"
        assert not connection.reusable


async def test_a_reply_that_is_cut_is_broken() -> None:
    async with connections_to(Node(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", None)) as connections:
        with pytest.raises(UpstreamBroken):
            await ask(await connections.open())


async def test_connection_that_ends_without_an_answer_is_broken() -> None:
    async with connections_to(Node(None)) as connections:
        connection = await connections.open()
        with pytest.raises(UpstreamBroken):
            await ask(connection)


async def test_node_that_says_nothing_and_node_that_stops_are_given_up() -> None:
    async with connections_to(Node(b""), body_idle=0.05) as connections:
        with pytest.raises(UpstreamTimeout):
            await ask(await connections.open(), seconds=0.05)
    async with connections_to(Node(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi"), body_idle=0.05) as connections:
        with pytest.raises(UpstreamTimeout):
            await ask(await connections.open())


async def test_no_more_is_taken_from_the_node_than_somebody_reads() -> None:
    size = 32 * 1024 * 1024
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size
    sent = asyncio.Event()

    class Large(Node):
        async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
            sent.set()
            await reader.read()

    async with connections_to(Large()) as connections:
        connection = await connections.open()
        connection.begin("GET")
        await connection.send(ASK)
        reply = await connection.reply(5.0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sent.wait(), 0.2)
        received = len(await reply.read())
        assert received < size // 8
        while not reply.drained:
            received += len(await reply.read())
        assert received == size
        assert connection.reusable


async def test_node_that_is_not_there_is_unreachable() -> None:
    async with connections_to(Node()) as connections:
        pass
    with pytest.raises(UpstreamUnreachable):
        await connections.open()


def test_all_this_holds_on_the_loop_that_the_agent_runs_on() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test_connection_serves_one_request_after_the_other_whatever_the_kind_of_reply())
        runner.run(test_what_comes_while_nothing_is_asked_ends_the_connection())
        runner.run(test_no_more_is_taken_from_the_node_than_somebody_reads())
        runner.run(test_a_reply_that_is_cut_is_broken())
        runner.run(test_node_that_says_nothing_and_node_that_stops_are_given_up())
