"""What is kept of the chain: events, the newest blocks, how far reading came. One public method, one transaction."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from ocn_permission_agent.chain.announcement import Announcement, Told, read_announcement
from ocn_permission_agent.chain.blocks import Header
from ocn_permission_agent.chain.cursor import Window, fork_point
from ocn_permission_agent.consent import events as consent_events
from ocn_permission_agent.consent.events import Event
from ocn_permission_agent.errors import StoreMismatch
from ocn_permission_agent.store.database import Connection, Database, Row
from ocn_permission_agent.store.sql import Sql

T = TypeVar("T")

_DECODERS: dict[str, msgspec.json.Decoder[Event]] = {
    kind.__name__: msgspec.json.Decoder(kind) for kind in consent_events.EVENT_KINDS
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Which chain and contracts a store was made for."""

    chain_id: int
    genesis_hash: str
    registry: str
    permissions: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far reading has come.

    Logs from `first_block` to `scanned_to` are stored. `complete` is false while logs are stored whose state was not
    read yet; `synced_once` is true after the first complete sync, for ever.
    """

    first_block: int
    scanned_to: int
    complete: bool
    synced_once: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """By what a change is seen: the newest announcement and the newest decision, None before the first."""

    revision: int | None
    decision: int | None


class ChainStore:
    """The chain's tables. Every method raises `StoreUnavailable` when the database cannot be used.

    Args:
        database: with these tables.
        ahead: 0 for the epoch that holds; 1 for one that is read beside it, until it takes its place.
        fence: called first in every transaction that writes; raises LeaseLost when another agent has that right now.
    """

    def __init__(
        self, database: Database, *, ahead: int = 0, fence: Callable[[Connection], None] | None = None
    ) -> None:
        self._database = database
        self._ahead = ahead
        self._fence = fence
        self._sql = Sql.of("chain", database.dialect)

    def beside(self) -> "ChainStore":
        """The epoch after the one that holds."""
        return ChainStore(self._database, ahead=1, fence=self._fence)

    async def clear(self) -> None:
        """Forget everything of this epoch."""
        await self._write(self._clear)

    async def take_over(self) -> None:
        """Forget the epoch that held; the one read beside it holds now. Call it on the former."""

        def work(connection: Connection) -> None:
            self._clear(connection)
            self._sql.do(connection, "next_epoch")

        await self._write(work)

    async def genesis_hash(self) -> str | None:
        """The genesis hash that was remembered at first contact; None before."""
        return await self._database.read(lambda connection: self._read_meta(connection, "genesis_hash"))

    async def claim(self, identity: Identity) -> None:
        """Remember at first contact what the store is for; later make sure that it is for the same.

        Raises:
            StoreMismatch: made for another chain or other contracts; nothing was changed.
        """
        await self._write(lambda connection: self._claim(connection, identity))

    async def demand(self, identity: Identity) -> None:
        """Make sure that the store is for this, as far as it knows what it is for; changes nothing.

        Raises:
            StoreMismatch: made for another chain or other contracts.
        """

        def work(connection: Connection) -> None:
            for name in Identity.__dataclass_fields__:
                known = self._read_meta(connection, name)
                if known is not None:
                    _demand_same(name, known, wanted=str(getattr(identity, name)))

        await self._database.read(work)

    async def progress(self) -> Progress | None:
        """How far reading came; None before it began."""
        row = await self._database.read(
            lambda connection: self._sql.row(connection, "read_progress", ahead=self._ahead)
        )
        return None if row is None else _progress(row)

    async def begin(self, progress: Progress) -> None:
        """Write down where reading begins, or that there is a gap which is not complete."""
        await self._write(lambda connection: self._write_progress(connection, progress))

    async def rewind(self, number: int, progress: Progress) -> None:
        """Forget the blocks above a number and what was read in them; used before a wide gap is read."""

        def work(connection: Connection) -> None:
            self._drop_above(connection, number)
            self._write_progress(connection, progress)
            self._sql.do(connection, "count_rewrite")

        await self._write(work)

    async def add_scanned(self, events: Sequence[Event], progress: Progress) -> None:
        """Store the logs of a range of old blocks."""

        def work(connection: Connection) -> None:
            self._write_events(connection, events)
            self._write_progress(connection, progress)

        await self._write(work)

    async def add_found(self, events: Sequence[Event]) -> None:
        """Store logs of old blocks that an endpoint had not told; those that are known already stay as they are."""
        rows = [_event_row(event, self._ahead) for event in events]

        def work(connection: Connection) -> None:
            self._sql.do_each(connection, "add_event", rows)
            self._sql.do(connection, "count_rewrite")

        await self._write(work)

    async def commit(
        self, *, above: int, headers: Sequence[Header], events: Iterable[Event], oldest: int, progress: Progress
    ) -> None:
        """One complete poll: drop what stood above a block, put the new blocks and events on it.

        Args:
            above: the block that the new ones stand on; everything later is dropped first.
            headers: the new blocks.
            events: all their logs and observations.
            oldest: blocks below this number are forgotten (their events stay).
            progress: how far reading has come by this.
        """
        kept = tuple(events)
        blocks = [_block_row(header, self._ahead) for header in headers]

        def work(connection: Connection) -> None:
            self._drop_above(connection, above)
            self._sql.do_each(connection, "write_block", blocks)
            self._sql.do(connection, "drop_blocks_below", below=oldest, ahead=self._ahead)
            self._write_events(connection, kept)
            self._write_progress(connection, progress)

        await self._write(work)

    async def events(self, *, after: int, until: int) -> tuple[Event, ...]:
        """Events of the blocks above one and up to another, in their order."""
        return await self._database.read(lambda connection: self._read_events(connection, after, until))

    async def headers(self) -> tuple[Header, ...]:
        """The newest blocks, oldest first."""
        return await self._database.read(self._read_headers)

    async def announce(self, announcement: Announcement) -> None:
        """Tell the agents that follow what to make of all this."""
        row = announcement.row()
        await self._write(lambda connection: self._sql.do(connection, "announce", **row))

    async def marks(self) -> Marks:
        """What to compare with what was seen last."""
        row = await self._database.read(lambda connection: self._sql.rows(connection, "marks")[0])
        return Marks(revision=row["revision"], decision=row["decision"])

    async def told(self, window: Window, rewrites: int | None) -> Told | None:
        """The newest announcement, with the blocks and events that a window lacks, all of one moment.

        None before the first announcement, and while the blocks that it is of are being replaced.

        Args:
            window: what is known already.
            rewrites: `Told.rewrites` of the time when that was read.
        """
        return await self._database.read(lambda connection: self._told(connection, window, rewrites))

    # --------------------------------------------------------------------------------------------------------------

    async def _write(self, work: Callable[[Connection], T]) -> T:
        fence = self._fence
        if fence is None:
            return await self._database.write(work)

        def fenced(connection: Connection) -> T:
            fence(connection)
            return work(connection)

        return await self._database.write(fenced)

    def _read_events(self, connection: Connection, after: int, until: int) -> tuple[Event, ...]:
        rows = self._sql.rows(connection, "read_events", after=after, until=until, ahead=self._ahead)
        return tuple(_DECODERS[row["kind"]].decode(row["body"]) for row in rows)

    def _read_headers(self, connection: Connection) -> tuple[Header, ...]:
        return tuple(map(_header, self._sql.rows(connection, "read_blocks", ahead=self._ahead)))

    def _told(self, connection: Connection, window: Window, known_rewrites: int | None) -> Told | None:
        row = self._sql.row(connection, "announcement")
        if row is None:
            return None
        announcement, rewrites = read_announcement(row), row["rewrites"]
        headers = tuple(each for each in self._read_headers(connection) if each.number <= announcement.block_number)
        if not headers or headers[-1].hash != announcement.block_hash:
            return None
        base = fork_point(window, headers) if rewrites == known_rewrites else None
        after = -1 if base is None else base
        return Told(
            announcement=announcement,
            rewrites=rewrites,
            base=base,
            headers=tuple(each for each in headers if each.number > after),
            events=self._read_events(connection, after, announcement.block_number),
        )

    def _read_meta(self, connection: Connection, key: str) -> str | None:
        row = self._sql.row(connection, "read_meta", key=key)
        return None if row is None else str(row["value"])

    def _claim(self, connection: Connection, identity: Identity) -> None:
        for name in Identity.__dataclass_fields__:
            wanted, known = str(getattr(identity, name)), self._read_meta(connection, name)
            if known is None:
                self._sql.do(connection, "write_meta_once", key=name, value=wanted)
                known = self._read_meta(connection, name)  # another agent may have been a moment earlier
            _demand_same(name, known, wanted=wanted)

    def _write_progress(self, connection: Connection, progress: Progress) -> None:
        self._sql.do(
            connection,
            "write_progress",
            ahead=self._ahead,
            first_block=progress.first_block,
            scanned_to=progress.scanned_to,
            complete=progress.complete,
            synced_once=progress.synced_once,
        )

    def _drop_above(self, connection: Connection, number: int) -> None:
        self._sql.do(connection, "drop_events", above=number, ahead=self._ahead)
        self._sql.do(connection, "drop_blocks_above", above=number, ahead=self._ahead)

    def _clear(self, connection: Connection) -> None:
        self._drop_above(connection, -1)
        self._sql.do(connection, "drop_progress", ahead=self._ahead)

    def _write_events(self, connection: Connection, events: Iterable[Event]) -> None:
        self._sql.do_each(connection, "write_event", [_event_row(event, self._ahead) for event in events])


def _demand_same(name: str, known: str | None, *, wanted: str) -> None:
    if known != wanted:
        raise StoreMismatch(f"the store was made for {name} {known}, not {wanted}")


def _progress(row: Row) -> Progress:
    return Progress(
        first_block=row["first_block"],
        scanned_to=row["scanned_to"],
        complete=bool(row["complete"]),
        synced_once=bool(row["synced_once"]),
    )


def _event_row(event: Event, ahead: int) -> dict[str, object]:
    position = event.evidence.position
    return {
        "ahead": ahead,
        "block_number": position.block_number,
        "log_index": position.log_index,
        "kind": type(event).__name__,
        "transaction_hash": event.evidence.transaction_hash,
        "body": msgspec.json.encode(event, order="deterministic").decode(),
    }


def _block_row(header: Header, ahead: int) -> dict[str, object]:
    return {
        "ahead": ahead,
        "number": header.number,
        "hash": header.hash,
        "parent_hash": header.parent_hash,
        "time_s": int(header.time.timestamp()),
    }


def _header(row: Row) -> Header:
    number, block_hash, parent_hash, time_s = row
    return Header(number=number, hash=block_hash, parent_hash=parent_hash, time=datetime.fromtimestamp(time_s, UTC))
