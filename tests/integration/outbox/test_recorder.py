"""Copies are durable whether the store can be written or not, in order, and what cannot be kept is counted."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from msgspec.structs import replace

from ocn_permission_agent.consent.address import Address
from ocn_permission_agent.errors import StoreUnavailable
from ocn_permission_agent.ledger.entry import read_entry
from ocn_permission_agent.ledger.store import LedgerStore
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.outbox.gap_store import StoredGaps
from ocn_permission_agent.outbox.gaps import DETAILS_PER_HOUR, Gap, GapBook
from ocn_permission_agent.outbox.intent_lines import Left
from ocn_permission_agent.outbox.intents import Intents
from ocn_permission_agent.outbox.recorder import Recorder
from ocn_permission_agent.outbox.spool import Spool
from ocn_permission_agent.outbox.spooled import unpacked
from ocn_permission_agent.outbox.stored import StoredOutbox
from ocn_permission_agent.store.database import Database
from tests.fakes import FakeClock
from tests.outbox_fixtures import BILLING, CUSTOMER_ADDRESS, Lines, a_plan, cdr, open_outbox, session


@dataclass
class Place:
    """A recorder on files of its own; the store is opened when a test says so."""

    folder: Path
    limit_bytes: int = 10**9
    clock: FakeClock = field(default_factory=FakeClock)
    metrics: Metrics = field(default_factory=Metrics)
    log: Lines = field(default_factory=Lines)
    drained: int = 0

    def __post_init__(self) -> None:
        self.intents = Intents(self.folder / "agent.db.intents")
        self.book = GapBook(clock=self.clock, metrics=self.metrics, log=self.log, journal=self.intents)
        self.spool = Spool(self.folder / "agent.db.spool", limit_bytes=self.limit_bytes)
        self.recorder = Recorder(
            spool=self.spool,
            intents=self.intents,
            gaps=self.book,
            on_drained=self._count,
            clock=self.clock,
            metrics=self.metrics,
            log=self.log,
        )

    def _count(self) -> None:
        self.drained += 1

    async def open_store(self) -> tuple[Database, StoredOutbox, StoredGaps]:
        database, outbox = await open_outbox(self.folder / "agent.db", self.clock)
        return database, outbox, StoredGaps(database, ledger=LedgerStore(database))

    @asynccontextmanager
    async def store(self) -> AsyncIterator[StoredGaps]:
        database, outbox, gaps = await self.open_store()
        await self.recorder.attach(outbox, gaps)
        try:
            yield gaps
        finally:
            self.recorder.detach()
            await database.close()

    def can_record(self) -> bool:
        return self.recorder.can_record

    async def put(self, number: int, name: str = "s1") -> int:
        return await self.recorder.record(
            a_plan(session("PATCH", name, b'{"n":%d}' % number), BILLING, at=self.clock.now())
        )

    def stored(self, name: str = "s1") -> list[str]:
        """Bodies in the order they will be delivered, read beside the agent."""
        with contextlib.closing(sqlite3.connect(self.folder / "agent.db")) as connection:
            rows = connection.execute(
                "SELECT cast(e.body AS TEXT) FROM deliveries d JOIN lanes l ON l.id = d.lane_id "
                "JOIN envelopes e ON e.id = d.envelope_id WHERE l.object_id = ? ORDER BY d.id",
                (name,),
            )
            return [body for (body,) in rows]


def bodies(*numbers: int) -> list[str]:
    return [f'{{"n":{number}}}' for number in numbers]


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    place = Place(tmp_path)
    await place.recorder.open_files()
    yield place
    await place.recorder.close()


async def test_before_the_store_is_there_copies_wait_beside_it(place: Place) -> None:
    for number in range(3):
        assert await place.put(number) == 1
    assert place.can_record()
    assert place.recorder.spooled_bytes > 0
    async with place.store():
        assert place.stored() == bodies(0, 1, 2)
        await place.put(3)
        assert place.stored() == bodies(0, 1, 2, 3)
        assert place.recorder.spooled_bytes == 0
        assert place.drained == 1


@asynccontextmanager
async def locked(path: Path) -> AsyncIterator[None]:
    """Another program writes and does not end."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            other.execute("ROLLBACK")


async def short_tempered(database: Database) -> None:
    """The tests do not want to wait five seconds for a lock."""
    await database.write(lambda connection: connection.execute("PRAGMA busy_timeout = 50"))


async def test_a_locked_store_is_spooled_over_and_caught_up_in_order(place: Place) -> None:
    database, outbox, gaps = await place.open_store()
    await short_tempered(database)
    await place.recorder.attach(outbox, gaps)
    await place.put(0)
    async with locked(place.folder / "agent.db"):
        for number in range(1, 5):
            await place.put(number)
        await place.recorder.round()
        await place.put(5)
    assert place.stored() == bodies(0)
    await place.put(6)
    assert place.stored() == bodies(0), "order: nothing may overtake what waits"
    await place.recorder.round()
    await place.put(7)
    assert place.stored() == bodies(*range(8))
    events = [event for event, _ in place.log.lines]
    assert events == ["store.available", "store.unavailable", "store.available", "spool.drained"]
    assert place.metrics.gaps_counted() == 0
    await database.close()


