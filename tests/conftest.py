"""What tests of any part may ask for."""

from collections.abc import Iterator

import pytest

from tests.postgres_server import PostgresServer, postgres_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server for all tests that want one; it is started by the first of them."""
    with postgres_server() as server:
        yield server
