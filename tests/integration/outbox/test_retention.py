"""The store's size is a function of how long things are kept, not of how long the agent has run."""

from datetime import timedelta
from pathlib import Path

from ocn_permission_agent.ledger.keeping import Keeper
from ocn_permission_agent.ledger.store import LedgerStore
from ocn_permission_agent.ocn.keys import OperatorKey
from ocn_permission_agent.outbox.casework import NotCopiedBook
from ocn_permission_agent.outbox.model import AttemptVerdict, DeliveryState
from ocn_permission_agent.outbox.settings import DeliverySettings
from ocn_permission_agent.outbox.stored_casework import StoredCasework
from tests.fakes import FakeClock
from tests.outbox_desk import Outboxed
from tests.outbox_fixtures import Lines, cdr, command, open_outbox, session
from tests.stores import Where

SETTINGS = DeliverySettings(parked_days=5, history_days=7, ledger_days=14)
TABLES = (
    "deliveries",
    "envelopes",
    "lanes",
    "attempts",
    "duplicates",
    "merged_sessions",
    "collapsed",
    "not_copied",
    "ledger_entries",
    "tallies",
)


class Life:
    """An agent's days, all alike."""

    def __init__(self, outboxed: Outboxed) -> None:
        self.outboxed = outboxed
        ledger = LedgerStore(outboxed.database)
        self.casework = StoredCasework(outboxed.database, settings=SETTINGS, ledger=ledger)
        self.keeper = Keeper(
            ledger=ledger, key=OperatorKey(b"\x11" * 32), days=SETTINGS.ledger_days, clock=outboxed.clock, log=Lines()
        )
        self.day = 0

    async def live(self, days: int) -> None:
        for _ in range(days):
            await self.one_day()

    async def one_day(self) -> None:
        outboxed, day = self.outboxed, self.day
        accept = outboxed.accepts
        for number in range(4):
            name = f"s{day}-{number}"
            await outboxed.owe(session("PUT", name, b'{"id":"%s","filler":"%s"}' % (name.encode(), b"x" * 500)))
            await outboxed.go(accept)
            await outboxed.owe(session("PATCH", name, b'{"charging_periods":[{"n":1}]}'))
            await outboxed.go(outboxed.says(AttemptVerdict.NOT_PROCESSED))
            await outboxed.owe(session("PATCH", name, b'{"status":"%s"}' % (b"COMPLETED" if number else b"ACTIVE")))
            await outboxed.owe(session("PATCH", name, b'{"status":"%s"}' % (b"COMPLETED" if number else b"ACTIVE")))
        await outboxed.owe(cdr(f"delivered-{day}"), cdr(f"delivered-{day}"))
        outboxed.clock.step(60)
        while await outboxed.go(accept):
            pass
        await outboxed.owe(cdr(f"parked-{day}"), session("PATCH", f"lost-{day}", b'{"charging_periods":[{"n":1}]}'))
        await outboxed.go(outboxed.says(AttemptVerdict.REFUSED, http_status=400))
        await outboxed.owe(command())
        outboxed.clock.step(61)
        await outboxed.store.expire(outboxed.clock.now())
        book = NotCopiedBook()
        book.note(session(), "receiver_refused", at=outboxed.clock.now())
        await book.write(self.casework)
        outboxed.clock.step(86_400 - 121)
        await outboxed.store.purge(outboxed.clock.now())
        await self.keeper.round()
        self.day += 1

    async def size(self) -> dict[str, int]:
        return {table: await self.outboxed.one("SELECT count(*) FROM " + table) for table in TABLES}  # noqa: S608  our own names

    async def room_taken(self, where: Where) -> tuple[int, ...]:
        """Pages in use, and bytes of the file; in PostgreSQL it is the server's vacuum that makes room."""
        if not isinstance(where, Path):
            return ()
        used = await self.outboxed.one("PRAGMA page_count") - await self.outboxed.one("PRAGMA freelist_count")
        return int(used), where.stat().st_size


async def test_after_weeks_the_store_is_as_large_as_after_its_retention(where_at_length: Where) -> None:
    clock = FakeClock()
    database, store = await open_outbox(where_at_length, clock, SETTINGS)
    life = Life(Outboxed(database, store, clock, SETTINGS))
    await life.live(25)
    first, room = await life.size(), await life.room_taken(where_at_length)
    await life.live(35)
    assert await life.size() == first
    assert {table for table, rows in first.items() if not rows} == {"collapsed"}
    assert all(
        later <= before * 1.05 for later, before in zip(await life.room_taken(where_at_length), room, strict=True)
    )
    if isinstance(where_at_length, Path):
        assert await life.outboxed.one("PRAGMA integrity_check") == "ok"
    await database.close()


async def test_what_is_parked_can_be_revived_for_as_long_as_was_said_and_the_row_outlives_it(where: Where) -> None:
    clock = FakeClock()
    database, store = await open_outbox(where, clock, SETTINGS)
    outboxed = Outboxed(database, store, clock, SETTINGS)
    await outboxed.owe(session("PATCH", body=b'{"charging_periods":[{"n":1}]}'))
    await outboxed.go(outboxed.says(AttemptVerdict.UNKNOWN))
    bodies = "SELECT count(*) FROM envelopes WHERE body IS NOT NULL"
    for days, kept, rows in ((4.9, 1, 1), (0.2, 0, 1), (1.8, 0, 1), (0.2, 0, 0)):
        clock.step(timedelta(days=days).total_seconds())
        await store.purge(clock.now())
        assert await outboxed.one(bodies) == kept
        assert await outboxed.one("SELECT count(*) FROM deliveries") == rows
    await database.close()


async def test_ids_are_not_given_out_again_while_a_session_remembers_them(where: Where) -> None:
    clock = FakeClock()
    short = DeliverySettings(history_days=1)
    database, store = await open_outbox(where, clock, short)
    outboxed = Outboxed(database, store, clock, short)
    for number in range(5):
        await outboxed.owe(session("PUT", f"s{number}", b'{"id":"s","kwh":1}'))
    while await outboxed.go(outboxed.accepts):
        pass
    clock.step(2 * 86_400)
    await store.purge(clock.now())
    await database.close()
    database, store = await open_outbox(where, clock, short)
    outboxed = Outboxed(database, store, clock, short)
    await outboxed.owe(session("PATCH", "s4", b'{"kwh":2}'))
    await outboxed.go(outboxed.says(AttemptVerdict.UNKNOWN))
    clock.step(5)
    await outboxed.go(outboxed.accepts)
    assert outboxed.requests_sent()[-1] == ("PUT", b'{"id":"s","kwh":2}')
    await database.close()


async def test_counting_reads_tallies_and_they_agree_with_the_rows(where_at_length: Where) -> None:
    clock = FakeClock()
    database, store = await open_outbox(where_at_length, clock, SETTINGS)
    outboxed = Outboxed(database, store, clock, SETTINGS)
    life = Life(outboxed)
    for day in range(12):
        await life.one_day()
        await outboxed.owe(cdr(f"owed-{day}"), cdr("conflict", b'{"id":"conflict","n":%d}' % day))
        rows = await database.read(
            lambda connection: connection.execute("SELECT state, count(*) FROM deliveries GROUP BY state").fetchall()
        )
        counts = await store.counts()
        assert counts.by_state == {DeliveryState(state): number for state, number in rows}
        (backlog,) = await store.backlog()
        assert backlog.pending == counts.by_state.get(DeliveryState.PENDING, 0)
    await database.close()
