"""A module that a service is not set up for is left alone, and asked every hour with its oldest delivery. Pure.

::

             not set up for it              probe: still not
    open ───────────────────▶ paused until ◀───────────────────┐
      ▲                        `probe_at` ──▶ one probe at a time ┘
      └───────────────────────────┘  the service has answered as a service: all that waits is due at once

It is about one module of one provider; its other modules go on. Windows stand still meanwhile.
"""

from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from ocn_permission_agent.outbox.model import Attempt, AttemptVerdict
from ocn_permission_agent.outbox.retry import SETUP_PAUSE_SECONDS, jittered, pause_seconds
from ocn_permission_agent.outbox.settings import DeliverySettings

#: what only a service that takes the module can answer
_ANSWERS = frozenset({AttemptVerdict.ACCEPTED, AttemptVerdict.UNCONFIRMED, AttemptVerdict.REFUSED})


class ModulePause(msgspec.Struct, frozen=True, kw_only=True):
    """Since when, until when, and why, in words of the node or the service."""

    since: datetime
    probe_at: datetime
    reason: str


def after_attempt_in(
    pause: ModulePause | None, attempt: Attempt, *, not_set_up: bool, settings: DeliverySettings, spread: float
) -> ModulePause | None:
    """How the module stands after an attempt; None: open.

    Args:
        pause: before.
        attempt: how it ended.
        not_set_up: what was decided of it (`Wait.PAUSED`).
        settings: its schedule is used where a probe told nothing.
        spread: in [0, 1], for the jitter.
    """
    if not_set_up:
        return ModulePause(
            since=attempt.ended_at if pause is None else pause.since,
            probe_at=attempt.ended_at + timedelta(seconds=jittered(SETUP_PAUSE_SECONDS, spread)),
            reason=attempt.detail[:200],
        )
    if pause is None or attempt.verdict in _ANSWERS:
        return None
    again = attempt.ended_at + timedelta(seconds=pause_seconds(1, schedule=settings.schedule_seconds, spread=spread))
    return replace(pause, probe_at=max(pause.probe_at, again))


def pause_postponed(pause: ModulePause | None, until: datetime) -> ModulePause | None:
    """The same, but a probe waits: what was taken for one could not leave for reasons of our own."""
    return None if pause is None else replace(pause, probe_at=max(pause.probe_at, until))
