"""What leaves as it is recorded comes to the same as what is recorded, claimed and started, whatever happens to it."""

import random
from dataclasses import replace

import pytest

from ocn_permission_agent.outbox.model import Delivery
from tests.outbox_desk import Outboxed
from tests.outbox_fixtures import PROVIDERS, a_plan, an_attempt
from tests.outbox_histories import ENDINGS, requests, rows, two_outboxes
from tests.stores import Where


async def _begun(it: Outboxed, chance: random.Random, *, at_once: bool) -> tuple[list[Delivery], int]:
    """What is under way after some requests, by age, and how much of it left at once."""
    begun: list[Delivery] = []
    for request, to in requests(chance):
        plan = a_plan(request, *to, at=it.clock.now())
        if at_once:
            await it.store.record_and_begin(plan, begin=[PROVIDERS[each] for each in to], told=begun.extend)
        else:
            await it.store.record(plan)
    left_at_once = len(begun)
    begun += [await it.store.start(each, at=it.clock.now()) for each in await it.claim()]
    return sorted(begun, key=lambda each: each.id), left_at_once


@pytest.mark.parametrize(
    "seed", [*range(5), *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(5, 200))]
)
async def test_at_once_is_as_claimed_and_started(where: Where, other_where: Where, seed: int) -> None:
    chances = [random.Random(seed), random.Random(seed)]  # noqa: S311
    its = await two_outboxes(where, other_where)
    left_at_once, pauses = 0, random.Random(-seed)  # noqa: S311
    for _ in range(12):
        (one, early), (other, _) = [
            await _begun(it, chance, at_once=at_once)
            for it, chance, at_once in zip(its, chances, (True, False), strict=True)
        ]
        assert one == other
        left_at_once += early
        assert await rows(its[0]) == await rows(its[1])
        for it, chance, deliveries in zip(its, chances, (one, other), strict=True):
            for delivery in deliveries:
                await it.settle(delivery, an_attempt(at=it.clock.now(), seconds=0, **chance.choice(ENDINGS)))
        assert await rows(its[0]) == await rows(its[1])
        entries = [[replace(entry, body_hash="of a salt") for entry in await it.entries()] for it in its]
        assert entries[0] == entries[1]
        later = pauses.choice([1, 700, 4000])
        for it in its:
            it.clock.step(later)
    assert left_at_once
    for it in its:
        await it.database.close()
