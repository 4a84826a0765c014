"""A connection that breaks in a commit: nobody knows whether the copies are recorded, and each is recorded once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from ocn_permission_agent.errors import StoreUnavailable
from ocn_permission_agent.ledger.store import LedgerStore
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.outbox.gap_store import StoredGaps
from ocn_permission_agent.outbox.gaps import GapBook
from ocn_permission_agent.outbox.intents import Intents
from ocn_permission_agent.outbox.model import Delivery
from ocn_permission_agent.outbox.recorder import Recorder
from ocn_permission_agent.outbox.spool import Spool
from ocn_permission_agent.store.database import Connection, Database
from tests.cut_commit import Way, cut_commit
from tests.fakes import FakeClock
from tests.outbox_fixtures import BILLING, PROVIDERS, Lines, a_plan, cdr, open_outbox, session
from tests.postgres_server import PostgresServer


@dataclass
class Recording:
    recorder: Recorder
    database: Database
    clock: FakeClock

    async def put(self, number: int) -> int:
        self.clock.step(0.001)
        return await self.recorder.record(a_plan(session("PATCH", body=b'{"n":%d}' % number), at=self.clock.now()))

    async def stored(self) -> list[str]:
        def work(connection: Connection) -> list[str]:
            rows = connection.execute(
                "SELECT e.body FROM deliveries d JOIN envelopes e ON e.id = d.envelope_id ORDER BY d.id"
            )
            return [row["body"].decode() for row in rows]

        return await self.database.read(work)


@asynccontextmanager
async def recording(way: Way, folder: Path, clock: FakeClock) -> AsyncIterator[Recording]:
    metrics, log = Metrics(), Lines()
    intents = Intents(folder / "agent.intents")
    gaps = GapBook(clock=clock, metrics=metrics, log=log, journal=intents)
    recorder = Recorder(
        spool=Spool(folder / "agent.spool"),
        intents=intents,
        gaps=gaps,
        on_drained=lambda: None,
        clock=clock,
        metrics=metrics,
        log=log,
    )
    await recorder.open_files()
    database, outbox = await open_outbox(way.url, clock)
    try:
        await recorder.attach(outbox, StoredGaps(database, ledger=LedgerStore(database)))
        yield Recording(recorder, database, clock)
    finally:
        await recorder.close()
        await database.close()


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.new_database()


def bodies(*numbers: int) -> list[str]:
    return [f'{{"n":{number}}}' for number in numbers]


async def test_a_copy_whose_commit_was_cut_is_recorded_once_in_its_place(url: str, tmp_path: Path) -> None:
    clock = FakeClock()
    async with cut_commit(url, tmp_path) as way, recording(way, tmp_path, clock) as agent:
        await agent.put(1)
        way.cut_in = 1
        assert await agent.put(2) == 1
        assert way.cuts == 1
        assert agent.recorder.spooled_bytes > 0
        assert await agent.stored() == bodies(1, 2), "the commit was made, though nobody was told"
        await agent.put(3)
        # Meanwhile another agent, which is well, goes on in the same lane.
        other_database, other = await open_outbox(url, clock, holder="agent-2")
        clock.step(0.001)
        await other.record(a_plan(session("PATCH", body=b'{"n":4}'), at=clock.now()))
        await other_database.close()
        await agent.recorder.round()
        assert agent.recorder.spooled_bytes == 0
        assert await agent.stored() == bodies(1, 2, 4, 3)
        await agent.put(5)
        assert await agent.stored() == bodies(1, 2, 4, 3, 5)


async def test_a_drain_whose_commit_was_cut_is_done_again_without_harm(url: str, tmp_path: Path) -> None:
    clock = FakeClock()
    async with cut_commit(url, tmp_path) as way, recording(way, tmp_path, clock) as agent:
        way.cut_in = 1
        await agent.put(1)
        for number in (2, 3):
            await agent.put(number)
        # Two are before it: the recorder finds out that the store is there, and how far the spool is emptied.
        way.cut_in = 3
        await agent.recorder.round()
        assert way.cuts == 2
        assert agent.recorder.spooled_bytes > 0
        assert await agent.stored() == bodies(1, 2, 3), "the commit was made, though nobody was told"
        await agent.recorder.round()
        assert agent.recorder.spooled_bytes == 0
        assert await agent.stored() == bodies(1, 2, 3)


async def test_what_began_with_a_cut_commit_is_left_to_who_finds_its_lease_over(url: str, tmp_path: Path) -> None:
    clock, begun = FakeClock(), list[Delivery]()
    async with cut_commit(url, tmp_path) as way:
        database, outbox = await open_outbox(way.url, clock)
        plan = a_plan(cdr(), BILLING, at=clock.now())
        await outbox.counts()  # the connection is there
        way.cut_in = 1
        with pytest.raises(StoreUnavailable):
            await outbox.record_and_begin(plan, begin=(PROVIDERS[BILLING],), told=begun.extend)
        assert (way.cuts, begun) == (1, []), "nothing is sent of which nobody knows that it is recorded"
        await database.close()
        database, other = await open_outbox(url, clock, holder="agent-2")
        assert await other.claim(now=clock.now(), room={}, default_room=8) == ()
        await database.write(lambda connection: connection.execute("UPDATE lanes SET leased_until_us = 0"))
        (left_behind,) = await other.keep_leases((), now=clock.now())
        assert (left_behind.delivery.attempts, left_behind.started_at) == (1, clock.now())
        await database.close()
