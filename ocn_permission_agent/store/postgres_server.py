"""Whether a PostgreSQL server can be relied on."""

from ocn_permission_agent.errors import StoreMismatch, StoreUnavailable
from ocn_permission_agent.store.database import Row
from ocn_permission_agent.store.postgres_connection import Link

_OLDEST_SERVER = 140_000
_TELL_SERVER = """
SELECT current_setting('server_version_num')::int AS version, current_setting('server_version') AS version_name,
       current_setting('synchronous_commit') AS synchronous_commit, current_setting('fsync') AS fsync,
       pg_is_in_recovery() AS standby, current_setting('server_encoding') AS encoding
"""


async def examine(link: Link, *, read_only: bool) -> None:
    """Make sure that the server can be relied on.

    Raises:
        StoreUnavailable: a standby.
        StoreMismatch: see `objection`.
    """
    row = await link.fetchrow(_TELL_SERVER)
    if row is None:
        raise StoreUnavailable("the store cannot be opened: PostgreSQL does not tell its settings")
    objected = objection(row, read_only=read_only)
    if objected is not None:
        raise StoreMismatch(objected)
    if row["standby"] and not read_only:
        raise StoreUnavailable("the store cannot be written: this PostgreSQL server is a standby")


def objection(told: Row, *, read_only: bool) -> str | None:
    """Why a server cannot be used: too old, unable to hold every text, or it may lose what it has acknowledged.

    Args:
        told: `version` as a number (150004), `version_name`, `encoding`, `synchronous_commit`, `fsync`.
        read_only: whether nothing will be written anyway.
    """
    if told["version"] < _OLDEST_SERVER:
        return f"PostgreSQL {told['version_name']} is too old: 14 or later is needed"
    if told["encoding"] != "UTF8":
        return f"the database has the encoding {told['encoding']}: UTF8 is needed"
    for setting in ("synchronous_commit", "fsync"):
        if told[setting] == "off" and not read_only:
            return f"{setting} is off in PostgreSQL: copies that were acknowledged could be lost"
    return None