async def test_a_store_without_room_is_spooled_over(place: Place) -> None:
    database, outbox, gaps = await place.open_store()
    await place.recorder.attach(outbox, gaps)
    await place.put(0)
    await database.write(lambda connection: connection.execute("PRAGMA max_page_count = 1"))
    for number in range(1, 4):
        await place.recorder.record(
            a_plan(
                session("PATCH", "s1", b'{"n":%d,"x":"%s"}' % (number, b"x" * 20_000)), BILLING, at=place.clock.now()
            )
        )
    await place.recorder.round()
    assert place.stored() == bodies(0)
    await database.write(lambda connection: connection.execute("PRAGMA max_page_count = 1000000"))
    await place.recorder.round()
    assert [body[:7] for body in place.stored()] == [
        body[:6] + ("}" if n == 0 else ",") for n, body in enumerate(bodies(*range(4)))
    ]
    assert await database.read(lambda connection: connection.execute("PRAGMA integrity_check").fetchone()[0]) == "ok"
    await database.close()


async def test_under_steady_load_it_returns_to_the_store_and_loses_nothing(place: Place) -> None:
    database, outbox, gaps = await place.open_store()
    await short_tempered(database)
    await place.recorder.attach(outbox, gaps)
    stop = asyncio.Event()
    sent: dict[str, int] = {}

    async def customer(name: str) -> None:
        sent[name] = 0
        while not stop.is_set():
            await place.put(sent[name], name)
            sent[name] += 1

    async with asyncio.TaskGroup() as group:
        for name in "abcdefgh":
            group.create_task(customer(name))
        for _ in range(4):
            async with locked(place.folder / "agent.db"):
                while await place.log.news.get() != "store.unavailable":
                    pass
                overtaken = sum(sent.values()) + 20
                while sum(sent.values()) < overtaken:
                    await place.put(0, "another")
            await place.recorder.round()
            assert place.log.lines[-2][0] == "store.available", "the store is used again in one round"
        stop.set()
    for name, count in sent.items():
        assert count > 10
        assert place.stored(name) == bodies(*range(count)), "in order, each once"
    await database.close()


async def test_a_death_while_catching_up_stores_nothing_twice(tmp_path: Path) -> None:
    place = Place(tmp_path)
    await place.recorder.open_files()
    for number in range(5):
        await place.put(number)
    # The store has taken the first two; the process dies before the spool's file tells.
    spool = place.spool
    database, outbox, _ = await place.open_store()
    batch = await spool.read(most=2, most_bytes=10**9)
    plans = [plan for payload in batch.payloads for plan in (unpacked(payload or b""),) if plan is not None]
    await outbox.record_spooled(plans, batch.mark)
    await database.close()
    await spool.close()
    again = Place(tmp_path)
    await again.recorder.open_files()
    async with again.store():
        assert again.stored() == bodies(0, 1, 2, 3, 4)
    await again.recorder.close()


async def until_full(place: Place) -> int:
    """How many were taken."""
    for number in range(100):
        try:
            await place.put(number)
        except StoreUnavailable:
            return number
    raise AssertionError("it was never full")


async def test_a_full_spool_is_a_gap_and_later_there_is_room_again(tmp_path: Path) -> None:
    place = Place(tmp_path, limit_bytes=6000)
    await place.recorder.open_files()
    taken = await until_full(place)
    assert taken > 2
    assert place.can_record() is False
    async with place.store():
        assert place.can_record()
        assert place.stored() == bodies(*range(taken))
        await place.recorder.round()
        await place.put(taken)
    await place.put(taken + 1)
    await place.recorder.close()
    assert "spool.available" in [event for event, _ in place.log.lines]


async def test_gaps_are_written_down_once_the_store_is_there(place: Place) -> None:
    place.book.note(Gap(reason="store_unavailable", at=place.clock.now(), correlation_id="c-1", customer="DE*CPO"))
    async with place.store() as gaps:
        assert [(total.reason, total.count) for total in await gaps.totals()] == [("store_unavailable", 1)]
        assert place.book.unwritten() == ()
        for _ in range(DETAILS_PER_HOUR + 50):
            place.book.note(Gap(reason="buffer_full", at=place.clock.now(), module="cdrs"))
        place.book.note(Gap(reason="first_sync", at=place.clock.now()))
        await place.recorder.round()
        for _ in range(50):
            place.book.note(Gap(reason="buffer_full", at=place.clock.now(), module="cdrs"))
        await place.recorder.round()
        totals = {total.reason: total.count for total in await gaps.totals()}
        assert totals == {"store_unavailable": 1, "buffer_full": DETAILS_PER_HOUR + 100, "first_sync": 1}
        newest = await gaps.newest(5000)
        assert len(newest) == 1 + DETAILS_PER_HOUR + 1 + 1, "many of an hour one by one, the rest in one row"
        assert sum(count for _, count in newest) == DETAILS_PER_HOUR + 102
        place.clock.step(3600)
        await gaps.forget(before=place.clock.now())
        assert await gaps.totals() == ()


