"""What tests of any part may ask for."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres_server import PostgresServer, postgres_server
from tests.stores import Where, new_store


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server for all tests that want one; it is started by the first of them."""
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Where:
    """A new store; whoever asks for it runs once with each engine."""
    return new_store(request, tmp_path)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.nightly)])
def where_at_length(request: pytest.FixtureRequest, tmp_path: Path) -> Where:
    """The same for what takes long: with PostgreSQL at night only."""
    return new_store(request, tmp_path)
