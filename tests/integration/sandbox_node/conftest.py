"""One chain for the tests of a module, fresh contracts and a fresh network for each of them."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.sandbox_fixtures import Network, a_chain, a_network


@pytest.fixture(scope="module")
def chain_url() -> Iterator[str]:
    with a_chain() as url:
        yield url


@pytest.fixture
async def network(chain_url: str) -> AsyncIterator[Network]:
    async with a_network(chain_url) as network:
        yield network
