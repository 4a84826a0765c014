from datetime import UTC, datetime, timedelta

from ocn_permission_agent.outbox.breaker import Breaker, after_attempt_at, postponed
from ocn_permission_agent.outbox.model import Attempt, AttemptVerdict
from ocn_permission_agent.outbox.settings import DeliverySettings
from tests.outbox_fixtures import an_attempt

START = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
SETTINGS = DeliverySettings()


def nobody(at: datetime, seconds: float = 0.0) -> Attempt:
    return an_attempt(
        AttemptVerdict.NOT_PROCESSED, at=at, seconds=seconds, http_status=None, unreachable=True, detail="refused"
    )


def step(breaker: Breaker, attempt: Attempt) -> Breaker:
    return after_attempt_at(breaker, attempt, settings=SETTINGS, spread=0.5)


def test_a_provider_that_nobody_reaches_is_paused_and_probed_ever_less_often() -> None:
    breaker, at, waits = Breaker(), START, []
    for _ in range(6):
        breaker = step(breaker, nobody(at))
        assert breaker.probe_at is not None
        waits.append((breaker.probe_at - at).total_seconds())
        at = breaker.probe_at
    assert waits == [5, 30, 300, 300, 300, 300]
    assert (breaker.paused_since, breaker.reason) == (START, "refused")


def test_those_that_left_before_the_pause_are_no_probes() -> None:
    paused = step(Breaker(), nobody(START))
    straggler = nobody(START - timedelta(seconds=3), seconds=4.0)
    assert step(paused, straggler) == paused


def test_any_answer_of_the_service_or_its_node_closes_it() -> None:
    paused = step(Breaker(), nobody(START))
    for verdict in (AttemptVerdict.ACCEPTED, AttemptVerdict.REFUSED, AttemptVerdict.UNKNOWN):
        assert step(paused, an_attempt(verdict, at=START + timedelta(seconds=5))) == Breaker()


def test_a_time_out_may_be_one_messages_fault_and_pauses_nobody() -> None:
    silent = an_attempt(AttemptVerdict.UNKNOWN, at=START, seconds=45, http_status=None)
    assert step(Breaker(), silent) == Breaker()


def test_a_probe_that_times_out_does_not_end_the_pause() -> None:
    paused = step(Breaker(), nobody(START))
    silent = an_attempt(AttemptVerdict.UNKNOWN, at=START + timedelta(seconds=5), seconds=45, http_status=None)
    again = step(paused, silent)
    assert (again.paused, again.failures, again.probe_at) == (True, 2, silent.ended_at + timedelta(seconds=30))


def test_a_probe_that_could_not_leave_is_put_off() -> None:
    paused = step(Breaker(), nobody(START))
    later = START + timedelta(minutes=1)
    assert postponed(paused, later).probe_at == later
    assert postponed(paused, START) == paused
    assert postponed(Breaker(), later) == Breaker()


def test_a_node_that_does_not_accept_our_signature_is_left_alone_until_a_probe_gets_through() -> None:
    doubted = an_attempt(
        AttemptVerdict.SETUP, at=START, ocpi_status=4003, signature_refused=True, detail="Could not verify"
    )
    paused = step(Breaker(), doubted)
    assert (paused.paused, paused.reason) == (True, "signature: Could not verify")
    assert step(paused, an_attempt(AttemptVerdict.ACCEPTED, at=START + timedelta(seconds=9))) == Breaker()
