import asyncio
from typing import Any

import pytest
from structlog.testing import CapturingLogger

from ocn_permission_agent.app.supervise import pause_before_restart, supervise
from ocn_permission_agent.errors import ChainUnavailable, StoreRestored
from tests.fakes import FakeClock


async def test_a_loop_that_fails_is_started_again_with_an_alarm() -> None:
    clock, log, starts = FakeClock(), CapturingLogger(), []

    async def loop() -> None:
        starts.append(clock.monotonic())
        if len(starts) == 1:
            raise ChainUnavailable("no answer")
        if len(starts) == 2:
            raise ZeroDivisionError
        if len(starts) == 3:
            return
        await asyncio.Event().wait()

    logger: Any = log
    async with asyncio.TaskGroup() as group:
        task = group.create_task(supervise("watcher", loop, clock=clock, log=logger))
        for _ in range(20):
            await asyncio.sleep(0)
            await clock.advance(5)
        task.cancel()
    assert len(starts) == 4
    assert starts == sorted(set(starts))
    assert [call.kwargs["error"] for call in log.calls] == ["ChainUnavailable", "ZeroDivisionError", "ended"]
    assert all(call.args == ("loop.failed",) for call in log.calls)


async def test_a_loop_that_was_asked_to_stop_ends_without_an_alarm() -> None:
    log: Any = CapturingLogger()

    async def loop() -> None:
        return

    await supervise("dispatcher", loop, clock=FakeClock(), log=log, stopping=lambda: True)
    assert log.calls == []


@pytest.mark.parametrize(("failures", "pause"), [(1, 1.0), (2, 2.0), (5, 16.0), (7, 60.0), (99, 60.0)])
def test_pauses_double_up_to_a_minute(failures: int, pause: float) -> None:
    assert pause_before_restart(failures, spread=0.5) == pytest.approx(pause)
    assert pause_before_restart(failures, spread=0.0) == pytest.approx(pause * 0.8)


async def test_what_is_beyond_a_restart_ends_it() -> None:
    log: Any = CapturingLogger()

    async def loop() -> None:
        raise StoreRestored("an older one")

    with pytest.raises(StoreRestored):
        await supervise("keeping", loop, clock=FakeClock(), log=log, beyond=StoreRestored)
    assert log.calls == []
