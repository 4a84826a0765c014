"""The status that a store can tell by itself, while no agent runs. The file is opened read-only."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from ocn_permission_agent import __version__
from ocn_permission_agent.admin.status import ChainStatus, Status
from ocn_permission_agent.cli.failing import CommandFailed
from ocn_permission_agent.outbox.gap_store import read_sum
from ocn_permission_agent.outbox.gaps import GapSum
from ocn_permission_agent.outbox.model import DeliveryState
from ocn_permission_agent.outbox.store import Counts
from ocn_permission_agent.store.statements import load_statements


def stored_status(path: Path) -> Status:
    """Read the store; nothing in it changes.

    Raises:
        CommandFailed: there is no store, or it cannot be read.
    """
    if not path.exists():
        raise CommandFailed(f"No agent runs, and there is no store {path} yet.")
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            connection.execute("BEGIN")
            return Status(
                version=__version__,
                chain=_chain(connection),
                services=None,
                agreements=None,
                deliveries=_counts(connection),
                gaps=_gaps(connection),
            )
    except sqlite3.Error as error:
        raise CommandFailed(f"No agent runs, and its store {path} cannot be read: {error}.") from error


def _chain(connection: sqlite3.Connection) -> ChainStatus:
    statements = load_statements("ocn_permission_agent.chain", "sql/sqlite.sql")
    blocks = connection.execute(statements["read_blocks"], {"ahead": 0}).fetchall()
    if not blocks:
        return ChainStatus(head=None, fresh=False)
    return ChainStatus(
        head=blocks[-1]["number"], head_time=datetime.fromtimestamp(blocks[-1]["time_s"], UTC), fresh=False
    )


def _gaps(connection: sqlite3.Connection) -> tuple[GapSum, ...]:
    statements = load_statements("ocn_permission_agent.outbox", "sql/sqlite_gaps.sql")
    return tuple(read_sum(row) for row in connection.execute(statements["totals"]))


def _counts(connection: sqlite3.Connection) -> Counts:
    statements = load_statements("ocn_permission_agent.outbox", "sql/sqlite.sql")
    states = connection.execute(statements["count_states"]).fetchall()
    waiting = connection.execute(statements["count_waiting"]).fetchone()
    return Counts(
        by_state={DeliveryState(row["state"]): row["n"] for row in states},
        held=waiting["held"],
        paused=waiting["paused"],
    )
