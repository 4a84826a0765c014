"""Requests that take the short way, and those that turn from it to the long one; see proxy/short_way.py.

Each house is warm: a first request, which always takes the long way, has opened a connection to the node.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from types import CodeType, FrameType
from typing import Any

import pytest

from ocn_permission_agent.proxy.handler import Handler
from ocn_permission_agent.proxy.settings import ProxySettings
from tests.integration.proxy.house import SETTINGS, Consent, House, a_house, a_put
from tests.integration.proxy.wire import OK_BODY, Line, RawNode, Seen, line_to, read_message, reply

STRANGERS = Consent(entitlements=())
BOTH = pytest.mark.parametrize("consent", [STRANGERS, Consent()], ids=["streamed", "copied"])
SHORT_PATIENCE = replace(SETTINGS, node_answer_timeout_seconds=0.1)


class Node(RawNode):
    """Answers the first request at once, each later one piece by piece; nothing means silence, None a farewell."""

    def __init__(self, *pieces: bytes | None) -> None:
        super().__init__(on_connection=self.answer)
        self.pieces = pieces
        #: set to send the next piece
        self.next = asyncio.Semaphore(0)
        #: released with each request
        self.got = asyncio.Semaphore(0)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.seen.append(await read_message(reader))
        writer.write(reply())
        while True:
            self.seen.append(await read_message(reader))
            self.got.release()
            for piece in self.pieces:
                if piece == b"":
                    await reader.read()
                    return
                await self.next.acquire()
                if piece is None:
                    return
                writer.write(piece)
                await writer.drain()


@asynccontextmanager
async def warm(
    node: RawNode,
    settings: ProxySettings = SETTINGS,
    *,
    consent: Consent = STRANGERS,
) -> AsyncIterator[tuple[House, Line]]:
    async with a_house(node, consent=consent, settings=settings) as house, line_to(house.address) as line:
        await line.ask(a_put())
        yield house, line


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110  counts tell nobody that they changed
            await asyncio.sleep(0.005)


@asynccontextmanager
async def counting_tasks() -> AsyncIterator[list[str]]:
    """What is made a task meanwhile."""
    made: list[str] = []

    def make(loop: asyncio.AbstractEventLoop, work: Any, **given: Any) -> asyncio.Task[Any]:
        made.append(str(work))
        return asyncio.Task(work, loop=loop, **given)

    loop = asyncio.get_running_loop()
    loop.set_task_factory(make)
    try:
        yield made
    finally:
        loop.set_task_factory(None)


@contextmanager
def noticing(code: CodeType) -> Iterator[list[str]]:
    """Each time that it runs meanwhile; from Python 3.12 on aiohttp makes tasks that no factory of tasks hears of."""
    seen: list[str] = []

    def notice(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code is code:
            seen.append(event)

    sys.setprofile(notice)
    try:
        yield seen
    finally:
        sys.setprofile(None)


@BOTH
@pytest.mark.parametrize(
    ("request_bytes", "of_a_kind_to_copy"),
    [
        (a_put(), True),
        (a_put(b"", method="GET", framing=b""), False),
        (a_put(b"3\r\nabc\r\n0\r\n\r\n", framing=b"Transfer-Encoding: chunked\r\n"), True),
        (a_put(extra=b"Expect: 100-continue\r\n"), True),
        (a_put(path="/anything/else"), False),
    ],
)
async def test_what_is_here_as_a_whole_needs_one_task_if_it_is_copied_and_else_none(
    request_bytes: bytes, of_a_kind_to_copy: bool, consent: Consent
) -> None:
    expected = 3 if of_a_kind_to_copy and consent.entitlements else 0
    async with warm(RawNode(), consent=consent) as (house, line):
        before = len(house.outbox.plans)
        async with counting_tasks() as made:
            with noticing(Handler.__call__.__code__) as long_way:
                for _ in range(3):
                    assert (await line.ask(request_bytes)).body == OK_BODY
        assert not long_way
        assert len(house.outbox.plans) - before == expected
        assert len(made) == expected
        assert len(house.node.seen) == 4
        assert house.node.connections == 1
        assert house.proxy.in_flight == 0


@BOTH
async def test_both_ways_count_and_tell_alike(consent: Consent) -> None:
    async with warm(RawNode(), consent=consent) as (house, line):
        await line.ask(a_put())
        labels = {"module": "sessions", "interface_role": "receiver", "method": "PUT", "code": "200"}
        assert house.count("requests", **labels) == 2
        long, short = (line for line in house.log.lines if "request.proxied" in line)
        assert shape(long) == shape(short)


def shape(line: str) -> str:
    return line.partition("'duration_ms'")[0]


@BOTH
@pytest.mark.parametrize(
    "pieces",
    [
        (b"HTTP/1.1 200 OK\r\nContent-Len", b"gth: 5\r\n\r\nhello"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"hel", b"lo"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", b"0\r\n\r\n"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
    ],
)
async def test_an_answer_in_pieces_arrives_as_the_node_sends_it(pieces: tuple[bytes, ...], consent: Consent) -> None:
    node = Node(*pieces)
    async with warm(node, consent=consent) as (house, line):
        for _ in range(2):
            line.writer.write(a_put())
            for _ in pieces:
                node.next.release()
                await asyncio.sleep(0.01)
            assert (await read_message(line.reader)).body == b"hello"
        assert (len(node.seen), node.connections) == (3, 1)
        await until(lambda: house.proxy.in_flight == 0)


async def test_a_long_answer_is_not_held_until_it_is_complete() -> None:
    node = Node(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", b"lo")
    async with warm(node) as (_, line):
        line.writer.write(a_put())
        node.next.release()
        assert (await line.reader.readuntil(b"hel")).endswith(b"\r\n\r\nhel")
        node.next.release()
        assert await line.reader.readexactly(2) == b"lo"


@BOTH
@pytest.mark.parametrize(
    ("pieces", "releases", "expected", "cause"),
    [
        ((b"",), 0, (504, 4002), "node_silent"),
        ((None,), 1, (502, 4003), "node_broken"),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nhi",), 1, (502, 4003), "node_broken"),
    ],
)
async def test_trouble_with_the_node_is_answered_in_ocpi_and_the_connection_goes_on(
    pieces: tuple[bytes | None, ...], releases: int, expected: tuple[int, int], cause: str, consent: Consent
) -> None:
    node = Node(*pieces)
    async with warm(node, SHORT_PATIENCE, consent=consent) as (house, line):
        for _ in range(releases):
            node.next.release()
        answer = await line.ask(a_put())
        assert (int(answer.head.split()[1]), json.loads(answer.body)["status_code"]) == expected
        assert house.count("refusals", cause=cause) == 1
        assert (await line.ask(a_put())).body == OK_BODY, "over a new connection"
        assert (len(node.seen), node.connections) == (3, 2), "and nothing was sent twice"


@BOTH
async def test_a_platform_that_leaves_is_forgotten_once_the_node_has_answered(consent: Consent) -> None:
    node = Node(reply())
    async with warm(node, consent=consent) as (house, line):
        line.writer.write(a_put())
        await node.got.acquire()
        line.writer.transport.abort()
        await until(lambda: house.proxy.in_flight == 1)
        node.next.release()
        await until(lambda: house.proxy.in_flight == 0 and house.proxy.connections == 0)
        async with line_to(house.address) as another:
            node.next.release()
            assert (await another.ask(a_put())).body == OK_BODY
        assert node.connections == 1


@BOTH
async def test_a_silent_node_is_told_even_if_the_platform_has_left_before(consent: Consent) -> None:
    async with warm(Node(b""), SHORT_PATIENCE, consent=consent) as (house, line):
        line.writer.write(a_put())
        await until(lambda: house.proxy.in_flight == 1)
        line.writer.transport.abort()
        await until(lambda: house.count("refusals", cause="node_silent") == 1)
        await until(lambda: house.proxy.in_flight == 0 and house.proxy.connections == 0)


@BOTH
async def test_what_follows_on_the_connection_waits_its_turn(consent: Consent) -> None:
    node = Node(reply(b"answer"))
    async with warm(node, consent=consent) as (_, line):
        line.writer.write(a_put(path="/1"))
        await node.got.acquire()
        line.writer.write(a_put(path="/2") + a_put(path="/3")[:50])
        await asyncio.sleep(0.01)
        assert [seen.request_line for seen in node.seen[1:]] == [b"PUT /1 HTTP/1.1"]
        line.writer.write(a_put(path="/3")[50:])
        for _ in range(3):
            node.next.release()
        answers = [(await read_message(line.reader)).body for _ in range(3)]
        assert answers == [b"answer"] * 3
        assert [seen.request_line for seen in node.seen[1:]] == [b"PUT /%d HTTP/1.1" % each for each in (1, 2, 3)]


@BOTH
async def test_what_is_malformed_behind_a_request_is_refused_after_its_answer(consent: Consent) -> None:
    node = Node(reply(b"answer"))
    async with warm(node, consent=consent) as (house, line):
        line.writer.write(a_put())
        await node.got.acquire()
        line.writer.write(b"no http at all\r\n\r\n")
        await asyncio.sleep(0.01)
        node.next.release()
        assert (await read_message(line.reader)).body == b"answer"
        assert (await read_message(line.reader)).head.startswith(b"HTTP/1.1 400 ")
        assert await line.ended()
        assert len(node.seen) == 2
        assert house.count("refusals", cause="malformed") == 1


@BOTH
async def test_platform_that_wants_to_end_is_let_go(consent: Consent) -> None:
    async with warm(RawNode(), consent=consent) as (_, line):
        answer = await line.ask(a_put(extra=b"Connection: close\r\n"))
        assert (answer.body, answer.values(b"connection")) == (OK_BODY, [b"close"])
        assert await line.ended()


@BOTH
async def test_draining_proxy_ends_the_connection_with_its_answer(consent: Consent) -> None:
    async with warm(RawNode(), consent=consent) as (house, line):
        house.proxy.drain()
        answer = await line.ask(a_put())
        assert (answer.body, answer.values(b"connection")) == (OK_BODY, [b"close"])
        assert await line.ended()


@BOTH
async def test_idle_connection_is_closed_in_time_and_a_busy_one_is_not(consent: Consent) -> None:
    node = Node(reply())
    async with warm(node, replace(SETTINGS, headers_timeout_seconds=0.2), consent=consent) as (_, line):
        line.writer.write(a_put())
        await node.got.acquire()
        await asyncio.sleep(0.3)
        node.next.release()
        assert (await read_message(line.reader)).body == OK_BODY
        assert await line.ended()


@BOTH
async def test_stopping_proxy_finishes_or_gives_up_what_is_on_the_short_way(consent: Consent) -> None:
    node = Node(reply())
    async with warm(node, consent=consent) as (house, line), line_to(house.address) as other:
        line.writer.write(a_put())
        await node.got.acquire()
        async with asyncio.TaskGroup() as group:
            stopped = group.create_task(house.proxy.stop(grace_seconds=5))
            await asyncio.sleep(0.05)
            assert not stopped.done()
            node.next.release()
        assert (await read_message(line.reader)).body == OK_BODY
        assert await line.ended()
        assert await other.ended()
    silent = Node(b"")
    async with warm(silent, consent=consent) as (house, line):
        line.writer.write(a_put())
        await silent.got.acquire()
        await house.proxy.stop(grace_seconds=0.05)
        assert await line.ended()
        assert house.proxy.in_flight == 0
        assert house.count("requests", module="sessions", interface_role="receiver", method="PUT", code="499") == 1


@BOTH
async def test_who_sends_more_than_the_limit_is_refused_however_it_is_framed(consent: Consent) -> None:
    async with warm(RawNode(), replace(SETTINGS, body_limit_bytes=100), consent=consent) as (house, line):
        chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (200, b"x" * 200)
        answer = await line.ask(a_put(chunk, framing=b"Transfer-Encoding: chunked\r\n"))
        assert answer.head.startswith(b"HTTP/1.1 413 ")
        assert len(house.node.seen) == 1


@BOTH
@pytest.mark.parametrize(
    "request_bytes",
    [
        a_put(extra=b"Connection: Upgrade\r\nUpgrade: h2c\r\n"),
        a_put().replace(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n"),
        a_put(path="/ocn-agent/inert/x"),
        a_put(path="/1") + a_put(path="/2"),
    ],
)
async def test_what_is_out_of_the_ordinary_takes_the_long_way(request_bytes: bytes, consent: Consent) -> None:
    async with warm(RawNode(), consent=consent) as (_, line):
        with noticing(Handler.__call__.__code__) as long_way:
            answer = await line.ask(request_bytes)
        assert answer.head.startswith(b"HTTP/1.1 200 ")
        assert long_way


@BOTH
async def test_head_gets_a_head(consent: Consent) -> None:
    def answer(seen: Seen) -> bytes:
        return reply()[: -len(OK_BODY)] if seen.head.startswith(b"HEAD") else reply()

    async with warm(RawNode(script=answer), consent=consent) as (house, line):
        for _ in range(2):
            head = await line.ask(a_put(b"", method="HEAD", framing=b""), bodiless=True)
            assert head.values(b"content-length") == [b"%d" % len(OK_BODY)]
        assert house.node.connections == 1


@BOTH
async def test_a_hundred_requests_behind_one_are_answered_in_their_order(consent: Consent) -> None:
    async with warm(RawNode(script=lambda seen: reply(seen.request_line))) as (_, line):
        paths = [b"PUT /%d HTTP/1.1" % number for number in range(101)]
        line.writer.write(a_put(path="/0"))
        await asyncio.sleep(0)
        line.writer.write(b"".join(a_put(path=f"/{number}") for number in range(1, 101)))
        async with asyncio.timeout(10):
            assert [(await read_message(line.reader)).body for _ in paths] == paths
