from datetime import UTC, datetime, timedelta

import pytest

from ocn_permission_agent.ocpi.request import OcpiRequest
from ocn_permission_agent.outbox.after_attempt import Decision, Wait, after_attempt, before_attempt, held, interrupted
from ocn_permission_agent.outbox.model import AttemptVerdict, Delivery, DeliveryState
from ocn_permission_agent.outbox.settings import DeliverySettings
from tests.outbox_fixtures import a_delivery, an_attempt, cdr, command, session

START = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
SETTINGS = DeliverySettings()
PERIODS = session("PATCH", body=b'{"charging_periods":[{}]}')


def decide(request: OcpiRequest, verdict: AttemptVerdict, *, attempts: int = 1, **attempt: object) -> tuple[str, float]:
    """State, and in how many seconds after the end of the attempt it is due (-1: not at all)."""
    tried = an_attempt(verdict, at=START, **attempt)  # type: ignore[arg-type]
    decision = after_attempt(a_delivery(request, at=START, attempts=attempts), tried, settings=SETTINGS, spread=0.5)
    due_in = -1.0 if decision.due_at is None else (decision.due_at - tried.ended_at).total_seconds()
    return decision.state.value, due_in


@pytest.mark.parametrize(
    ("request_", "verdict", "state"),
    [
        (session(), AttemptVerdict.ACCEPTED, "delivered"),
        (cdr(), AttemptVerdict.UNCONFIRMED, "unconfirmed"),
        (session(), AttemptVerdict.REFUSED, "refused"),
        (cdr(), AttemptVerdict.REFUSED, "parked"),
        (PERIODS, AttemptVerdict.UNKNOWN, "parked"),
        (command(), AttemptVerdict.UNKNOWN, "unconfirmed"),
    ],
)
def test_what_ends_a_delivery(request_: OcpiRequest, verdict: AttemptVerdict, state: str) -> None:
    assert decide(request_, verdict) == (state, -1)


@pytest.mark.parametrize("request_", [session(), session("PATCH"), cdr()])
@pytest.mark.parametrize("verdict", [AttemptVerdict.NOT_PROCESSED, AttemptVerdict.UNKNOWN])
def test_all_else_is_tried_again_by_the_schedule(request_: OcpiRequest, verdict: AttemptVerdict) -> None:
    assert decide(request_, verdict, attempts=3) == ("pending", 300)


def test_a_patch_with_periods_that_surely_was_not_processed_is_tried_again() -> None:
    assert decide(PERIODS, AttemptVerdict.NOT_PROCESSED) == ("pending", 5)


def test_a_service_that_is_not_set_up_is_looked_at_hourly_and_the_window_stands_still() -> None:
    attempt = an_attempt(AttemptVerdict.SETUP, at=START, detail="no such endpoint")
    decision = after_attempt(a_delivery(session(), at=START), attempt, settings=SETTINGS, spread=0.5)
    assert (decision.state, decision.wait) == (DeliveryState.PENDING, Wait.PAUSED)
    assert decision.due_at == START, "it stays in front; the pause of the module says when"
    assert decision.reason is not None
    assert "no such endpoint" in decision.reason


@pytest.mark.parametrize(("asked", "due_in"), [(120.0, 120), (86400.0, 3600), (0.0, 0)])
def test_a_services_wish_to_wait_is_honoured_up_to_an_hour(asked: float, due_in: float) -> None:
    assert decide(cdr(), AttemptVerdict.NOT_PROCESSED, retry_after_seconds=asked) == ("pending", due_in)


def test_an_unanswered_attempt_keeps_its_lane_closed_for_as_long_as_the_node_may_work_on_it() -> None:
    # Cut after one second of the 45 that an attempt may take.
    assert decide(cdr(), AttemptVerdict.UNKNOWN, http_status=None) == ("pending", 44)
    parked = after_attempt(
        a_delivery(PERIODS, at=START),
        an_attempt(AttemptVerdict.UNKNOWN, at=START, http_status=None),
        settings=SETTINGS,
        spread=0.5,
    )
    assert parked.resting_until == START + timedelta(seconds=45)


def test_a_5xx_is_an_answer_after_which_nobody_works_any_more() -> None:
    assert decide(cdr(), AttemptVerdict.UNKNOWN, http_status=500) == ("pending", 5)


def test_what_met_nobody_keeps_its_place_in_front() -> None:
    attempt = an_attempt(
        AttemptVerdict.NOT_PROCESSED, at=START + timedelta(hours=1), http_status=None, unreachable=True
    )
    decision = after_attempt(a_delivery(cdr(), at=START, attempts=9), attempt, settings=SETTINGS, spread=0.5)
    assert (decision.state, decision.due_at) == (DeliveryState.PENDING, START)


def test_what_a_node_would_not_verify_keeps_its_place_in_front_too() -> None:
    attempt = an_attempt(AttemptVerdict.SETUP, at=START + timedelta(hours=1), signature_refused=True)
    decision = after_attempt(a_delivery(cdr(), at=START, attempts=9), attempt, settings=SETTINGS, spread=0.5)
    assert (decision.state, decision.due_at, decision.wait) == (DeliveryState.PENDING, START, None)
    assert decision.reason == "signature: as told"


