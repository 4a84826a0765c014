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
        #: what `breaker_state` says of each provider: it is set when that changes
        self._paused: dict[str, bool] = {}
        self._log = log

    def attempted(self, delivery: Delivery, attempt: Attempt, decision: Decision, settled: Settled) -> None:
        """An attempt was made and settled."""
        provider = str(delivery.provider)
        age_seconds = (attempt.ended_at - delivery.envelope.recorded_at).total_seconds()
        self._attempts(provider, attempt.verdict._value_).inc()
        if attempt.verdict is AttemptVerdict.ACCEPTED:
            self._metrics.delivery_seconds.observe(age_seconds)
        self._tell_attempt(provider, delivery, attempt, decision, age_seconds)
        self._count_outcome(provider, delivery, decision)
        self._tell_breaker(provider, attempt, settled)
        self._tell_module(provider, delivery, settled)

    def settled_unsent(self, delivery: Delivery, decision: Decision) -> None:
        """A delivery ended or went on waiting without an attempt; the same wait as before is no news."""
        provider = str(delivery.provider)
        if decision.due_at is None or delivery.reason != decision.reason:
            self._tell_settled(provider, delivery, decision)
        self._count_outcome(provider, delivery, decision)

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

    def _count_outcome(self, provider: str, delivery: Delivery, decision: Decision) -> None:
        if decision.due_at is None:
            self._copies(provider, delivery.lane.module, decision.state._value_).inc()

    def _tell_attempt(
        self, provider: str, delivery: Delivery, attempt: Attempt, decision: Decision, age_seconds: float
    ) -> None:
        """The fields one by one, not as a dictionary: that would be made twice."""
        envelope, lane = delivery.envelope, delivery.lane
        request = envelope.request
        self._log.info(
            "delivery.attempted",
            delivery=delivery.id,
            provider=provider,
            customer=str(envelope.customer),
            module=lane.module,
            interface_role=request.route.interface_role._value_,
            method=request.method,
            owner=lane.owner,
            object_id=lane.object_id,
            correlation_id=request.correlation_id,
            agreement=str(delivery.agreement),
            attempt=delivery.attempts,
            verdict=attempt.verdict._value_,
            http_status=attempt.http_status,
            ocpi_status=attempt.ocpi_status,
            # to that many digits: rounding by itself goes by way of the text, four times as slowly
            duration_ms=round((attempt.ended_at - attempt.started_at).total_seconds() * 10_000) / 10,
            age_seconds=round(age_seconds * 1000) / 1000,
            state=decision.state._value_,
            wait=None if decision.wait is None else decision.wait._value_,
            reason=decision.reason,
            next_attempt_at=None if decision.due_at is None else decision.due_at.isoformat(),
        )

    def _tell_settled(self, provider: str, delivery: Delivery, decision: Decision) -> None:
        request = delivery.envelope.request
        self._log.info(
            "delivery.settled",
            delivery=delivery.id,
            provider=provider,
            customer=str(delivery.envelope.customer),
            module=delivery.lane.module,
            method=request.method,
            object_id=delivery.lane.object_id,
            correlation_id=request.correlation_id,
            agreement=str(delivery.agreement),
            state=decision.state._value_,
            wait=None if decision.wait is None else decision.wait._value_,
            reason=decision.reason,
            next_attempt_at=None if decision.due_at is None else decision.due_at.isoformat(),
        )

    def _tell_breaker(self, provider: str, attempt: Attempt, settled: Settled) -> None:
        was_paused, paused = settled.before.paused, settled.after.paused
        if attempt.signature_refused and not was_paused:
            self._log.error("node.signature_refused", provider=provider, reason=attempt.detail[:200])
        if self._paused.get(provider) is not paused:
            self._paused[provider] = paused
            self._metrics.breaker_state.labels(provider).set(_OPEN if paused else _CLOSED)
        if paused and not was_paused:
            self._log.warning("provider.paused", provider=provider, reason=settled.after.reason)
        if was_paused and not paused:
            self._log.info("provider.resumed", provider=provider, failures=settled.before.failures)

    def _tell_module(self, provider: str, delivery: Delivery, settled: Settled) -> None:
        before, after = settled.pause_before, settled.pause_after
        if before is None and after is None:
            return
        place = {"provider": provider, "module": delivery.lane.module}
        if after is not None and before is None:
            self._log.warning("module.paused", **place, reason=after.reason)
        if before is not None and after is None:
            self._log.info("module.resumed", **place, since=before.since.isoformat())
