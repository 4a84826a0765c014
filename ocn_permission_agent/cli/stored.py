"""The status that a store can tell by itself, while no agent runs. Nothing in it changes."""

import asyncio

from ocn_permission_agent import __version__
from ocn_permission_agent.admin.status import ChainStatus, Status
from ocn_permission_agent.chain.store import ChainStore
from ocn_permission_agent.cli.failing import CommandFailed
from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.errors import StoreUnavailable
from ocn_permission_agent.outbox.gap_store import StoredGaps
from ocn_permission_agent.outbox.model import DeliveryState
from ocn_permission_agent.outbox.store import Counts
from ocn_permission_agent.store.database import Connection, Database
from ocn_permission_agent.store.opening import demand_there, look_at_store
from ocn_permission_agent.store.settings import StoreSettings
from ocn_permission_agent.store.sql import Sql


def demand_store(store: StoreSettings) -> None:
    """Make sure that there is one to look at.

    Raises:
        CommandFailed: there is none.
    """
    try:
        demand_there(store)
    except StoreUnavailable as error:
        raise CommandFailed(f"No agent runs, and {error}.") from error


def stored_status(store: StoreSettings) -> Status:
    """Read the store.

    Raises:
        CommandFailed: there is no store, or it cannot be read.
    """
    demand_store(store)
    try:
        return asyncio.run(_status(store))
    except StoreUnavailable as error:
        raise CommandFailed(f"No agent runs, and {error}.") from error


async def _status(store: StoreSettings) -> Status:
    database = await look_at_store(store, clock=SystemClock())
    try:
        return Status(
            version=__version__,
            chain=await _chain(database),
            services=None,
            agreements=None,
            deliveries=await _counts(database),
            gaps=await StoredGaps(database).totals(),
        )
    finally:
        await database.close()


async def _chain(database: Database) -> ChainStatus:
    headers = await ChainStore(database).headers()
    if not headers:
        return ChainStatus(head=None, fresh=False)
    return ChainStatus(head=headers[-1].number, head_time=headers[-1].time, fresh=False)


async def _counts(database: Database) -> Counts:
    sql = Sql.of("outbox", database.dialect)

    def work(connection: Connection) -> Counts:
        waiting = sql.rows(connection, "count_waiting")[0]
        return Counts(
            by_state={DeliveryState(row["state"]): row["n"] for row in sql.rows(connection, "count_states")},
            held=waiting["held"],
            paused=waiting["paused"],
        )

    return await database.read(work)
