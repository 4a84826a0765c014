"""`backup` and `migrate`: the store as a file."""

import asyncio
from pathlib import Path

from ocn_permission_agent.cli.asking import tell
from ocn_permission_agent.cli.failing import CommandFailed
from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.config import load_admin_access
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.outbox.rows import to_us
from ocn_permission_agent.store.backup import back_up
from ocn_permission_agent.store.sqlite import SqliteDatabase

#: a large store takes its time
_TIMEOUT_SECONDS = 3600.0


def backup(config_file: Path | None, target: Path) -> None:
    """Let the running agent copy its store; when none runs, or none can be asked, copy the file as SQLite allows it."""
    access = load_admin_access(config_file)
    target = target.absolute()
    size = None
    if access.admin.token is not None:
        try:
            fields = {"path": str(target)}
            size = tell(access.admin, "POST", "/api/v1/backup", fields, timeout_seconds=_TIMEOUT_SECONDS)["bytes"]
        except ConnectionRefusedError:
            pass
    if size is None:
        size = back_up(access.store_path, target, at_us=to_us(SystemClock().now()))
    print(f"{target}: {size} bytes.")


def migrate(config_file: Path | None) -> None:
    """Open the store, which brings it up to date."""
    path = load_admin_access(config_file).store_path
    if not path.exists():
        raise CommandFailed(f"There is no store {path} yet; the first run makes it.")
    steps = asyncio.run(_opened(path))
    if steps:
        print(f"{path}: applied {', '.join(steps)}.")
    else:
        print(f"{path}: nothing to do, the schema is that of this version.")


async def _opened(path: Path) -> tuple[str, ...]:
    database = await SqliteDatabase.open(path, metrics=Metrics(), clock=SystemClock())
    try:
        return tuple(f"{step.number:04}_{step.name}" for step in database.migrated)
    finally:
        await database.close()
