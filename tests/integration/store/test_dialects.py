"""The SQL of both engines: the same statements by name, and PostgreSQL understands each of its own."""

from importlib import resources

import asyncpg
import pytest

from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.store.parameters import numbered
from ocn_permission_agent.store.postgres import PostgresDatabase
from ocn_permission_agent.store.statements import load_statements
from tests.postgres_server import PostgresServer


def _files(dialect: str) -> list[tuple[str, str]]:
    """(package, file without its dialect), such as ("outbox", "_gaps.sql")."""
    return sorted(
        (package, file.name.removeprefix(dialect))
        for package in ("chain", "ledger", "outbox")
        for file in resources.files(f"ocn_permission_agent.{package}").joinpath("sql").iterdir()
        if file.name.startswith(dialect)
    )


def test_nothing_is_there_for_postgresql_alone() -> None:
    assert set(_files("postgres")) <= set(_files("sqlite"))


#: one records copy by copy, the other group by group
_OTHERWISE = [("outbox", "_recording.sql")]


@pytest.mark.parametrize(("package", "file"), [each for each in _files("postgres") if each not in _OTHERWISE])
def test_both_engines_have_the_same_statements(package: str, file: str) -> None:
    statements = {
        dialect: load_statements(f"ocn_permission_agent.{package}", f"sql/{dialect}{file}")
        for dialect in ("sqlite", "postgres")
    }
    assert list(statements["sqlite"]) == list(statements["postgres"])


async def test_postgresql_understands_each_of_its_statements(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    await (await PostgresDatabase.open(url, metrics=Metrics(), clock=SystemClock())).close()
    link = await asyncpg.connect(url)
    complaints = {}
    for package, file in _files("postgres"):
        for name, sql in load_statements(f"ocn_permission_agent.{package}", f"sql/postgres{file}").items():
            try:
                await link.prepare(numbered(sql).sql)
            except asyncpg.PostgresError as error:
                complaints[f"{package}{file}: {name}"] = str(error)
    await link.close()
    assert complaints == {}
