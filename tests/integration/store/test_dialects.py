"""The SQL of both engines: the same statements by name, and PostgreSQL understands each of its own."""

from collections.abc import Mapping
from importlib import resources

import asyncpg
import pytest

from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.store.parameters import numbered
from ocn_permission_agent.store.postgres import PostgresDatabase
from ocn_permission_agent.store.statements import load_statements, parse_statements
from tests.postgres_server import PostgresServer


def _parts(dialect: str) -> list[tuple[str, str]]:
    """(package, part) of each file, such as ("outbox", "gaps")."""
    return sorted(
        (package, file.name.removesuffix(".sql").removeprefix(dialect).removeprefix("_"))
        for package in ("chain", "cluster", "ledger", "outbox")
        for file in resources.files(f"ocn_permission_agent.{package}").joinpath("sql").iterdir()
        if file.name.startswith(dialect)
    )


def _statements(package: str, dialect: str, part: str) -> Mapping[str, str]:
    return load_statements(f"ocn_permission_agent.{package}", dialect, part)


def _bare(sql: str) -> str:
    return " ".join(line.strip() for line in sql.splitlines() if not line.startswith("--"))


def test_nothing_is_there_for_postgresql_alone() -> None:
    assert set(_parts("postgres")) <= set(_parts("sqlite"))
    assert set(_parts("both")) <= set(_parts("postgres"))


#: one finds lanes and takes ids from memory, the other locks what others may change too
_OTHERWISE = [("outbox", "recording")]


@pytest.mark.parametrize(("package", "part"), [each for each in _parts("postgres") if each not in _OTHERWISE])
def test_both_engines_have_the_same_statements(package: str, part: str) -> None:
    sqlite, postgres = (_statements(package, dialect, part) for dialect in ("sqlite", "postgres"))
    assert list(sqlite) == list(postgres)


@pytest.mark.parametrize(("package", "part"), _parts("both"))
def test_what_both_are_told_in_the_same_words_stands_in_one_place(package: str, part: str) -> None:
    folder = resources.files(f"ocn_permission_agent.{package}").joinpath("sql")
    suffix = f"_{part}.sql" if part else ".sql"
    sqlite, postgres = (parse_statements(folder.joinpath(each + suffix).read_text()) for each in ("sqlite", "postgres"))
    assert [name for name in sqlite if _bare(sqlite[name]) == _bare(postgres[name])] == []


async def test_postgresql_understands_each_of_its_statements(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    await (await PostgresDatabase.open(url, metrics=Metrics(), clock=SystemClock())).close()
    link = await asyncpg.connect(url)
    complaints = {}
    for package, part in _parts("postgres"):
        for name, sql in _statements(package, "postgres", part).items():
            try:
                await link.prepare(numbered(sql).sql)
            except asyncpg.PostgresError as error:
                complaints[f"{package} {part}: {name}"] = str(error)
    await link.close()
    assert complaints == {}
