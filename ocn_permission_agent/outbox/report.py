"""Telling people and machines what was done: one wide line per attempt, counters, and how each provider stands.

Lines have flat fields, always the same, and never a body, token, key or signature.
"""

from functools import cache

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.log import Log
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.outbox.after_attempt import Decision
from ocn_permission_agent.outbox.model import Attempt, AttemptVerdict, Delivery
from ocn_permission_agent.outbox.store import Settled

#: values of `breaker_state`
_CLOSED, _OPEN = 0, 2
#: between two lines about the store
_TROUBLE_SECONDS = 1.0


class Report:
    """What the dispatcher tells.

    Args:
        metrics: attempts, copies by outcome, delivery times, breaker.
        log: bound logger of the outbox.
        clock: paces what many deliveries would say at the same time.
    """

    def __init__(self, *, metrics: Metrics, log: Log, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock
        self._trouble_told_at = -_TROUBLE_SECONDS
        #: looked up once for each of the few that there are: it takes longer than counting
        self._attempts = cache(metrics.delivery_attempts.labels)
        self._copies = cache(metrics.copies.labels)
        self._breaker_state = cache(metrics.breaker_state.labels)
        self._log = log

    def attempted(self, delivery: Delivery, attempt: Attempt, decision: Decision, settled: Settled) -> None:
        """An attempt was made and settled."""
        provider = str(delivery.provider)
        self._attempts(provider, attempt.verdict._value_).inc()
        if attempt.verdict is AttemptVerdict.ACCEPTED:
            age = attempt.ended_at - delivery.envelope.recorded_at
            self._metrics.delivery_seconds.observe(age.total_seconds())
        self._log.info("delivery.attempted", **attempt_line(delivery, attempt, decision))
        self._count_outcome(delivery, decision)
        if attempt.signature_refused and not settled.before.paused:
            self._log.error("node.signature_refused", provider=provider, reason=attempt.detail[:200])
        self._tell_breaker(provider, settled)
        self._tell_module(delivery, settled)

    def settled_unsent(self, delivery: Delivery, decision: Decision) -> None:
        """A delivery ended or went on waiting without an attempt; the same wait as before is no news."""
        if decision.due_at is None or delivery.reason != decision.reason:
            self._log.info("delivery.settled", **settled_line(delivery, decision))
        self._count_outcome(delivery, decision)

    def lease_lost(self, delivery: Delivery, reason: str) -> None:
        """Another agent has taken the lane over; whatever this one has done with the delivery is not written."""
        self._metrics.leases_lost.labels(str(delivery.provider)).inc()
        self._log.warning(
            "delivery.lease_lost",
            delivery=delivery.id,
            provider=str(delivery.provider),
            lease=delivery.lease,
            reason=reason,
        )

    def store_unavailable(self, reason: str) -> None:
        """Something could not be read or written, and will be tried again; once for all that meet the same trouble."""
        now = self._clock.monotonic()
        if now - self._trouble_told_at < _TROUBLE_SECONDS:
            return
        self._trouble_told_at = now
        self._log.warning("store.unavailable", reason=reason)

    def clock_put_back(self, seconds: float) -> None:
        """The machine's clock was put back, and what was due by the old one was brought forward."""
        self._log.warning("clock.put_back", seconds=round(seconds, 3))

    def _count_outcome(self, delivery: Delivery, decision: Decision) -> None:
        if decision.due_at is None:
            self._copies(str(delivery.provider), delivery.lane.module, decision.state._value_).inc()

    def _tell_breaker(self, provider: str, settled: Settled) -> None:
        self._breaker_state(provider).set(_OPEN if settled.after.paused else _CLOSED)
        if settled.after.paused and not settled.before.paused:
            self._log.warning("provider.paused", provider=provider, reason=settled.after.reason)
        if settled.before.paused and not settled.after.paused:
            self._log.info("provider.resumed", provider=provider, failures=settled.before.failures)

    def _tell_module(self, delivery: Delivery, settled: Settled) -> None:
        before, after = settled.pause_before, settled.pause_after
        if before is None and after is None:
            return
        place = {"provider": str(delivery.provider), "module": delivery.lane.module}
        if after is not None and before is None:
            self._log.warning("module.paused", **place, reason=after.reason)
        if before is not None and after is None:
            self._log.info("module.resumed", **place, since=before.since.isoformat())


def attempt_line(delivery: Delivery, attempt: Attempt, decision: Decision) -> dict[str, object]:
    """The fields of ``delivery.attempted``."""
    request = delivery.envelope.request
    return {
        "delivery": delivery.id,
        "provider": str(delivery.provider),
        "customer": str(delivery.envelope.customer),
        "module": delivery.lane.module,
        "interface_role": request.interface_role._value_,
        "method": request.method,
        "owner": delivery.lane.owner,
        "object_id": delivery.lane.object_id,
        "correlation_id": request.correlation_id,
        "agreement": str(delivery.agreement),
        "attempt": delivery.attempts,
        "verdict": attempt.verdict._value_,
        "http_status": attempt.http_status,
        "ocpi_status": attempt.ocpi_status,
        "duration_ms": round((attempt.ended_at - attempt.started_at).total_seconds() * 1000, 1),
        "age_seconds": round((attempt.ended_at - delivery.envelope.recorded_at).total_seconds(), 3),
        **_outcome(decision),
    }


def settled_line(delivery: Delivery, decision: Decision) -> dict[str, object]:
    """The fields of ``delivery.settled``: a delivery that went on without an attempt."""
    request = delivery.envelope.request
    return {
        "delivery": delivery.id,
        "provider": str(delivery.provider),
        "customer": str(delivery.envelope.customer),
        "module": delivery.lane.module,
        "method": request.method,
        "object_id": delivery.lane.object_id,
        "correlation_id": request.correlation_id,
        "agreement": str(delivery.agreement),
        **_outcome(decision),
    }


def _outcome(decision: Decision) -> dict[str, object]:
    return {
        "state": decision.state.value,
        "wait": None if decision.wait is None else decision.wait.value,
        "reason": decision.reason,
        "next_attempt_at": None if decision.due_at is None else decision.due_at.isoformat(),
    }
