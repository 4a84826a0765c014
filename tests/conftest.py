"""What tests of any part may ask for."""

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

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


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Let a test whose report holds a lone surrogate fail by itself: no other process could be told as it is."""
    return _writable((yield))


def _writable(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case dict():
            return {_writable(key): _writable(each) for key, each in value.items()}
        case list() | tuple():
            return type(value)(map(_writable, value))
        case _:
            return value
