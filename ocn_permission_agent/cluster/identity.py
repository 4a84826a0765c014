"""By what the other agents know this one: a name in its own folder, the same after a restart."""

import os
import re
import secrets
from pathlib import Path

from ocn_permission_agent.errors import StoreUnavailable

_IDENTITY = re.compile(r"[0-9a-f]{16}")


def identity(path: Path) -> str:
    """Read it, or make it at the first start; whoever calls has the folder for itself.

    Raises:
        StoreUnavailable: the folder cannot be used.
    """
    try:
        known = path.read_text(encoding="ascii").strip() if path.exists() else ""
        if _IDENTITY.fullmatch(known):
            return known
        made = secrets.token_hex(8)
        _write(path, made)
    except (OSError, ValueError) as error:
        raise StoreUnavailable(f"{path} cannot be used: {error}") from error
    return made


def _write(path: Path, text: str) -> None:
    fresh = path.with_name(path.name + ".new")
    file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, f"{text}\n".encode("ascii"))
        os.fsync(file)
    finally:
        os.close(file)
    fresh.replace(path)
