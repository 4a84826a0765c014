"""The agent is killed again and again under load: nothing that was acknowledged is lost, and what is lost is told."""

import asyncio
import random
from collections import Counter
from pathlib import Path

import pytest

from ocn_permission_agent.sandbox.story.agent import AgentFailed
from tests.under_load import Field, a_field, recorded, until_settled

RATE = 100.0
NAMED_POINTS = (
    "before_forward",
    "after_node_answered",
    "before_commit",
    "after_commit",
    "before_answer",
    "after_claim",
    "after_service_answered",
    "before_settle",
    "during_purge",
)


async def die_and_rise(place: Field, point: str, chance: random.Random, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start an agent that dies at a point, or is killed some time later, and wait for that."""
    named = point != "any moment"
    monkeypatch.setenv("FATAL_POINT", point if named else "")
    monkeypatch.setenv("FATAL_COUNT", str(1 if point == "during_purge" else chance.randrange(1, 60)))
    place.customers.wait()
    try:
        await place.agent.start()
    except AgentFailed:
        return  # it was so fast that it died before it was ready
    place.customers.go_on()
    if not named:
        await asyncio.sleep(chance.uniform(0.05, 1.5))
        await place.agent.kill()
    async with asyncio.timeout(30):
        await place.agent.ended()


async def kill_again_and_again(folder: Path, points: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    chance = random.Random(4711)  # noqa: S311  a dice
    async with a_field(folder, rate=RATE) as place:
        async with place.customers.sending():
            await asyncio.sleep(0.3)
            await place.agent.kill()
            place.agent.module = "tests.faulty_agent"
            for point in points:
                await die_and_rise(place, point, chance, monkeypatch)
            monkeypatch.setenv("FATAL_POINT", "")
            await place.agent.start()
            place.customers.go_on()
            await asyncio.sleep(0.3)
        status = await until_settled(place.agent)
        assert await place.agent.stop() == 0
        judge(place, folder, status["gaps"])


def judge(place: Field, folder: Path, gaps_told: int) -> None:
    said, node = place.customers.said, place.node
    kept = recorded(folder / "agent.db")
    assert kept.integrity == "ok"
    assert len(said.acknowledged) > 100

    lost = Counter(said.acknowledged) - Counter(kept.correlation_ids)
    assert not lost, f"{sum(lost.values())} acknowledged requests were not recorded: {lost}"
    untold = set(node.processed) - kept.correlation_ids - kept.gaps
    assert not untold, f"the node processed what is neither recorded nor a listed gap: {untold}"
    assert kept.gap_count == gaps_told

    assert not Counter(said.cdrs) - node.cdrs, "a CDR that was acknowledged never arrived"
    for name, starts in said.periods.items():
        arrived = node.periods(name)
        assert not Counter(starts) - Counter(arrived), f"periods of {name} are missing: {arrived}"
        assert len(arrived) == len(set(arrived)), f"periods of {name} arrived twice: {arrived}"

    cdrs_again = {("cdrs", name): count - 1 for name, count in node.cdrs.items() if count > 1}
    unexplained = {key: count for key, count in cdrs_again.items() if kept.unknown_attempts[key] < count}
    assert not unexplained, "a CDR came again without an attempt that nobody saw the end of"


async def test_five_deaths_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = ["any moment", "before_forward", "after_node_answered", "after_commit", "after_service_answered"]
    await kill_again_and_again(tmp_path, points, monkeypatch)


@pytest.mark.nightly
@pytest.mark.timeout(1200)
async def test_fifty_deaths_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = [point for _ in range(5) for point in NAMED_POINTS] + ["any moment"] * 5
    random.Random(1).shuffle(points)  # noqa: S311  a dice
    await kill_again_and_again(tmp_path, points, monkeypatch)
