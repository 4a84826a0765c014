"""Fixtures: a sandbox chain in its own thread, with our own or the real contracts deployed.

In a `conftest.py` beside the tests::

    from tests.chain_fixtures import chain_client, deployed, deployed_real, sandbox_chain  # noqa: F401

and in a test::

    async def test_agreement(deployed: Deployment) -> None:
        await deployed.actor("operator").set_node("http://127.0.0.1:1")

Every test has a fresh chain that mines a block per transaction; `client.set_mining` changes that.
"""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest

from ocn_permission_agent.sandbox.chain.actors import ETHER, Actor, Contracts, Wallet, deploy
from ocn_permission_agent.sandbox.chain.client import ChainClient
from ocn_permission_agent.sandbox.chain.server import ChainServer
from tests.real_contracts import real_contracts_or_skip

#: Energy Web Chain's id: what the agent is configured for.
CHAIN_ID = 246
#: Wallets that own a thousand ether in block 0.
FUNDED = (
    "deployer",
    "operator",
    "operator_b",
    "cpo",
    "cpo_b",
    "emsp",
    "billing",
    "analytics",
    "stranger",
)
WALLETS = {name: Wallet.from_seed(name) for name in FUNDED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A running chain with both contracts."""

    url: str
    client: ChainClient
    contracts: Contracts

    def actor(self, name: str) -> Actor:
        """One of `FUNDED`, ready to write to the contracts."""
        return Actor(self.client, self.contracts, WALLETS[name])


def funded_server(*, chain_id: int = CHAIN_ID) -> ChainServer:
    """A chain server, not started, whose block 0 funds every wallet of `FUNDED`."""
    accounts = {wallet.address: 1000 * ETHER for wallet in WALLETS.values()}
    return ChainServer(chain_id=chain_id, accounts=accounts)


@pytest.fixture
def sandbox_chain() -> Iterator[ChainServer]:
    """A chain that serves from its own thread; `.url` is where."""
    with funded_server() as server:
        yield server


@pytest.fixture
async def chain_client(sandbox_chain: ChainServer) -> AsyncIterator[ChainClient]:
    """A client of `sandbox_chain`."""
    async with ChainClient(sandbox_chain.url) as client:
        yield client


@pytest.fixture
async def deployed(chain_client: ChainClient) -> Deployment:
    """Our own contracts on `sandbox_chain`."""
    contracts = await deploy(chain_client, WALLETS["deployer"])
    return Deployment(url=chain_client.url, client=chain_client, contracts=contracts)


@pytest.fixture
async def deployed_real(chain_client: ChainClient) -> Deployment:
    """The real contracts on `sandbox_chain`; skipped without npm unless REQUIRE_ALL=1."""
    contracts = await deploy(chain_client, WALLETS["deployer"], real_contracts_or_skip())
    return Deployment(url=chain_client.url, client=chain_client, contracts=contracts)
