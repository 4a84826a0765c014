"""Three whole agents on one PostgreSQL, killed, the database restarted, under load: nothing is lost, all in order."""

import asyncio
import random
import sys
import tomllib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGINT, SIGKILL
from typing import Any

import aiohttp
import pytest

from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.cluster.lease import LEASE_SECONDS
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


async def watcher_of(fleet: Fleet, *agents: AgentProcess) -> AgentProcess:
    """The agent that watches the chain, among some or all."""
    found: list[AgentProcess] = []
    async with asyncio.timeout(60):
        while not found:
            for agent in agents or fleet.agents:
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
@pytest.mark.timeout(5400)
@pytest.mark.parametrize("wanted", [10_000, 100_000])
async def test_many_copies_through_three_agents_in_trouble(
    tmp_path: Path, server: PostgresServer, wanted: int, capsys: pytest.CaptureFixture[str]
) -> None:
    url = await asyncio.to_thread(server.new_database)
    chance = random.Random(1)  # noqa: S311  a dice
    happened: list[str] = []
    async with a_fleet(tmp_path, url, rate=40, customers=24, services=3) as fleet:
        async with fleet.customers.sending():
            while sum(fleet.node.delivered.values()) < wanted:
                happened.append(await trouble(fleet, server, chance))
                if chance.random() < 0.8:  # else the next comes before this one is over
                    await fleet.until(lambda status: status["gathered"] == 0, seconds=300)
                await asyncio.sleep(chance.uniform(1, 10))
        await fleet.until_settled(seconds=600)
        copies = judge(fleet, await recorded(url))
        assert copies >= wanted
        told = ", ".join(f"{happened.count(kind)} × {kind}" for kind in sorted(set(happened)))
        with capsys.disabled():
            print(f"\n{copies} copies of {len(fleet.customers.said.correlation_ids)} requests; {told}")  # noqa: T201
        for agent in fleet.agents:
            assert await agent.stop() == 0


@pytest.mark.nightly
@pytest.mark.timeout(600)
async def test_a_database_that_is_gone_for_a_minute_costs_nothing(tmp_path: Path, server: PostgresServer) -> None:
    url = await asyncio.to_thread(server.new_database)
    async with a_fleet(tmp_path, url, rate=40) as fleet:
        async with fleet.customers.sending():
            await fleet.customers.go_on(100)
            await asyncio.to_thread(server.stop, SIGKILL)
            unanswered = fleet.customers.said.unanswered
            clock = SystemClock()
            gone_at = clock.monotonic()
            while clock.monotonic() - gone_at < 60:
                await fleet.customers.go_on(10)
            assert fleet.customers.said.unanswered == unanswered, "proxies go on"
            await asyncio.to_thread(server.start)
            await fleet.customers.go_on(100)
        await fleet.until_settled()
        judge(fleet, await recorded(url))


@pytest.mark.nightly
@pytest.mark.timeout(600)
async def test_a_rolling_restart_loses_nothing(tmp_path: Path, postgres: PostgresServer) -> None:
    url = await asyncio.to_thread(postgres.new_database)
    async with a_fleet(tmp_path, url, rate=40) as fleet:
        async with fleet.customers.sending():
            for _ in range(2):
                for agent in fleet.agents:
                    await fleet.customers.go_on(40)
                    fleet.customers.up.discard(agent.proxy_url)
                    assert await agent.stop() == 0
                    await fleet.start(agent)
        await fleet.until_settled()
        kept = await recorded(url)
        judge(fleet, kept)
        assert (fleet.customers.said.unanswered, kept.gaps) == (0, frozenset())


@pytest.mark.nightly
@pytest.mark.timeout(600)
async def test_what_a_dead_agent_did_others_do_within_its_leases(tmp_path: Path, postgres: PostgresServer) -> None:
    url = await asyncio.to_thread(postgres.new_database)
    async with a_fleet(tmp_path, url, rate=60) as fleet:
        async with fleet.customers.sending():
            await fleet.customers.go_on(60)
            dead = await watcher_of(fleet)
            await fleet.kill(dead)
            killed_at = SystemClock().monotonic()
            left = tuple(agent for agent in fleet.agents if agent is not dead)
            await watcher_of(fleet, *left)
            taken_over = SystemClock().monotonic() - killed_at
            await fleet.customers.go_on(60)
        await fleet.until_settled(seconds=180, agents=left)
        judge(fleet, await recorded(url))
        assert taken_over < 2 * LEASE_SECONDS


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

        gone, *others = fleet.agents
        fleet.customers.up.discard(gone.proxy_url)
        assert await gone.stop() == 0
        assert "is decided on its store" in await stop_by_command(gone)
        await fleet.until(nothing_agreed, seconds=10, agents=others)


async def stop_by_command(agent: AgentProcess) -> str:
    """`stop add` beside an agent that does not run; what it says."""
    command = ["stop", "add", "--customer", "DE*CPO", "--config", str(agent.files.config)]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ocn_permission_agent", *command),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said
    return said.decode()


async def decide(agent: AgentProcess, method: str, path: str, fields: dict[str, str] | None) -> None:
    headers = {"Authorization": f"Bearer {agent.files.admin_token.read_text().strip()}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.request(method, f"{agent.admin_url}/api/v1/{path}", json=fields) as answer,
    ):
        assert answer.status in {200, 201}, await answer.text()
