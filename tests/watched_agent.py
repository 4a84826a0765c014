"""``python -m tests.watched_agent``: the agent, with a heartbeat in its event loop.

``HEARTBEAT_FILE`` gets, once the agent has ended, how long the longest stretches between two beats were: by the clock,
and in processor time of the loop's own thread, which another program's load does not lengthen.
"""

import asyncio
import json
import os
import time
from pathlib import Path

from ocn_permission_agent.app.agent import Agent
from ocn_permission_agent.cli.main import main

_BEAT_SECONDS = 0.005
_LONG_SECONDS = 0.05


async def _beat(found: dict[str, list[float]]) -> None:
    wall, busy = time.perf_counter(), time.thread_time()
    while True:
        await asyncio.sleep(_BEAT_SECONDS)
        now, used = time.perf_counter(), time.thread_time()
        if used - busy > _LONG_SECONDS:
            found["busy_ms"].append(round((used - busy) * 1000))
        if now - wall > _LONG_SECONDS:
            found["wall_ms"].append(round((now - wall) * 1000))
        wall, busy = now, used


_run = Agent.run


async def _watched(self: Agent) -> None:
    found: dict[str, list[float]] = {"busy_ms": [], "wall_ms": []}
    async with asyncio.TaskGroup() as group:
        beating = group.create_task(_beat(found))
        try:
            await _run(self)
        finally:
            beating.cancel()
    _write(found)


def _write(found: dict[str, list[float]]) -> None:
    longest = {name: sorted(gaps, reverse=True)[:50] for name, gaps in found.items()}
    Path(os.environ["HEARTBEAT_FILE"]).write_text(json.dumps(longest))


if __name__ == "__main__":
    Agent.run = _watched  # type: ignore[method-assign]
    main()
