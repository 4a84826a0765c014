"""Every test here runs on both engines: on PostgreSQL as it is meant, on SQLite within one process."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.store.database import Database
from ocn_permission_agent.store.postgres import PostgresDatabase
from ocn_permission_agent.store.sqlite import SqliteDatabase
from tests.fakes import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["sqlite", "postgres"])
async def database(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> AsyncIterator[Database]:
    """A store for several agents."""
    opened: SqliteDatabase | PostgresDatabase
    if request.param == "sqlite":
        opened = await SqliteDatabase.open(tmp_path / "agent.db", metrics=Metrics(), clock=clock)
    else:
        url = request.getfixturevalue("postgres").new_database()
        opened = await PostgresDatabase.open(url, metrics=Metrics(), clock=clock)
    yield opened
    await opened.close()