async def test_an_intent_left_by_a_death_is_a_gap_until_it_is_written_down(tmp_path: Path) -> None:
    dead = Place(tmp_path)
    await dead.recorder.open_files()
    dead.intents.begin(
        at=dead.clock.now(),
        customer="DE*CPO",
        customer_address=CUSTOMER_ADDRESS,
        module="cdrs",
        method="POST",
        object_id="cdr-1",
        correlation_id="c-9",
    )
    await dead.spool.close()  # as a death would
    for _ in range(2):
        storeless = Place(tmp_path)
        await storeless.recorder.open_files()
        assert [(gap.reason, gap.count) for gap in storeless.book.unwritten()] == [("unknown_outcome", 1)]
        await storeless.recorder.close()
    last = Place(tmp_path)
    await last.recorder.open_files()
    async with last.store() as gaps:
        [(gap, count)] = await gaps.newest(10)
        assert (gap.reason, gap.customer, gap.object_id, gap.correlation_id, count) == (
            "unknown_outcome", "DE*CPO", "cdr-1", "c-9", 1,
        )  # fmt: skip
    await last.recorder.close()
    assert (tmp_path / "agent.db.intents").read_bytes().count(b"[") == 0 or _nothing_open(tmp_path)


def _nothing_open(folder: Path) -> bool:
    following = Intents(folder / "agent.db.intents")
    return following.open() == Left()


async def test_gaps_survive_a_death_before_the_store_has_them_and_count_once(tmp_path: Path) -> None:
    for run in range(3):
        dead = Place(tmp_path)
        await dead.recorder.open_files()
        for number in range(1_500):
            intent = dead.intents.begin(
                at=dead.clock.now(),
                customer="DE*CPO",
                customer_address=CUSTOMER_ADDRESS,
                module="cdrs",
                method="POST",
                object_id=f"{run}-{number}",
                correlation_id=f"{run}-{number}",
            )
            dead.book.note(
                Gap(
                    reason="store_unavailable",
                    at=dead.clock.now(),
                    module="cdrs",
                    customer="DE*CPO",
                    customer_address=CUSTOMER_ADDRESS,
                    correlation_id=f"{run}-{number}",
                    intent=intent,
                )
            )
            dead.intents.end(intent)
        dead.book.note(Gap(reason="first_sync", at=dead.clock.now()))
        await dead.spool.close()  # as a death would
    place = Place(tmp_path)
    await place.recorder.open_files()
    assert place.metrics.gaps_counted() == 4_503
    async with place.store() as gaps:
        totals = {total.reason: total.count for total in await gaps.totals()}
        assert totals == {"store_unavailable": 4_500, "first_sync": 3}
        assert len(await gaps.newest(5_000)) == DETAILS_PER_HOUR + 2
        chain = await LedgerStore(gaps._database).chain(CUSTOMER_ADDRESS)
        assert chain is not None
        entries = [read_entry(each.text) for each in chain.entries if each.text is not None]
        assert len(entries) == DETAILS_PER_HOUR
        assert {(each.outcome, each.customer, each.module) for each in entries} == {
            ("gap:store_unavailable", "DE*CPO", "cdrs")
        }
    await place.recorder.close()
    assert _nothing_open(tmp_path)


async def test_one_copy_that_no_store_takes_does_not_stop_the_others(place: Place) -> None:
    plan = a_plan(cdr(), BILLING, at=place.clock.now())
    poisoned = replace(plan, envelope=replace(plan.envelope, customer_address=Address("0xshort")))
    await place.put(0)
    await place.recorder.record(poisoned)
    await place.put(1)
    async with place.store() as gaps:
        assert place.stored() == bodies(0, 1)
        await place.recorder.round()
        [(gap, _)] = await gaps.newest(10)
        assert (gap.reason, gap.module, gap.object_id) == ("unrecordable", "cdrs", "cdr-1")


async def test_a_record_that_cannot_be_read_is_counted(place: Place) -> None:
    await place.put(0)
    await place.spool.append(b"\x09of another version")
    await place.put(1)
    async with place.store() as gaps:
        assert place.stored() == bodies(0, 1)
        await place.recorder.round()
        assert [(total.reason, total.count) for total in await gaps.totals()] == [("spool_broken", 1)]


async def test_without_its_folder_there_is_no_spool_and_no_copy(tmp_path: Path) -> None:
    place = Place(tmp_path / "later")
    await place.recorder.open_files()
    assert place.can_record() is False
    with pytest.raises(StoreUnavailable):
        await place.put(0)
    (tmp_path / "later").mkdir()
    await place.recorder.round()
    assert place.can_record()
    await place.put(1)
    async with place.store():
        assert place.stored() == bodies(1)
    await place.recorder.close()


async def test_the_customers_token_is_nowhere_in_the_files(place: Place) -> None:
    await place.put(0)
    files = [path.read_bytes() for path in place.folder.iterdir()]
    assert files
    assert all(b"canary" not in data and b"Token " not in data for data in files)
