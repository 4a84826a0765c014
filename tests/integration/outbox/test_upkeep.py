"""Gauges, and payloads that are let go of, without anybody asking."""

import asyncio

from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.outbox.after_attempt import Decision, held
from ocn_permission_agent.outbox.model import DeliveryState
from ocn_permission_agent.outbox.upkeep import Upkeep
from tests.fakes import FakeClock
from tests.outbox_fixtures import Lines, StatedView, a_plan, cdr, open_outbox, session
from tests.stores import Where


async def test_a_round_shows_the_backlog_and_lets_payloads_go(where: Where) -> None:
    clock, metrics = FakeClock(), Metrics()
    database, store = await open_outbox(where, clock, metrics=metrics)
    for request in (cdr("parked"), cdr("owed"), session()):
        await store.record(a_plan(request, at=clock.now()))
    parked, _, waiting = await store.claim(now=clock.now(), room={}, default_room=8)
    await store.settle(parked, Decision(state=DeliveryState.PARKED, decided_at=clock.now()))
    await store.settle(waiting, held("C8: stale", now=clock.now()))
    clock.step(31 * 86400)
    upkeep = Upkeep(store=store, view=StatedView(), clock=clock, metrics=metrics, log=Lines())
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        task = group.create_task(upkeep.run())
        while clock.sleepers == 0:
            await database.write(lambda _: None)
        shown = [
            metrics.registry.get_sample_value(f"ocn_agent_{name}", labels)
            for name, labels in (
                ("backlog", {"provider": "DE*PAY", "state": "pending"}),
                ("backlog_oldest_seconds", {"provider": "DE*PAY"}),
                ("backlog", {"provider": "DE*PAY", "state": "held"}),
                ("backlog", {"provider": "DE*PAY", "state": "paused"}),
                ("held", {"reason": "C8"}),
            )
        ]
        await store.record(a_plan(cdr("newer"), at=clock.now()))
        for each in await store.claim(now=clock.now(), room={}, default_room=8):
            due = clock.now()
            await store.settle(each, Decision(state=DeliveryState.PENDING, decided_at=due, due_at=due))
        await clock.advance(15)
        while metrics.registry.get_sample_value("ocn_agent_backlog", {"provider": "DE*PAY", "state": "pending"}) != 3:
            await database.write(lambda _: None)
        assert metrics.registry.get_sample_value("ocn_agent_held", {"reason": "C8"}) == 0
        task.cancel()
    assert shown == [1, 31 * 86400, 1, 0, 1]
    bodies = "SELECT count(*) FROM envelopes WHERE body IS NOT NULL"
    assert await database.read(lambda connection: connection.execute(bodies).fetchone()[0]) == 3
    await database.close()
