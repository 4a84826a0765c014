"""Those who record, however many, leave delivery its share: told by counts, not by times.

Whatever waits to be claimed, begun or settled goes into the next group commit, beside whoever records. So a delivery in
flight moves on by a step with every commit, and a flood only makes commits larger.
"""

import asyncio

import pytest

from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.outbox.model import Attempt, AttemptVerdict, Delivery
from ocn_permission_agent.outbox.settings import DeliverySettings
from tests.fakes import FakeClock
from tests.outbox_carrier import dispatching
from tests.outbox_fixtures import a_plan, an_attempt, cdr
from tests.stores import Where

COPIES = 4_000
SETTINGS = DeliverySettings(max_rate=10**6, max_in_flight=32)
#: claim, begin, settle; and one more where the loop had to look again. On PostgreSQL those who record have commits of
#: their own, beside these, so that there are twice as many while a delivery makes its steps.
COMMITS_OF_A_DELIVERY = {"sqlite": 5, "postgres": 10}


def commits(metrics: Metrics) -> float:
    return metrics.registry.get_sample_value("ocn_agent_store_commit_seconds_count") or 0.0


@pytest.mark.parametrize("customers", [20, 400])
async def test_a_flood_of_copies_does_not_starve_delivery(where_at_length: Where, customers: int) -> None:
    clock, metrics = FakeClock(), Metrics()

    async def accepting(_: Delivery) -> Attempt:
        return an_attempt(AttemptVerdict.ACCEPTED, at=clock.now(), seconds=0, ocpi_status=1000)

    async with dispatching(where_at_length, accepting, SETTINGS, clock=clock, metrics=metrics) as it:

        async def flood(number: int) -> None:
            """The next copy as soon as the one before is on disk: there is always somebody who records."""
            for step in range(COPIES // customers):
                await it.store.record(a_plan(cdr(f"c{number}-{step}"), at=clock.now()))
                it.dispatcher.wake()

        async with asyncio.TaskGroup() as group:
            for number in range(customers):
                group.create_task(flood(number))
        begun, made = len(it.carrier.begun), commits(metrics)
        await it.rest()
        assert len({each.lane.object_id for each in it.carrier.begun}) == COPIES
        assert (await it.store.backlog())[0].pending == 0
    assert begun / made >= min(SETTINGS.max_in_flight, customers) / COMMITS_OF_A_DELIVERY[it.database.dialect] / 2
