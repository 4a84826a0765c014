"""Commands whose store is a PostgreSQL database: they look into it beside agents that use it."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.store.migrations import shipped_migrations
from ocn_permission_agent.store.postgres import PostgresDatabase
from tests.outbox_fixtures import a_plan, an_outbox, cdr, session
from tests.postgres_server import PostgresServer

Calling = Callable[..., Awaitable[Any]]


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.new_database()


@pytest.fixture
def calling_there(calling: Calling, config_file: Path, url: str) -> Calling:
    """Call a command with this store."""
    file = config_file.with_name("store.url")
    file.write_text(url)

    async def call(*arguments: str) -> Any:
        return await calling(*arguments, "--config", config_file, OCN_AGENT_STORE_URL_FILE=str(file), COLUMNS="200")

    return call


@pytest.fixture
async def in_use(url: str) -> AsyncIterator[PostgresDatabase]:
    """An agent has the store open, and owes a CDR and a session."""
    database = await PostgresDatabase.open(url, metrics=Metrics(), clock=SystemClock())
    store, clock = an_outbox(database), SystemClock()
    await store.record(a_plan(cdr("c1"), at=clock.now()))
    await store.record(a_plan(session(correlation_id="c/7"), at=clock.now()))
    yield database
    await database.close()


async def test_migrate_makes_the_tables_and_works_beside_agents(calling_there: Calling, url: str) -> None:
    done = await calling_there("migrate")
    steps = ", ".join(f"{step.number:04}_{step.name}" for step in shipped_migrations("postgres"))
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith(f" (PostgreSQL): applied {steps}.\n")
    database = await PostgresDatabase.open(url, metrics=Metrics(), clock=SystemClock())
    again = await calling_there("migrate")
    assert (again.code, "nothing to do" in again.out) == (0, True)
    await database.close()


async def test_backup_says_what_to_use_instead(calling_there: Calling, tmp_path: Path) -> None:
    refused = await calling_there("backup", "copy.db")
    assert (refused.code, "pg_dump" in refused.err, refused.out) == (1, True, "")
    assert not (tmp_path / "copy.db").exists()


async def test_status_and_deliveries_are_told_from_a_store_in_use(
    calling_there: Calling, in_use: PostgresDatabase
) -> None:
    before = await in_use.dump()
    status = await calling_there("status", "--json")
    document = json.loads(status.out)
    assert (status.code, document["source"], document["deliveries"]["pending"]) == (0, "store", 2)
    listed = await calling_there("deliveries", "list", "--json")
    assert [each["module"] for each in json.loads(listed.out)["deliveries"]] == ["sessions", "cdrs"]
    chosen = await calling_there(
        *("deliveries", "list", "--json", "--module", "cdrs", "--provider", "de*pay", "--since", "2020-01-01")
    )
    (owed,) = json.loads(chosen.out)["deliveries"]
    shown = await calling_there("deliveries", "show", str(owed["id"]), "--json")
    assert json.loads(shown.out)["state"] == "pending"
    story = await calling_there("explain", "c/7", "--json")
    assert len(json.loads(story.out)["copies"]) == 1
    agreements = await calling_there("agreements", "list", "--json")
    assert (agreements.code, json.loads(agreements.out)["agreements"]) == (0, [])
    assert await in_use.dump() == before


async def test_deliveries_are_worked_on_while_an_agent_uses_the_store(
    calling_there: Calling, in_use: PostgresDatabase
) -> None:
    done = await calling_there("deliveries", "discard", "--module", "cdrs", "--yes")
    assert (done.code, done.out) == (0, "1 delivery is discarded.\n")
    states = await an_outbox(in_use).counts()
    assert {state.value: count for state, count in states.by_state.items()} == {"pending": 1, "withdrawn": 1}


async def test_an_empty_database_and_one_that_is_not_reached_are_told_without_the_password(
    calling_there: Calling, calling: Calling, config_file: Path, tmp_path: Path
) -> None:
    empty = await calling_there("status")
    assert (empty.code, "there is no store in this database yet" in empty.err) == (1, True)
    away = f"postgresql://agent:s3cret-pass@/agent?host={tmp_path}"
    for command in (("status",), ("stop", "list")):
        told = await calling(*command, "--config", config_file, OCN_AGENT_STORE_URL=away)
        assert (told.code, told.out) == (1, "")
        assert "s3cret" not in told.out + told.err
        assert "Traceback" not in told.err
