"""The whole agent while its RPC endpoints are in trouble: the customers' own requests never notice, copies wait."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.load import load
from ocn_permission_agent.chain import abi
from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.consent.address import address
from ocn_permission_agent.sandbox.chain.actors import deploy
from ocn_permission_agent.sandbox.chain.calls import Contract, contract_call
from ocn_permission_agent.sandbox.chain.client import ChainClient
from ocn_permission_agent.sandbox.serving import Answer, Incoming, LoopbackServer
from ocn_permission_agent.sandbox.story.agent import AgentFiles, AgentProcess
from ocn_permission_agent.sandbox.story.world import agent_process
from tests.chain_fixtures import (  # noqa: F401
    WALLETS,
    Deployment,
    chain_client,
    deployed,
    funded_server,
    sandbox_chain,
)
from tests.faulty_rpc import Faults, FaultyRpc, faulty_rpc
from tests.under_load import put_session

ACCEPTED = b'{"status_code":1000,"timestamp":"2026-03-01T10:00:00Z"}'
#: far above the second between two blocks, so that a busy machine alone makes nothing stale for long
STALENESS_SECONDS = 3.0
COPIES = 3
#: of another chain: Volta's
OTHER_CHAIN_ID = 73799


@dataclass
class Node:
    """Accepts everything at once."""

    copies: int = 0
    asked: int = 0

    async def __call__(self, request: Incoming) -> Answer:
        if request.raw_path == "/ocn/message":
            self.copies += 1
        else:
            self.asked += 1
        return Answer(body=ACCEPTED)


Change = Callable[[], Awaitable[None]]


@dataclass(kw_only=True)
class Place:
    """An agent with two endpoints, each of which can be broken."""

    node: Node
    agent: AgentProcess
    chain: Deployment
    endpoints: tuple[FaultyRpc, FaultyRpc]
    number: int = 0

    @property
    def first(self) -> Faults:
        return self.endpoints[0].faults

    @property
    def second(self) -> Faults:
        return self.endpoints[1].faults

    def both(self, **faults: object) -> "Change":
        """Set these faults at both endpoints."""

        async def change() -> None:
            for endpoint in self.endpoints:
                for name, value in faults.items():
                    setattr(endpoint.faults, name, value)

        return change

    async def go_down(self) -> None:
        """Nothing listens at either endpoint; connections are refused."""
        for endpoint in self.endpoints:
            await endpoint.server.down()

    async def come_up(self) -> None:
        for endpoint in self.endpoints:
            await endpoint.server.up()

    async def customers_send(self) -> None:
        """Some sessions; each must be answered by the node, whatever the chain does."""
        requests = [put_session(self.number + n) for n in range(COPIES)]
        self.number += COPIES
        asked = self.node.asked
        sent = await load(self.agent.proxy_url, requests=requests, rate=50, connections=2)
        assert sent.failures == 0
        assert self.node.asked == asked + COPIES

    async def until(self, what: Callable[[dict[str, Any]], bool], seconds: float = 40) -> dict[str, Any]:
        status = None
        try:
            async with asyncio.timeout(seconds):
                while True:
                    status = await self.agent.status_if_open()
                    if status is not None and what(status):
                        return status
                    await asyncio.sleep(0.05)
        except TimeoutError:
            pytest.fail(f"it never came to that: {status}\n{self.agent.last_words(3000)}")


@asynccontextmanager
async def a_place(chain: Deployment, folder: Path) -> AsyncIterator[Place]:
    node = Node()
    async with (
        LoopbackServer(node) as server,
        faulty_rpc(chain.url) as first,
        faulty_rpc(chain.url) as second,
    ):
        agent = agent_process(
            AgentFiles(folder=folder),
            contracts=chain.contracts,
            rpc_url=first.url,
            node_url=server.url,
            operator_key=WALLETS["operator"].key.hex(),
            admin_token="a-token-of-sixteen",
            changed={
                "chain": {"rpc_urls": [first.url, second.url], "max_staleness_seconds": STALENESS_SECONDS},
                "delivery": {"max_rate": 10_000, "max_in_flight": 64},
            },
            clock=SystemClock(),
        )
        await furnish(chain, agent.proxy_url)
        await begin_mining(chain)
        await agent.start()
        try:
            yield Place(node=node, agent=agent, chain=chain, endpoints=(first, second))
        finally:
            await agent.stop()


async def furnish(chain: Deployment, public_url: str) -> None:
    """Two customers and a service of one node; the first customer has agreed."""
    operator = chain.actor("operator")
    await operator.set_node(public_url)
    await chain.actor("cpo").set_party("DE", "CPO", roles=[0], operator=operator.address)
    await chain.actor("cpo_b").set_party("DE", "CPB", roles=[0], operator=operator.address)
    await chain.actor("billing").set_party("DE", "BIL", roles=[6], operator=operator.address)
    await chain.actor("billing").set_service("Billing", "https://billing.example", [6])
    await chain.actor("cpo").create_agreement(WALLETS["billing"].address)


async def begin_mining(chain: Deployment) -> None:
    """Confirm what was done, and go on with a block a second."""
    await chain.client.mine(5)
    await chain.client.set_mining("interval", 1.0)


@asynccontextmanager
async def another_chain(public_url: str) -> AsyncIterator[Deployment]:
    """The same contracts at the same addresses, the same parties, and one more service that the customer agreed to."""
    with funded_server(chain_id=OTHER_CHAIN_ID) as server:
        async with ChainClient(server.url) as client:
            contracts = await deploy(client, WALLETS["deployer"])
            chain = Deployment(url=client.url, client=client, contracts=contracts)
            await furnish(chain, public_url)
            analytics = chain.actor("analytics")
            await analytics.set_party("DE", "ANA", roles=[6], operator=WALLETS["operator"].address)
            await analytics.set_service("Analytics", "https://analytics.example", [6])
            await chain.actor("cpo").create_agreement(analytics.address)
            await begin_mining(chain)
            yield chain


def pending(count: int) -> Callable[[dict[str, Any]], bool]:
    return lambda status: status["deliveries"]["pending"] == count


def is_held(status: dict[str, Any]) -> bool:
    """Whether nothing may leave: the view is stale, or an endpoint contradicts or serves another chain."""
    return status["chain"]["fresh"] is False or status["chain"]["held"] is not None


async def endure(place: Place, begin: Change, end: Change, *, says: str = "") -> None:
    """Once trouble holds, as the log `says`, what is sent is recorded and does not leave; then all of it arrives."""
    await place.until(pending(0))
    arrived = place.node.copies
    await begin()
    await place.customers_send()
    log = place.agent.files.log
    await place.until(lambda status: is_held(status) and all_held(status, 0) and says in log.read_text())
    left_before = place.node.copies
    for _ in range(2):
        await place.customers_send()
        await place.until(lambda status: all_held(status, COPIES))
    status = await place.until(lambda status: all_held(status, 2 * COPIES))
    assert status["deliveries"]["withdrawn"] == 0
    assert place.node.copies == left_before
    await end()
    await place.until(pending(0))
    assert place.node.copies == arrived + 3 * COPIES


def all_held(status: dict[str, Any], least: int) -> bool:
    """Whether nothing is under way: at least so many wait, and all that waits is held."""
    pending_now, held_now = (int(status["deliveries"][name]) for name in ("pending", "held"))
    return pending_now == held_now >= least


@pytest.mark.timeout(300)
async def test_no_trouble_with_endpoints_touches_customers_or_lets_copies_out(
    deployed: Deployment,  # noqa: F811
    tmp_path: Path,
) -> None:
    """Both at once are down, slow, stale, partial or on another chain; one of two lies about the state."""
    async with a_place(deployed, tmp_path) as place:
        await place.until(lambda status: status["agreements"] == 1 and not is_held(status))

        async def trouble(says: str = "", **faults: object) -> None:
            healthy = {name: getattr(Faults(), name) for name in faults}
            await endure(place, place.both(**faults), place.both(**healthy), says=says)

        await trouble(status=503)
        await trouble(slow_seconds=60.0)
        await trouble(drop_last=True)
        await trouble(latest=await place.chain.client.block_number())
        await trouble(chain_id=73799, says="serves chain 73799, not 246")
        assert '"contract.mismatched"' in place.agent.files.log.read_text()

        # One of two lies: somebody else's agreement makes both look at the same entry.
        pair = (address(WALLETS["cpo_b"].address), address(WALLETS["billing"].address))
        place.second.lies[f"0x{abi.has_agreement(*pair).hex()}"] = f"0x{0:064x}"
        await place.chain.actor("cpo_b").create_agreement(WALLETS["billing"].address)

        async def nothing_more() -> None:
            pass

        await endure(place, nothing_more, place.both(lies={}))


@pytest.mark.timeout(180)
async def test_endpoints_before_two_chains_let_nothing_out_and_show_nobody_the_other_one(
    deployed: Deployment,  # noqa: F811
    tmp_path: Path,
) -> None:
    """Behind both names every second request is answered by another chain, where more was agreed to."""
    async with a_place(deployed, tmp_path) as place, another_chain(place.agent.proxy_url) as other:
        assert (other.contracts.registry, other.contracts.permissions) == (
            deployed.contracts.registry,
            deployed.contracts.permissions,
        )
        await place.until(lambda status: status["agreements"] == 1 and not is_held(status))
        await endure(place, place.both(beside=other.url), place.both(beside=None))
        assert (await place.agent.status())["agreements"] == 1


@pytest.mark.timeout(180)
async def test_endpoints_that_refuse_connections_hold_copies_once_none_is_left_and_a_revoke_meanwhile_counts(
    deployed: Deployment,  # noqa: F811
    tmp_path: Path,
) -> None:
    async with a_place(deployed, tmp_path) as place:
        await place.until(lambda status: status["agreements"] == 1 and not is_held(status))
        await place.endpoints[0].server.down()
        await place.until(lambda status: status["chain"]["endpoints"][1]["followed"])
        await place.customers_send()
        await place.until(pending(0))
        assert place.node.copies == COPIES

        await place.go_down()
        await place.until(is_held)
        await place.customers_send()
        await place.until(lambda status: all_held(status, COPIES))
        await place.chain.actor("cpo").revoke_agreement(WALLETS["billing"].address)
        await place.come_up()
        status = await place.until(pending(0))
        assert (status["deliveries"]["withdrawn"], place.node.copies) == (COPIES, COPIES), "revoked meanwhile"


@pytest.mark.timeout(180)
async def test_capped_ranges_and_lost_logs_stop_nothing_but_what_was_revoked(
    deployed: Deployment,  # noqa: F811
    tmp_path: Path,
) -> None:
    """Endpoints that answer few blocks at a time are followed all the same; a revoke's log that both lose is found."""
    async with a_place(deployed, tmp_path) as place:
        await place.until(lambda status: status["agreements"] == 1 and not is_held(status))
        place.first.widest = place.second.widest = 2
        await place.chain.client.mine(20)
        await place.customers_send()
        await place.until(pending(0))
        assert place.node.copies == COPIES

        # Mining by hand: the revoke's hash must be known to hide its log before it is in a block.
        await place.chain.client.set_mining("manual", 1.0)
        hidden = await place.chain.actor("cpo").send(
            contract_call(Contract.PERMISSIONS, "revokeAgreement", WALLETS["billing"].address)
        )
        for faulty in (place.first, place.second):
            faulty.honest_filters = True
            faulty.hide.add(hidden)
        await place.chain.client.mine(1)
        await place.chain.client.set_mining("interval", 1.0)
        await place.until(lambda status: status["agreements"] == 0)
        await place.customers_send()
        assert place.node.copies == COPIES, "nothing after the revoke, though no log told of it"
        log = place.agent.files.log.read_text()
        assert '"logs.missed"' in log


@pytest.mark.timeout(120)
async def test_a_mistyped_public_url_holds_the_backlog_and_erases_none_of_it(
    deployed: Deployment,  # noqa: F811
    tmp_path: Path,
) -> None:
    async with a_place(deployed, tmp_path) as place:
        await place.until(lambda status: status["agreements"] == 1 and not is_held(status))
        await place.agent.stop()
        config = place.agent.files.config
        right = config.read_text()
        url = place.agent.proxy_url
        config.write_text(
            right.replace(f'public_url = "{url}"', f'public_url = "{url.replace("127.0.0.1", "127.0.0.2")}"')
        )
        await place.agent.start()
        await place.customers_send()
        status = await place.until(lambda status: status["chain"]["held"] is not None and all_held(status, COPIES))
        assert url in status["chain"]["held"]
        assert status["agreements"] == 1
        assert (status["deliveries"]["withdrawn"], place.node.copies) == (0, 0)

        await place.agent.stop()
        config.write_text(right)
        await place.agent.start()
        await place.until(pending(0))
        assert place.node.copies == COPIES
