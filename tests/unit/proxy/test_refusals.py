"""Every refusal is counted, and a flood of them is a few lines."""

from ocn_permission_agent.errors import Refusal
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.proxy.refusals import Refusals
from tests.fakes import FakeClock
from tests.integration.proxy.house import Lines


def test_a_flood_is_counted_in_full_and_told_once_a_second_and_cause() -> None:
    clock, metrics, log = FakeClock(), Metrics(), Lines()
    refusals = Refusals(clock=clock, metrics=metrics, log=log)
    for _ in range(25):
        for _ in range(100):
            refusals.note(Refusal.FRAMING)
            refusals.note(Refusal.NODE_SILENT)
            refusals.note(Refusal.FAULT, error="ValueError", where="a.py:1")
        clock.step(0.1)
    clock.step(1)
    refusals.tell_rest()

    for cause in (Refusal.FRAMING, Refusal.NODE_SILENT, Refusal.FAULT):
        counted = metrics.registry.get_sample_value("ocn_agent_refusals_total", {"cause": cause.label})
        assert counted == 2500
    for begin in ("info request.refused {'cause': 'framing'", "warning request.refused", "error request.failed"):
        lines = [line for line in log.lines if line.startswith(begin)]
        assert 3 <= len(lines) <= 4
        assert sum(int(line.partition("'count': ")[2].rstrip("}")) for line in lines) == 2500
    refusals.tell_rest()
    assert len(log.lines) <= 12, "what was told is not told again"


async def test_the_rest_of_a_flood_is_told_once_its_second_is_over() -> None:
    clock, log = FakeClock(), Lines()
    refusals = Refusals(clock=clock, metrics=Metrics(), log=log)
    refusals.note(Refusal.CROWDED)
    refusals.note(Refusal.CROWDED)
    assert len(log.lines) == 1
    clock.step(1)
    refusals.tell_rest()
    assert log.lines[1] == "info request.refused {'cause': 'crowded', 'status': None, 'count': 1}"
