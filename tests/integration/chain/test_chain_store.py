"""The chain's tables and the decisions, the same on both engines."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from ocn_permission_agent.chain.blocks import Header
from ocn_permission_agent.chain.decisions import DecisionStore
from ocn_permission_agent.chain.store import ChainStore, Identity, Progress
from ocn_permission_agent.consent.address import Position, address
from ocn_permission_agent.consent.decisions import StopRemoved
from ocn_permission_agent.consent.events import Event, Evidence, ServiceListed
from ocn_permission_agent.errors import StoreMismatch
from ocn_permission_agent.store.database import Database
from tests.fakes import FakeClock
from tests.stores import Where, open_at

IDENTITY = Identity(chain_id=246, genesis_hash="0x" + "9" * 64, registry="0x" + "1" * 40, permissions="0x" + "2" * 40)
START = datetime(2026, 3, 1, 10, tzinfo=UTC)


@pytest.fixture
async def database(where: Where) -> AsyncIterator[Database]:
    database = await open_at(where, clock=FakeClock())
    yield database
    await database.close()


def block(number: int, branch: str = "a") -> Header:
    return Header(
        number=number,
        hash=f"0x{branch}{number:063x}",
        parent_hash=f"0x{branch}{number - 1:063x}",
        time=START + timedelta(seconds=5 * number),
    )


def event(number: int, log_index: int = 0, name: str = "Größe ☃") -> Event:
    return ServiceListed(
        evidence=Evidence(
            position=Position(block_number=number, log_index=log_index), transaction_hash=f"0x{number:064x}"
        ),
        provider=address("0x" + "51" * 20),
        name=name,
        url="https://billing.example",
        permissions=frozenset({6, 8}),
    )


def progress(scanned_to: int, *, complete: bool = True) -> Progress:
    return Progress(first_block=1, scanned_to=scanned_to, complete=complete, synced_once=complete)


async def commit(store: ChainStore, above: int, *numbers: int, branch: str = "a", oldest: int = 0) -> None:
    await store.commit(
        above=above,
        headers=[block(number, branch) for number in numbers],
        events=[event(number) for number in numbers],
        oldest=oldest,
        progress=progress(max(numbers)),
    )


async def events(store: ChainStore) -> list[int]:
    return [each.evidence.block_number for each in await store.events(after=-1, until=1_000_000)]


async def test_polls_are_kept_with_their_blocks_events_and_progress(where: Where, database: Database) -> None:
    store = ChainStore(database)
    assert (await store.progress(), await store.headers()) == (None, ())
    await store.begin(progress(-1, complete=False))
    await commit(store, 0, 1, 2, 3)
    await database.close()
    again = await open_at(where, clock=FakeClock())
    store = ChainStore(again)
    assert await store.headers() == (block(1), block(2), block(3))
    assert await store.events(after=1, until=2) == (event(2),)
    assert await store.progress() == progress(3)
    await again.close()


async def test_a_reorganisation_drops_what_stood_above(database: Database) -> None:
    store = ChainStore(database)
    await commit(store, 0, 1, 2, 3, 4)
    await commit(store, 2, 3, branch="b")
    assert await store.headers() == (block(1), block(2), block(3, "b"))
    assert await events(store) == [1, 2, 3]


async def test_old_blocks_go_and_their_events_stay(database: Database) -> None:
    store = ChainStore(database)
    await commit(store, 0, 1, 2, 3, oldest=3)
    assert ([each.number for each in await store.headers()], await events(store)) == ([3], [1, 2, 3])


async def test_found_logs_join_those_that_are_known(database: Database) -> None:
    store = ChainStore(database)
    await store.add_scanned([event(5, name="told first")], progress(9, complete=False))
    await store.add_found([event(5, name="told again"), event(4)])
    first, second = await store.events(after=-1, until=100)
    assert first == event(4)
    assert second == event(5, name="told first")
    await store.add_found([])
    await store.rewind(4, progress(4, complete=False))
    assert (await events(store), await store.progress()) == ([4], progress(4, complete=False))


async def test_an_epoch_is_read_beside_the_one_that_holds_and_takes_over(database: Database) -> None:
    store = ChainStore(database)
    await commit(store, 0, 1, 2)
    beside = store.beside()
    await beside.clear()
    await commit(beside, 0, 1, branch="b")
    assert (await store.headers(), await beside.headers()) == ((block(1), block(2)), (block(1, "b"),))
    await store.take_over()
    assert (await store.headers(), await events(store)) == ((block(1, "b"),), [1])
    assert (await beside.headers(), await beside.progress()) == ((), None)


async def test_a_store_is_for_one_chain_and_its_contracts(database: Database) -> None:
    store = ChainStore(database)
    assert await store.genesis_hash() is None
    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(ChainStore(database).claim(IDENTITY))
    other = Identity(chain_id=246, genesis_hash=IDENTITY.genesis_hash, registry="0x" + "3" * 40, permissions="0x")
    with pytest.raises(StoreMismatch, match="made for registry 0x1111"):
        await store.claim(other)
    await store.claim(IDENTITY)
    assert await store.genesis_hash() == IDENTITY.genesis_hash


async def test_decisions_have_numbers_in_the_order_in_which_they_became_visible(database: Database) -> None:
    store = DecisionStore(database)
    seen: list[int] = []

    async def decide(author: str) -> None:
        for stop in range(1, 8):
            await store.add(StopRemoved(stop=stop), by=author, at=START)

    async def look() -> None:
        while len(seen) < 21:
            numbers = [each.number for each in await store.all()]
            assert numbers[: len(seen)] == seen, "a number became visible behind a later one"
            seen[:] = numbers

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(look())
        for author in ("anna", "Björn", "  "):
            group.create_task(decide(author))
    assert seen == list(range(1, 22))
    everything = await store.all()
    assert {each.by for each in everything} == {"anna", "Björn", "nobody in particular"}
    assert everything[0].at == START
