"""Bringing the schema of a SQLite file up to date."""

import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime

from ocn_permission_agent.errors import StoreMismatch
from ocn_permission_agent.store.migrations import Applied, Migration, compare

_CREATE_HISTORY = """
CREATE TABLE schema_migrations (
    number     INTEGER PRIMARY KEY,
    name       TEXT NOT NULL,
    checksum   TEXT NOT NULL CHECK (length(checksum) = 64), -- SHA-256 of the file, hexadecimal
    applied_at TEXT NOT NULL                                -- ISO 8601, UTC
) STRICT
"""


def migrate(connection: sqlite3.Connection, migrations: Sequence[Migration], *, now: datetime) -> int:
    """Bring a store up to date, each step in a transaction of its own; returns how many steps were taken.

    Args:
        connection: in autocommit mode (``isolation_level=None``).
        migrations: all that this agent knows, in order.
        now: noted beside each step.

    Raises:
        StoreMismatch: not a store of this agent, a step that differs from what was applied, or a newer schema.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        applied = _history(connection)
        compare(applied, migrations)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    pending = migrations[len(applied) :]
    for migration in pending:
        _apply(connection, migration, now)
    return len(pending)


def _history(connection: sqlite3.Connection) -> list[Applied]:
    """(number, name, checksum) of what was applied; begins the history of an empty file."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "schema_migrations" not in tables:
        if tables:
            raise StoreMismatch("the file is a database of another program: it has tables and no schema history")
        connection.execute(_CREATE_HISTORY)
    rows = connection.execute("SELECT number, name, checksum FROM schema_migrations ORDER BY number")
    return [(number, name, checksum) for number, name, checksum in rows]


def _apply(connection: sqlite3.Connection, migration: Migration, now: datetime) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in split_statements(migration.sql):
            connection.execute(statement)
        connection.execute(
            "INSERT INTO schema_migrations (number, name, checksum, applied_at) VALUES (?, ?, ?, ?)",
            (migration.number, migration.name, migration.checksum, now.isoformat()),
        )
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def split_statements(script: str) -> Iterator[str]:
    """The statements of a script; unlike `executescript` this lets them share one transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if ";" in line and sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if any(line.strip() and not line.lstrip().startswith("--") for line in statement.splitlines()):
        raise ValueError("the last statement of the script does not end")
