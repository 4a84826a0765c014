"""The server below the handler: faults of ours are told without a byte of the request."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import StreamReader, web
from aiohttp.http import RawRequestMessage

from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.proxy.connection import Begin, Connection, Handle
from ocn_permission_agent.proxy.guarded import Written
from ocn_permission_agent.proxy.passage import Passage
from ocn_permission_agent.proxy.refusals import Refusals
from ocn_permission_agent.proxy.server import HttpServer
from ocn_permission_agent.proxy.short_way import Platform
from tests.fakes import FakeClock
from tests.integration.proxy.house import SETTINGS, TOKEN, Lines, a_put
from tests.integration.proxy.wire import Line, line_to


def closed(message: RawRequestMessage, body: StreamReader, platform: Platform) -> Passage:
    """A short way that nothing may take."""
    return Passage(message.method, 0.0)


@asynccontextmanager
async def a_server(
    handle: Handle, *, short_way: Begin = closed, log: Lines | None = None, statuses: list[int] | None = None
) -> AsyncIterator[Line]:
    """One that listens, and a platform's connection to it."""
    server = HttpServer(
        handle,
        short_way=short_way,
        settings=SETTINGS,
        refusals=Refusals(clock=FakeClock(), metrics=Metrics(), log=log or Lines()),
        on_malformed=(list[int]() if statuses is None else statuses).append,
    )
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    try:
        async with line_to(listener.sockets[0].getsockname()) as line:
            yield line
    finally:
        listener.close()
        await server.shutdown(0.1)


async def test_fault_of_ours_is_answered_in_ocpi_and_told_by_its_place_only() -> None:
    async def faulty(request: web.BaseRequest, _: Passage | None = None, /) -> web.StreamResponse:
        raise ValueError(request.headers["Authorization"])

    log, statuses = Lines(), list[int]()
    async with a_server(faulty, log=log, statuses=statuses) as line:
        await assert_fault_is_told_without_a_secret(line, log)
    assert statuses == [500]


async def test_fault_on_the_short_way_is_told_alike() -> None:
    def faulty(message: RawRequestMessage, _: StreamReader, __: Platform) -> Passage:
        raise ValueError(message.raw_headers)

    log, statuses = Lines(), list[int]()
    async with a_server(never, short_way=faulty, log=log, statuses=statuses) as line:
        await assert_fault_is_told_without_a_secret(line, log)
    assert statuses == [500]


async def never(request: web.BaseRequest, _: Passage | None = None, /) -> web.StreamResponse:
    raise AssertionError(f"{request.method} took the long way")


async def assert_fault_is_told_without_a_secret(line: Line, log: Lines) -> None:
    answer = await line.ask(a_put())
    assert answer.head.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert json.loads(answer.body)["status_code"] == 3000
    assert await line.ended()
    assert len(log.lines) == 1
    assert "ValueError" in log.lines[0]
    assert "test_http_server.py:" in log.lines[0]
    assert TOKEN.decode() not in log.lines[0] + answer.body.decode()


async def test_fault_in_the_middle_of_an_answer_cuts_it() -> None:
    async def faulty(request: web.BaseRequest, _: Passage | None = None, /) -> web.StreamResponse:
        await request.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234")
        raise ValueError("too late")

    async with a_server(faulty) as line:
        line.writer.write(a_put())
        assert (await line.reader.read()).endswith(b"\r\n\r\n01234")


async def test_written_whole_is_sent_as_it_is() -> None:
    async def whole(_: web.BaseRequest, __: Passage | None = None, /) -> web.StreamResponse:
        return Written(b"HTTP/1.1 299 Odd\r\nx-A: \xe9\r\nContent-Length: 0\r\n\r\n", keep_alive=True)

    async with a_server(whole) as line:
        for _ in range(2):
            assert (await line.ask(a_put())).head == b"HTTP/1.1 299 Odd\r\nx-A: \xe9\r\nContent-Length: 0\r\n\r\n"


async def test_one_request_on_the_long_way_does_not_make_the_next_take_it_too() -> None:
    """A platform may be so quick that its next request comes before aiohttp's task is asleep again."""
    took: list[str] = []
    platforms: list[Platform] = []

    def begin(message: RawRequestMessage, _: StreamReader, platform: Platform) -> Passage:
        took.append("asked for the short way")
        platforms.append(platform)
        return Passage(message.method, 0.0)

    async def handle(_: web.BaseRequest, __: Passage | None = None, /) -> web.StreamResponse:
        took.append("took the long way")
        if len(platforms) == 1 and isinstance(platforms[0], Connection):
            asyncio.get_running_loop().call_soon(platforms[0].data_received, a_put())
        return Written(b"HTTP/1.1 204 No Content\r\n\r\n", keep_alive=True)

    async with a_server(handle, short_way=begin) as line:
        line.writer.write(a_put())
        for _ in range(2):
            await line.reader.readuntil(b"\r\n\r\n")
    assert took == ["asked for the short way", "took the long way"] * 2


@pytest.mark.parametrize("behind", [1, 2, 100])
async def test_what_is_postponed_keeps_its_order(behind: int) -> None:
    """More than aiohttp's queue holds, too: reading is paused then, and has to go on."""
    paths = [f"/{number}" for number in range(behind + 2)]
    took: list[str] = []
    platforms: list[Platform] = []

    def begin(message: RawRequestMessage, _: StreamReader, platform: Platform) -> Passage:
        platforms.append(platform)
        return Passage(message.method, 0.0)

    async def handle(request: web.BaseRequest, _: Passage | None = None, /) -> web.StreamResponse:
        took.append(request.path)
        if request.path == "/0" and isinstance(platforms[0], Connection):
            for data in (a_put(path=paths[1]), b"".join(a_put(path=path) for path in paths[2:])):
                asyncio.get_running_loop().call_soon(platforms[0].data_received, data)
        return Written(b"HTTP/1.1 204 No Content\r\n\r\n", keep_alive=True)

    async with a_server(handle, short_way=begin) as line, asyncio.timeout(10):
        line.writer.write(a_put(path="/0"))
        for _ in paths:
            await line.reader.readuntil(b"\r\n\r\n")
    assert took == paths
