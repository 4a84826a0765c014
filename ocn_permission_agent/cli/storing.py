"""`backup` and `migrate`."""

import asyncio
from pathlib import Path

from ocn_permission_agent.cli.asking import tell
from ocn_permission_agent.cli.failing import CommandFailed
from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.config import load_admin_access
from ocn_permission_agent.errors import StoreUnavailable
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.outbox.rows import to_us
from ocn_permission_agent.store.backup import NOT_A_FILE, back_up
from ocn_permission_agent.store.opening import demand_there, open_store
from ocn_permission_agent.store.settings import StoreSettings

#: a large store takes its time
_TIMEOUT_SECONDS = 3600.0


def backup(config_file: Path | None, target: Path) -> None:
    """Let the running agent copy its store; when none runs, or none can be asked, copy the file as SQLite allows it."""
    access = load_admin_access(config_file)
    if access.store.postgres_url is not None:
        raise CommandFailed(f"No copy is made: {NOT_A_FILE}.")
    target = target.absolute()
    size = None
    if access.admin.token is not None:
        try:
            fields = {"path": str(target)}
            size = tell(access.admin, "POST", "/api/v1/backup", fields, timeout_seconds=_TIMEOUT_SECONDS)["bytes"]
        except ConnectionRefusedError:
            pass
    if size is None:
        size = back_up(access.store.path, target, at_us=to_us(SystemClock().now()))
    print(f"{target}: {size} bytes.")


def migrate(config_file: Path | None) -> None:
    """Open the store, which brings it up to date."""
    store = load_admin_access(config_file).store
    try:
        demand_there(store)
    except StoreUnavailable as error:
        raise CommandFailed(f"There is no store {store} yet; the first run makes it.") from error
    steps = asyncio.run(_opened(store))
    if steps:
        print(f"{store}: applied {', '.join(steps)}.")
    else:
        print(f"{store}: nothing to do, the schema is that of this version.")


async def _opened(store: StoreSettings) -> tuple[str, ...]:
    database = await open_store(store, metrics=Metrics(), clock=SystemClock(), beside_others=True)
    try:
        return tuple(f"{step.number:04}_{step.name}" for step in database.migrated)
    finally:
        await database.close()
