"""The agent is killed again and again under load: nothing that was acknowledged is lost, and what is lost is told.

What the customers said, what the ledger says and what the service holds are compared as multisets. Rows of the store
are forgotten after seconds here, so that purging has something to do; the ledger remembers.
"""

import asyncio
import random
import sys
from collections import Counter
from pathlib import Path

import pytest

from ocn_permission_agent.sandbox.story.agent import AgentFailed
from tests.under_load import DELIVERY, Field, Recorded, a_field, recorded, until_settled

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
    "during_migration",
)
#: passed rarely, on an idle machine a claim hardly ever: seldom enough that the first times count
RARE = {"during_purge": 3, "during_migration": 3, "after_claim": 1}
SECONDS_TO_REMEMBER = 3


async def die_and_rise(place: Field, point: str, chance: random.Random, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start an agent that dies at a point, or is killed some time later, and wait for that."""
    named = point != "any moment"
    monkeypatch.setenv("FATAL_POINT", point if named else "")
    monkeypatch.setenv("FATAL_COUNT", str(chance.randrange(1, RARE.get(point, 60) + 1)))
    place.customers.wait()
    try:
        await place.agent.start()
    except AgentFailed as failed:
        if "ended with -9" not in str(failed):
            raise
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
    changed = {"delivery": DELIVERY | {"history_days": SECONDS_TO_REMEMBER / 86_400}}
    async with a_field(folder, rate=RATE, changed=changed) as place:
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
    assert kept.gaps_entered == Counter(kept.gaps), "each gap that names its request stands in the ledger"

    compare_with_the_ledger(kept, place)
    assert not Counter(said.cdrs) - node.cdrs, "a CDR that was acknowledged never arrived"
    for name, starts in said.periods.items():
        arrived = node.periods(name)
        assert not Counter(starts) - Counter(arrived), f"periods of {name} are missing: {arrived}"
        assert len(arrived) == len(set(arrived)), f"periods of {name} arrived twice: {arrived}"

    cdrs_again = {("cdrs", name): count - 1 for name, count in node.cdrs.items() if count > 1}
    unexplained = {key: count for key, count in cdrs_again.items() if kept.unknown_attempts[key] < count}
    assert not unexplained, "a CDR came again without an attempt that nobody saw the end of"


def compare_with_the_ledger(kept: Recorded, place: Field) -> None:
    """Each copy has one end, each end that is a delivery arrived, and what arrived more often was begun more often."""
    assert set(kept.entered.values()) == {1}
    assert {outcome for _, _, _, outcome in kept.entered} <= {"delivered", "superseded"}
    ends = Counter(correlation_id for _, _, correlation_id, _ in kept.entered.elements())
    assert ends == Counter(kept.correlation_ids), "each copy that was recorded has one end"
    assert not Counter(place.customers.said.acknowledged) - ends
    told = Counter((module, name) for module, name, _, outcome in kept.entered if outcome == "delivered")
    arrived = place.node.delivered
    assert not told - arrived, "the ledger tells of a delivery that never arrived"
    assert not arrived - kept.attempts, "something arrived more often than it was sent"
    sys.stdout.write(
        f"acknowledged {len(place.customers.said.acknowledged)}, unanswered {len(place.customers.said.unanswered)}, "
        f"entries {kept.entered.total()}, arrived {arrived.total()}, arrived again {(arrived - told).total()}, "
        f"gaps {kept.gap_count}\n"
    )


async def test_six_deaths_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        "any moment",
        "after_node_answered",
        "after_commit",
        "after_service_answered",
        "during_purge",
        "during_migration",
    ]
    await kill_again_and_again(tmp_path, points, monkeypatch)


@pytest.mark.nightly
@pytest.mark.timeout(1200)
async def test_fifty_deaths_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = [point for _ in range(4) for point in NAMED_POINTS] + ["any moment"] * 10
    random.Random(1).shuffle(points)  # noqa: S311  a dice
    await kill_again_and_again(tmp_path, points, monkeypatch)
