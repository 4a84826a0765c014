"""Bringing the schema of a PostgreSQL database up to date."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from ocn_permission_agent.errors import StoreMismatch, StoreUnavailable
from ocn_permission_agent.store.migrations import Applied, Migration, compare
from ocn_permission_agent.store.postgres_connection import Link

#: of the advisory lock, whose holder alone may migrate; any number that others are unlikely to take
_LOCK = 0x0C21_5709
_CREATE_HISTORY = """
CREATE TABLE schema_migrations (
    number     INTEGER PRIMARY KEY,
    name       TEXT NOT NULL,
    checksum   TEXT NOT NULL CHECK (length(checksum) = 64), -- SHA-256 of the file, hexadecimal
    applied_at TEXT NOT NULL                                -- ISO 8601, UTC
)
"""
_TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()"


async def migrate(link: Link, migrations: Sequence[Migration], *, now: datetime) -> int:
    """Take the steps that are missing, each in a transaction of its own; returns how many that were.

    Others that want to migrate meanwhile wait, and then find nothing to do.

    Args:
        link: not in a transaction.
        migrations: all that this agent knows, in order.
        now: noted beside each step.

    Raises:
        StoreMismatch: not a store of this agent, a step that differs from what was applied, or a newer schema.
    """
    taken = 0
    while True:
        async with link.transaction():
            # They may take as long as they need; and so may those before us.
            await link.execute("SET LOCAL statement_timeout = 0")
            await link.execute("SET LOCAL lock_timeout = 0")
            await link.execute("SELECT pg_advisory_xact_lock($1)", _LOCK, timeout=_PATIENCE_SECONDS)
            applied = await _history(link, begin=True)
            compare(applied, migrations)
            if len(applied) == len(migrations):
                return taken
            await _apply(link, migrations[len(applied)], now)
        taken += 1


async def demand_current(link: Link, migrations: Sequence[Migration]) -> None:
    """Make sure that the schema is exactly that of this agent.

    Raises:
        StoreUnavailable: there is none yet, or it waits for a migration.
        StoreMismatch: not a store of this agent, or of another version.
    """
    applied = await _history(link, begin=False)
    compare(applied, migrations)
    if len(applied) < len(migrations):
        raise StoreUnavailable("the store waits for a migration: an agent, or the command migrate, makes it")


#: for a step, or for another agent that takes it
_PATIENCE_SECONDS = 3600.0


async def _history(link: Link, *, begin: bool) -> list[Applied]:
    """What was applied; begins the history of an empty database."""
    tables = {row["table_name"] for row in await link.fetch(_TABLES)}
    if "schema_migrations" not in tables:
        if tables:
            raise StoreMismatch("the database is that of another program: it has tables and no schema history of ours")
        if not begin:
            raise StoreUnavailable("there is no store in this database yet")
        await link.execute(_CREATE_HISTORY)
    try:
        rows = await link.fetch("SELECT number, name, checksum FROM schema_migrations ORDER BY number")
    except asyncpg.UndefinedColumnError as error:
        raise StoreMismatch("the database is that of another program: its schema history is not ours") from error
    return [(row["number"], row["name"], row["checksum"]) for row in rows]


async def _apply(link: Link, migration: Migration, now: datetime) -> None:
    await link.execute(migration.sql, timeout=_PATIENCE_SECONDS)
    await link.execute(
        "INSERT INTO schema_migrations (number, name, checksum, applied_at) VALUES ($1, $2, $3, $4)",
        migration.number,
        migration.name,
        migration.checksum,
        now.isoformat(),
    )
