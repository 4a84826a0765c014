"""The composition root: builds every part from the configuration and gives each task a parent."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from ocn_permission_agent.admin.desk import Desk
from ocn_permission_agent.app.agent import Agent
from ocn_permission_agent.app.open_files import with_room
from ocn_permission_agent.chain.scan import Report
from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.config import Config

T = TypeVar("T")


async def run(config: Config) -> None:
    """Run the agent until it is told to stop; see `Agent.run` for what it raises."""
    # Bound: a logger that is not costs as much again for every line, told or not.
    log = structlog.get_logger().bind()
    await Agent(with_room(config, log=log), clock=SystemClock(), log=log).run()


async def sync(config: Config, report: Report) -> None:
    """Read the chain up to its head and end; see `Agent.sync` for what it raises."""
    await Agent(config, clock=SystemClock(), log=structlog.get_logger()).sync(report)


async def decide(config: Config, work: Callable[[Desk], Awaitable[T]]) -> T:
    """Take a decision on the store, while no agent runs; see `Agent.decide` for what it raises."""
    return await Agent(config, clock=SystemClock(), log=structlog.get_logger()).decide(work)
