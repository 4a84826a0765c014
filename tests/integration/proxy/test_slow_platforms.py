"""Platforms that keep the proxy waiting: each is cut in time, counted, and in nobody's way."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import pytest

from tests.integration.proxy.house import SETTINGS, Consent, House, a_house, a_put
from tests.integration.proxy.wire import Line, RawNode, Seen, ask, line_to, reply

STRANGERS = Consent(entitlements=())
SHORT = replace(SETTINGS, headers_timeout_seconds=0.4, body_idle_timeout_seconds=0.4)


def refused(house: House, cause: str) -> float:
    return house.count("refusals", cause=cause)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110  metrics and counts tell nobody that they changed
            await asyncio.sleep(0.02)


async def dribble(line: Line, data: bytes, *, pause_seconds: float) -> None:
    """Byte by byte, until the other side has had enough."""
    try:
        for byte in data:
            line.writer.write(bytes([byte]))
            await line.writer.drain()
            await asyncio.sleep(pause_seconds)
    except ConnectionError:
        pass


@asynccontextmanager
async def dribbling(line: Line, data: bytes) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(dribble(line, data, pause_seconds=0.05))
        yield
        task.cancel()


async def test_a_head_that_dribbles_in_is_cut() -> None:
    async with a_house(settings=SHORT) as house, line_to(house.address) as line:
        async with dribbling(line, a_put()):
            assert await line.ended()
        assert refused(house, "slow_head") == 1
        assert house.node.seen == []


async def test_an_idle_connection_is_closed_and_nobody_is_blamed() -> None:
    async with a_house(settings=SHORT) as house:
        async with line_to(house.address) as line:
            assert await line.ended()
        async with line_to(house.address) as line:
            await line.ask(a_put())
            assert await line.ended()
        assert refused(house, "slow_head") == 0


@pytest.mark.parametrize("consent", [Consent(), STRANGERS], ids=["copied", "streamed"])
async def test_a_body_that_dribbles_in_is_refused(consent: Consent) -> None:
    async with a_house(settings=SHORT, consent=consent) as house, line_to(house.address) as line:
        whole = a_put(b"x" * 1000)
        line.writer.write(whole[:-900])
        async with dribbling(line, whole[-900:]), asyncio.timeout(5):
            answer = await line.reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert refused(house, "slow_body") == 1
        assert house.node.seen == []


async def test_a_large_body_may_take_long_as_long_as_it_comes() -> None:
    async with a_house(settings=SHORT, consent=STRANGERS) as house, line_to(house.address) as line:
        piece, count = b"x" * 20_000, 15
        line.writer.write(a_put(b"", framing=b"Content-Length: %d\r\n" % (len(piece) * count)))
        for _ in range(count):
            line.writer.write(piece)
            await asyncio.sleep(0.05)
        assert (await line.ask(b"")).head.startswith(b"HTTP/1.1 200")
        assert len(house.node.seen[0].body) == len(piece) * count


async def test_time_that_the_node_takes_is_not_counted_against_a_platform() -> None:
    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.8)
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Content-Length: 8000000" in head
        await reader.readexactly(8_000_000)
        writer.write(reply())

    node = RawNode(on_connection=late)
    async with a_house(node, settings=SHORT, consent=STRANGERS) as house, line_to(house.address) as line:
        answer = await line.ask(a_put(b"x" * 8_000_000))
        assert answer.head.startswith(b"HTTP/1.1 200")
        assert refused(house, "slow_body") == 0


def a_long_answer(_: Seen) -> bytes:
    return reply(b"y" * 30_000_000)


async def test_who_does_not_read_a_long_answer_is_cut() -> None:
    async with a_house(RawNode(script=a_long_answer), settings=SHORT) as house, deaf_line(house) as platform:
        platform.send(a_put())
        await until(lambda: refused(house, "slow_reader") == 1 and house.proxy.connections == 0)


async def test_who_reads_no_answer_of_many_short_ones_is_cut() -> None:
    short = RawNode(script=lambda _: reply(b"z" * 60_000))
    async with a_house(short, settings=SHORT, consent=STRANGERS) as house, deaf_line(house) as platform:
        platform.setblocking(False)
        sent = 0
        while sent < 300 and refused(house, "slow_reader") == 0:
            try:
                platform.send(a_put())
                sent += 1
            except BlockingIOError:
                pass
            except ConnectionError:
                break
            await asyncio.sleep(0.002)
        await until(lambda: refused(house, "slow_reader") == 1 and house.proxy.connections == 0)


@asynccontextmanager
async def deaf_line(house: House) -> AsyncIterator[socket.socket]:
    """A platform that asks and never reads, with a buffer as small as it may be."""
    with socket.socket() as platform:
        platform.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        platform.connect(house.address)
        yield platform


async def test_a_head_without_end_is_refused_before_it_fills_the_memory() -> None:
    async with a_house() as house, line_to(house.address) as line:
        head = a_put(b"", framing=b"")[:-2]
        line.writer.write(head)
        async with asyncio.timeout(10):
            while refused(house, "header_size") == 0:
                line.writer.write(b"X-More: " + b"v" * 2_000 + b"\r\n")
                await asyncio.sleep(0.001)
            answer = await line.reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 431 ")
        assert house.node.seen == []


async def test_a_crowd_of_silent_platforms_gives_way_to_one_that_speaks() -> None:
    async with a_house(settings=replace(SETTINGS, max_connections=50)) as house, AsyncExitStack() as opened:
        crowd = [await opened.enter_async_context(line_to(house.address)) for _ in range(50)]
        for line in crowd[::2]:
            line.writer.write(a_put()[:60])
        for line in crowd[1:20:2]:
            line.writer.write(a_put(b"x" * 500)[:-100])
        for _ in range(60):
            assert (await ask(house.address, a_put())).head.startswith(b"HTTP/1.1 200")
        assert house.proxy.connections <= 50
        assert refused(house, "crowded") >= 1
        cut = [line for line in crowd if line.reader.at_eof() or line.reader.exception() is not None]
        assert len(cut) == refused(house, "crowded")


async def test_who_waits_for_the_node_is_not_cut_for_a_newcomer() -> None:
    answered = asyncio.Event()

    async def patient(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await answered.wait()
        writer.write(reply())

    node = RawNode(on_connection=patient)
    settings = replace(SETTINGS, max_connections=5)
    async with a_house(node, settings=settings, consent=STRANGERS) as house, AsyncExitStack() as opened:
        asking = [await opened.enter_async_context(line_to(house.address)) for _ in range(5)]
        for line in asking:
            line.writer.write(a_put(b"", framing=b""))
        await until(lambda: house.proxy.in_flight == 5)
        newcomer = await opened.enter_async_context(line_to(house.address))
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await newcomer.reader.readexactly(1)
        answered.set()
        for line in asking:
            assert (await line.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        assert refused(house, "crowded") == 1
