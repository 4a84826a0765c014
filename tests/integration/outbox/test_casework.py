"""What people ask: lists, stories, another try, letting go."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from ocn_permission_agent.ledger.store import LedgerStore
from ocn_permission_agent.outbox.after_attempt import Decision
from ocn_permission_agent.outbox.casework import Choice, NotCopiedBook
from ocn_permission_agent.outbox.gap_store import StoredGaps
from ocn_permission_agent.outbox.gaps import Gap, Gaps
from ocn_permission_agent.outbox.model import AttemptVerdict, Delivery, DeliveryState
from ocn_permission_agent.outbox.settings import DeliverySettings
from ocn_permission_agent.outbox.stored import StoredOutbox
from ocn_permission_agent.outbox.stored_casework import StoredCasework
from ocn_permission_agent.store.database import Connection, Database
from tests.fakes import FakeClock
from tests.outbox_fixtures import ANALYTICS, BILLING, PROVIDERS, a_plan, an_attempt, cdr, open_outbox, session
from tests.stores import Where

ALL = Choice()


class Office:
    def __init__(self, database: Database, store: StoredOutbox, clock: FakeClock) -> None:
        self.database, self.store, self.clock = database, store, clock
        self.casework = StoredCasework(database, settings=DeliverySettings(), ledger=LedgerStore(database))

    async def claim(self) -> tuple[Delivery, ...]:
        return await self.store.claim(now=self.clock.now(), room={}, default_room=100)

    async def end(self, delivery: Delivery, state: DeliveryState) -> None:
        delivery = await self.store.start(delivery, at=self.clock.now())
        attempt = an_attempt(AttemptVerdict.REFUSED, at=self.clock.now(), seconds=0, detail="kwh is missing")
        decision = Decision(state=state, decided_at=self.clock.now(), reason="the service said no")
        await self.store.settle(delivery, decision, attempt=attempt)

    async def retry(self, choice: Choice, *, most: int = 500, after_id: int = 0) -> tuple[int, int, int | None]:
        step = await self.casework.retry(choice, by="op@host", now=self.clock.now(), after_id=after_id, most=most)
        return step.done, step.passed_over, step.last_id

    async def discard(self, choice: Choice) -> tuple[int, int, int | None]:
        step = await self.casework.discard(choice, by="op@host", now=self.clock.now(), after_id=0, most=500)
        return step.done, step.passed_over, step.last_id

    async def states(self) -> dict[str, int]:
        return {state.value: n for state, n in (await self.store.counts()).by_state.items()}

    async def found(self, choice: Choice, *, before_id: int | None = None, most: int = 100) -> list[str]:
        listed = await self.casework.find(choice, before_id=before_id, most=most)
        return [f"{each.id}:{each.provider}:{each.object_id}:{each.state.value}" for each in listed]


@pytest.fixture
async def office(where: Where) -> AsyncIterator[Office]:
    clock = FakeClock()
    database, store = await open_outbox(where, clock)
    yield Office(database, store, clock)
    await database.close()


@pytest.fixture
async def busy(office: Office) -> Office:
    """Ids 1 to 6: c1 (two providers, refused), s1 (two providers, pending), c2 an hour later (delivered, parked)."""
    await office.store.record(a_plan(cdr("c1"), BILLING, ANALYTICS, at=office.clock.now()))
    for delivery in await office.claim():
        await office.end(delivery, DeliveryState.PARKED)
    await office.store.record(a_plan(session(), BILLING, ANALYTICS, at=office.clock.now()))
    office.clock.step(3600)
    await office.store.record(a_plan(cdr("c2"), BILLING, ANALYTICS, at=office.clock.now()))
    for delivery in await office.claim():
        if delivery.lane.object_id == "c2":
            await office.end(
                delivery, DeliveryState.DELIVERED if delivery.provider == BILLING else DeliveryState.REFUSED
            )
        else:
            later = office.clock.now() + timedelta(seconds=5)
            await office.store.settle(
                delivery, Decision(state=DeliveryState.PENDING, decided_at=office.clock.now(), due_at=later)
            )
    return office


async def test_the_newest_come_first_page_by_page(busy: Office) -> None:
    assert await busy.found(ALL, most=2) == ["6:NL*ANA:c2:refused", "5:DE*PAY:c2:delivered"]
    assert await busy.found(ALL, before_id=5, most=2) == ["4:NL*ANA:s1:pending", "3:DE*PAY:s1:pending"]


@pytest.mark.parametrize(
    ("choice", "ids"),
    [
        (Choice(provider="de*pay"), [5, 3, 1]),
        (Choice(provider=PROVIDERS[ANALYTICS].upper().replace("0X", "0x")), [6, 4, 2]),
        (Choice(customer="DE*CPO"), [6, 5, 4, 3, 2, 1]),
        (Choice(customer="NL*MSP"), []),
        (Choice(module="sessions"), [4, 3]),
        (Choice(states=(DeliveryState.PARKED, DeliveryState.REFUSED)), [6, 2, 1]),
        (Choice(since=FakeClock().now() + timedelta(seconds=1)), [6, 5]),
        (Choice(until=FakeClock().now() + timedelta(seconds=1)), [4, 3, 2, 1]),
        (Choice(ids=(2, 5, 99)), [5, 2]),
        (Choice(provider="DE*PAY", module="cdrs", states=(DeliveryState.PARKED,)), [1]),
    ],
)
async def test_a_choice_means_what_it_says(busy: Office, choice: Choice, ids: list[int]) -> None:
    assert [each.id for each in await busy.casework.find(choice, before_id=None, most=100)] == ids
    preview = await busy.casework.preview(choice)
    assert sum(preview.by_state.values()) == len(ids)


async def test_a_preview_tells_what_could_be_done(busy: Office) -> None:
    preview = await busy.casework.preview(ALL)
    assert {state.value: n for state, n in preview.by_state.items()} == {
        "parked": 2,
        "pending": 2,
        "delivered": 1,
        "refused": 1,
    }
    assert (preview.retriable, preview.discardable) == (3, 5)


async def test_one_delivery_is_shown_with_its_attempts_and_without_its_payload(busy: Office) -> None:
    shown = await busy.casework.show(1, now=busy.clock.now())
    assert shown is not None
    assert (shown.listed.state, shown.listed.payload_kept, shown.listed.attempts) == (DeliveryState.PARKED, True, 1)
    assert [(attempt.verdict, attempt.detail) for attempt in shown.attempts] == [
        (AttemptVerdict.REFUSED, "kwh is missing")
    ]
    assert "7.5" not in repr(shown)
    assert await busy.casework.show(99, now=busy.clock.now()) is None


async def test_what_is_retried_is_due_at_once_with_a_new_window(busy: Office) -> None:
    busy.clock.step(29 * 86_400)
    assert await busy.retry(Choice(module="cdrs")) == (3, 0, None)
    assert await busy.states() == {"pending": 5, "delivered": 1}
    claimed = {delivery.id: delivery for delivery in await busy.claim()}
    assert set(claimed) == {1, 2, 3, 4, 6}
    assert claimed[1].envelope.request.body == cdr("c1").body
    assert claimed[1].expires_at == busy.clock.now() + timedelta(days=14)
    assert claimed[1].attempts == 1
    assert claimed[1].reason == "to be tried again, as op@host asked"


async def test_what_has_no_payload_any_more_is_passed_over(busy: Office) -> None:
    busy.clock.step(31 * 86_400)
    await busy.store.purge(busy.clock.now())
    assert await busy.retry(Choice(states=(DeliveryState.PARKED,))) == (0, 2, None)
    assert (await busy.states())["parked"] == 2


async def test_a_bulk_action_goes_slice_by_slice(busy: Office) -> None:
    assert await busy.retry(ALL, most=2) == (2, 0, 2)
    assert await busy.retry(ALL, most=2, after_id=2) == (1, 0, None)


async def test_a_retried_session_comes_before_what_waits_and_both_go_as_one(office: Office) -> None:
    await office.store.record(a_plan(session(body=b'{"id":"s1","kwh":1}'), at=office.clock.now()))
    (put,) = await office.claim()
    await office.end(put, DeliveryState.REFUSED)
    await office.store.record(a_plan(session("PATCH", body=b'{"kwh":2}'), at=office.clock.now()))
    assert await office.retry(ALL) == (1, 0, None)
    (claimed,) = await office.claim()
    request = claimed.envelope.request
    assert (claimed.collapsed, request.method, request.body) == (True, "PUT", b'{"id":"s1","kwh":2}')
    assert await office.states() == {"pending": 1, "superseded": 1}


async def test_a_lane_that_is_being_delivered_to_is_left_alone(office: Office) -> None:
    await office.store.record(a_plan(session("PATCH", body=b'{"kwh":1}'), at=office.clock.now()))
    (first,) = await office.claim()
    await office.end(first, DeliveryState.REFUSED)
    await office.store.record(a_plan(session("PATCH", body=b'{"kwh":2}'), at=office.clock.now()))
    (second,) = await office.claim()
    assert await office.retry(ALL) == (0, 1, None)
    assert await office.discard(Choice(ids=(second.id,))) == (0, 1, None)


async def test_what_is_discarded_never_leaves_and_its_payload_is_gone(busy: Office) -> None:
    assert await busy.discard(Choice(provider="NL*ANA")) == (3, 0, None)
    assert await busy.found(Choice(provider="NL*ANA")) == [
        "6:NL*ANA:c2:refused",
        "4:NL*ANA:s1:withdrawn",
        "2:NL*ANA:c1:withdrawn",
    ]
    assert await busy.discard(Choice(provider="NL*ANA")) == (0, 1, None)
    reasons = [each.reason for each in await busy.casework.find(Choice(provider="NL*ANA"), before_id=None, most=9)]
    assert reasons == ["the service said no; discarded by op@host", "discarded by op@host", "discarded by op@host"]
    assert await busy.discard(ALL) == (2, 1, None)
    bodies = "SELECT count(*) FROM envelopes WHERE body IS NOT NULL"
    assert await busy.database.read(lambda connection: connection.execute(bodies).fetchone()[0]) == 0
    assert await busy.claim() == ()


async def test_the_story_of_a_request_names_every_copy_and_every_repetition(busy: Office) -> None:
    correlation_id = session().correlation_id
    assert await busy.store.record(a_plan(session(), BILLING, at=busy.clock.now())) == 0
    story = await busy.casework.explain(correlation_id, now=busy.clock.now())
    assert [(each.listed.provider, each.listed.module) for each in story.copies] == [
        ("DE*PAY", "sessions"),
        ("NL*ANA", "sessions"),
    ]
    assert [(each.delivery_id, each.provider) for each in story.repeated] == [(3, "DE*PAY")]
    assert (story.not_copied, story.missed) == ((), ())


async def test_the_story_is_found_however_far_apart_its_copies_were_recorded(office: Office) -> None:
    def far_away(connection: Connection) -> None:
        for table, column in (("envelopes", "id"), ("deliveries", "id"), ("deliveries", "envelope_id")):
            connection.execute(f"UPDATE {table} SET {column} = {column} + 1000000 WHERE {column} < 1000000")  # noqa: S608

    for number in range(3):
        await office.store.record(
            a_plan(session("PUT", f"s{number}", correlation_id="c-7"), BILLING, at=office.clock.now())
        )
        await office.store.record(
            a_plan(session("PUT", f"t{number}", correlation_id="c-8"), BILLING, at=office.clock.now())
        )
        if not number:
            await office.database.write(far_away)
    story = await office.casework.explain("c-7", now=office.clock.now())
    assert [each.listed.object_id for each in story.copies] == ["s1", "s2", "s0"]


async def test_the_story_tells_why_a_request_was_not_copied_or_was_missed(office: Office) -> None:
    book = NotCopiedBook()
    book.note(session(correlation_id="c-9"), "receiver_refused", at=office.clock.now())
    await book.write(office.casework)
    await book.write(office.casework)
    gap = Gap(reason="unknown_outcome", at=office.clock.now(), correlation_id="c-9")
    await StoredGaps(office.database).note(Gaps(details=(gap,)))
    story = await office.casework.explain("c-9", now=office.clock.now())
    assert [(each.reason, each.sender, each.method) for each in story.not_copied] == [
        ("receiver_refused", "DE*CPO", "PUT")
    ]
    assert [(each.reason, each.at) for each in story.missed] == [("unknown_outcome", office.clock.now())]
    assert (await office.casework.explain("unheard", now=office.clock.now())).copies == ()


async def test_an_attempt_that_is_under_way_is_shown_as_such(office: Office) -> None:
    await office.store.record(a_plan(cdr(), at=office.clock.now()))
    (delivery,) = await office.claim()
    await office.store.start(delivery, at=office.clock.now())
    office.clock.step(3)
    shown = await office.casework.show(delivery.id, now=office.clock.now())
    assert shown is not None
    assert shown.in_flight
    assert [(each.detail, each.ended_at - each.started_at) for each in shown.attempts] == [
        ("it has not ended yet", timedelta(seconds=3))
    ]
