"""How the whole agent ends: drained, in time, and safely when it is hurried."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.sandbox.story.agent import AgentProcess
from ocn_permission_agent.sandbox.story.bare import a_bare_agent
from tests.integration.proxy.house import CUSTOMER, a_put
from tests.integration.proxy.wire import OK_BODY, RawNode, Seen, ask, line_to, listening, read_message, reply
from tests.lonely import address_of, lonely_agent


@dataclass
class HesitatingNode:
    """Answers at once, but for requests whose path says that it hangs: those when it is let go."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            seen = await read_message(reader)
            if b"/hang" in seen.request_line or b"/ocn/message" in seen.request_line:
                self.asked.set()
                await self.go_on.wait()
            writer.write(reply())
            await writer.drain()


@asynccontextmanager
async def hesitating() -> AsyncIterator[tuple[HesitatingNode, str]]:
    node = HesitatingNode()
    async with listening(RawNode(on_connection=node.serve)) as server:
        try:
            yield node, server.url
        finally:
            node.go_on.set()


def tell(agent: AgentProcess, number: signal.Signals = signal.SIGTERM) -> None:
    assert agent.process_id is not None
    os.kill(agent.process_id, number)


async def probe(agent: AgentProcess, path: str) -> int:
    async with aiohttp.ClientSession() as http, http.get(agent.admin_url + path) as answer:
        return answer.status


async def until_not_ready(agent: AgentProcess) -> None:
    async with asyncio.timeout(10):
        while await agent.ready():
            await SystemClock().sleep(0.02)


async def until_nobody_listens(agent: AgentProcess) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                await ask(address_of(agent), a_put())
            except OSError:
                return
            await SystemClock().sleep(0.05)


async def test_a_stopping_agent_is_not_ready_serves_on_finishes_and_ends(tmp_path: Path) -> None:
    async with hesitating() as (node, url):
        agent = lonely_agent(tmp_path, url, proxy={"drain_seconds": 2})
        await agent.start()
        async with line_to(address_of(agent)) as kept, line_to(address_of(agent)) as hanging:
            assert (await kept.ask(a_put())).values(b"connection") == []
            hanging.writer.write(a_put(path="/hang"))
            await node.asked.wait()
            tell(agent)
            await until_not_ready(agent)
            assert await probe(agent, "/livez") == 200

            for answer in (await kept.ask(a_put()), await ask(address_of(agent), a_put())):
                assert (answer.body, answer.values(b"connection")) == (OK_BODY, [b"close"])
            assert await kept.ended()

            await until_nobody_listens(agent)
            node.go_on.set()
            answer = await read_message(hanging.reader)
            assert (answer.body, answer.values(b"connection")) == (OK_BODY, [b"close"])
        async with asyncio.timeout(20):
            await agent.ended()
        assert await agent.stop() == 0
    assert "agent.stopped" in agent.last_words()


async def test_a_second_signal_is_heard_while_it_waits_for_the_node(tmp_path: Path) -> None:
    """It would wait for 9 s, longer than this test."""
    async with hesitating() as (node, url):
        agent = lonely_agent(tmp_path, url, proxy={"drain_seconds": 0})
        await agent.start()
        async with line_to(address_of(agent)) as line:
            line.writer.write(a_put(path="/hang"))
            await node.asked.wait()
            tell(agent)
            await until_nobody_listens(agent)
            tell(agent)
            async with asyncio.timeout(6):
                await agent.ended()
            assert await line.ended()
        assert await agent.stop() == 0


async def test_a_second_signal_ends_it_at_once_and_loses_sight_of_nothing(tmp_path: Path) -> None:
    """It would drain for 20 s, longer than this test."""
    async with (
        hesitating() as (node, url),
        a_bare_agent(
            folder=tmp_path,
            node_url=url,
            customer=CUSTOMER,
            clock=SystemClock(),
            changed={"proxy": {"drain_seconds": 20}},
        ) as agent,
    ):
        async with line_to(address_of(agent)) as line:
            line.writer.write(a_put(path="/ocpi/receiver/2.2/sessions/DE/CPO/hang"))
            await node.asked.wait()
            tell(agent)
            await until_not_ready(agent)
            tell(agent)
            async with asyncio.timeout(6):
                await agent.ended()
            assert await line.ended()
        assert await agent.stop() == 0
        await agent.start()
        async with asyncio.timeout(10):
            status: dict[str, Any] | None = None
            while status is None:
                status = await agent.status_if_open()
        await agent.kill()  # it would drain
        assert status["gaps"] == 1, "the node may have taken it: told as a gap"
        assert status["deliveries"]["pending"] == 0


@pytest.mark.nightly
@pytest.mark.timeout(120)
async def test_nothing_keeps_it_longer_than_thirty_seconds(tmp_path: Path) -> None:
    """The longest drain, a node that never answers, and a service that never answers."""
    async with (
        hesitating() as (node, url),
        a_bare_agent(
            folder=tmp_path,
            node_url=url,
            customer=CUSTOMER,
            clock=SystemClock(),
            changed={"proxy": {"drain_seconds": 20}, "delivery": {"attempt_timeout_seconds": 100}},
        ) as agent,
    ):
        assert (await ask(address_of(agent), a_put())).body == OK_BODY
        await node.asked.wait()  # by the copy
        async with line_to(address_of(agent)) as line:
            line.writer.write(a_put(path="/hang"))
            tell(agent)
            async with asyncio.timeout(30):
                await agent.ended()
            assert await line.ended()
        assert await agent.stop() == 0


async def test_an_idle_platform_does_not_keep_it(tmp_path: Path) -> None:
    async with listening(RawNode(script=lambda _: reply())) as node:
        agent = lonely_agent(tmp_path, node.url)
        await agent.start()
        async with line_to(address_of(agent)) as line:
            seen: Seen = await line.ask(a_put())
            assert seen.body == OK_BODY
            async with asyncio.timeout(8):
                assert await agent.stop() == 0
            assert await line.ended()


async def test_a_hangup_ends_nothing(tmp_path: Path) -> None:
    """Who means "read your configuration again", or closes the terminal, does not cut customers off."""
    async with listening(RawNode(script=lambda _: reply())) as node:
        agent = lonely_agent(tmp_path, node.url)
        await agent.start()
        tell(agent, signal.SIGHUP)
        async with asyncio.timeout(8):
            while "hangup.ignored" not in agent.last_words():
                await SystemClock().sleep(0.02)
        seen = await ask(address_of(agent), a_put())
        assert (seen.body, await agent.ready()) == (OK_BODY, True)
        assert await agent.stop() == 0
