"""The loop as a whole: schedule, pauses, consent, limits, a farewell, and a store that goes away."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest

from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.errors import StoreUnavailable
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.net.own import OwnNode
from ocn_permission_agent.ocn.keys import OperatorKey
from ocn_permission_agent.outbox.courier import Courier
from ocn_permission_agent.outbox.dispatcher import Dispatcher
from ocn_permission_agent.outbox.model import Delivery, DeliveryState
from ocn_permission_agent.outbox.settings import DeliverySettings
from ocn_permission_agent.outbox.stored import StoredOutbox
from ocn_permission_agent.outbox.upkeep import Upkeep
from ocn_permission_agent.store.database import Database
from tests.fakes import FakeClock
from tests.message_service import MessageService, Mood, message_service
from tests.outbox_fixtures import (
    BILLING,
    Lines,
    SameVersion,
    StatedView,
    a_plan,
    cdr,
    no_jitter,
    open_outbox,
    session,
)
from tests.stores import Where

KEY = OperatorKey(b"\x11" * 32)


class Agent:
    """Outbox, courier and dispatcher over one service, with a clock that the test moves."""

    def __init__(
        self,
        *,
        database: Database,
        store: StoredOutbox,
        clock: FakeClock,
        service: MessageService,
        transport: OwnNode,
        settings: DeliverySettings,
        metrics: Metrics,
    ) -> None:
        self.database, self.store, self.clock, self.metrics = database, store, clock, metrics
        self.service = service
        self.view = StatedView()
        self.lines = Lines()
        self.settings = settings
        self.courier = Courier(
            view=self.view,
            versions=SameVersion(),
            key=KEY,
            own_node_url=service.url,
            own_transport=transport,
            remote_transport=transport,
            clock=clock,
            settings=settings,
            memory=store,
        )
        self.dispatcher = self.a_dispatcher(store)

    def a_dispatcher(self, store: Any) -> Dispatcher:
        return Dispatcher(
            store=store,
            courier=self.courier,
            settings=self.settings,
            clock=self.clock,
            metrics=self.metrics,
            log=self.lines,
            spread=no_jitter,
        )

    async def owe(self, *requests: Any) -> None:
        async with asyncio.TaskGroup() as group:
            for request in requests:
                group.create_task(self.store.record(a_plan(request, BILLING, at=self.clock.now())))
        self.dispatcher.wake()

    async def next_line(self, event: str = "delivery.attempted") -> dict[str, object]:
        async with asyncio.timeout(20):
            while await self.lines.news.get() != event:
                pass
        return self.lines.of(event)[-1]

    async def counts(self) -> dict[str, int]:
        return {state.value: count for state, count in (await self.store.counts()).by_state.items()}

    async def attempts(self) -> list[tuple[float, str]]:
        """(seconds since the start of the test, verdict) of every attempt on disk."""
        start = FakeClock().now()
        rows = await self.database.read(
            lambda connection: connection.execute(
                "SELECT started_at_us, verdict FROM attempts ORDER BY started_at_us, delivery_id"
            ).fetchall()
        )
        return [(row["started_at_us"] / 1e6 - start.timestamp(), row["verdict"]) for row in rows]


@asynccontextmanager
async def agent(
    where: Where,
    service: MessageService,
    *,
    clock: FakeClock | None = None,
    settings: DeliverySettings | None = None,
) -> AsyncIterator[Agent]:
    clock, metrics, settings = clock or FakeClock(), Metrics(), settings or DeliverySettings()
    database, store = await open_outbox(where, clock, settings, metrics)
    try:
        async with OwnNode(url=service.url, clock=SystemClock()) as transport:
            yield Agent(
                database=database,
                store=store,
                clock=clock,
                service=service,
                transport=transport,
                settings=settings,
                metrics=metrics,
            )
    finally:
        await database.close()


@asynccontextmanager
async def running(dispatcher: Dispatcher) -> AsyncIterator[None]:
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(dispatcher.run())
        yield
        await dispatcher.stop(5)


async def test_a_delivery_is_tried_by_the_schedule_and_across_restarts(where_at_length: Where) -> None:
    clock = FakeClock()
    async with message_service(lambda: Mood.SERVER_ERROR) as service:
        async with agent(where_at_length, service, clock=clock) as first, running(first.dispatcher):
            await first.owe(cdr())
            await first.next_line()
            for pause in (5, 30):
                clock.step(pause)
                await first.next_line()
        clock.step(299)
        async with agent(where_at_length, service, clock=clock) as second, running(second.dispatcher):
            clock.step(1)
            await second.next_line()
            clock.step(1800)
            await second.next_line()
            assert [at for at, _ in await second.attempts()] == [0, 5, 35, 335, 2135]
    bodies = {received.text for received in service.received}
    assert len(bodies) == 1, "a CDR is repeated byte by byte"


async def test_nothing_is_tried_before_its_time(where_at_length: Where) -> None:
    async with message_service(lambda: Mood.SERVER_ERROR) as service, agent(where_at_length, service) as it:
        async with running(it.dispatcher):
            await it.owe(cdr())
            await it.next_line()
            for _ in range(4):
                it.clock.step(1)
                it.dispatcher.wake()
                await it.database.write(lambda _: None)
            it.clock.step(1)
            await it.next_line()
        assert [at for at, _ in await it.attempts()] == [0, 5]


async def test_the_window_ends_it(where_at_length: Where) -> None:
    async with message_service(lambda: Mood.REFUSED_CONNECTION) as service, agent(where_at_length, service) as it:
        it.service.mood = lambda: Mood.CRASH_BEFORE
        async with running(it.dispatcher):
            await it.owe(session())
            line = await it.next_line()
            for _ in range(60):
                if line["state"] != "pending":
                    break
                it.clock.step(12 * 3600)
                line = await it.next_line()
        assert line["state"] == "expired"
        assert (await it.attempts())[-1][0] <= timedelta(days=7).total_seconds()


async def test_three_that_waited_for_a_dead_service_arrive_in_order_at_once(where_at_length: Where) -> None:
    async with message_service() as service, agent(where_at_length, service) as it, running(it.dispatcher):
        await service.fall()
        await it.owe(session("PUT", body=b"{}"), session("PATCH", body=b'{"charging_periods":[{}]}'))
        assert (await it.next_line())["verdict"] == "not_processed"
        await it.owe(cdr())
        for pause in (5, 30):
            it.clock.step(pause)
            line = await it.next_line()
            assert (line["method"], line["state"]) == ("PUT", "pending")
        counts = await it.store.counts()
        assert (counts.by_state[DeliveryState.PENDING], counts.paused) == (2, 2)
        await service.rise()
        it.clock.step(300)
        for _ in range(2):
            await it.next_line()
        assert [(each.method, each.body) for each in service.received if "/s1" in each.object_path] == [
            ("PUT", {"charging_periods": [{}]})
        ]
        assert len(service.received) == 2
        assert await it.counts() == {"delivered": 2, "superseded": 1}
        assert [line["provider"] for line in it.lines.of("provider.resumed")] == ["DE*PAY"]


async def test_a_patch_with_periods_of_unknown_outcome_is_parked_and_its_lane_goes_on(where_at_length: Where) -> None:
    moods = iter([Mood.CRASH_AFTER, Mood.ACCEPT])
    async with message_service(lambda: next(moods)) as service, agent(where_at_length, service) as it:
        async with running(it.dispatcher):
            await it.owe(session("PATCH", body=b'{"charging_periods":[{}]}'), session("PATCH", body=b'{"kwh":1}'))
            assert (await it.next_line())["state"] == "parked"
            assert (await it.next_line())["state"] == "delivered"
        kept = "SELECT body FROM envelopes WHERE body IS NOT NULL"
        rows = await it.database.read(lambda connection: connection.execute(kept).fetchall())
        assert [row["body"] for row in rows] == [b'{"charging_periods":[{}]}']


async def test_a_refused_session_is_let_go_and_a_refused_cdr_waits_for_a_person(where_at_length: Where) -> None:
    async with message_service(lambda: Mood.REFUSE) as service, agent(where_at_length, service) as it:
        async with running(it.dispatcher):
            await it.owe(session(), cdr())
            await it.next_line()
            await it.next_line()
        assert await it.counts() == {"refused": 1, "parked": 1}


async def test_a_doubtful_view_holds_without_an_attempt_until_it_is_fresh(where_at_length: Where) -> None:
    async with message_service() as service, agent(where_at_length, service) as it, running(it.dispatcher):
        it.view.fresh = False
        await it.owe(cdr())
        assert (await it.next_line("delivery.settled"))["wait"] == "held"
        for _ in range(30):
            it.clock.step(5)
            it.dispatcher.wake()
            await it.database.write(lambda _: None)
        assert await it.attempts() == []
        it.view.fresh = True
        it.dispatcher.reconsider()
        assert (await it.next_line())["state"] == "delivered", "at once, without the clock"


async def test_what_lost_its_consent_never_leaves(where_at_length: Where) -> None:
    async with message_service() as service, agent(where_at_length, service) as it:
        await it.owe(session(), cdr())
        it.view.index.close(BILLING)
        async with running(it.dispatcher):
            await it.next_line("delivery.settled")
            await it.next_line("delivery.settled")
        assert (service.received, await it.counts(), await it.attempts()) == ([], {"withdrawn": 2}, [])
        erased = "SELECT count(*) FROM envelopes WHERE body IS NULL"
        assert await it.database.read(lambda connection: connection.execute(erased).fetchone()[0]) == 2


async def test_what_loses_its_consent_while_its_start_is_written_down_never_leaves(
    where_at_length: Where, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with message_service() as service, agent(where_at_length, service) as it:
        start = it.store.start

        async def start_slowly(delivery: Delivery, *, at: datetime) -> Delivery:
            started = await start(delivery, at=at)
            it.view.index.close(BILLING)
            return started

        monkeypatch.setattr(it.store, "start", start_slowly)
        await it.owe(session())
        async with running(it.dispatcher):
            await it.next_line("delivery.settled")
        assert (service.received, await it.counts()) == ([], {"withdrawn": 1})
        details = "SELECT verdict, detail FROM attempts"
        ((verdict, detail),) = await it.database.read(lambda connection: connection.execute(details).fetchall())
        assert verdict == "not_processed"
        assert detail.startswith("nothing was sent: ")


async def test_a_revoke_withdraws_what_waits_at_once(where_at_length: Where) -> None:
    async with message_service() as service, agent(where_at_length, service) as it:
        upkeep = Upkeep(store=it.store, view=it.view, clock=it.clock, metrics=it.metrics, log=it.lines)
        await it.owe(*(session("PUT", f"s{number}") for number in range(1200)), cdr())
        assert await upkeep.withdraw_closed() == 0
        async with asyncio.TaskGroup() as group:
            task = group.create_task(upkeep.run())
            it.view.index.close(BILLING)
            upkeep.wake()
            await it.next_line("deliveries.withdrawn")
            await it.next_line("deliveries.withdrawn")
            task.cancel()
        lines = {str(line["module"]): line["count"] for line in it.lines.of("deliveries.withdrawn")}
        assert lines == {"sessions": 1200, "cdrs": 1}
        assert await it.counts() == {"withdrawn": 1201}


async def test_no_more_are_in_flight_than_allowed(where_at_length: Where) -> None:
    settings = DeliverySettings(max_in_flight=3, max_rate=1000)
    async with message_service(lambda: Mood.WAIT) as service, agent(where_at_length, service, settings=settings) as it:
        async with running(it.dispatcher):
            await it.owe(*(cdr(f"c{number}") for number in range(10)))
            for _ in range(3):
                await service.arrived.get()
            service.let_go.set()
            for _ in range(10):
                await it.next_line()
        assert service.most_at_once == 3


async def test_no_second_sees_more_attempts_than_allowed(where_at_length: Where) -> None:
    settings = DeliverySettings(max_in_flight=100, max_rate=5)
    async with message_service() as service, agent(where_at_length, service, settings=settings) as it:
        async with running(it.dispatcher):
            await it.owe(*(cdr(f"c{number}") for number in range(12)))
            for count in (5, 5, 2):
                for _ in range(count):
                    await it.next_line()
                it.clock.step(1)
        assert [at for at, _ in await it.attempts()] == [0] * 5 + [1] * 5 + [2] * 2


async def test_a_farewell_lets_what_is_in_flight_end_and_takes_no_more(where_at_length: Where) -> None:
    settings = DeliverySettings(max_in_flight=1)
    async with message_service(lambda: Mood.WAIT) as service, agent(where_at_length, service, settings=settings) as it:
        await it.owe(cdr("c1"), cdr("c2"))
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            group.create_task(it.dispatcher.run())
            await service.arrived.get()
            farewell = group.create_task(it.dispatcher.stop(10))
            await asyncio.sleep(0)
            service.let_go.set()
            await farewell
        assert await it.counts() == {"delivered": 1, "pending": 1}


async def test_what_is_cut_off_at_the_end_of_the_grace_is_of_unknown_outcome(where_at_length: Where) -> None:
    async with message_service(lambda: Mood.WAIT) as service, agent(where_at_length, service) as it:
        await it.owe(cdr(), session("PATCH", body=b'{"charging_periods":[{}]}'))
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            group.create_task(it.dispatcher.run())
            await service.arrived.get()
            await service.arrived.get()
            farewell = group.create_task(it.dispatcher.stop(10))
            for _ in range(5):
                await asyncio.sleep(0)
            await it.clock.advance(10)
            await farewell
        assert [verdict for _, verdict in await it.attempts()] == ["unknown_outcome"] * 2
        assert await it.counts() == {"pending": 1, "parked": 1}


class FailingStore:
    """The store behind a disk that is full for the next few calls of one kind."""

    def __init__(self, store: StoredOutbox, **failures: int) -> None:
        self._store = store
        self._failures = failures

    lease_check = None

    def __getattr__(self, name: str) -> Callable[..., Awaitable[object]]:
        method: Callable[..., Awaitable[object]] = getattr(self._store, name)

        async def perhaps(*args: object, **kwargs: object) -> object:
            if self._failures.get(name, 0) > 0:
                self._failures[name] -= 1
                raise StoreUnavailable("the disk is full")
            return await method(*args, **kwargs)

        return perhaps


@pytest.mark.parametrize(("failing", "posts"), [("claim", 1), ("next_due", 1), ("start", 1), ("settle", 1)])
async def test_a_store_that_goes_away_delays_and_never_doubles(
    where_at_length: Where, failing: str, posts: int
) -> None:
    async with message_service() as service, agent(where_at_length, service) as it:
        it.dispatcher = it.a_dispatcher(FailingStore(it.store, **{failing: 3}))
        async with running(it.dispatcher):
            await it.owe(cdr())
            async with asyncio.timeout(20):
                while not it.lines.of("delivery.attempted"):
                    it.clock.step(5)
                    await it.database.write(lambda _: None)
        assert await it.counts() == {"delivered": 1}
        assert len(service.received) == posts


async def test_the_line_of_an_attempt_tells_all_but_what_was_said(where_at_length: Where) -> None:
    async with message_service() as service, agent(where_at_length, service) as it, running(it.dispatcher):
        await it.owe(session("PUT", body=b'{"kwh":"5ecret-b0dy"}'))
        line = await it.next_line()
    assert {"delivery", "provider", "customer", "module", "verdict", "http_status", "attempt", "state"} <= set(line)
    assert (line["provider"], line["object_id"], line["attempt"]) == ("DE*PAY", "s1", 1)
    text = str(it.lines.lines)
    assert "5ecret" not in text
    assert service.received[0].headers["OCN-Signature"] not in text
    labels = {"provider": "DE*PAY", "verdict": "accepted"}
    assert it.metrics.registry.get_sample_value("ocn_agent_delivery_attempts_total", labels) == 1


async def test_a_service_that_wants_signatures_is_asked_once_even_across_a_restart(where_at_length: Where) -> None:
    clock = FakeClock()
    async with message_service(lambda: Mood.WANT_SIGNATURE) as service:
        for name in ("c1", "c2"):
            async with agent(where_at_length, service, clock=clock) as it, running(it.dispatcher):
                await it.owe(cdr(name))
                line = await it.next_line()
                assert (line["state"], line["attempt"]) == ("delivered", 1)
        assert service.asked == 3
    assert [received.is_signed for received in service.received] == [True, True]


async def test_a_node_that_distrusts_our_signature_pauses_the_provider_and_is_an_alarm_once(
    where_at_length: Where,
) -> None:
    async with message_service(lambda: Mood.DISTRUST) as service, agent(where_at_length, service) as it:
        async with running(it.dispatcher):
            await it.owe(cdr("c1"))
            line = await it.next_line()
            assert (line["state"], line["verdict"]) == ("pending", "setup")
            await it.owe(cdr("c2"))
            it.clock.step(5)
            await it.next_line()
            assert len(it.lines.of("node.signature_refused")) == 1
            assert str(it.lines.of("provider.paused")[0]["reason"]).startswith("signature: ")
            service.mood = lambda: Mood.ACCEPT
            it.clock.step(30)
            await it.next_line()
            await it.next_line()
        assert await it.counts() == {"delivered": 2}
