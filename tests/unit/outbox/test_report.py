from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.outbox.report import Report
from tests.fakes import FakeClock
from tests.outbox_fixtures import Lines


def test_many_deliveries_that_meet_the_same_trouble_are_one_line_a_second() -> None:
    clock, lines = FakeClock(), Lines()
    report = Report(metrics=Metrics(), log=lines, clock=clock)
    for second in range(3):
        for number in range(20):
            report.store_unavailable(f"locked, for {second} s and {number} deliveries")
        clock.step(1)
    reasons = [line["reason"] for line in lines.of("store.unavailable")]
    assert reasons == [f"locked, for {second} s and 0 deliveries" for second in range(3)]
