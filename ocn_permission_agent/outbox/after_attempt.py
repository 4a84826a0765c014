"""What becomes of a delivery after one try, or instead of it. Pure."""

from datetime import datetime, timedelta
from enum import Enum
from typing import assert_never

import msgspec

from ocn_permission_agent.outbox.model import Attempt, AttemptVerdict, Delivery, DeliveryState
from ocn_permission_agent.outbox.policy import (
    DeliveryClass,
    class_of,
    merges,
    objection_to_repeating,
    when_doubtful,
    when_over,
    when_refused,
)
from ocn_permission_agent.outbox.retry import (
    HOLD_PAUSE_SECONDS,
    RETRY_AFTER_CAP_SECONDS,
    pause_seconds,
)
from ocn_permission_agent.outbox.settings import DeliverySettings, ServiceSettings

#: a service that has no PATCH; a framework may say so without an OCPI status
_NO_SUCH_METHOD = frozenset({404, 405})


class Wait(Enum):
    """Why a pending delivery waits for more than time; its window stands still meanwhile."""

    #: our view of consent, or of the way to the provider, is in doubt
    HELD = "held"
    #: the service is not set up for the module (module_pause.py)
    PAUSED = "paused"


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """The next state of a delivery.

    `due_at` is when it may be tried again, None in a final state. Until `resting_until` nothing of its lane may be
    tried, because the node may still be busy with the attempt whose answer never came. `collapse` tells that what is
    pending in its lane is to be merged before the next attempt, False that this is not needed any more; None leaves it.
    """

    state: DeliveryState
    decided_at: datetime
    reason: str | None = None
    due_at: datetime | None = None
    wait: Wait | None = None
    resting_until: datetime | None = None
    collapse: bool | None = None


def after_attempt(delivery: Delivery, attempt: Attempt, *, settings: DeliverySettings, spread: float) -> Decision:
    """Decide what follows from an attempt.

    Args:
        delivery: as it was when the attempt started, the attempt counted in.
        attempt: how it ended.
        settings: schedule, windows and what holds for this service.
        spread: in [0, 1], for the jitter of a pause.
    """
    request = delivery.envelope.request
    match attempt.verdict:
        case AttemptVerdict.ACCEPTED:
            return _final(DeliveryState.DELIVERED, delivery, attempt, None)
        case AttemptVerdict.UNCONFIRMED:
            reason = (
                "the service was called, but its answer was withheld for want of a signature: it may have refused; "
                "it should sign its answers, or be reached directly (delivery.services)"
            )
            return _final(DeliveryState.UNCONFIRMED, delivery, attempt, reason)
        case AttemptVerdict.REFUSED | AttemptVerdict.SETUP if _wants_a_put(delivery, attempt):
            return _in_front(delivery, attempt, f"the service took no PATCH ({_statuses(attempt)}): a full PUT follows")
        case AttemptVerdict.REFUSED:
            return _final(when_refused(request), delivery, attempt, f"the service said no: {_statuses(attempt)}")
        case AttemptVerdict.SETUP if attempt.signature_refused:
            return _in_front(delivery, attempt, f"signature: {attempt.detail}")
        case AttemptVerdict.SETUP:
            return _in_front(delivery, attempt, f"the service is not set up for it: {attempt.detail}", Wait.PAUSED)
        case AttemptVerdict.NOT_PROCESSED:
            return _again(delivery, attempt, settings, spread)
        case AttemptVerdict.UNKNOWN:
            objection = objection_to_repeating(
                request, settings.of(delivery.provider), whole_known=delivery.whole_known
            )
            if objection is not None:
                return _final(when_doubtful(request), delivery, attempt, objection, _rest(attempt, settings))
            return _again(delivery, attempt, settings, spread)
        case _:
            assert_never(attempt.verdict)


def before_attempt(delivery: Delivery, now: datetime) -> Decision | None:
    """The end of a delivery whose window closed, or whose session was forgotten, while it waited; None: it may go."""
    request = delivery.envelope.request
    if now > delivery.expires_at:
        return Decision(
            state=when_over(request),
            decided_at=now,
            reason="its window ended before it could be tried",
            collapse=True if class_of(request) is DeliveryClass.SESSION else None,
        )
    if delivery.in_doubt and request.method == "PATCH":
        # It was to go as a full PUT; if there is none any more, its periods must not be appended a second time.
        objection = objection_to_repeating(request, ServiceSettings())
        if objection is not None:
            return parked(objection, now=now)
    return None


def withdrawn(reason: str, *, now: datetime) -> Decision:
    """Consent has ended: it never leaves."""
    return Decision(state=DeliveryState.WITHDRAWN, decided_at=now, reason=reason)


