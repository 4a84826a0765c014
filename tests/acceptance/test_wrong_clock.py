"""The machine's clock is an hour fast, put right, an hour slow, put right again: under load, in the whole agent.

Fast, the newest block looks an hour old: copies are held, the customers do not notice. Slow, it lies in the future:
that is an alarm, and copies go on. Whenever the clock goes back, nothing waits for an hour.
"""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from tests.acceptance.test_store_trouble import arrived, more, told
from tests.under_load import Field, a_field, recorded, until_settled

HOUR = 3600


def put(clock: Path, seconds: int) -> None:
    fresh = clock.with_suffix(".new")
    fresh.write_text(str(seconds))
    fresh.replace(clock)


async def begin_with(place: Field, clock: Path) -> None:
    await place.agent.stop()
    place.agent.module = "tests.faulty_agent"
    put(clock, 0)
    await place.agent.start()


async def until_held(place: Field) -> None:
    """Our view looks an hour old: copies are recorded, and wait."""
    async with asyncio.timeout(60):
        while not (status := await place.agent.status())["deliveries"]["held"]:
            await more(place, 10)
    assert status["chain"]["fresh"] is False


async def test_a_clock_that_is_wrong_for_a_while_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = tmp_path / "clock"
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setenv("WRONG_CLOCK", str(clock))
    async with a_field(tmp_path, rate=100) as place:
        await begin_with(place, clock)
        async with place.customers.sending():
            await more(place, 50)
            put(clock, HOUR)
            await more(place, 100)
            await until_held(place)
            put(clock, 0)
            await more(place, 100)
            put(clock, -HOUR)
            await more(place, 100)
            put(clock, 0)
            await more(place, 50)
        status = await until_settled(place.agent)
        assert status["gaps"] == 0
        assert not place.customers.said.unanswered
        assert await place.agent.stop() == 0
        arrived(place)
        kept = recorded(place.agent.files.store)
        assert Counter(place.customers.said.acknowledged) == Counter(kept.correlation_ids)
        assert kept.integrity == "ok"
        events = [line["event"] for line in told(place)]
        assert events.count("clock.put_back") == 2
