"""A copy of the store as it is at one moment, made while it is in use (SQLite's online backup)."""

import contextlib
import os
import sqlite3
from pathlib import Path

from ocn_permission_agent.errors import StoreUnavailable

#: the row of ``meta`` by which a copy is known as one; see outbox/generation.py
BACKUP_MARK = "backup_taken_at_us"
NOT_A_FILE = "the store is a PostgreSQL database: take a backup of it with pg_dump, or as you back up its server"


def back_up(source: Path, target: Path, *, at_us: int) -> int:
    """Copy a store into a new file, readable by its owner only; returns the file's bytes. Blocks.

    The copy is complete and on disk, or not there at all. Nothing is ever overwritten.

    Args:
        source: the store, open elsewhere or not.
        target: does not exist yet; its folder does.
        at_us: now, in microseconds since 1970.

    Raises:
        StoreUnavailable: it cannot be made; the message says why.
    """
    if target.exists():
        raise StoreUnavailable(f"{target} is there already; a backup overwrites nothing")
    if not source.exists():
        raise StoreUnavailable(f"there is no store {source} yet")
    unfinished = target.with_name(target.name + ".unfinished")
    try:
        with contextlib.ExitStack() as undo:
            os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            undo.callback(unfinished.unlink, missing_ok=True)
            _copy(source, unfinished, at_us)
            size = _synced(unfinished)
            unfinished.rename(target)
            _synced(target.parent)
    except sqlite3.Error as error:
        raise StoreUnavailable(f"the store cannot be copied to {target}: {error}") from error
    except OSError as error:
        raise StoreUnavailable(f"the store cannot be copied to {target}: {error.strerror}") from error
    return size


def _copy(source: Path, target: Path, at_us: int) -> None:
    with (
        contextlib.closing(sqlite3.connect(source, isolation_level=None)) as reading,
        contextlib.closing(sqlite3.connect(target, isolation_level=None)) as writing,
    ):
        # All pages in one step: one snapshot, and writers of the store are not waited for.
        reading.backup(writing, pages=-1)
        writing.execute("PRAGMA journal_mode = DELETE")
        writing.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (BACKUP_MARK, str(at_us)))
        found = writing.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise sqlite3.DatabaseError(found)


def _synced(path: Path) -> int:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
        return os.fstat(file).st_size
    finally:
        os.close(file)
