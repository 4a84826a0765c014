"""The server below the handler: faults of ours are told without a byte of the request."""

import asyncio
import json

from aiohttp import web

from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.proxy.refusals import Refusals
from ocn_permission_agent.proxy.server import HttpServer, Written
from tests.fakes import FakeClock
from tests.integration.proxy.house import SETTINGS, TOKEN, Lines, a_put
from tests.integration.proxy.wire import line_to


def refusals_to(log: Lines) -> Refusals:
    return Refusals(clock=FakeClock(), metrics=Metrics(), log=log)


async def test_fault_of_ours_is_answered_in_ocpi_and_told_by_its_place_only() -> None:
    async def faulty(request: web.BaseRequest) -> web.StreamResponse:
        raise ValueError(request.headers["Authorization"])

    log, statuses = Lines(), list[int]()
    server = HttpServer(
        faulty, settings=SETTINGS, clock=FakeClock(), refusals=refusals_to(log), on_malformed=statuses.append
    )
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    async with line_to(listener.sockets[0].getsockname()) as line:
        answer = await line.ask(a_put())
        assert answer.head.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
        assert json.loads(answer.body)["status_code"] == 3000
        assert await line.ended()
    assert len(log.lines) == 1
    assert "ValueError" in log.lines[0]
    assert "test_http_server.py:" in log.lines[0]
    assert TOKEN.decode() not in log.lines[0] + answer.body.decode()
    assert statuses == [500]
    listener.close()
    await server.shutdown(0.1)


async def test_fault_in_the_middle_of_an_answer_cuts_it() -> None:
    async def faulty(request: web.BaseRequest) -> web.StreamResponse:
        await request.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234")
        raise ValueError("too late")

    server = HttpServer(
        faulty, settings=SETTINGS, clock=FakeClock(), refusals=refusals_to(Lines()), on_malformed=lambda _: None
    )
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    async with line_to(listener.sockets[0].getsockname()) as line:
        line.writer.write(a_put())
        assert (await line.reader.read()).endswith(b"\r\n\r\n01234")
    listener.close()
    await server.shutdown(0.1)


async def test_written_whole_is_sent_as_it_is() -> None:
    async def whole(_: web.BaseRequest) -> web.StreamResponse:
        return Written(b"HTTP/1.1 299 Odd\r\nx-A: \xe9\r\nContent-Length: 0\r\n\r\n", keep_alive=True)

    server = HttpServer(
        whole, settings=SETTINGS, clock=FakeClock(), refusals=refusals_to(Lines()), on_malformed=lambda _: None
    )
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    async with line_to(listener.sockets[0].getsockname()) as line:
        for _ in range(2):
            assert (await line.ask(a_put())).head == b"HTTP/1.1 299 Odd\r\nx-A: \xe9\r\nContent-Length: 0\r\n\r\n"
    listener.close()
    await server.shutdown(0.1)
