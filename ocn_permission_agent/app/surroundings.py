"""What there is before the store is open, and stays when it closes: all that the engine works with."""

from collections.abc import Callable
from dataclasses import dataclass

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.config import Config
from ocn_permission_agent.consent.view import ConsentView
from ocn_permission_agent.log import Log
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.outbox.casework import NotCopiedBook
from ocn_permission_agent.outbox.recorder import Recorder


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """One agent's.

    `view` is where the watcher publishes, and all others look. `node_version_seen` tells the node's version by its
    traffic, None before the first request. `notes`, of requests that were not copied, are written down now and then.
    `recorder` has the spool that may have to be brought together with those of other agents. `stopping` tells whether
    the agent is about to end.
    """

    config: Config
    view: ConsentView
    recorder: Recorder
    notes: NotCopiedBook
    node_version_seen: Callable[[], NodeVersion | None]
    stopping: Callable[[], bool]
    clock: Clock
    metrics: Metrics
    log: Log
