from datetime import UTC, datetime, timedelta

from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.outbox.after_attempt import after_attempt
from ocn_permission_agent.outbox.breaker import Breaker
from ocn_permission_agent.outbox.model import AttemptVerdict
from ocn_permission_agent.outbox.report import Report
from ocn_permission_agent.outbox.settings import DeliverySettings
from ocn_permission_agent.outbox.store import Settled
from tests.fakes import FakeClock
from tests.outbox_fixtures import Lines, a_delivery, an_attempt, session

START = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
REACHED = Breaker()
PAUSED = Breaker(failures=3, paused_since=START, probe_at=START, reason="nobody there")


def test_many_deliveries_that_meet_the_same_trouble_are_one_line_a_second() -> None:
    clock, lines = FakeClock(), Lines()
    report = Report(metrics=Metrics(), log=lines, clock=clock)
    for second in range(3):
        for number in range(20):
            report.store_unavailable(f"locked, for {second} s and {number} deliveries")
        clock.step(1)
    reasons = [line["reason"] for line in lines.of("store.unavailable")]
    assert reasons == [f"locked, for {second} s and 0 deliveries" for second in range(3)]


def attempted(report: Report, verdict: AttemptVerdict, before: Breaker, after: Breaker) -> None:
    delivery = a_delivery(session(), at=START)
    attempt = an_attempt(verdict, at=START + timedelta(seconds=2), seconds=0.1234)
    decision = after_attempt(delivery, attempt, settings=DeliverySettings(), spread=0.5)
    report.attempted(delivery, attempt, decision, Settled(before=before, after=after))


def test_an_attempt_is_one_flat_line() -> None:
    lines, delivery = Lines(), a_delivery(session(), at=START)
    report = Report(metrics=Metrics(), log=lines, clock=FakeClock())

    attempted(report, AttemptVerdict.ACCEPTED, REACHED, REACHED)
    attempted(report, AttemptVerdict.NOT_PROCESSED, REACHED, REACHED)

    first, second = lines.of("delivery.attempted")
    assert first == {
        "delivery": 1,
        "provider": str(delivery.provider),
        "customer": str(delivery.envelope.customer),
        "module": "sessions",
        "interface_role": delivery.envelope.request.interface_role.value,
        "method": "PUT",
        "owner": delivery.lane.owner,
        "object_id": delivery.lane.object_id,
        "correlation_id": delivery.envelope.request.correlation_id,
        "agreement": str(delivery.agreement),
        "attempt": 1,
        "verdict": "accepted",
        "http_status": 200,
        "ocpi_status": None,
        "duration_ms": 123.4,
        "age_seconds": 2.123,
        "state": "delivered",
        "wait": None,
        "reason": None,
        "next_attempt_at": None,
    }
    assert (second["state"], str(second["next_attempt_at"])[:10]) == ("pending", "2026-03-01")


def test_the_gauge_tells_how_a_provider_stands_from_its_first_attempt_on() -> None:
    metrics, found = Metrics(), list[float | None]()
    report = Report(metrics=metrics, log=Lines(), clock=FakeClock())
    provider = str(a_delivery(session(), at=START).provider)

    for verdict, before, after in (
        (AttemptVerdict.ACCEPTED, REACHED, REACHED),
        (AttemptVerdict.NOT_PROCESSED, REACHED, PAUSED),
        (AttemptVerdict.NOT_PROCESSED, PAUSED, PAUSED),
        (AttemptVerdict.ACCEPTED, PAUSED, REACHED),
    ):
        found.append(metrics.registry.get_sample_value("ocn_agent_breaker_state", {"provider": provider}))
        attempted(report, verdict, before, after)
    found.append(metrics.registry.get_sample_value("ocn_agent_breaker_state", {"provider": provider}))

    assert found == [None, 0, 2, 2, 0]


def test_the_gauge_of_a_provider_that_was_paused_before_a_restart_is_right_at_once() -> None:
    metrics, lines = Metrics(), Lines()

    attempted(Report(metrics=metrics, log=lines, clock=FakeClock()), AttemptVerdict.NOT_PROCESSED, PAUSED, PAUSED)

    provider = str(a_delivery(session(), at=START).provider)
    assert metrics.registry.get_sample_value("ocn_agent_breaker_state", {"provider": provider}) == 2
    assert lines.of("provider.paused") == []
