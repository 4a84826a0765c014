"""An outbox to try things on, in each of the two stores."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes import FakeClock
from tests.outbox_desk import Outboxed
from tests.outbox_fixtures import open_outbox
from tests.postgres_server import PostgresServer
from tests.stores import Where


@pytest.fixture
async def outboxed(where: Where) -> AsyncIterator[Outboxed]:
    clock = FakeClock()
    database, store = await open_outbox(where, clock)
    yield Outboxed(database, store, clock)
    await database.close()


@pytest.fixture
def other_where(where: Where, tmp_path: Path, request: pytest.FixtureRequest) -> Where:
    """A second store of the same engine."""
    if isinstance(where, Path):
        return tmp_path / "other.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()
