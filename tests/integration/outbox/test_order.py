"""Each session's PUT and PATCHes arrive in the order in which they were stored, whatever the service does."""

import asyncio
import random

from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.net.own import OwnNode
from ocn_permission_agent.ocn.keys import OperatorKey
from ocn_permission_agent.outbox.courier import Courier
from ocn_permission_agent.outbox.dispatcher import Dispatcher
from ocn_permission_agent.outbox.model import DeliveryState
from ocn_permission_agent.outbox.settings import DeliverySettings
from tests.message_service import MessageService, Mood, message_service
from tests.outbox_fixtures import BILLING, Lines, SameVersion, StatedView, a_plan, open_outbox, session
from tests.stores import Where

_SESSIONS, _PATCHES = 50, 20
_SETTINGS = DeliverySettings(
    schedule_seconds=(0.005, 0.02), max_rate=10_000, max_in_flight=16, attempt_timeout_seconds=0.3
)
_MOODS = [Mood.ACCEPT] * 30 + [
    Mood.REFUSED_CONNECTION,
    Mood.CRASH_BEFORE,
    Mood.CRASH_AFTER,
    Mood.CUT_AFTER,
    Mood.SERVER_ERROR,
]


async def test_put_and_patches_of_fifty_sessions_arrive_in_order_at_a_flapping_service(where: Where) -> None:
    clock, metrics, chance = SystemClock(), Metrics(), random.Random(7)  # noqa: S311
    lines = Lines()
    database, store = await open_outbox(where, clock, _SETTINGS, metrics)
    async with (
        message_service(lambda: chance.choice(_MOODS)) as service,
        OwnNode(url=service.url, clock=SystemClock()) as transport,
    ):
        dispatcher = Dispatcher(
            store=store,
            courier=Courier(
                view=StatedView(),
                versions=SameVersion(),
                key=OperatorKey(b"\x11" * 32),
                own_node_url=service.url,
                own_transport=transport,
                remote_transport=transport,
                clock=clock,
                settings=_SETTINGS,
            ),
            settings=_SETTINGS,
            clock=clock,
            metrics=metrics,
            log=lines,
            spread=chance.random,
        )

        async def customer(name: str) -> None:
            """Waits for each of its answers before it says the next thing, as customers do."""
            for step in range(_PATCHES + 1):
                body = b'{"step":%d}' % step
                await store.record(a_plan(session("PATCH" if step else "PUT", name, body), BILLING, at=clock.now()))
                dispatcher.wake()

        async with asyncio.timeout(90), asyncio.TaskGroup() as group:
            group.create_task(dispatcher.run())
            flapping = group.create_task(_flap(service))
            async with asyncio.TaskGroup() as customers:
                for number in range(_SESSIONS):
                    customers.create_task(customer(f"s{number}"))
            while (await store.counts()).by_state.get(DeliveryState.PENDING):
                await lines.news.get()
            flapping.cancel()
            await dispatcher.stop(5)
    await database.close()
    assert service.overlaps == 0
    assert service.most_at_once > 1
    for number in range(_SESSIONS):
        path = f"/DE/CPO/s{number}"
        arrived = [(each.method, each.body) for each in service.received if each.object_path == path]
        # After trouble a PUT of the whole session stands for all that waited; nothing is followed by something older.
        steps = [body["step"] for _, body in arrived if isinstance(body, dict)]
        assert steps == sorted(steps), path
        assert (arrived[0], steps[-1]) == (("PUT", {"step": steps[0]}), _PATCHES), path


async def _flap(service: MessageService) -> None:
    """Goes away and comes back whenever it has taken some hundred messages."""
    for count in range(1, 5):
        while len(service.received) < 200 * count:
            await service.arrived.get()
        await service.fall()
        await asyncio.sleep(0.05)
        await service.rise()
