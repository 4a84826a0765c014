"""What a revoke stops: everything that was not started yet, also what waits for a service that is down."""

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from benchmarks.load import load
from benchmarks.revoke import measure
from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.sandbox.serving import Answer, Incoming, LoopbackServer
from ocn_permission_agent.sandbox.story.agent import AgentFiles, AgentProcess
from ocn_permission_agent.sandbox.story.world import agent_process
from tests.chain_fixtures import WALLETS, Deployment, chain_client, deployed, sandbox_chain  # noqa: F401
from tests.under_load import put_session

ACCEPTED = b'{"status_code":1000,"timestamp":"2026-03-01T10:00:00Z"}'
PENDING = 1_000


@pytest.mark.timeout(180)
async def test_no_attempt_starts_after_a_revoke_was_processed() -> None:
    outcome = await measure(customers=25, rate=50.0, seconds=6.0)
    assert outcome.started_late == 0
    assert outcome.failures == 0
    assert sum(each.attempts for each in outcome.revoked) > 50
    assert outcome.states["pending"] == 0


@dataclass
class Node:
    """Accepts every request; passes messages on to a service that may be down."""

    up: bool = False
    received: list[bytes] = field(default_factory=list)

    async def __call__(self, request: Incoming) -> Answer:
        if request.raw_path != "/ocn/message":
            return Answer(body=ACCEPTED)
        if not self.up:
            return Answer(http_status=503)
        self.received.append(request.body)
        return Answer(body=ACCEPTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    node: Node
    agent: AgentProcess
    chain: Deployment


@pytest.fixture
async def place(deployed: Deployment, tmp_path: Path) -> AsyncIterator[Place]:  # noqa: F811
    node = Node()
    async with LoopbackServer(node) as server:
        agent = agent_process(
            AgentFiles(folder=tmp_path),
            contracts=deployed.contracts,
            rpc_url=deployed.url,
            node_url=server.url,
            operator_key=WALLETS["operator"].key.hex(),
            admin_token="a-token-of-sixteen",
            changed={"delivery": {"max_rate": 10_000, "max_in_flight": 64}},
            clock=SystemClock(),
        )
        operator = deployed.actor("operator")
        await operator.set_node(agent.proxy_url)
        await deployed.actor("cpo").set_party("DE", "CPO", roles=[0], operator=operator.address)
        await deployed.actor("billing").set_party("DE", "BIL", roles=[6], operator=operator.address)
        await deployed.actor("billing").set_service("Billing", "https://billing.example", [6])
        await deployed.actor("cpo").create_agreement(WALLETS["billing"].address)
        await deployed.client.mine(5)
        await agent.start()
        yield Place(node=node, agent=agent, chain=deployed)
        await agent.stop()


async def until(place: Place, *, pending: int, agreements: int, withdrawn: int) -> None:
    async with asyncio.timeout(40):
        while True:
            status = await place.agent.status_if_open()
            if status is not None:
                counts = status["deliveries"]
                found = (counts["pending"], status["agreements"], counts["withdrawn"])
                if found == (pending, agreements, withdrawn):
                    return
            await SystemClock().sleep(0.1)


@pytest.mark.timeout(180)
async def test_copies_are_bound_to_the_agreement_they_were_planned_under(place: Place) -> None:
    """1,000 wait, the service is down; revoked and agreed anew, the service returns: none of the old ones arrives."""
    cpo, billing = place.chain.actor("cpo"), WALLETS["billing"].address
    await until(place, pending=0, agreements=1, withdrawn=0)
    sent = await load(place.agent.proxy_url, requests=[put_session(n) for n in range(PENDING)], rate=500)
    assert sent.failures == 0
    await until(place, pending=PENDING, agreements=1, withdrawn=0)

    await cpo.revoke_agreement(billing)
    await cpo.create_agreement(billing)
    await place.chain.client.mine(20)
    await until(place, pending=0, agreements=1, withdrawn=PENDING)
    place.node.up = True
    await load(place.agent.proxy_url, requests=[put_session(PENDING)], rate=10)
    async with asyncio.timeout(40):
        while not place.node.received:
            await SystemClock().sleep(0.05)
    await SystemClock().sleep(1.0)
    assert [b'"s1000"' in each for each in place.node.received] == [True]


async def cli(place: Place, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ocn_permission_agent",
        *arguments,
        "--config",
        str(place.agent.files.config),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(process.communicate(), timeout=30)
    assert process.returncode == 0, out
    return out.decode()


@pytest.mark.timeout(180)
async def test_a_stop_withdraws_at_once_and_its_removal_revives_nothing(place: Place) -> None:
    """The customer's sure way out when the contract refuses a revoke (C7)."""
    await until(place, pending=0, agreements=1, withdrawn=0)
    await load(place.agent.proxy_url, requests=[put_session(n) for n in range(20)], rate=100)
    await until(place, pending=20, agreements=1, withdrawn=0)
    assert "20 pending copies were withdrawn" in await cli(place, "stop", "add", "--customer", "DE*CPO")
    await until(place, pending=0, agreements=0, withdrawn=20)
    await load(place.agent.proxy_url, requests=[put_session(100)], rate=10)
    await until(place, pending=0, agreements=0, withdrawn=20)

    await place.agent.kill()
    await place.agent.start()
    await until(place, pending=0, agreements=0, withdrawn=20)
    assert "C7" in await cli(place, "agreements", "show", "DE*CPO", "DE*BIL")
    place.node.up = True
    await cli(place, "stop", "remove", "--customer", "DE*CPO")
    await until(place, pending=0, agreements=1, withdrawn=20)
    await load(place.agent.proxy_url, requests=[put_session(200)], rate=10)
    async with asyncio.timeout(40):
        while not place.node.received:
            await SystemClock().sleep(0.05)
    assert [b'"s200"' in each for each in place.node.received] == [True]
