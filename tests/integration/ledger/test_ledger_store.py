"""The ledger on disk: every end of a delivery is in it, sealed, provable, and gone when its time is over."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from ocn_permission_agent.ledger.chain import ChainedEntry, verify
from ocn_permission_agent.ledger.entry import Entry, body_hash, read_entry
from ocn_permission_agent.ledger.keeping import Keeper
from ocn_permission_agent.ledger.store import ENTRIES_TO_SEAL, LedgerStore
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.ocn.keys import OperatorKey, recover
from ocn_permission_agent.outbox.after_attempt import Decision
from ocn_permission_agent.outbox.model import AttemptVerdict, DeliveryState
from ocn_permission_agent.outbox.stored import StoredOutbox
from ocn_permission_agent.store.sqlite import SqliteDatabase
from tests.fakes import FakeClock
from tests.outbox_fixtures import (
    AGREEMENT,
    BILLING,
    CUSTOMER_ADDRESS,
    PROVIDERS,
    Lines,
    a_plan,
    an_attempt,
    an_outbox,
    cdr,
    session,
)

KEY = OperatorKey(b"\x11" * 32)


class Kept:
    def __init__(self, database: SqliteDatabase, clock: FakeClock) -> None:
        self.database, self.clock = database, clock
        self.ledger = LedgerStore(database)
        self.store: StoredOutbox = an_outbox(database)
        self.keeper = Keeper(ledger=self.ledger, key=KEY, days=396, clock=clock, log=Lines())

    async def chained(self) -> tuple[ChainedEntry, ...]:
        chain = await self.ledger.chain(CUSTOMER_ADDRESS)
        return () if chain is None else tuple(chain.entries)

    async def entries(self) -> list[Entry]:
        return [read_entry(each.text) for each in await self.chained() if each.text is not None]

    async def faults(self) -> tuple[str, ...]:
        chain = await self.ledger.chain(CUSTOMER_ADDRESS)
        assert chain is not None
        return verify(chain, signer=KEY.address, recover=recover)

    async def deliver(self, count: int, prefix: str = "c") -> None:
        for number in range(count):
            await self.store.record(a_plan(cdr(f"{prefix}{number}"), at=self.clock.now()))
        while claimed := await self.store.claim(now=self.clock.now(), room={}, default_room=100):
            for delivery in claimed:
                await self.store.settle(delivery, Decision(state=DeliveryState.DELIVERED, decided_at=self.clock.now()))


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Kept]:
    clock = FakeClock()
    database = await SqliteDatabase.open(tmp_path / "agent.db", metrics=Metrics(), clock=clock)
    yield Kept(database, clock)
    await database.close()


async def test_an_end_is_entered_with_what_was_disclosed(kept: Kept) -> None:
    request = session(body=b'{"kwh":1.5}', correlation_id="c-7")
    plan = a_plan(request, at=kept.clock.now())
    plan = replace(plan, deliveries=(replace(plan.deliveries[0], agreement_block=77),))
    await kept.store.record(plan)
    (delivery,) = await kept.store.claim(now=kept.clock.now(), room={}, default_room=8)
    kept.clock.step(1)
    started_at = kept.clock.now()
    delivery = await kept.store.start(delivery, at=started_at)
    attempt = an_attempt(AttemptVerdict.ACCEPTED, at=started_at, seconds=2)
    await kept.store.settle(
        delivery, Decision(state=DeliveryState.DELIVERED, decided_at=attempt.ended_at), attempt=attempt
    )
    ((chained,), (entry,)) = await kept.chained(), await kept.entries()
    assert chained.salt is not None
    assert entry == Entry(
        outcome="delivered",
        customer="DE*CPO",
        customer_address=CUSTOMER_ADDRESS,
        provider="DE*PAY",
        provider_address=PROVIDERS[BILLING],
        module="sessions",
        interface_role="receiver",
        method="PUT",
        sent_as=None,
        owner="DE*CPO",
        object_id="s1",
        correlation_id="c-7",
        size=11,
        body_hash=body_hash(chained.salt, request.body),
        recorded_at=plan.envelope.recorded_at,
        started_at=started_at,
        ended_at=attempt.ended_at,
        attempts=1,
        agreement=str(AGREEMENT),
        agreement_block=77,
    )
    assert await kept.faults() == ()


@pytest.mark.parametrize("state", [state for state in DeliveryState if state is not DeliveryState.PENDING])
async def test_every_kind_of_end_is_entered(kept: Kept, state: DeliveryState) -> None:
    await kept.store.record(a_plan(cdr(), at=kept.clock.now()))
    (delivery,) = await kept.store.claim(now=kept.clock.now(), room={}, default_room=8)
    await kept.store.settle(delivery, Decision(state=state, decided_at=kept.clock.now()))
    assert [(entry.outcome, entry.started_at) for entry in await kept.entries()] == [(state.value, None)]


async def test_what_goes_on_waiting_is_not_entered(kept: Kept) -> None:
    await kept.store.record(a_plan(cdr(), at=kept.clock.now()))
    (delivery,) = await kept.store.claim(now=kept.clock.now(), room={}, default_room=8)
    later = kept.clock.now() + timedelta(seconds=5)
    await kept.store.settle(delivery, Decision(state=DeliveryState.PENDING, decided_at=kept.clock.now(), due_at=later))
    assert await kept.chained() == ()


async def test_a_chain_is_sealed_daily_and_after_many_entries(kept: Kept) -> None:
    await kept.deliver(3)
    await kept.keeper.round()
    await kept.deliver(2, "d")
    await kept.keeper.round()
    chain = await kept.ledger.chain(CUSTOMER_ADDRESS)
    assert chain is not None
    assert [checkpoint.number for checkpoint in chain.checkpoints] == [3]
    kept.clock.step(86_400)
    await kept.keeper.round()
    await kept.keeper.round()
    await kept.deliver(ENTRIES_TO_SEAL, "e")
    await kept.keeper.round()
    chain = await kept.ledger.chain(CUSTOMER_ADDRESS)
    assert chain is not None
    assert [checkpoint.number for checkpoint in chain.checkpoints] == [3, 5, 5 + ENTRIES_TO_SEAL]
    assert await kept.faults() == ()


async def test_a_change_on_disk_is_found(kept: Kept) -> None:
    await kept.deliver(3)
    await kept.database.write(
        lambda c: c.execute(
            "UPDATE ledger_entries SET entry = cast(replace(entry, 'DE*PAY', 'DE*XXX') AS BLOB) WHERE number = 2"
        )
    )
    assert await kept.faults() == ("entry 2 was changed: it is not what was committed to",)


async def test_what_was_kept_long_enough_is_gone_and_the_rest_still_verifies(kept: Kept) -> None:
    await kept.deliver(700, "old")
    await kept.keeper.round()
    kept.clock.step(200 * 86_400)
    await kept.deliver(5, "new")
    await kept.keeper.round()
    kept.clock.step(197 * 86_400)
    await kept.keeper.round()
    chain = await kept.ledger.chain(CUSTOMER_ADDRESS)
    assert chain is not None
    assert chain.first_number == 701
    assert len(await kept.chained()) == 5
    assert [checkpoint.number for checkpoint in chain.checkpoints] == [705]
    assert await kept.faults() == ()
    await kept.deliver(1, "later")
    assert [each.number for each in await kept.chained()][-1] == 706
    assert await kept.faults() == ()
    assert await kept.ledger.customers() == (CUSTOMER_ADDRESS,)
