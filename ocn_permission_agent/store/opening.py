"""The one place that chooses the engine."""

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.errors import StoreUnavailable
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.store.database import Database
from ocn_permission_agent.store.settings import StoreSettings


async def open_store(
    settings: StoreSettings, *, metrics: Metrics, clock: Clock, beside_others: bool = False
) -> Database:
    """Open the store and bring its schema up to date.

    Args:
        settings: where it is.
        metrics: takes the duration of each commit.
        clock: dates migrations.
        beside_others: for a command. PostgreSQL lets it in while agents run; SQLite is for one at a time in any case.

    Raises:
        StoreUnavailable: not now; or another agent has the file, or the folder of the agent's own files.
        StoreMismatch: not a store of this agent, or of another version.
    """
    if settings.postgres_url is None:
        from ocn_permission_agent.store.sqlite import SqliteDatabase  # noqa: PLC0415  one engine is enough

        return await SqliteDatabase.open(settings.path, metrics=metrics, clock=clock)
    from ocn_permission_agent.store.postgres import PostgresDatabase  # noqa: PLC0415  one engine is enough

    lock = None if beside_others else settings.beside("lock")
    return await PostgresDatabase.open(settings.postgres_url, metrics=metrics, clock=clock, lock=lock)


async def look_at_store(settings: StoreSettings, *, clock: Clock) -> Database:
    """Open a store for looking only, beside agents or without any; nothing in it can change.

    Raises:
        StoreUnavailable: there is none yet, or it cannot be read.
        StoreMismatch: another version has made it.
    """
    if settings.postgres_url is None:
        from ocn_permission_agent.store.looking import ReadOnlyDatabase  # noqa: PLC0415  one engine is enough

        demand_there(settings)
        return ReadOnlyDatabase.look(settings.path)
    from ocn_permission_agent.store.postgres import PostgresDatabase  # noqa: PLC0415  one engine is enough

    return await PostgresDatabase.look(settings.postgres_url, clock=clock)


def demand_there(settings: StoreSettings) -> None:
    """Make sure that there is a store; whether there is one in PostgreSQL shows when it is opened.

    Raises:
        StoreUnavailable: the first run has still to make it.
    """
    if settings.postgres_url is None and not settings.path.exists():
        raise StoreUnavailable(f"there is no store {settings} yet")
