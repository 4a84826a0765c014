"""Entering into the ledger, the same on both engines: chained without a hole, whoever enters, and kept to its end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from ocn_permission_agent.ledger.chain import verify
from ocn_permission_agent.ledger.store import ENTRIES_TO_SEAL, TIME_TO_SEAL, LedgerStore
from ocn_permission_agent.ocn.keys import OperatorKey, recover
from ocn_permission_agent.outbox.outcome import Outcome
from ocn_permission_agent.outbox.rows import to_us
from ocn_permission_agent.store.database import Connection, Database
from ocn_permission_agent.store.migrations import shipped_migrations
from tests.fakes import FakeClock
from tests.stores import Where, open_at

KEY = OperatorKey(b"\x11" * 32)
CUSTOMERS = tuple("0x" + digit * 40 for digit in "abc")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
OUTCOME = Outcome(
    outcome="delivered",
    customer="DE*CPO",
    customer_address=CUSTOMERS[0],
    provider="DE*PAY",
    provider_address="0x" + "5" * 40,
    module="sessions",
    interface_role="receiver",
    method="PUT",
    sent_as=None,
    owner="DE*CPO",
    object_id="ß☃",
    correlation_id="c-1",
    body=b"\x00\xff{}",
    recorded_at=NOON,
    started_at=NOON,
    ended_at=NOON,
    attempts=1,
    agreement="0x" + "7" * 64 + ":3",
    agreement_block=77,
)


@pytest.fixture
async def agents(where: Where) -> AsyncIterator[list[Database]]:
    """Databases on one store, as of several agents; of SQLite there can be one only."""
    async with AsyncExitStack() as opened:
        databases = []
        for _ in range(1 if not isinstance(where, str) else 3):
            databases.append(await open_at(where, clock=FakeClock()))
            opened.push_async_callback(databases[-1].close)
        yield databases


async def enter(database: Database, *outcomes: Outcome) -> None:
    ledger = LedgerStore(database)

    def work(connection: Connection) -> None:
        for outcome in outcomes:
            ledger.enter(connection, outcome)

    await database.write(work)


async def test_entries_of_all_agents_make_one_chain_for_each_customer(agents: list[Database]) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(30):
            for customer in CUSTOMERS:
                outcome = replace(OUTCOME, customer_address=customer, ended_at=NOON + timedelta(seconds=number))
                group.create_task(enter(agents[number % len(agents)], outcome))
    ledger = LedgerStore(agents[0])
    assert await ledger.customers() == CUSTOMERS
    for customer in CUSTOMERS:
        chain = await ledger.chain(customer)
        assert chain is not None
        assert [each.number for each in chain.entries] == list(range(1, 31))
        assert verify(chain, signer=KEY.address, recover=recover) == ()


async def test_what_ends_for_several_customers_at_once_is_in_the_chain_of_each_in_its_order(
    agents: list[Database],
) -> None:
    said = [(CUSTOMERS[place], f"c-{number}") for number, place in enumerate((0, 1, 0, 2, 1, 0))]
    for part in (said[:3], said[3:]):
        outcomes = (replace(OUTCOME, customer_address=each, correlation_id=name) for each, name in part)
        await enter(agents[0], *outcomes)
    for customer in CUSTOMERS:
        chain = await LedgerStore(agents[-1]).chain(customer)
        assert chain is not None
        assert verify(chain, signer=KEY.address, recover=recover) == ()
        texts = [each.text or b"" for each in chain.entries]
        wanted = [name for each, name in said if each == customer]
        assert [name in text.decode() for text, name in zip(texts, wanted, strict=True)] == [True] * len(wanted)


async def test_who_meets_two_customers_in_either_order_gets_through(agents: list[Database]) -> None:
    first, second = (replace(OUTCOME, customer_address=customer) for customer in CUSTOMERS[:2])
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for number in range(4):
            pair = (first, second) if number % 2 else (second, first)
            group.create_task(enter(agents[number % len(agents)], *pair))
    for customer in CUSTOMERS[:2]:
        chain = await LedgerStore(agents[0]).chain(customer)
        assert chain is not None
        assert len(tuple(chain.entries)) == 4
        assert verify(chain, signer=KEY.address, recover=recover) == ()


async def test_chains_are_sealed_once_and_forgotten_from_their_beginning_by_all_agents_together(
    agents: list[Database],
) -> None:
    for number in range(4):
        outcomes = [replace(OUTCOME, ended_at=NOON + timedelta(days=number))] * (ENTRIES_TO_SEAL // 2)
        await enter(agents[0], *outcomes)
    sealed_at = NOON + timedelta(days=3) + TIME_TO_SEAL
    async with asyncio.TaskGroup() as group:
        sealing = [group.create_task(LedgerStore(each).seal(KEY, now=sealed_at)) for each in agents]
    assert sum(each.result() for each in sealing) == 1
    async with asyncio.TaskGroup() as group:
        forgetting = [group.create_task(LedgerStore(each).forget(before=NOON + timedelta(days=2))) for each in agents]
    assert sum(each.result() for each in forgetting) == ENTRIES_TO_SEAL
    chain = await LedgerStore(agents[-1]).chain(CUSTOMERS[0])
    assert chain is not None
    assert (chain.first_number, len(tuple(chain.entries)), len(chain.checkpoints)) == (
        ENTRIES_TO_SEAL + 1,
        ENTRIES_TO_SEAL,
        1,
    )
    assert verify(chain, signer=KEY.address, recover=recover) == ()


async def test_a_chain_that_was_forgotten_as_a_whole_goes_on_and_is_forgotten_again(agents: list[Database]) -> None:
    ledger = LedgerStore(agents[0])
    await enter(agents[0], OUTCOME)
    assert await ledger.forget(before=NOON + timedelta(days=1)) == 1
    await enter(agents[-1], replace(OUTCOME, ended_at=NOON + timedelta(days=2)))
    await enter(agents[-1], replace(OUTCOME, ended_at=NOON + timedelta(days=3)))
    forgotten = [await ledger.forget(before=NOON + timedelta(days=days)) for days in (1, 2, 3, 4)]
    assert forgotten == [0, 0, 1, 1]
    chain = await ledger.chain(CUSTOMERS[0])
    assert chain is not None
    assert (chain.first_number, tuple(chain.entries)) == (4, ())


_CHAIN = "INSERT INTO ledger_chains (customer_address, first_number, link_before, last_number, last_link) VALUES"
_ENTRY = "INSERT INTO ledger_entries (customer_address, number, ended_at_us, commitment, link) VALUES"


async def test_what_was_entered_under_an_older_schema_is_forgotten_in_its_time(where: Where) -> None:
    steps = shipped_migrations("sqlite" if isinstance(where, Path) else "postgres")
    older = await open_at(where, clock=FakeClock(), migrations=steps[:6])

    def enter_then(connection: Connection) -> None:
        values = {"customer": CUSTOMERS[0], "link": b"l" * 32, "ended_at_us": to_us(NOON)}
        connection.execute(f"{_CHAIN} (:customer, 5, :link, 6, :link)", values)
        for number in (5, 6):
            connection.execute(
                f"{_ENTRY} (:customer, :number, :ended_at_us, :link, :link)", values | {"number": number}
            )

    await older.write(enter_then)
    await older.close()
    database = await open_at(where, clock=FakeClock())
    ledger = LedgerStore(database)
    assert [await ledger.forget(before=NOON + timedelta(days=days)) for days in (0, 1)] == [0, 2]
    await enter(database, OUTCOME)
    chain = await ledger.chain(CUSTOMERS[0])
    assert chain is not None
    assert [each.number for each in chain.entries] == [7]
    await database.close()


async def test_what_fails_is_not_entered(agents: list[Database]) -> None:
    def entered_for_nothing(connection: Connection, ledger: LedgerStore) -> None:
        ledger.enter(connection, OUTCOME)
        raise LookupError

    with pytest.raises(LookupError):
        await agents[0].write(partial(entered_for_nothing, ledger=LedgerStore(agents[0])))
    assert await LedgerStore(agents[0]).chain(CUSTOMERS[0]) is None