@pytest.mark.parametrize(("request_", "state"), [(cdr(), "parked"), (session(), "expired")])
def test_the_window_ends_a_delivery_that_could_not_be_tried_again_within_it(request_: OcpiRequest, state: str) -> None:
    delivery = a_delivery(request_, at=START, attempts=4, window=timedelta(minutes=20))
    attempt = an_attempt(AttemptVerdict.NOT_PROCESSED, at=START)
    assert after_attempt(delivery, attempt, settings=SETTINGS, spread=0.5).state.value == state


def test_a_delivery_whose_window_ended_in_the_queue_is_not_tried() -> None:
    delivery = a_delivery(command(), at=START, window=timedelta(seconds=60))
    assert before_attempt(delivery, START + timedelta(seconds=60)) is None
    over = before_attempt(delivery, START + timedelta(seconds=61))
    assert over is not None
    assert over.state is DeliveryState.EXPIRED


def test_a_held_delivery_is_looked_at_again_in_seconds() -> None:
    decision = held("C8: stale", now=START)
    assert (decision.state, decision.wait, decision.due_at) == (
        DeliveryState.PENDING,
        Wait.HELD,
        START + timedelta(seconds=5),
    )


def test_an_interrupted_attempt_is_one_of_unknown_outcome() -> None:
    attempt = interrupted(START, now=START - timedelta(hours=1))
    assert (attempt.verdict, attempt.ended_at) == (AttemptVerdict.UNKNOWN, START)


WHOLE = a_delivery(session("PATCH", body=b'{"charging_periods":[{}]}'), at=START, whole_known=True)
PART = a_delivery(session("PATCH", body=b'{"charging_periods":[{}]}'), at=START)
FULL_PUT = a_delivery(session("PUT"), at=START, whole_known=True, collapsed=True)


def decided(delivery: Delivery, verdict: AttemptVerdict, http_status: int | None = 200, **more: int) -> Decision:
    attempt = an_attempt(verdict, at=START, http_status=http_status, **more)  # type: ignore[arg-type]
    return after_attempt(delivery, attempt, settings=SETTINGS, spread=0.5)


def test_what_is_known_as_a_whole_goes_as_a_full_put_after_an_unknown_outcome() -> None:
    decision = decided(WHOLE, AttemptVerdict.UNKNOWN)
    assert (decision.state, decision.collapse) == (DeliveryState.PENDING, True)
    assert decided(PART, AttemptVerdict.UNKNOWN).state is DeliveryState.PARKED


@pytest.mark.parametrize(
    ("verdict", "http_status", "ocpi_status"),
    [
        (AttemptVerdict.REFUSED, 200, 2001),
        (AttemptVerdict.REFUSED, 404, 2003),
        (AttemptVerdict.SETUP, 405, None),
        (AttemptVerdict.SETUP, 404, None),
    ],
)
def test_a_refused_patch_is_followed_by_one_full_put(
    verdict: AttemptVerdict, http_status: int, ocpi_status: int | None
) -> None:
    attempt = an_attempt(verdict, at=START, http_status=http_status, ocpi_status=ocpi_status)
    decision = after_attempt(WHOLE, attempt, settings=SETTINGS, spread=0.5)
    assert (decision.state, decision.due_at, decision.collapse) == (DeliveryState.PENDING, START, True)
    assert decision.wait is None
    full = after_attempt(FULL_PUT, attempt, settings=SETTINGS, spread=0.5)
    assert full.state is (DeliveryState.REFUSED if verdict is AttemptVerdict.REFUSED else DeliveryState.PENDING)


def test_a_refused_patch_of_a_session_that_is_not_known_as_a_whole_stays_refused() -> None:
    assert decided(PART, AttemptVerdict.REFUSED).state is DeliveryState.REFUSED


def test_what_a_service_holds_is_in_doubt_until_it_has_accepted() -> None:
    assert decided(WHOLE, AttemptVerdict.ACCEPTED).collapse is False
    assert decided(WHOLE, AttemptVerdict.UNCONFIRMED).collapse is True
    assert decided(FULL_PUT, AttemptVerdict.REFUSED).collapse is True
    assert decided(a_delivery(cdr(), at=START), AttemptVerdict.UNCONFIRMED).collapse is None


def test_a_patch_in_doubt_whose_session_was_forgotten_is_not_sent_again() -> None:
    doubtful = a_delivery(session("PATCH", body=b'{"charging_periods":[{}]}'), at=START, in_doubt=True)
    parked = before_attempt(doubtful, START)
    assert parked is not None
    assert parked.state is DeliveryState.PARKED
    assert before_attempt(PART, START) is None
    assert before_attempt(a_delivery(session("PATCH", body=b'{"kwh":1}'), at=START, in_doubt=True), START) is None
