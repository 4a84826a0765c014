"""Deliveries looked up and handled while no agent runs."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from ocn_permission_agent.admin.clerk import Clerk
from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.config import Config
from ocn_permission_agent.ledger.store import LedgerStore
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.outbox.casework import NotCopiedBook
from ocn_permission_agent.outbox.settings import DeliverySettings
from ocn_permission_agent.outbox.stored_casework import StoredCasework
from ocn_permission_agent.store.database import Database
from ocn_permission_agent.store.opening import look_at_store, open_store
from ocn_permission_agent.store.settings import StoreSettings

T = TypeVar("T")


async def look_up(store: StoreSettings, work: Callable[[Clerk], Awaitable[T]]) -> T:
    """Ask a store that is there, beside an agent or without one; nothing in it changes.

    Raises:
        StoreUnavailable: it cannot be read.
    """
    database = await look_at_store(store, clock=SystemClock())
    try:
        return await work(_clerk(database, DeliverySettings()))
    finally:
        await database.close()


async def handle(config: Config, work: Callable[[Clerk], Awaitable[T]]) -> T:
    """Act on the store.

    Raises:
        StoreUnavailable: it cannot be used now; with SQLite an agent that runs has it for itself.
        StoreMismatch: another version has made it.
    """
    database = await open_store(config.store, metrics=Metrics(), clock=SystemClock(), beside_others=True)
    try:
        return await work(_clerk(database, config.delivery))
    finally:
        await database.close()


def casework_of(database: Database, settings: DeliverySettings) -> StoredCasework:
    """The casework of a store, entered into its ledger."""
    return StoredCasework(database, settings=settings, ledger=LedgerStore(database))


def _clerk(database: Database, settings: DeliverySettings) -> Clerk:
    casework = casework_of(database, settings)
    return Clerk(
        casework=lambda: casework,
        notes=NotCopiedBook(),
        clock=SystemClock(),
        log=structlog.get_logger(),
        on_revived=lambda: None,
    )
