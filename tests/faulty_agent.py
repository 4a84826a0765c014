"""``python -m tests.faulty_agent``: the agent, dead by its own hand at a named point of its work.

The point is the environment's ``FATAL_POINT``, and ``FATAL_COUNT`` says the how many-th time it is reached. Nothing of
this is in the agent itself: its parts are wrapped here, before it starts.
"""

import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

from ocn_permission_agent.cli.main import main
from ocn_permission_agent.outbox import upkeep
from ocn_permission_agent.outbox.courier import Courier
from ocn_permission_agent.outbox.sqlite import SqliteOutbox
from ocn_permission_agent.proxy import handler
from ocn_permission_agent.proxy.copier import Copier
from ocn_permission_agent.store import writer

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

    def before_plain(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*values: Any, **named: Any) -> Any:
            self.tick()
            return work(*values, **named)

        return wrapped


def arm(point: str, bomb: Bomb) -> None:
    """Put the bomb where it belongs.

    Raises:
        KeyError: there is no such point.
    """
    places: dict[str, tuple[object, str, Callable[[Any], Any]]] = {
        "before_forward": (handler, "exchange", bomb.before),
        "after_node_answered": (Copier, "record", bomb.before),
        "before_commit": (writer.Writer, "_commit", bomb.before_plain),
        "after_commit": (writer, "_resolve", bomb.before_plain),
        "before_answer": (handler, "answer", bomb.before),
        "after_claim": (SqliteOutbox, "claim", bomb.after),
        "after_service_answered": (Courier, "send", bomb.after),
        "before_settle": (SqliteOutbox, "settle", bomb.before),
        "during_purge": (upkeep.Upkeep, "withdraw_closed", bomb.before),
    }
    owner, name, wrap = places[point]
    setattr(owner, name, wrap(getattr(owner, name)))


if __name__ == "__main__":
    if os.environ.get("FATAL_POINT"):
        arm(os.environ["FATAL_POINT"], Bomb(int(os.environ["FATAL_COUNT"])))
    main()
