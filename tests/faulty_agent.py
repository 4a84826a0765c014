"""``python -m tests.faulty_agent``: the agent, dead by its own hand at a named point of its work.

The point is the environment's ``FATAL_POINT``, and ``FATAL_COUNT`` says the how many-th time it is reached. Or its wall
clock goes wrong by as many seconds as the file ``WRONG_CLOCK`` says at each moment. Nothing of this is in the agent
itself: its parts are wrapped here, before it starts.
"""

import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ocn_permission_agent.cli.main import main
from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.outbox.courier import Courier
from ocn_permission_agent.outbox.intents import Intents
from ocn_permission_agent.outbox.recorder import Recorder
from ocn_permission_agent.outbox.sqlite import SqliteOutbox
from ocn_permission_agent.outbox.tidying import Tidying
from ocn_permission_agent.store import migrations, sqlite, sqlite_migrations, writer
from ocn_permission_agent.store.migrations import Migration

Coroutine = Callable[..., Awaitable[Any]]


class Bomb:
    """Kills the process the how many-th time that it is touched."""

    def __init__(self, count: int) -> None:
        self._left = count

    def tick(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def before(self, work: Coroutine) -> Coroutine:
        async def wrapped(*values: Any, **named: Any) -> Any:
            self.tick()
            return await work(*values, **named)

        return wrapped

    def after(self, work: Coroutine) -> Coroutine:
        async def wrapped(*values: Any, **named: Any) -> Any:
            result = await work(*values, **named)
            if result:  # an empty claim is none
                self.tick()
            return result

        return wrapped

    def after_plain(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*values: Any, **named: Any) -> Any:
            result = work(*values, **named)
            if result:
                self.tick()
            return result

        return wrapped

    def between(self, statements: Callable[[str], Iterator[str]]) -> Callable[[str], Iterator[str]]:
        def wrapped(script: str) -> Iterator[str]:
            for statement in statements(script):
                yield statement
                if script == HALF_A_STEP:
                    self.tick()

        return wrapped

    def before_plain(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*values: Any, **named: Any) -> Any:
            self.tick()
            return work(*values, **named)

        return wrapped


#: rewrites much of what is stored; it never comes to its end
HALF_A_STEP = """
ALTER TABLE envelopes ADD COLUMN never_there TEXT;
UPDATE envelopes SET never_there = 'yes', correlation_id = 'gone';
UPDATE deliveries SET reason = 'gone';
DELETE FROM ledger_entries;
"""


def one_step_more(dialect: str) -> tuple[Migration, ...]:
    """The schema of an agent that is newer than this one."""
    steps = migrations.shipped_migrations(dialect)
    return (*steps, Migration(number=len(steps) + 1, name="half_a_step", sql=HALF_A_STEP))


def arm(point: str, bomb: Bomb) -> None:
    """Put the bomb where it belongs.

    Raises:
        KeyError: there is no such point.
    """
    places: dict[str, tuple[object, str, Callable[[Any], Any]]] = {
        # none is in a module that may be compiled: there nobody would look at what is put in its place
        "before_forward": (Intents, "begin", bomb.after_plain),
        "after_node_answered": (Recorder, "record", bomb.before),
        "before_commit": (writer.Writer, "_commit", bomb.before_plain),
        "after_commit": (writer, "_resolve", bomb.before_plain),
        "before_answer": (Recorder, "record", bomb.after),
        "after_claim": (SqliteOutbox, "claim", bomb.after),
        "after_service_answered": (Courier, "send", bomb.after),
        "before_settle": (SqliteOutbox, "settle", bomb.before),
        # inside the transaction that has removed rows
        "during_purge": (Tidying, "forget_ended", bomb.after_plain),
        "during_migration": (sqlite_migrations, "split_statements", bomb.between),
    }
    if point == "during_migration":
        setattr(sqlite, "shipped_migrations", one_step_more)  # noqa: B010  it is imported there, not meant for others
    owner, name, wrap = places[point]
    setattr(owner, name, wrap(getattr(owner, name)))


def put_wrong(right: Callable[[Any], datetime], file: Path) -> Callable[[Any], datetime]:
    return lambda clock: right(clock) + timedelta(seconds=float(file.read_text() or "0"))


if __name__ == "__main__":
    if os.environ.get("WRONG_CLOCK"):
        setattr(SystemClock, "now", put_wrong(SystemClock.now, Path(os.environ["WRONG_CLOCK"])))  # noqa: B010
    if os.environ.get("FATAL_POINT"):
        arm(os.environ["FATAL_POINT"], Bomb(int(os.environ["FATAL_COUNT"])))
    main()
