"""``python -m tests.failing_agent``: the agent, every loop of which fails the first time that it is started.

Nothing of this is in the agent itself: what starts its loops is wrapped here, before it starts.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from ocn_permission_agent.app import agent, engine_room, watch
from ocn_permission_agent.app.supervise import supervise
from ocn_permission_agent.cli.main import main


async def stumbling(name: str, loop: Callable[[], Awaitable[None]], **named: Any) -> None:
    """As `supervise`, of a loop that fails once."""
    starts = 0

    async def stumble() -> None:
        nonlocal starts
        starts += 1
        if starts == 1:
            raise RuntimeError("it was told to fail")
        await loop()

    await supervise(name, stumble, **named)


if __name__ == "__main__":
    for module in (agent, engine_room, watch):
        setattr(module, "supervise", stumbling)  # noqa: B010  it is imported there, not meant for others
    main()
