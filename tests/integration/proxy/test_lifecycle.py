"""Starting, draining and stopping; and the one path that the proxy answers itself."""

import asyncio
import json
from dataclasses import replace

import pytest

from ocn_permission_agent.errors import ConfigError
from tests.integration.proxy.house import SETTINGS, a_house, a_put
from tests.integration.proxy.wire import OK_BODY, RawNode, ask, line_to, read_message, reply


async def test_draining_proxy_serves_and_ends_each_connection() -> None:
    async with a_house() as house, line_to(house.address) as line:
        ready_before = house.proxy.listening
        assert (await line.ask(a_put())).values(b"connection") == []
        house.proxy.drain()
        assert (ready_before, house.proxy.listening) == (True, False)
        last = await line.ask(a_put())
        assert (last.body, last.values(b"connection")) == (OK_BODY, [b"close"])
        assert await line.ended()
        assert (await ask(house.address, a_put())).body == OK_BODY


async def test_stopping_proxy_finishes_what_is_in_flight_and_takes_nothing_new() -> None:
    asked, release = asyncio.Event(), asyncio.Event()

    async def node(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_message(reader)
        asked.set()
        await release.wait()
        writer.write(reply())
        await writer.drain()

    async with a_house(RawNode(on_connection=node)) as house, line_to(house.address) as line, asyncio.timeout(5):
        line.writer.write(a_put())
        await asked.wait()
        async with asyncio.TaskGroup() as group:
            address = house.address
            stopped = group.create_task(house.proxy.stop(grace_seconds=5))
            await asyncio.sleep(0.05)
            assert (stopped.done(), house.proxy.in_flight) == (False, 1)
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(*address)
            release.set()
        answer = await read_message(line.reader)
        assert (answer.body, answer.values(b"connection")) == (OK_BODY, [b"close"])
        assert len(house.outbox.plans) == 1


async def test_stopping_proxy_does_not_wait_for_ever() -> None:
    asked = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()
        writer.close()

    async with a_house(RawNode(on_connection=silent)) as house, line_to(house.address) as line, asyncio.timeout(5):
        line.writer.write(a_put())
        await asked.wait()
        await house.proxy.stop(grace_seconds=0.1)
        assert await line.ended()


async def test_port_in_use_is_told_in_one_sentence() -> None:
    async with a_house() as house:
        settings = replace(SETTINGS, listen_port=house.address[1])
        with pytest.raises(ConfigError, match=r"^\[proxy\] listen: cannot listen on 127\.0\.0\.1:\d+: .*in use"):
            async with a_house(settings=settings):
                pass


@pytest.mark.parametrize("method", ["POST", "GET", "PUT"])
@pytest.mark.parametrize("path", ["/ocn-agent/inert", "/ocn-agent/inert/abc/1?x=y"])
async def test_inert_path_is_answered_politely_and_reaches_nobody(method: str, path: str) -> None:
    async with a_house() as house, line_to(house.address) as line:
        for _ in range(2):
            answer = await line.ask(a_put(b'{"result":"ACCEPTED"}', method=method, path=path))
            assert answer.head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert json.loads(answer.body)["status_code"] == 1000
        assert house.node.seen == []
        assert house.outbox.plans == []


async def test_neighbours_of_the_inert_path_are_the_nodes() -> None:
    async with a_house() as house:
        await ask(house.address, a_put(path="/ocn-agent/inertia"))
        assert len(house.node.seen) == 1
