"""A store of either engine, for tests that must hold on both."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.store.database import Database
from ocn_permission_agent.store.migrations import Migration
from ocn_permission_agent.store.postgres import PostgresDatabase
from ocn_permission_agent.store.settings import StoreSettings
from ocn_permission_agent.store.sqlite import SqliteDatabase
from tests.postgres_server import PostgresServer

#: a file of SQLite, or the URL of a PostgreSQL database
Where = Path | str


def new_store(request: pytest.FixtureRequest, folder: Path) -> Where:
    """An empty one, of the engine that the fixture's parameter names; the server is started when it is wanted."""
    if request.param == "sqlite":
        return folder / "agent.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


def settings_of(where: Where, folder: Path) -> StoreSettings:
    if isinstance(where, Path):
        return StoreSettings(path=where)
    return StoreSettings(path=folder / "agent", postgres_url=where)


async def open_at(
    where: Where, *, clock: Clock, metrics: Metrics | None = None, migrations: Sequence[Migration] | None = None
) -> Database:
    metrics = metrics or Metrics()
    if isinstance(where, Path):
        return await SqliteDatabase.open(where, metrics=metrics, clock=clock, migrations=migrations)
    return await PostgresDatabase.open(where, metrics=metrics, clock=clock, migrations=migrations)
