"""The outbox for whichever engine the store has."""

from collections.abc import Callable

from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.outbox.postgres import PostgresOutbox, unguarded
from ocn_permission_agent.outbox.settings import DeliverySettings
from ocn_permission_agent.outbox.settling import Ledger
from ocn_permission_agent.outbox.sqlite import SqliteOutbox
from ocn_permission_agent.outbox.stored import StoredOutbox
from ocn_permission_agent.store.database import Connection, Database
from ocn_permission_agent.store.postgres import PostgresDatabase
from ocn_permission_agent.store.sqlite import SqliteDatabase


def outbox_on(
    database: Database,
    *,
    agent: str,
    settings: DeliverySettings,
    ledger: Ledger,
    metrics: Metrics,
    guard: Callable[[Connection], None] = unguarded,
) -> StoredOutbox:
    """Build it.

    Args:
        database: open and migrated.
        agent: id of this agent, the same after a restart, and no other agent's; lanes in PostgreSQL are held under it.
        settings: windows, limits, and how long payloads and rows are kept.
        ledger: gets every outcome.
        metrics: counts what is recorded, superseded and expired.
        guard: of what several agents record, see `PostgresOutbox`; SQLite is never shared.
    """
    if isinstance(database, PostgresDatabase):
        return PostgresOutbox(database, holder=agent, settings=settings, ledger=ledger, metrics=metrics, guard=guard)
    if isinstance(database, SqliteDatabase):
        return SqliteOutbox(database, settings=settings, ledger=ledger, metrics=metrics)
    raise TypeError(f"no outbox is known for {type(database).__name__}")
