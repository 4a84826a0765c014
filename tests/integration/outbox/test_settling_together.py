"""What is settled at the same time shares statements, and comes to the same as if it was settled one by one."""

import asyncio
import random
from dataclasses import replace

import pytest

from ocn_permission_agent.outbox.model import Attempt, Delivery
from tests.outbox_desk import Outboxed
from tests.outbox_fixtures import a_plan, an_attempt
from tests.outbox_histories import ENDINGS, requests, rows, two_outboxes
from tests.stores import Where


async def _settle(it: Outboxed, claimed: list[tuple[Delivery, Attempt]], *, together: bool) -> None:
    if not together:
        for delivery, attempt in claimed:
            await it.settle(delivery, attempt)
        return
    async with asyncio.TaskGroup() as group:
        for delivery, attempt in claimed:
            group.create_task(it.settle(delivery, attempt))


async def _step(it: Outboxed, chance: random.Random, *, together: bool) -> int:
    for request, to in requests(chance):
        await it.store.record(a_plan(request, *to, at=it.clock.now()))
    started = [await it.store.start(each, at=it.clock.now()) for each in await it.claim()]
    ends = [an_attempt(at=it.clock.now(), seconds=0, **chance.choice(ENDINGS)) for _ in started]
    await _settle(it, list(zip(started, ends, strict=True)), together=together)
    return len(started)


@pytest.mark.parametrize(
    "seed", [*range(5), *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(5, 200))]
)
async def test_settled_together_is_as_settled_one_by_one(where: Where, other_where: Where, seed: int) -> None:
    chances = [random.Random(seed), random.Random(seed)]  # noqa: S311
    its = await two_outboxes(where, other_where)
    settled, pauses = 0, random.Random(-seed)  # noqa: S311
    for _ in range(10):
        counts = [
            await _step(it, chance, together=together)
            for it, chance, together in zip(its, chances, (True, False), strict=True)
        ]
        assert counts[0] == counts[1]
        settled += counts[0]
        assert await rows(its[0]) == await rows(its[1])
        entries = [[replace(entry, body_hash="of a salt") for entry in await it.entries()] for it in its]
        assert entries[0] == entries[1]
        later = pauses.choice([1, 700, 4000])
        for it in its:
            it.clock.step(later)
    assert settled > 10
    for it in its:
        await it.database.close()
