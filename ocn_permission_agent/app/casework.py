"""Deliveries looked up and handled while no agent runs."""

from collections.abc import Awaitable, Callable
from pathlib import Path
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
from ocn_permission_agent.store.looking import ReadOnlyDatabase
from ocn_permission_agent.store.sqlite import SqliteDatabase

T = TypeVar("T")


async def look_up(store_path: Path, work: Callable[[Clerk], Awaitable[T]]) -> T:
    """Ask a store that is there, beside an agent or without one; nothing in it changes.

    Raises:
        StoreUnavailable: it cannot be read.
    """
    database = ReadOnlyDatabase.look(store_path)
    try:
        return await work(_clerk(database, DeliverySettings()))
    finally:
        await database.close()


async def handle(config: Config, work: Callable[[Clerk], Awaitable[T]]) -> T:
    """Act on the store.

    Raises:
        StoreUnavailable: it cannot be used now; an agent that runs has it for itself.
        StoreMismatch: another version has made it.
    """
    database = await SqliteDatabase.open(config.store_path, metrics=Metrics(), clock=SystemClock())
    try:
        return await work(_clerk(database, config.delivery))
    finally:
        await database.close()


def casework_of(database: SqliteDatabase, settings: DeliverySettings) -> StoredCasework:
    """The casework of a store, entered into its ledger."""
    return StoredCasework(database, settings=settings, ledger=LedgerStore(database))


def _clerk(database: SqliteDatabase, settings: DeliverySettings) -> Clerk:
    casework = casework_of(database, settings)
    return Clerk(
        casework=lambda: casework,
        notes=NotCopiedBook(),
        clock=SystemClock(),
        log=structlog.get_logger(),
        on_revived=lambda: None,
    )
