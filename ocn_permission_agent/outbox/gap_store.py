"""What the recorder keeps in the store beside the copies: gaps, how far the spool is emptied, and the generation."""

from datetime import datetime
from functools import partial

from ocn_permission_agent.outbox.gaps import DETAILS_PER_HOUR, Gap, Gaps, GapSum, hour_of
from ocn_permission_agent.outbox.generation import StoredGeneration
from ocn_permission_agent.outbox.outcome import outcome_of_gap
from ocn_permission_agent.outbox.rows import from_us, to_us
from ocn_permission_agent.outbox.settling import Ledger
from ocn_permission_agent.outbox.spool import Mark
from ocn_permission_agent.store.backup import BACKUP_MARK
from ocn_permission_agent.store.database import Connection, Database, Row
from ocn_permission_agent.store.sql import Sql

#: rows of ``meta``; the spool's is written by `SqliteOutbox.record_spooled`
_SPOOL = "spool"
_SEEN = "last_seen_us"
_GENERATION = "generation"


class StoredGaps:
    """Each method is one transaction.

    Args:
        database: open and migrated.
        ledger: gets the gaps of which the customer is known; None where none are written.
        spool_key: where it stands how far this agent's spool is emptied.
    """

    def __init__(self, database: Database, *, ledger: Ledger | None = None, spool_key: str = _SPOOL) -> None:
        self._database = database
        self._ledger = ledger
        self._spool_key = spool_key
        self._sql = Sql.of("outbox", database.dialect, "gaps")

    async def note(self, gaps: Gaps) -> None:
        """Write gaps down.

        Raises:
            StoreUnavailable: none of them is.
        """

        def work(connection: Connection) -> None:
            for gap in gaps.details:
                self._note(connection, gap)
            for each in gaps.sums:
                self._add(connection, each)

        await self._database.write(work)

    async def totals(self) -> tuple[GapSum, ...]:
        """All that are remembered, by reason.

        Raises:
            StoreUnavailable: cannot be read now.
        """
        rows = await self._database.read(lambda connection: self._sql.rows(connection, "totals"))
        return tuple(read_sum(row) for row in rows)

    async def newest(self, most: int) -> tuple[tuple[Gap, int], ...]:
        """The newest gaps, each with how many it stands for.

        Raises:
            StoreUnavailable: cannot be read now.
        """
        rows = await self._database.read(lambda connection: self._sql.rows(connection, "newest", most=most))
        return tuple((_read_gap(row), row["count"]) for row in rows)

    async def forget(self, *, before: datetime) -> None:
        """Let go of those that are older.

        Raises:
            StoreUnavailable: again later.
        """
        await self._database.write(lambda connection: self._sql.do(connection, "forget", before_us=to_us(before)))

    async def spool_mark(self) -> Mark | None:
        """How far the spool is emptied; None if there never was one.

        Raises:
            StoreUnavailable: cannot be read now.
        """
        row = await self._database.read(lambda connection: self._sql.row(connection, "read_meta", key=self._spool_key))
        return None if row is None else Mark.parse(row["value"])

    async def touch(self, now: datetime) -> None:
        """Write something: tells whether the store can be written, and until when it was used.

        Raises:
            StoreUnavailable: it cannot be written.
        """
        seen = str(to_us(now))
        await self._database.write(lambda connection: self._sql.do(connection, "write_meta", key=_SEEN, value=seen))

    async def generation(self) -> StoredGeneration:
        """Which one the store is of.

        Raises:
            StoreUnavailable: cannot be read now.
        """

        def work(connection: Connection) -> StoredGeneration:
            meta = {
                key: None if row is None else int(row["value"])
                for key in (_GENERATION, BACKUP_MARK, _SEEN)
                for row in (self._sql.row(connection, "read_meta", key=key),)
            }
            recorded = self._sql.row(connection, "last_recorded")
            used = max(meta[_SEEN] or 0, 0 if recorded is None else recorded["recorded_at_us"])
            return StoredGeneration(
                number=meta[_GENERATION] or 0,
                is_backup=meta[BACKUP_MARK] is not None,
                last_used=from_us(used) if used else None,
                eras=tuple(row["token"] for row in self._sql.rows(connection, "eras")),
            )

        return await self._database.read(work)

    async def raise_generation(self, number: int, *, era: str, now: datetime) -> None:
        """Begin a generation, if it is a later one: from here on the store is no backup. Begin an era if it is new.

        Raises:
            StoreUnavailable: nothing has changed.
        """

        def work(connection: Connection) -> None:
            self._sql.do(connection, "raise_meta", key=_GENERATION, value=str(number))
            self._sql.do(connection, "write_meta", key=_SEEN, value=str(to_us(now)))
            self._sql.do(connection, "forget_meta", key=BACKUP_MARK)
            if era:
                self._sql.do(connection, "begin_era", token=era, begun_at_us=to_us(now))

        await self._database.write(work)

    def _note(self, connection: Connection, gap: Gap) -> None:
        until = gap.until or gap.at
        if self._sql.row(
            connection,
            "known",
            correlation_id=gap.correlation_id,
            first_at_us=to_us(gap.at),
            reason=gap.reason,
            object_id=gap.object_id,
        ):
            return
        place: dict[str, object] = {"reason": gap.reason, "hour_us": to_us(hour_of(gap.at))}
        if self._sql.rows(connection, "count_details", **place)[0]["n"] >= DETAILS_PER_HOUR:
            self._add(connection, GapSum(reason=gap.reason, count=1, first_at=gap.at, last_at=until))
            return
        self._sql.do(
            connection,
            "add_detail",
            first_at_us=to_us(gap.at),
            last_at_us=to_us(until),
            module=gap.module,
            method=gap.method,
            customer=gap.customer,
            object_id=gap.object_id,
            correlation_id=gap.correlation_id,
            **place,
        )
        if self._ledger is not None and gap.customer_address:
            # Whatever is wrong with one of them, it must still be counted, and not stand in the way of the others.
            connection.at_its_own_risk(partial(self._ledger.enter, connection, outcome_of_gap(gap)))

    def _add(self, connection: Connection, each: GapSum) -> None:
        self._sql.do(
            connection,
            "add_to_sum",
            reason=each.reason,
            hour_us=to_us(hour_of(each.first_at)),
            first_at_us=to_us(each.first_at),
            last_at_us=to_us(each.last_at),
            count=each.count,
        )


def read_sum(row: Row) -> GapSum:
    """A row of `totals`."""
    return GapSum(
        reason=row["reason"],
        count=row["count"],
        first_at=from_us(row["first_at_us"]),
        last_at=from_us(row["last_at_us"]),
    )


def _read_gap(row: Row) -> Gap:
    first_at, last_at = from_us(row["first_at_us"]), from_us(row["last_at_us"])
    return Gap(
        reason=row["reason"],
        at=first_at,
        until=None if first_at == last_at else last_at,
        module=row["module"],
        method=row["method"],
        customer=row["customer"],
        object_id=row["object_id"],
        correlation_id=row["correlation_id"],
    )
