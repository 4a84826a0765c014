"""An outbox to try things on, in each of the two stores."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes import FakeClock
from tests.outbox_desk import Outboxed
from tests.outbox_fixtures import Where, open_outbox
from tests.postgres_server import PostgresServer


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Where:
    """A new store; whoever asks for it is run once with each engine."""
    return _where(request, tmp_path)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.nightly)])
def where_at_length(request: pytest.FixtureRequest, tmp_path: Path) -> Where:
    """The same for what takes long: with PostgreSQL at night only."""
    return _where(request, tmp_path)


def _where(request: pytest.FixtureRequest, tmp_path: Path) -> Where:
    if request.param == "sqlite":
        return tmp_path / "agent.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
async def outboxed(where: Where) -> AsyncIterator[Outboxed]:
    clock = FakeClock()
    database, store = await open_outbox(where, clock)
    yield Outboxed(database, store, clock)
    await database.close()
