"""Answers of a node or service that means no good: cut, classified, and a small harmless piece of them kept."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.net.own import OwnNode
from ocn_permission_agent.ocn.keys import OperatorKey
from ocn_permission_agent.outbox.courier import Courier
from ocn_permission_agent.outbox.dispatcher import Dispatcher
from ocn_permission_agent.outbox.settings import DeliverySettings
from tests.outbox_fixtures import Lines, SameVersion, StatedView, a_plan, cdr, no_jitter, open_outbox
from tests.stores import Where

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]
SETTINGS = DeliverySettings(attempt_timeout_seconds=0.6)


def plain(status: str, body: bytes, *headers: bytes) -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        lines = b"".join(header + b"\r\n" for header in headers)
        writer.write(b"HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s" % (status.encode(), lines, len(body), body))
        await writer.drain()

    return answer


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"4000\r\n" + b"\x1b[31m<script>" + b"x" * (0x4000 - 13) + b"\r\n")
        await writer.drain()


async def dripping(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
    while True:
        writer.write(b"{")
        await writer.drain()
        await asyncio.sleep(0.05)


async def headers_without_end(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(100_000):
        writer.write(b"X-H%d: y\r\n" % number)
        if number % 1_000 == 0:
            await writer.drain()
    writer.write(b"Content-Length: 2\r\n\r\n{}")
    await writer.drain()


async def garbage(writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x00\xff\xfeSSH-2.0-nope\r\n\r\n")
    await writer.drain()


async def nothing(writer: asyncio.StreamWriter) -> None:
    writer.close()


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[str]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            await reader.readexactly(length)
            await answer(writer)
            await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    ("answer", "verdict", "state"),
    [
        (endless, "unknown_outcome", "pending"),
        (dripping, "unknown_outcome", "pending"),
        (headers_without_end, "unknown_outcome", "pending"),
        (garbage, "unknown_outcome", "pending"),
        (nothing, "unknown_outcome", "pending"),
        (plain("200 OK", b'{"status_code": "1000"}'), "unknown_outcome", "pending"),
        (plain("200 OK", b'{"status_code": 1e400}'), "unknown_outcome", "pending"),
        (plain("200 OK", b"[" * 60_000), "unknown_outcome", "pending"),
        (plain("200 OK", b"<html>Welcome\x1b[2J</html>" * 3_000), "unknown_outcome", "pending"),
        (plain("204 No Content", b""), "unknown_outcome", "pending"),
        (plain("302 Found", b"", b"Location: http://127.0.0.1:1/x"), "not_processed", "pending"),
        (plain("999 What", b"{}"), "unknown_outcome", "pending"),
        (plain("400 Bad", b"\xff" * 70_000), "refused", "parked"),
        (plain("503 Busy", b"", b"Retry-After: 99999999999999999999"), "not_processed", "pending"),
    ],
    ids=lambda value: getattr(value, "__name__", None) if callable(value) else str(value),
)
async def test_a_hostile_answer_is_cut_classified_and_kept_in_one_kibibyte(
    where_at_length: Where, answer: Answer, verdict: str, state: str
) -> None:
    clock, metrics, lines = SystemClock(), Metrics(), Lines()
    database, store = await open_outbox(where_at_length, clock, SETTINGS, metrics)
    async with serving(answer) as url, OwnNode(url=url, clock=SystemClock()) as transport:
        dispatcher = Dispatcher(
            store=store,
            courier=Courier(
                view=StatedView(),
                versions=SameVersion(),
                key=OperatorKey(b"\x11" * 32),
                own_node_url=url,
                own_transport=transport,
                remote_transport=transport,
                clock=clock,
                settings=SETTINGS,
            ),
            settings=SETTINGS,
            clock=clock,
            metrics=metrics,
            log=lines,
            spread=no_jitter,
        )
        await store.record(a_plan(cdr(), at=clock.now()))
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            group.create_task(dispatcher.run())
            while not lines.of("delivery.attempted"):
                await lines.news.get()
            await dispatcher.stop(1)
    (line,) = lines.of("delivery.attempted")
    assert (line["verdict"], line["state"]) == (verdict, state)
    detail = await database.read(lambda connection: connection.execute("SELECT detail FROM attempts").fetchone()[0])
    assert len(detail) <= 1024
    assert detail.isascii()
    assert detail.isprintable()
    await database.close()
