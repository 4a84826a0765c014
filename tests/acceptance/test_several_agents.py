"""Three whole agents on one PostgreSQL, killed, the database restarted, under load: nothing is lost, all in order."""

import asyncio
import random
import tomllib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGINT, SIGKILL
from typing import Any

import aiohttp
import pytest

from ocn_permission_agent.sandbox.chain.actors import Actor, Contracts
from ocn_permission_agent.sandbox.chain.client import ChainClient
from ocn_permission_agent.sandbox.chain.wallet import Wallet
from ocn_permission_agent.sandbox.story.agent import AgentProcess
from tests.postgres_server import PostgresServer, postgres_server
from tests.several_agents import Fleet, a_fleet, judge, recorded


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A server of its own, because it is restarted."""
    with postgres_server() as server:
        yield server


async def watcher_of(fleet: Fleet) -> AgentProcess:
    """The agent that watches the chain."""
    found: list[AgentProcess] = []
    async with asyncio.timeout(60):
        while not found:
            for agent in fleet.agents:
                status = await agent.status_if_open()
                if status is not None and any(each["watches"] and each["answers"] for each in status["agents"]):
                    found.append(agent)
            await asyncio.sleep(0.1)
    return found[0]


async def restart(server: PostgresServer, how: Any, *, pause_seconds: float) -> None:
    await asyncio.to_thread(server.stop, how)
    await asyncio.sleep(pause_seconds)
    await asyncio.to_thread(server.start)


async def trouble(fleet: Fleet, server: PostgresServer, chance: random.Random) -> str:
    """One thing that goes wrong, and is mended."""
    kind = chance.choice(["kill", "kill", "kill two", "database", "database at once", "kill while it is away"])
    victims = chance.sample(fleet.agents, 2)
    match kind:
        case "kill":
            await fleet.kill(victims[0])
            await asyncio.sleep(chance.uniform(0, 1.5))
            await fleet.start(victims[0])
        case "kill two":
            for agent in victims:
                await fleet.kill(agent)
            for agent in victims:
                await fleet.start(agent)
        case "database":
            await restart(server, SIGINT, pause_seconds=chance.uniform(0, 3))
        case "database at once":
            await restart(server, SIGKILL, pause_seconds=0)
        case _:
            await asyncio.to_thread(server.stop, SIGKILL)
            await asyncio.sleep(chance.uniform(0.2, 1))
            await fleet.kill(victims[0])
            await asyncio.to_thread(server.start)
            await fleet.start(victims[0])
    return kind


async def test_three_agents_lose_nothing_and_keep_the_order(tmp_path: Path, server: PostgresServer) -> None:
    url = await asyncio.to_thread(server.new_database)
    async with a_fleet(tmp_path, url, rate=60) as fleet:
        async with fleet.customers.sending():
            await asyncio.sleep(1)
            watcher = await watcher_of(fleet)
            await fleet.kill(watcher)
            await restart(server, SIGKILL, pause_seconds=0.5)
            await fleet.start(watcher)
            await asyncio.sleep(1)
            victim = next(agent for agent in fleet.agents if agent is not watcher)
            await fleet.kill(victim)
            await asyncio.sleep(0.5)
            await fleet.start(victim)
            await asyncio.sleep(1)
        await fleet.until_settled()
        copies = judge(fleet, await recorded(url))
        assert copies > 100
        for agent in fleet.agents:
            assert await agent.stop() == 0


@pytest.mark.nightly
@pytest.mark.timeout(3600)
async def test_a_hundred_thousand_copies_through_three_agents(
    tmp_path: Path, server: PostgresServer, record_property: Callable[[str, object], None]
) -> None:
    url = await asyncio.to_thread(server.new_database)
    chance = random.Random(1)  # noqa: S311  a dice
    happened: list[str] = []
    async with a_fleet(tmp_path, url, rate=80, customers=24, services=5) as fleet:
        async with fleet.customers.sending():
            while sum(fleet.node.delivered.values()) < 100_000:
                happened.append(await trouble(fleet, server, chance))
                await asyncio.sleep(chance.uniform(2, 8))
        await fleet.until_settled(seconds=600)
        copies = judge(fleet, await recorded(url))
        assert copies >= 100_000
        told = {kind: happened.count(kind) for kind in sorted(set(happened))}
        record_property("copies", copies)
        record_property("troubles", str(told))
        record_property("acknowledged", len(fleet.customers.said.correlation_ids))
        for agent in fleet.agents:
            assert await agent.stop() == 0


# --- consent at all of them -------------------------------------------------------------------------------------------


@asynccontextmanager
async def the_customer(agent: AgentProcess) -> AsyncIterator[tuple[Actor, str]]:
    """Ready to write to the contracts that the agent follows, and the address of the service."""
    chain = tomllib.loads(agent.files.config.read_text())["chain"]
    contracts = Contracts(
        chain_id=chain["chain_id"],
        registry=chain["registry"],
        permissions=chain["permissions"],
        block_number=chain["start_block"],
    )
    async with ChainClient(chain["rpc_urls"][0]) as client:
        yield Actor(client, contracts, Wallet.from_seed("bare customer")), Wallet.from_seed("bare service 1").address


def nothing_agreed(status: dict[str, Any]) -> bool:
    return bool(status["agreements"] == 0)


async def test_a_revoke_stops_every_agent_and_so_does_a_stop_at_one(tmp_path: Path, postgres: PostgresServer) -> None:
    url = await asyncio.to_thread(postgres.new_database)
    async with (
        a_fleet(tmp_path, url, rate=40) as fleet,
        the_customer(fleet.agents[0]) as (customer, service),
        fleet.customers.sending(),
    ):
        await fleet.until(lambda status: status["deliveries"]["delivered"] > 20)
        await customer.revoke_agreement(service)
        await fleet.until(nothing_agreed)
        stopped = sum(fleet.node.delivered.values())
        await fleet.customers.go_on(40)
        assert sum(fleet.node.delivered.values()) == stopped, "no agent delivers anything after that"

        await customer.create_agreement(service)
        await fleet.until(lambda status: status["agreements"] == 1)
        await decide(fleet.agents[1], "POST", "stops", {"customer": "DE*CPO"})
        await fleet.until(nothing_agreed, seconds=10)
        await decide(fleet.agents[2], "DELETE", "stops?customer=DE*CPO", None)
        await fleet.until(lambda status: status["agreements"] == 1, seconds=10)


async def decide(agent: AgentProcess, method: str, path: str, fields: dict[str, str] | None) -> None:
    headers = {"Authorization": f"Bearer {agent.files.admin_token.read_text().strip()}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.request(method, f"{agent.admin_url}/api/v1/{path}", json=fields) as answer,
    ):
        assert answer.status in {200, 201}, await answer.text()
