"""The schema's history: numbered files, each applied once, in order, and never changed afterwards.

A file is named ``0001_outbox.sql``. What was applied is kept in the table ``schema_migrations`` with the SHA-256 of
the file, so that a store of another or of a newer agent is refused instead of being bent.
"""

import hashlib
import re
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import resources

from ocn_permission_agent.errors import StoreMismatch

_FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_CREATE_HISTORY = """
CREATE TABLE schema_migrations (
    number     INTEGER PRIMARY KEY,
    name       TEXT NOT NULL,
    checksum   TEXT NOT NULL CHECK (length(checksum) = 64), -- SHA-256 of the file, hexadecimal
    applied_at TEXT NOT NULL                                -- ISO 8601, UTC
) STRICT
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One step of the schema."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, hexadecimal."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def shipped_migrations(dialect: str = "sqlite") -> tuple[Migration, ...]:
    """The migrations of this version of the agent, in order.

    Raises:
        ValueError: the package itself is broken: an odd file name, or numbers that are not 1, 2, 3 …
    """
    folder = resources.files("ocn_permission_agent.store").joinpath("migrations", dialect)
    found = []
    for file in folder.iterdir():
        named = _FILE_NAME.fullmatch(file.name)
        if named is None:
            raise ValueError(f"{file.name} is not the name of a migration: 0001_outbox.sql is meant")
        found.append(Migration(number=int(named[1]), name=named[2], sql=file.read_text(encoding="utf-8")))
    found.sort(key=lambda migration: migration.number)
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise ValueError("the numbers of the migrations are not 1, 2, 3 …")
    return tuple(found)


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
        _compare(applied, migrations)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    pending = migrations[len(applied) :]
    for migration in pending:
        _apply(connection, migration, now)
    return len(pending)


def _history(connection: sqlite3.Connection) -> list[tuple[int, str, str]]:
    """(number, name, checksum) of what was applied; begins the history of an empty file."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "schema_migrations" not in tables:
        if tables:
            raise StoreMismatch("the file is a database of another program: it has tables and no schema history")
        connection.execute(_CREATE_HISTORY)
    rows = connection.execute("SELECT number, name, checksum FROM schema_migrations ORDER BY number")
    return [(number, name, checksum) for number, name, checksum in rows]


def _compare(applied: list[tuple[int, str, str]], migrations: Sequence[Migration]) -> None:
    if len(applied) > len(migrations):
        raise StoreMismatch(
            f"the store has schema {len(applied)}, this agent knows {len(migrations)}: a newer agent has used it"
        )
    for (number, name, checksum), migration in zip(applied, migrations, strict=False):
        if (number, name, checksum) != (migration.number, migration.name, migration.checksum):
            raise StoreMismatch(
                f"schema step {number} ({name}) of the store is not step {migration.number} ({migration.name}) "
                "of this agent: another version has made it"
            )


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
