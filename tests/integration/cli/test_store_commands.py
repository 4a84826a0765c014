"""`backup` and `migrate`: the store as a file, whether an agent runs or not."""

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ocn_permission_agent.admin.server import AdminServer
from ocn_permission_agent.admin.settings import AdminSettings
from ocn_permission_agent.admin.status import ChainStatus, Status
from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.consent.view import ConsentView
from ocn_permission_agent.errors import StoreUnavailable
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.outbox.store import Counts
from ocn_permission_agent.store.backup import back_up
from ocn_permission_agent.store.migrations import shipped_migrations
from ocn_permission_agent.store.sqlite import SqliteDatabase
from tests.desks import a_closed_desk

Calling = Callable[..., Awaitable[Any]]
TOKEN = "a-token-of-enough-length"


async def a_store(path: Path, *, steps: int | None = None) -> None:
    migrations = shipped_migrations("sqlite")[:steps]
    await (await SqliteDatabase.open(path, metrics=Metrics(), clock=SystemClock(), migrations=migrations)).close()


def schema_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        number: int = connection.execute("SELECT max(number) FROM schema_migrations").fetchone()[0]
        return number


@pytest.fixture
async def agent_port(tmp_path: Path) -> AsyncIterator[str]:
    """Where an agent listens that has its store elsewhere: so it is plain who made the copy."""
    await a_store(tmp_path / "of-the-agent.db")

    async def copy(target: Path) -> int:
        if target.name.startswith("refused"):
            raise StoreUnavailable("the disk is full")
        return back_up(tmp_path / "of-the-agent.db", target, at_us=1)

    async def nothing() -> Status:
        return Status(
            version="0", chain=ChainStatus(head=None, fresh=False), services=0, agreements=0, deliveries=Counts()
        )

    metrics = Metrics()
    server = AdminServer(
        settings=AdminSettings(listen_port=0, token=TOKEN),
        ready=lambda: True,
        status=nothing,
        consent=ConsentView(clock=SystemClock(), max_staleness_seconds=60, metrics=metrics),
        desk=a_closed_desk(),
        backup=copy,
        metrics=metrics,
    )
    await server.start()
    yield str(server.address[1])
    await server.stop()


async def test_a_running_agent_copies_its_store(
    calling: Calling, config_file: Path, tmp_path: Path, agent_port: str
) -> None:
    where = {"OCN_AGENT_ADMIN_LISTEN": f"127.0.0.1:{agent_port}"}
    done = await calling("backup", "copy.db", "--config", config_file, **where)
    assert (done.code, done.err) == (0, "")
    size = (tmp_path / "copy.db").stat().st_size
    assert done.out == f"{tmp_path / 'copy.db'}: {size} bytes.\n"
    assert schema_of(tmp_path / "copy.db") == len(shipped_migrations("sqlite"))
    again = await calling("backup", "copy.db", "--config", config_file, **where)
    assert again.code == 1
    assert "overwrites nothing" in again.err
    refused = await calling("backup", "refused.db", "--config", config_file, **where)
    assert (refused.code, "the disk is full" in refused.err) == (1, True)


async def test_without_an_agent_the_file_is_copied(calling: Calling, config_file: Path, tmp_path: Path) -> None:
    missing = await calling("backup", "copy.db", "--config", config_file)
    assert (missing.code, "there is no store" in missing.err) == (1, True)
    await a_store(tmp_path / "agent.db", steps=2)
    done = await calling("backup", tmp_path / "copy.db", "--config", config_file)
    assert (done.code, done.err) == (0, "")
    assert (schema_of(tmp_path / "copy.db"), schema_of(tmp_path / "agent.db")) == (2, 2), "a backup migrates nothing"


async def test_migrate_says_what_it_did(calling: Calling, config_file: Path, tmp_path: Path) -> None:
    missing = await calling("migrate", "--config", config_file)
    assert (missing.code, "no store" in missing.err) == (1, True)
    await a_store(tmp_path / "agent.db", steps=2)
    done = await calling("migrate", "--config", config_file)
    steps = ", ".join(f"{step.number:04}_{step.name}" for step in shipped_migrations("sqlite")[2:])
    assert (done.code, done.out) == (0, f"{tmp_path / 'agent.db'}: applied {steps}.\n")
    again = await calling("migrate", "--config", config_file)
    assert (again.code, "nothing to do" in again.out) == (0, True)


async def test_migrate_leaves_a_running_agents_store_alone(calling: Calling, config_file: Path, tmp_path: Path) -> None:
    database = await SqliteDatabase.open(tmp_path / "agent.db", metrics=Metrics(), clock=SystemClock())
    refused = await calling("migrate", "--config", config_file)
    await database.close()
    assert (refused.code, "in use by another agent" in refused.err) == (1, True)
