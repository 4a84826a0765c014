"""What is recorded, what is only noted, and what is left of a payload."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.ocpi.request import parse_request
from ocn_permission_agent.outbox.after_attempt import Decision
from ocn_permission_agent.outbox.model import Delivery, DeliveryState
from ocn_permission_agent.outbox.stored import StoredOutbox
from ocn_permission_agent.store.database import Database
from tests.factories import HEADERS, a_request
from tests.fakes import FakeClock
from tests.outbox_fixtures import ANALYTICS, BILLING, a_plan, cdr, open_outbox, session
from tests.stores import Where


class Outbox:
    """The store with shorthands of a test."""

    def __init__(self, database: Database, store: StoredOutbox, clock: FakeClock, metrics: Metrics) -> None:
        self.database = database
        self.store = store
        self.clock = clock
        self.metrics = metrics

    async def claim(self) -> tuple[Delivery, ...]:
        return await self.store.claim(now=self.clock.now(), room={}, default_room=8)

    async def end_next(self, state: DeliveryState = DeliveryState.DELIVERED) -> Delivery:
        (delivery, *_) = await self.claim()
        await self.store.settle(delivery, Decision(state=state, decided_at=self.clock.now()))
        return delivery

    async def one(self, sql: str) -> object:
        row = await self.database.read(lambda connection: connection.execute(sql).fetchone())
        return row[0]


def left_in_files(where: Where, secret: bytes) -> bool:
    """Only SQLite promises to overwrite what is erased; PostgreSQL's files are the server's."""
    return isinstance(where, Path) and any(secret in file.read_bytes() for file in where.parent.iterdir())


@pytest.fixture
async def outbox(where: Where) -> AsyncIterator[Outbox]:
    clock, metrics = FakeClock(), Metrics()
    database, store = await open_outbox(where, clock, metrics=metrics)
    yield Outbox(database, store, clock, metrics)
    await database.close()


async def test_what_was_recorded_comes_out_as_it_was_said(outbox: Outbox) -> None:
    request = a_request(
        "PUT",
        "/ocpi/receiver/2.2/tokens/NL/MSP/t%20ä1",
        body=b'{"uid":  "t 1", "x": 1.50}\n',
        query="type=RFID&x=%C3%A4&type=",
        ocn_signature="H4sI…",
    )
    plan = a_plan(request, BILLING, ANALYTICS, at=outbox.clock.now())
    assert await outbox.store.record(plan) == 2
    claimed = await outbox.claim()
    assert [delivery.envelope for delivery in claimed] == [plan.envelope, plan.envelope]
    assert [(d.provider, d.agreement, d.lane) for d in claimed] == [
        (planned.provider, planned.agreement, planned.lane) for planned in plan.deliveries
    ]
    assert await outbox.one("SELECT count(*) FROM envelopes") == 1


async def test_a_customers_token_never_reaches_the_file(outbox: Outbox, where: Where) -> None:
    headers = HEADERS | {"authorization": "Token 5ecret-t0ken", "x-api-key": "5ecret-t0ken"}
    request = parse_request(
        method="PUT", raw_path="/ocpi/receiver/2.2/sessions/DE/CPO/s1", raw_query="", headers=headers, body=b"{}"
    )
    assert request is not None
    await outbox.store.record(a_plan(request, at=outbox.clock.now()))
    await outbox.claim()
    assert "5ecret" not in await outbox.database.dump()
    assert not left_in_files(where, b"5ecret")


async def test_the_same_again_to_another_receiver_is_noted_and_not_sent(outbox: Outbox) -> None:
    await outbox.store.record(a_plan(session(correlation_id="one"), at=outbox.clock.now()))
    again = a_plan(session(correlation_id="two"), at=outbox.clock.now())
    assert await outbox.store.record(again) == 0
    assert await outbox.one("SELECT correlation_id FROM duplicates") == "two"
    assert await outbox.one("SELECT count(*) FROM envelopes") == 1
    labels = {"provider": "DE*PAY", "module": "sessions", "outcome": "duplicate"}
    assert outbox.metrics.registry.get_sample_value("ocn_agent_copies_total", labels) == 1


async def test_a_repetition_is_noted_after_delivery_too(outbox: Outbox) -> None:
    await outbox.store.record(a_plan(session(), at=outbox.clock.now()))
    await outbox.end_next()
    assert await outbox.store.record(a_plan(session(), at=outbox.clock.now())) == 0


async def test_a_return_to_an_earlier_content_is_new(outbox: Outbox) -> None:
    bodies = [b'{"status":"A"}', b'{"status":"B"}', b'{"status":"A"}']
    stored = [await outbox.store.record(a_plan(session("PATCH", body=body), at=outbox.clock.now())) for body in bodies]
    assert stored == [1, 1, 1]


async def test_charging_periods_are_not_recorded_twice_within_a_day(outbox: Outbox) -> None:
    periods, other = b'{"charging_periods":[{"x":1}]}', b'{"kwh":2}'
    stored = [
        await outbox.store.record(a_plan(session("PATCH", body=body), at=outbox.clock.now()))
        for body in (periods, other, periods)
    ]
    outbox.clock.step(24 * 3600 + 1)
    stored.append(await outbox.store.record(a_plan(session("PATCH", body=other), at=outbox.clock.now())))
    stored.append(await outbox.store.record(a_plan(session("PATCH", body=periods), at=outbox.clock.now())))
    assert stored == [1, 1, 0, 0, 1]


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_another_method_or_query_is_another_content(outbox: Outbox, method: str) -> None:
    path = "/ocpi/receiver/2.2/tokens/NL/MSP/t1"
    first = a_request(method, path, query="type=RFID")
    others = [a_request("PATCH" if method == "PUT" else "PUT", path, query="type=RFID"), a_request(method, path)]
    for request in (first, *others):
        assert await outbox.store.record(a_plan(request, at=outbox.clock.now())) == 1


async def test_what_was_withdrawn_never_arrived_and_is_no_earlier_copy(outbox: Outbox) -> None:
    for request in (session(), cdr()):
        await outbox.store.record(a_plan(request, at=outbox.clock.now()))
        await outbox.end_next(DeliveryState.WITHDRAWN)
        assert await outbox.store.record(a_plan(request, at=outbox.clock.now())) == 1
        await outbox.end_next()


async def test_a_cdr_is_known_by_its_id(outbox: Outbox) -> None:
    assert await outbox.store.record(a_plan(cdr("c1"), at=outbox.clock.now())) == 1
    assert await outbox.store.record(a_plan(cdr("c2"), at=outbox.clock.now())) == 1
    assert await outbox.store.record(a_plan(cdr("c1"), at=outbox.clock.now())) == 0


async def test_a_cdr_with_a_known_id_and_another_body_is_shown_and_not_sent(outbox: Outbox) -> None:
    changed = cdr("c1", b'{"id":"c1","total":9999}')
    await outbox.store.record(a_plan(cdr("c1"), at=outbox.clock.now()))
    await outbox.end_next()
    assert await outbox.store.record(a_plan(changed, at=outbox.clock.now())) == 1
    assert await outbox.claim() == ()
    counts = await outbox.store.counts()
    assert counts.by_state == {DeliveryState.DELIVERED: 1, DeliveryState.PARKED: 1}
    assert "another CDR with this id" in str(await outbox.one("SELECT reason FROM deliveries WHERE state = 'parked'"))
    assert await outbox.one("SELECT count(*) FROM envelopes WHERE body IS NOT NULL") == 1
    assert await outbox.store.record(a_plan(changed, at=outbox.clock.now())) == 0


async def test_a_payload_is_erased_when_the_last_delivery_of_it_has_ended(outbox: Outbox, where: Where) -> None:
    request = cdr(body=b'{"id":"c1","secret":"kilowatts"}')
    await outbox.store.record(a_plan(request, BILLING, ANALYTICS, at=outbox.clock.now()))
    first, second = await outbox.claim()
    await outbox.store.settle(first, Decision(state=DeliveryState.DELIVERED, decided_at=outbox.clock.now()))
    assert await outbox.one("SELECT body FROM envelopes") == request.body
    await outbox.store.settle(second, Decision(state=DeliveryState.EXPIRED, decided_at=outbox.clock.now()))
    assert await outbox.one("SELECT count(*) FROM envelopes WHERE body IS NULL AND query IS NULL") == 1
    await outbox.database.close()
    assert not left_in_files(where, b"kilowatts")


@pytest.mark.parametrize("state", [DeliveryState.PARKED, DeliveryState.UNCONFIRMED])
async def test_a_payload_that_a_person_may_need_is_kept_for_thirty_days(outbox: Outbox, state: DeliveryState) -> None:
    await outbox.store.record(a_plan(cdr(), BILLING, ANALYTICS, at=outbox.clock.now()))
    first, second = await outbox.claim()
    await outbox.store.settle(first, Decision(state=state, decided_at=outbox.clock.now()))
    await outbox.store.settle(second, Decision(state=DeliveryState.DELIVERED, decided_at=outbox.clock.now()))
    outbox.clock.step(timedelta(days=30).total_seconds() - 1)
    assert await outbox.store.purge(outbox.clock.now()) == 0
    assert await outbox.one("SELECT body FROM envelopes") == cdr().body
    outbox.clock.step(1)
    assert await outbox.store.purge(outbox.clock.now()) == 1
    assert await outbox.one("SELECT body FROM envelopes") is None
