"""Whatever is in trouble behind or beside the agent, customers and node go on talking (proxy.md "Fail open")."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.sandbox.serving import Answer, Incoming, LoopbackServer, free_ports
from ocn_permission_agent.sandbox.story.agent import AgentFiles, AgentProcess
from ocn_permission_agent.sandbox.story.bare import a_bare_agent
from ocn_permission_agent.sandbox.story.world import agent_process
from tests.chain_fixtures import WALLETS, Deployment, chain_client, deployed, sandbox_chain  # noqa: F401
from tests.faulty_rpc import FaultyRpc, faulty_rpc
from tests.integration.proxy.house import a_put
from tests.integration.proxy.wire import OK_BODY, RawNode, ask, listening
from tests.lonely import address_of, lonely_agent
from tests.under_load import CUSTOMER, Customers, NodeAndService, locked, until_settled


async def test_without_node_chain_and_store_it_starts_is_ready_and_answers(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    nowhere = f"sqlite:///{tmp_path}/no/such/folder/agent.db"
    agent = lonely_agent(tmp_path, f"http://127.0.0.1:{port}", store={"url": nowhere})
    await agent.start()
    try:
        assert await agent.ready()
        answer = await ask(address_of(agent), a_put())
        assert answer.head.startswith(b"HTTP/1.1 502 ")
        assert json.loads(answer.body)["status_code"] == 4003
        async with listening(RawNode(port=port)):
            assert (await ask(address_of(agent), a_put())).body == OK_BODY, "as soon as the node is there"
        assert await agent.ready()
    finally:
        assert await agent.stop() == 0
    assert "store.unavailable" in agent.files.log.read_text()


def loops_failed(agent: AgentProcess) -> dict[str, int]:
    """How often each loop failed, by the log."""
    found: dict[str, int] = {}
    for line in agent.files.log.read_text().splitlines():
        told: dict[str, Any] = json.loads(line) if line.startswith("{") else {}
        if told.get("event") == "loop.failed":
            assert told["level"] == "error"
            found[told["loop"]] = found.get(told["loop"], 0) + 1
    return found


async def test_every_loop_that_fails_is_told_and_started_again(tmp_path: Path) -> None:
    node = NodeAndService()
    async with (
        LoopbackServer(node.handle) as server,
        a_bare_agent(folder=tmp_path, node_url=server.url, customer=CUSTOMER, clock=SystemClock()) as agent,
    ):
        await agent.stop()
        agent.module = "tests.failing_agent"
        await agent.start()
        customers = Customers(agent.proxy_url, rate=50)
        async with customers.sending(), asyncio.timeout(30):
            while not node.cdrs:
                await SystemClock().sleep(0.05)
        assert (customers.said.refused, customers.said.unanswered) == ([], [])
        assert (await until_settled(agent))["gaps"] == 0
        assert set(customers.said.cdrs) == set(node.cdrs)
        assert await agent.stop() == 0
    assert loops_failed(agent) == dict.fromkeys(
        (
            "auditor",
            "certificate",
            "dispatcher",
            "engine",
            "keeping",
            "ledger",
            "recorder",
            "refusals",
            "upkeep",
            "watch",
            "watcher",
        ),
        1,
    )


class Moody(NodeAndService):
    """A service that may be away, on a node that never is."""

    away = False

    async def handle(self, incoming: Incoming) -> Answer:
        if self.away and incoming.raw_path == "/ocn/message":
            return Answer(http_status=503)
        return await super().handle(incoming)


@dataclass
class Place:
    agent: AgentProcess
    node: Moody
    rpc: FaultyRpc
    customers: Customers

    async def more(self, count: int = 40) -> None:
        """Wait until so many more requests were answered."""
        wanted = len(self.customers.said.acknowledged) + count
        async with asyncio.timeout(30):
            while len(self.customers.said.acknowledged) < wanted:
                self.customers.answered.clear()
                await self.customers.answered.wait()

    async def until_fresh(self, fresh: bool) -> None:
        await self._until(lambda status: status["chain"]["fresh"] is fresh)

    async def until_agreed(self) -> None:
        """The grant has its confirmations: from now on every request is copied."""
        await self._until(lambda status: status["chain"]["fresh"] and status["agreements"] == 1)

    async def _until(self, holds: Callable[[dict[str, Any]], bool]) -> None:
        async with asyncio.timeout(30):
            while True:
                status = await self.agent.status_if_open()
                if status is not None and holds(status):
                    return
                await SystemClock().sleep(0.1)


@pytest.fixture
async def place(deployed: Deployment, tmp_path: Path) -> AsyncIterator[Place]:  # noqa: F811
    node = Moody()
    async with LoopbackServer(node.handle) as server, faulty_rpc(deployed.url) as rpc:
        agent = agent_process(
            AgentFiles(folder=tmp_path),
            contracts=deployed.contracts,
            rpc_url=rpc.url,
            node_url=server.url,
            operator_key=WALLETS["operator"].key.hex(),
            admin_token="a-token-of-sixteen",
            changed={
                "chain": {"max_staleness_seconds": 3},
                "delivery": {"max_rate": 10_000, "max_in_flight": 32, "schedule_seconds": [0.2, 0.5, 1]},
            },
            clock=SystemClock(),
        )
        operator = deployed.actor("operator")
        await operator.set_node(agent.proxy_url)
        await deployed.actor("cpo").set_party("DE", "CPO", roles=[0], operator=operator.address)
        await deployed.actor("billing").set_party("DE", "BIL", roles=[6], operator=operator.address)
        await deployed.actor("billing").set_service("Everything", "https://billing.example", [0])
        await deployed.actor("cpo").create_agreement(WALLETS["billing"].address)
        await deployed.client.set_mining("interval", 0.5)
        await agent.start()
        found = Place(agent, node, rpc, Customers(agent.proxy_url, rate=100))
        await found.until_agreed()
        yield found
        await agent.stop()


async def test_trouble_of_chain_store_and_service_fails_no_request_and_loses_no_copy(place: Place) -> None:
    async with place.customers.sending():
        await place.more()

        place.rpc.faults.status = 503
        await place.until_fresh(False)
        await place.more()
        place.rpc.faults.status, place.rpc.faults.raw_answer = None, b"no JSON at all"
        await place.more()
        assert await place.agent.ready()
        place.rpc.faults.raw_answer = None
        await place.until_fresh(True)

        place.node.away = True
        await place.more()
        async with locked(place.agent.files.store):
            await place.more()
            assert await place.agent.ready()
        place.node.away = False
        await place.more()

    assert (place.customers.said.refused, place.customers.said.unanswered) == ([], [])
    status = await until_settled(place.agent)
    assert status["gaps"] == 0
    assert set(place.customers.said.cdrs) == set(place.node.cdrs)