def held(reason: str, *, now: datetime) -> Decision:
    """Something we must know first is in doubt: it waits, and is looked at again soon.

    Args:
        reason: its cause, one of few, then a colon and words: ``C8: our view is stale``.
        now: since when.
    """
    return Decision(
        state=DeliveryState.PENDING,
        decided_at=now,
        reason=reason,
        due_at=now + timedelta(seconds=HOLD_PAUSE_SECONDS),
        wait=Wait.HELD,
    )


def parked(reason: str, *, now: datetime) -> Decision:
    """Only a person can say what to do."""
    return Decision(state=DeliveryState.PARKED, decided_at=now, reason=reason)


def interrupted(started_at: datetime, *, now: datetime) -> Attempt:
    """The attempt that a dead process left behind: it may have been processed."""
    return Attempt(
        started_at=started_at,
        ended_at=max(started_at, now),
        verdict=AttemptVerdict.UNKNOWN,
        detail="the agent ended before the answer came",
    )


def not_sent(started_at: datetime, instead: Decision) -> Attempt:
    """An attempt that was noted, and given up before anything left."""
    return Attempt(
        started_at=started_at,
        ended_at=started_at,
        verdict=AttemptVerdict.NOT_PROCESSED,
        detail=f"nothing was sent: {instead.reason}",
    )


def _again(delivery: Delivery, attempt: Attempt, settings: DeliverySettings, spread: float) -> Decision:
    """The next try by the schedule, or the end of the window."""
    resting_until = _rest(attempt, settings)
    if attempt.unreachable and attempt.verdict is AttemptVerdict.NOT_PROCESSED:
        return _in_front(delivery, attempt, f"unreachable: {attempt.detail}")
    if attempt.retry_after_seconds is not None:
        pause = min(attempt.retry_after_seconds, RETRY_AFTER_CAP_SECONDS)
    else:
        pause = pause_seconds(max(delivery.attempts, 1), schedule=settings.schedule_seconds, spread=spread)
    due_at = attempt.ended_at + timedelta(seconds=pause)
    if resting_until is not None:
        due_at = max(due_at, resting_until)
    if due_at > delivery.expires_at:
        over = when_over(delivery.envelope.request)
        return _final(over, delivery, attempt, f"its window ends before the next try; last: {_statuses(attempt)}")
    return Decision(
        state=DeliveryState.PENDING,
        decided_at=attempt.ended_at,
        reason=f"to be tried again: {_statuses(attempt)}",
        due_at=due_at,
        resting_until=resting_until,
        collapse=merges(delivery.envelope.request) or None,
    )


def _in_front(delivery: Delivery, attempt: Attempt, reason: str, wait: Wait | None = None) -> Decision:
    """It keeps its place at the front of its line; the provider's breaker or the module's pause says when."""
    return Decision(
        state=DeliveryState.PENDING,
        decided_at=attempt.ended_at,
        reason=reason[:400],
        due_at=min(delivery.envelope.recorded_at, attempt.ended_at),
        wait=wait,
        collapse=merges(delivery.envelope.request) or None,
    )


def _wants_a_put(delivery: Delivery, attempt: Attempt) -> bool:
    """Whether a PATCH was refused whose session is known as a whole: one full PUT may be what the service takes."""
    request = delivery.envelope.request
    if request.method != "PATCH" or class_of(request) is not DeliveryClass.SESSION or not delivery.whole_known:
        return False
    if attempt.verdict is AttemptVerdict.REFUSED:
        return True
    return attempt.http_status in _NO_SUCH_METHOD and attempt.ocpi_status is None


def _final(
    state: DeliveryState,
    delivery: Delivery,
    attempt: Attempt,
    reason: str | None,
    resting_until: datetime | None = None,
) -> Decision:
    """The end; what a service holds of a session is in doubt unless it has accepted, so a full PUT is to come next."""
    collapse = None
    if merges(delivery.envelope.request):
        delivered = state is DeliveryState.DELIVERED
        in_doubt = class_of(delivery.envelope.request) is DeliveryClass.SESSION
        collapse = False if delivered else in_doubt or None
    return Decision(
        state=state, decided_at=attempt.ended_at, reason=reason, resting_until=resting_until, collapse=collapse
    )


def _rest(attempt: Attempt, settings: DeliverySettings) -> datetime | None:
    """The node may work on an unanswered message for as long as an attempt may take."""
    if attempt.verdict is not AttemptVerdict.UNKNOWN or attempt.http_status is not None:
        return None
    return attempt.started_at + timedelta(seconds=settings.attempt_timeout_seconds)


def _statuses(attempt: Attempt) -> str:
    """HTTP and OCPI status in words; without any, what went wrong on the way."""
    if attempt.http_status is None:
        return attempt.detail[:200]
    ocpi = "no OCPI status" if attempt.ocpi_status is None else f"OCPI {attempt.ocpi_status}"
    return f"HTTP {attempt.http_status}, {ocpi}"
