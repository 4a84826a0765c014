"""One agent at a time, by a lock on a file. It ends with the process, however that ends."""

import fcntl
import os
from pathlib import Path

from ocn_permission_agent.errors import StoreUnavailable


def take_lock(path: Path, *, of: str) -> int:
    """Lock a file, made if it is not there; give back the descriptor, which holds the lock until it is closed.

    Args:
        path: its folder must exist.
        of: what is locked by it, in words.

    Raises:
        StoreUnavailable: somebody has it, or it cannot be made.
    """
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StoreUnavailable(f"{of} cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise StoreUnavailable(f"{of} is in use by another agent") from error
    return lock
