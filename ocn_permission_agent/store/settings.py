"""Where the store is."""

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """SQLite's file, or a PostgreSQL database.

    `path` is SQLite's file. With a `postgres_url` no such file exists; but what belongs to this agent alone lies beside
    it in either case, see `beside`. The URL may hold a password: it is never shown.
    """

    path: Path
    postgres_url: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """What messages call it: ``/var/lib/agent.db``, or ``agent at db.example (PostgreSQL)``."""
        if self.postgres_url is None:
            return str(self.path)
        parts = urlsplit(self.postgres_url)
        host = parts.netloc.rpartition("@")[2]
        return f"{parts.path.strip('/')}{f' at {host}' if host else ''} (PostgreSQL)"

    def beside(self, suffix: str) -> Path:
        """A file of this agent: ``agent.db.spool``, or ``agent.spool`` where the store is PostgreSQL."""
        return self.path.with_name(f"{self.path.name}.{suffix}")
