from datetime import UTC, datetime, timedelta

import pytest

from ocn_permission_agent.outbox.model import AttemptVerdict
from ocn_permission_agent.outbox.module_pause import ModulePause, after_attempt_in, pause_postponed
from ocn_permission_agent.outbox.settings import DeliverySettings
from tests.outbox_fixtures import an_attempt

START = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
PAUSE = ModulePause(since=START, probe_at=START + timedelta(hours=1), reason="no such endpoint")
LATER = START + timedelta(hours=1)


def after(
    pause: ModulePause | None, verdict: AttemptVerdict, *, at: datetime = LATER, not_set_up: bool | None = None
) -> ModulePause | None:
    tried = an_attempt(verdict, at=at, seconds=0, detail="no such endpoint")
    told = verdict is AttemptVerdict.SETUP if not_set_up is None else not_set_up
    return after_attempt_in(pause, tried, not_set_up=told, settings=DeliverySettings(), spread=0.5)


def test_a_module_that_a_service_is_not_set_up_for_is_probed_hourly() -> None:
    first = after(None, AttemptVerdict.SETUP, at=START)
    assert first == PAUSE
    again = after(first, AttemptVerdict.SETUP)
    assert again == ModulePause(since=START, probe_at=LATER + timedelta(hours=1), reason="no such endpoint")


@pytest.mark.parametrize("verdict", [AttemptVerdict.ACCEPTED, AttemptVerdict.UNCONFIRMED, AttemptVerdict.REFUSED])
def test_an_answer_of_the_service_ends_the_pause(verdict: AttemptVerdict) -> None:
    assert after(PAUSE, verdict) is None


@pytest.mark.parametrize("verdict", [AttemptVerdict.NOT_PROCESSED, AttemptVerdict.UNKNOWN])
def test_a_probe_that_tells_nothing_is_repeated_soon(verdict: AttemptVerdict) -> None:
    pause = after(PAUSE, verdict)
    assert pause is not None
    assert (pause.since, pause.probe_at) == (START, LATER + timedelta(seconds=5))


def test_what_is_not_about_the_module_does_not_pause_it() -> None:
    assert after(None, AttemptVerdict.NOT_PROCESSED) is None
    assert after(None, AttemptVerdict.UNKNOWN) is None
    assert after(None, AttemptVerdict.SETUP, not_set_up=False) is None


def test_a_probe_that_could_not_leave_waits() -> None:
    until = PAUSE.probe_at + timedelta(seconds=5)
    assert pause_postponed(PAUSE, until) == ModulePause(since=START, probe_at=until, reason=PAUSE.reason)
    assert pause_postponed(PAUSE, START) == PAUSE
    assert pause_postponed(None, until) is None
