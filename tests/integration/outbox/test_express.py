"""What is recorded leaves at once where nothing stands in its way, and the store looks as if it had been claimed."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ocn_permission_agent.ocpi.request import OcpiRequest
from ocn_permission_agent.outbox.after_attempt import Decision, withdrawn
from ocn_permission_agent.outbox.model import Attempt, AttemptVerdict, Delivery, DeliveryState
from ocn_permission_agent.outbox.settings import DeliverySettings
from ocn_permission_agent.outbox.settlement import Means, Settlement, Standing
from ocn_permission_agent.outbox.settling import AloneColumns
from ocn_permission_agent.outbox.writing import Ready
from ocn_permission_agent.store.database import Connection
from tests.fakes import FakeClock
from tests.outbox_carrier import Dispatching, dispatching
from tests.outbox_desk import Outboxed
from tests.outbox_fixtures import ANALYTICS, BILLING, PROVIDERS, a_plan, an_attempt, cdr, command, open_outbox, session
from tests.stores import Where

TABLES = (
    "providers", "channels", "scopes", "lanes", "envelopes", "deliveries", "attempts", "merged_sessions", "tallies",
    "ledger_chains",
)  # fmt: skip
PATCH = b'{"kwh":2,"charging_periods":[{"n":1}]}'
STEPS: list[OcpiRequest] = [
    session(),
    session("PATCH", body=PATCH),
    session("PUT", body=b'{"id":"s1","status":"COMPLETED"}'),
    session("PATCH", "never begun", PATCH),
    cdr(),
    cdr(body=b'{"id":"cdr-1","total":9}'),
    command(),
]


async def everything(outboxed: Outboxed) -> dict[str, list[tuple[Any, ...]]]:
    """All rows. How often a tally was added to, and salts, do not matter."""

    def read(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
        found = {}
        for table in TABLES:
            rows = connection.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608  named above
            found[table] = sorted((tuple(row) for row in rows), key=repr)
        found["tallies"] = sorted(
            tuple(row)
            for row in connection.execute("SELECT scope_id, state, sum(n) FROM tallies GROUP BY 1, 2 HAVING sum(n) > 0")
        )
        found["ledger_chains"] = [
            tuple(row) for row in connection.execute("SELECT customer_address, last_number FROM ledger_chains")
        ]
        return found

    return await outboxed.database.read(read)


async def begin(outboxed: Outboxed, request: OcpiRequest) -> tuple[Delivery, ...]:
    begun: list[Delivery] = []
    plan = a_plan(request, BILLING, ANALYTICS, at=outboxed.clock.now())
    await outboxed.store.record_and_begin(plan, begin=(PROVIDERS[BILLING],), told=begun.extend)
    return tuple(begun)


async def claim_and_start(outboxed: Outboxed, request: OcpiRequest) -> tuple[Delivery, ...]:
    clock, store = outboxed.clock, outboxed.store
    await store.record(a_plan(request, BILLING, ANALYTICS, at=clock.now()))
    room = {PROVIDERS[BILLING]: 8, PROVIDERS[ANALYTICS]: 0}
    claimed = await store.claim(now=clock.now(), room=room, default_room=0)
    return tuple([await store.start(each, at=clock.now()) for each in claimed])


async def test_begun_with_its_record_is_as_claimed_and_started(where: Where, other_where: Where) -> None:
    clock = FakeClock()
    one = Outboxed(*await open_outbox(where, clock), clock)
    other = Outboxed(*await open_outbox(other_where, clock), clock)
    for step, request in enumerate(STEPS):
        at_once, in_steps = await begin(one, request), await claim_and_start(other, request)
        assert len(at_once) == (0 if step == 5 else 1), "a CDR that contradicts another waits for a person"
        assert at_once == in_steps
        clock.step(1)
        for outboxed, deliveries in ((one, at_once), (other, in_steps)):
            for delivery in deliveries:
                # Unanswered where the next one shall wait; else accepted.
                verdict = AttemptVerdict.UNKNOWN if step == 6 else AttemptVerdict.ACCEPTED
                await outboxed.settle(delivery, an_attempt(verdict, at=clock.now(), seconds=0, ocpi_status=1000))
        assert without_leases(await everything(one)) == without_leases(await everything(other))
    await one.database.close()
    await other.database.close()


class NeverAlone:
    """As if something else waited in every lane; see `settlement.Means`."""

    def __init__(self, means: Means) -> None:
        self._means = means

    def standings(self, connection: Any, group: Sequence[Settlement]) -> Iterator[Standing | None]:
        for standing in self._means.standings(connection, group):
            yield standing and standing._replace(alone=False)

    def end_alone(self, connection: Any, ends: Sequence[AloneColumns]) -> None:
        assert not ends


@pytest.mark.parametrize("verdict", [AttemptVerdict.ACCEPTED, AttemptVerdict.REFUSED, AttemptVerdict.UNCONFIRMED])
async def test_an_end_alone_is_the_same_in_one_statement_and_in_steps(
    where: Where, other_where: Where, verdict: AttemptVerdict
) -> None:
    clock = FakeClock()
    one = Outboxed(*await open_outbox(where, clock), clock)
    other = Outboxed(*await open_outbox(other_where, clock), clock)
    other.store._settlements._means = NeverAlone(other.store._settlements._means)
    for request in STEPS:
        for outboxed in (one, other):
            for delivery in await claim_and_start(outboxed, request):
                await outboxed.settle(delivery, an_attempt(verdict, at=clock.now(), seconds=0, ocpi_status=1000))
        assert without_leases(await everything(one)) == without_leases(await everything(other))
        assert [each.outcome for each in await one.entries()] == [each.outcome for each in await other.entries()]
        clock.step(1)
    await one.database.close()
    await other.database.close()


def without_leases(found: dict[str, list[tuple[Any, ...]]]) -> dict[str, list[tuple[Any, ...]]]:
    """Leases end by the clock of the server, which is years from that of the test."""
    sometime_us = 1_780_000_000_000_000

    def shown(value: Any) -> Any:
        return "lease" if isinstance(value, int) and value > sometime_us else value

    found["lanes"] = sorted((tuple(map(shown, row)) for row in found["lanes"]), key=repr)
    return found


def accepting(clock: FakeClock) -> Any:
    async def ending(_: Delivery) -> Attempt:
        return an_attempt(AttemptVerdict.ACCEPTED, at=clock.now(), seconds=0, ocpi_status=1000)

    return ending


async def states(it: Dispatching) -> dict[str, int]:
    return {state.value: count for state, count in (await it.store.counts()).by_state.items()}


async def test_a_copy_leaves_at_once_and_is_delivered(tmp_path: Path) -> None:
    clock = FakeClock()
    async with dispatching(tmp_path, accepting(clock), clock=clock) as it:
        await it.rest()
        await it.express.record(a_plan(session(), BILLING, ANALYTICS, at=clock.now()))
        await it.rest()
        assert [each.attempts for each in it.carrier.begun] == [1, 1]
        assert await states(it) == {"delivered": 2}


async def test_all_that_boards_in_a_turn_is_prepared_before_any_of_it_is_sent(tmp_path: Path) -> None:
    clock = FakeClock()
    prepared: list[int] = []

    async def ending(_: Delivery) -> Attempt:
        prepared.append(it.carrier.active[BILLING])
        return an_attempt(AttemptVerdict.ACCEPTED, at=clock.now(), seconds=0, ocpi_status=1000)

    async with dispatching(tmp_path, ending, clock=clock) as it:
        await it.rest()
        async with asyncio.TaskGroup() as group:
            for number in range(3):
                group.create_task(it.express.record(a_plan(cdr(f"c{number}"), BILLING, at=clock.now())))
        await it.rest()
        assert prepared[0] == 3
        assert await states(it) == {"delivered": 3}


async def test_more_than_depart_together_follow_in_the_next_turn(tmp_path: Path) -> None:
    clock, most = FakeClock(), 0

    async def ending(_: Delivery) -> Attempt:
        nonlocal most
        most = max(most, it.carrier.active[BILLING])
        return an_attempt(AttemptVerdict.ACCEPTED, at=clock.now(), seconds=0, ocpi_status=1000)

    settings = DeliverySettings(max_in_flight=100, max_rate=1_000)
    async with dispatching(tmp_path, ending, settings, clock=clock) as it:
        await it.rest()
        async with asyncio.TaskGroup() as group:
            for number in range(80):
                group.create_task(it.express.record(a_plan(cdr(f"c{number}"), BILLING, at=clock.now())))
        await it.rest()
        assert await states(it) == {"delivered": 80}
        assert [each.attempts for each in it.carrier.begun] == [1] * 80
        assert most < 80


async def test_consent_that_ends_after_the_message_was_written_keeps_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    async with dispatching(tmp_path, accepting(clock), clock=clock) as it:
        it.waiting.add(BILLING)  # what was prepared and is not sent counts as under way for ever
        await it.rest()
        monkeypatch.setattr(it.carrier, "judge", lambda _: withdrawn("C5: revoked", now=clock.now()))
        await it.express.record(a_plan(cdr(), BILLING, at=clock.now()))
        await it.rest()
        assert it.carrier.active[BILLING] == 1, "it was prepared"
        assert it.carrier.begun == []
        assert await states(it) == {"withdrawn": 1}


async def test_what_cannot_be_prepared_together_goes_its_own_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    async with dispatching(tmp_path, accepting(clock), clock=clock) as it:
        await it.rest()

        def fail(_: Sequence[Delivery]) -> list[Ready | Decision | None]:
            raise LookupError("on purpose")

        monkeypatch.setattr(it.carrier, "prepare_together", fail)
        async with asyncio.TaskGroup() as group:
            for number in range(3):
                group.create_task(it.express.record(a_plan(cdr(f"c{number}"), BILLING, at=clock.now())))
        await it.rest()
        assert await states(it) == {"delivered": 3}


async def test_what_waits_in_its_lane_is_not_passed(tmp_path: Path) -> None:
    clock, answered = FakeClock(), asyncio.Event()

    async def slow(_: Delivery) -> Attempt:
        await answered.wait()
        return an_attempt(AttemptVerdict.ACCEPTED, at=clock.now(), seconds=0, ocpi_status=1000)

    async with dispatching(tmp_path, slow, clock=clock) as it:
        it.waiting.add(BILLING)
        await it.rest()
        bodies = [b'{"kwh":%d}' % number for number in range(3)]
        for body in bodies:
            await it.express.record(a_plan(session("PATCH", body=body), BILLING, at=clock.now()))
        await it.rest()
        assert [each.envelope.request.body for each in it.carrier.begun] == bodies[:1]
        answered.set()
        await it.rest()
        assert [each.envelope.request.body for each in it.carrier.begun] == bodies


async def test_what_is_not_open_is_left_to_the_claim(tmp_path: Path) -> None:
    clock = FakeClock()
    async with dispatching(tmp_path, accepting(clock), clock=clock) as it:
        it.carrier.closed_to.add(BILLING)
        await it.rest()
        plan, begun = a_plan(session(), BILLING, ANALYTICS, at=clock.now()), list[Delivery]()
        seats = it.dispatcher.seats_for(plan)
        assert seats == (PROVIDERS[ANALYTICS],)
        await it.store.record_and_begin(plan, begin=seats, told=begun.extend)
        assert [each.provider for each in begun] == [ANALYTICS]
        it.dispatcher.board(seats, tuple(begun))
        it.dispatcher.wake()
        await it.rest()
        assert await states(it) == {"delivered": 2}


async def test_a_paused_provider_gets_nothing_past_its_pause(tmp_path: Path) -> None:
    clock = FakeClock()
    verdicts = [AttemptVerdict.NOT_PROCESSED, AttemptVerdict.ACCEPTED, AttemptVerdict.ACCEPTED]

    async def ending(_: Delivery) -> Attempt:
        verdict = verdicts[len(it.carrier.begun) - 1]
        away = verdict is AttemptVerdict.NOT_PROCESSED
        status = None if away else 200
        return an_attempt(verdict, at=clock.now(), seconds=0, http_status=status, unreachable=away, ocpi_status=1000)

    async with dispatching(tmp_path, ending, clock=clock) as it:
        await it.rest()
        await it.express.record(a_plan(cdr("c1"), BILLING, at=clock.now()))
        await it.rest()
        clock.step(0.001)
        await it.express.record(a_plan(cdr("c2"), BILLING, at=clock.now()))
        await it.rest()
        assert len(it.carrier.begun) == 1, "the provider is paused"
        await it.step(600)
        assert [each.lane.object_id for each in it.carrier.begun] == ["c1", "c1", "c2"]


async def test_no_more_at_a_time_than_the_limit(tmp_path: Path) -> None:
    clock, answered = FakeClock(), asyncio.Event()

    async def slow(_: Delivery) -> Attempt:
        await answered.wait()
        return an_attempt(AttemptVerdict.ACCEPTED, at=clock.now(), seconds=0, ocpi_status=1000)

    settings = DeliverySettings(max_in_flight=3, max_rate=1_000)
    async with dispatching(tmp_path, slow, settings, clock=clock) as it:
        it.waiting.add(BILLING)
        await it.rest()
        async with asyncio.TaskGroup() as group:
            for number in range(10):
                group.create_task(it.express.record(a_plan(cdr(f"c{number}"), BILLING, at=clock.now())))
        await it.rest()
        assert it.carrier.active[BILLING] == 3
        answered.set()
        await it.rest()
        assert await states(it) == {"delivered": 10}


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "claimed"])
async def test_it_is_sent_though_nobody_waits_for_its_record_any_more(tmp_path: Path, at_once: bool) -> None:
    clock = FakeClock()
    async with dispatching(tmp_path, accepting(clock), clock=clock) as it:
        if not at_once:
            it.carrier.closed_to.add(BILLING)
        await it.rest()
        async with asyncio.TaskGroup() as group:
            recording = group.create_task(it.express.record(a_plan(cdr(), BILLING, at=clock.now())))
            await asyncio.sleep(0)
            recording.cancel()
        await it.rest()
        assert await states(it) == {"delivered": 1}


async def test_a_farewell_waits_for_what_is_just_being_recorded(tmp_path: Path) -> None:
    clock = FakeClock()
    async with dispatching(tmp_path, accepting(clock), clock=clock) as it:
        await it.rest()
        async with asyncio.TaskGroup() as group:
            recording = group.create_task(it.express.record(a_plan(cdr(), BILLING, at=clock.now())))
            await asyncio.sleep(0)
            group.create_task(it.dispatcher.stop(5))
        assert recording.result() == 1
        assert await states(it) == {"delivered": 1}
        assert it.dispatcher.seats_for(a_plan(cdr("later"), BILLING, at=clock.now())) == ()


async def test_who_dies_in_between_leaves_an_attempt_without_an_end(outboxed: Outboxed) -> None:
    (delivery,) = await begin(outboxed, cdr())
    (left,) = await outboxed.store.recover(outboxed.clock.now())
    assert left.delivery.id == delivery.id
    assert left.started_at == outboxed.clock.now()
    assert (await outboxed.store.counts()).by_state == {DeliveryState.PENDING: 2}
