"""Gaps and the generation in the store, the same on both engines."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ocn_permission_agent.ledger.store import LedgerStore
from ocn_permission_agent.outbox.gap_store import StoredGaps
from ocn_permission_agent.outbox.gaps import DETAILS_PER_HOUR, Gap, Gaps, GapSum
from ocn_permission_agent.outbox.generation import StoredGeneration
from ocn_permission_agent.store.database import Database
from tests.fakes import FakeClock
from tests.stores import Where, open_at

AT = datetime(2026, 3, 1, 10, 20, tzinfo=UTC)


@pytest.fixture
async def database(where: Where) -> AsyncIterator[Database]:
    database = await open_at(where, clock=FakeClock())
    yield database
    await database.close()


def gap(number: int = 0, reason: str = "store_failed") -> Gap:
    return Gap(
        reason=reason,
        at=AT + timedelta(seconds=number),
        module="sessions",
        method="PUT",
        customer="DE*CPO",
        object_id=f"s{number}",
        correlation_id=f"c-{number}",
    )


async def test_gaps_are_kept_one_by_one_and_told_by_reason(database: Database) -> None:
    store = StoredGaps(database)
    stretch = Gap(reason="restored", at=AT, until=AT + timedelta(hours=2))
    counted = GapSum(reason="first_sync", count=70, first_at=AT, last_at=AT + timedelta(minutes=5))
    await store.note(Gaps(details=(gap(1), gap(2), stretch), sums=(counted,)))
    await store.note(Gaps(details=(), sums=(counted,)))
    assert await store.totals() == (
        GapSum(reason="first_sync", count=140, first_at=AT, last_at=AT + timedelta(minutes=5)),
        GapSum(reason="restored", count=1, first_at=AT, last_at=AT + timedelta(hours=2)),
        GapSum(reason="store_failed", count=2, first_at=AT + timedelta(seconds=1), last_at=AT + timedelta(seconds=2)),
    )
    newest = await store.newest(3)
    assert newest[0] == (stretch, 1)
    assert newest[1][1] == 140
    assert newest[2] == (gap(2), 1)


async def test_a_flood_is_counted_beyond_the_thousand(database: Database) -> None:
    store = StoredGaps(database)
    flood = tuple(gap(number) for number in range(DETAILS_PER_HOUR + 25))
    await store.note(Gaps(details=flood, sums=()))
    (total,) = await store.totals()
    assert total.count == DETAILS_PER_HOUR + 25
    newest = await store.newest(2 * DETAILS_PER_HOUR)
    assert len(newest) == DETAILS_PER_HOUR + 1
    assert sorted(count for _, count in newest)[-1] == 25


async def test_a_gap_that_is_written_again_after_a_death_counts_once(database: Database) -> None:
    ledger = LedgerStore(database)
    store = StoredGaps(database, ledger=ledger)
    known = replace(gap(), customer_address="0x" + "c1" * 20)
    for _ in range(2):
        await store.note(Gaps(details=(known, replace(known, object_id="s2")), sums=()))
    (total,) = await store.totals()
    chain = await ledger.chain(known.customer_address)
    assert chain is not None
    assert (total.count, len(list(chain.entries))) == (2, 2)


async def test_sums_that_are_noted_at_once_add_up(database: Database) -> None:
    store = StoredGaps(database)
    async with asyncio.TaskGroup() as group:
        for number in range(20):
            at = AT + timedelta(seconds=number)
            each = GapSum(reason="first_sync", count=3, first_at=at, last_at=at)
            group.create_task(store.note(Gaps(details=(), sums=(each,))))
    (total,) = await store.totals()
    assert total == GapSum(reason="first_sync", count=60, first_at=AT, last_at=AT + timedelta(seconds=19))


async def test_old_gaps_are_forgotten(database: Database) -> None:
    store = StoredGaps(database)
    await store.note(Gaps(details=(gap(),), sums=()))
    await store.forget(before=AT - timedelta(hours=1))
    assert len(await store.totals()) == 1
    await store.forget(before=AT + timedelta(hours=1))
    assert await store.totals() == ()


async def test_a_generation_only_grows_and_remembers_its_last_use(database: Database) -> None:
    store = StoredGaps(database)
    assert await store.generation() == StoredGeneration(number=0, is_backup=False, last_used=None)
    await store.touch(AT)
    assert (await store.generation()).last_used == AT
    await store.raise_generation(7, era="", now=AT + timedelta(minutes=1))
    await store.raise_generation(3, era="", now=AT + timedelta(minutes=2))
    stored = await store.generation()
    assert (stored.number, stored.last_used) == (7, AT + timedelta(minutes=2))
    assert await store.spool_mark() is None
