"""A provider that nobody can reach is left alone, and asked now and then with one delivery. Pure.

So is one whose node does not accept our signature.

::

             unreachable                     probe unreachable
    closed ───────────────▶ paused until ◀────────────────────┐
      ▲                     `probe_at`  ──▶ one probe at a time ┘
      └────────────────────────────────────────┘  any answer: all that waits is due at once

It is about the provider, not about a message: a time-out or a crash may be one message's own fault, so it never pauses
the others.
"""

from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from ocn_permission_agent.outbox.model import Attempt
from ocn_permission_agent.outbox.retry import jittered, pause_seconds
from ocn_permission_agent.outbox.settings import DeliverySettings

#: the longest time between two probes: a service that returns is noticed within minutes
PROBE_CAP_SECONDS = 300.0


class Breaker(msgspec.Struct, frozen=True, kw_only=True):
    """How a provider stands; the default is "reached". `failures` counts in a row."""

    failures: int = 0
    paused_since: datetime | None = None
    probe_at: datetime | None = None
    reason: str | None = None

    @property
    def paused(self) -> bool:
        """Whether its deliveries wait for the provider itself."""
        return self.paused_since is not None


#: the provider answers
_CLOSED = Breaker()


def after_attempt_at(breaker: Breaker, attempt: Attempt, *, settings: DeliverySettings, spread: float) -> Breaker:
    """How the provider stands after an attempt to reach it.

    Args:
        breaker: before.
        attempt: how it ended.
        settings: its schedule is used for probes too, up to `PROBE_CAP_SECONDS`.
        spread: in [0, 1], for the jitter.
    """
    shut = attempt.unreachable or attempt.signature_refused
    if attempt.http_status is not None and not shut:
        return breaker if breaker == _CLOSED else _CLOSED
    if not shut and not breaker.paused:
        return breaker
    if breaker.paused_since is not None and attempt.started_at < breaker.paused_since:
        return breaker  # it left before the pause began: no probe, and no news
    failures = breaker.failures + 1
    pause = min(
        pause_seconds(failures, schedule=settings.schedule_seconds, spread=spread), jittered(PROBE_CAP_SECONDS, spread)
    )
    return Breaker(
        failures=failures,
        paused_since=breaker.paused_since or attempt.ended_at,
        probe_at=attempt.ended_at + timedelta(seconds=pause),
        reason=("signature: " if attempt.signature_refused else "") + (attempt.detail[:200] or "no answer"),
    )


def postponed(breaker: Breaker, until: datetime) -> Breaker:
    """The same, but a probe waits: what was taken for one could not leave for reasons of our own."""
    if breaker.probe_at is None:
        return breaker
    return replace(breaker, probe_at=max(breaker.probe_at, until))
