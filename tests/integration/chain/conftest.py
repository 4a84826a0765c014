"""Every test here runs on our own contracts and on the real bytecode."""

import pytest

from ocn_permission_agent.sandbox.chain.actors import deploy
from ocn_permission_agent.sandbox.chain.client import ChainClient
from tests.chain_fixtures import WALLETS, Deployment, chain_client, sandbox_chain  # noqa: F401
from tests.chain_harness import furnish
from tests.real_contracts import real_contracts_or_skip
from tests.stores import Where


@pytest.fixture(params=["own", "real"])
async def chain(request: pytest.FixtureRequest, chain_client: ChainClient) -> Deployment:  # noqa: F811
    """Both contracts, with two nodes, two customers and a billing service; nobody has agreed to anything."""
    codes = real_contracts_or_skip() if request.param == "real" else None
    contracts = await deploy(chain_client, WALLETS["deployer"], codes)
    deployment = Deployment(url=chain_client.url, client=chain_client, contracts=contracts)
    await furnish(deployment)
    return deployment


@pytest.fixture
def path(where_at_length: Where) -> Where:
    """Where the store is."""
    return where_at_length
