"""From the block we stand on to the endpoint's head: block by block, over a fork, or across a wide gap.

Every way ends in one transaction of the store, and only then is the new block the one we stand on. A poll that fails
anywhere before leaves everything as it was (permissions-contract.md §4 tells what happens otherwise).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ocn_permission_agent.chain.blocks import Header, RawLog
from ocn_permission_agent.chain.bloom import Filters
from ocn_permission_agent.chain.cursor import WINDOW_BLOCKS, Link, Window, fork_point, is_chain
from ocn_permission_agent.chain.links import demand_logs_of, links_of, touched_of, waits
from ocn_permission_agent.chain.reader import StateReader
from ocn_permission_agent.chain.scan import Report, Scanner, SyncProgress
from ocn_permission_agent.chain.settings import ChainSettings
from ocn_permission_agent.chain.source import ChainSource
from ocn_permission_agent.chain.store import ChainStore, Progress
from ocn_permission_agent.chain.touched import Touched, everything
from ocn_permission_agent.consent.address import Position
from ocn_permission_agent.consent.events import FIRST_OBSERVATION, Event, Evidence, PinsBegun
from ocn_permission_agent.consent.facts import Facts
from ocn_permission_agent.consent.fold import apply
from ocn_permission_agent.errors import ChainForkedDeeply, ChainReorganised, ChainUnavailable

#: headers asked for first when looking for a common block; doubled each time
_FIRST_LOOK_BACK = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Where we stand after a look at the endpoint: on `tip`, with `events` new and `dropped_blocks` reorganised.

    `unexplained` are blocks that seem to hold logs of ours, and of which the endpoint told none.
    """

    tip: Link
    events: tuple[Event, ...] = ()
    dropped_blocks: int = 0
    unexplained: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundLog:
    """The event of a log that an endpoint had not told, and the block it says it is in."""

    event: Event
    block_hash: str


class Follower:
    """Stands on a block; `advance` moves it to the head."""

    def __init__(self, *, source: ChainSource, settings: ChainSettings, store: ChainStore) -> None:
        self._settings = settings
        self._store = store
        self._filters = Filters(settings)
        self._window = Window()
        self._progress: Progress | None = None
        self.follow(source)

    def follow(self, source: ChainSource) -> None:
        """Go on by another endpoint."""
        self._source = source
        self._scanner = Scanner(source=source, settings=self._settings)
        self._reader = StateReader(source=source, settings=self._settings)

    def settle(self, store: ChainStore) -> None:
        """From now on this is where what we know is stored: an epoch that was read beside another took its place."""
        self._store = store

    @property
    def tip(self) -> Link | None:
        """The block we stand on, with all that was known there; None before the first sync."""
        return self._window.tip

    @property
    def window(self) -> Window:
        """The newest blocks, with what was known at each."""
        return self._window

    @property
    def first_block(self) -> int:
        """Where reading began; 0 before it did."""
        return 0 if self._progress is None else self._progress.first_block

    @property
    def complete(self) -> bool:
        """Whether everything up to the tip was read."""
        return self._progress is not None and self._progress.complete

    @property
    def synced_once(self) -> bool:
        """Whether a first sync was ever completed."""
        return self._progress is not None and self._progress.synced_once

    async def restore(self) -> None:
        """Take up what the store remembers.

        Raises:
            StoreUnavailable: it cannot be read.
        """
        self._progress = await self._store.progress()
        headers = await self._store.headers()
        if headers:
            events = await self._store.events(after=-1, until=headers[-1].number)
            self._window = Window(tuple(links_of(Facts.none(), headers, events)))

    async def advance(self, report: Report) -> Move | None:
        """Go to the head and tell the way; None when the endpoint is behind the block we stand on.

        Raises:
            ChainForkedDeeply: the endpoint has none of the blocks we remember, though it is not behind them.
            ChainUnavailable: no usable answer; we stand where we stood.
            ChainReorganised: blocks changed while we looked; likewise.
            StoreUnavailable: likewise.
        """
        tip = self._window.tip
        if tip is None or self._progress is None or not self._progress.complete:
            return await self._cross_gap(report)
        glimpse = await self._source.glimpse(tip.header.number + 1)
        if glimpse.head.hash == tip.header.hash:
            return Move(tip=tip)
        if glimpse.head.number <= tip.header.number and self._window.holds(glimpse.head):
            return None
        base = await self._common_block(tip.header, glimpse.head)
        if glimpse.head.number - base > WINDOW_BLOCKS:
            await self._open_gap(base)
            return await self._cross_gap(report)
        return await self._step(base, glimpse.head, glimpse.logs if base == tip.header.number else None)

    async def look_again(self, touched: Touched) -> Move:
        """Look at entries at the block we stand on, without moving.

        Raises:
            As `advance`.
        """
        tip = self._window.tip
        if tip is None:
            raise ChainUnavailable("nothing was read yet")
        seen = sum(event.evidence.observed for event in tip.events)
        facts, observed = await self._reader.observe(tip.facts, touched, tip.header, first_index=seen)
        if observed:
            await self._store.add_found(observed)
            tip = replace(tip, events=(*tip.events, *observed), facts=facts)
            self._window = Window((*self._window.links[:-1], tip))
        return Move(tip=tip, events=observed)

    async def take_found(self, found: Sequence[FoundLog]) -> tuple[Event, ...]:
        """Put logs that were not told into their places, and fold everything anew; gives those that were new to us.

        Logs of blocks that are not those we stand on are left out.

        Raises:
            StoreUnavailable: nothing was changed.
        """
        hashes = {link.header.number: link.header.hash for link in self._window.links}
        top = max(hashes, default=-1)
        events = tuple(
            each.event
            for each in found
            if each.event.evidence.block_number <= top
            and hashes.get(each.event.evidence.block_number, each.block_hash) == each.block_hash
        )
        if events:
            await self._store.add_found(events)
            await self.restore()
        return events

    # --- block by block, and over a fork --------------------------------------------------------------------------

    async def _common_block(self, tip: Header, head: Header) -> int:
        """The number of the newest block that the endpoint and we have in common."""
        if head.parent_hash == tip.hash:
            return tip.number
        highest, width = min(tip.number, head.number), _FIRST_LOOK_BACK
        oldest = self._window.links[0].header.number
        while highest >= oldest:
            lowest = max(oldest, highest - width + 1)
            theirs = await self._source.headers(range(lowest, highest + 1))
            common = fork_point(self._window, theirs)
            if common is not None:
                return common
            highest, width = lowest - 1, width * 2
        known = len(self._window.links)
        if head.number < oldest:
            raise ChainUnavailable(f"{self._source.endpoint} is far behind the newest {known} blocks we know")
        raise ChainForkedDeeply(f"{self._source.endpoint} has none of the newest {known} blocks we know")

    async def _step(self, base: int, head: Header, logs: Sequence[RawLog] | None) -> Move:
        """Put the blocks above `base` on it; what stood there before is dropped and looked at again."""
        kept = self._window.cut_to(base)
        if kept.tip is None:
            raise ChainReorganised("the common block is no longer remembered")
        headers = await self._headers_up_to(head, base + 1)
        if headers[0].parent_hash != kept.tip.header.hash:
            raise ChainReorganised(f"{self._source.endpoint} changed its blocks while we looked")
        found = await self._logs_up_to(head, base + 1) if logs is None else logs
        demand_logs_of(headers, found)
        gone = self._window.above(base)
        dropped = [event for link in gone for event in link.events]
        move = await self._land(kept, kept.tip.facts, headers, found, dropped)
        return replace(move, dropped_blocks=len(gone))

    async def _headers_up_to(self, head: Header, first: int) -> list[Header]:
        headers = [*await self._source.headers(range(first, head.number)), head]
        if not is_chain(headers):
            raise ChainReorganised(f"{self._source.endpoint} changed its blocks while we looked")
        return headers

    async def _logs_up_to(self, head: Header, first: int) -> tuple[RawLog, ...]:
        """Logs up to the head, which must still be that block afterwards."""
        logs = await self._scanner.logs(first, head.number)
        (again,) = await self._source.headers([head.number])
        if again.hash != head.hash:
            raise ChainReorganised(f"{self._source.endpoint} changed its blocks while we looked")
        return logs

    # --- across a wide gap ----------------------------------------------------------------------------------------

    async def _open_gap(self, base: int) -> None:
        """Stand on the common block, and write down that what comes is not complete."""
        if self._progress is None:
            raise ChainUnavailable("reading has not begun")
        progress = replace(self._progress, scanned_to=base, complete=False)
        await self._store.rewind(base, progress)
        self._window, self._progress = self._window.cut_to(base), progress

    async def _cross_gap(self, report: Report) -> Move | None:
        """Read old blocks by number, up to the 256 that can still change, and those one by one; then look at all."""
        head = await self._source.head()
        progress = self._progress or await self._begin(head)
        while progress.scanned_to < head.number - WINDOW_BLOCKS:
            progress = await self._scan(progress, head.number - WINDOW_BLOCKS, report)
            head = await self._source.head()
        first = progress.scanned_to + 1
        if head.number < first:
            return None
        headers = await self._headers_up_to(head, first)
        logs = await self._logs_up_to(head, first)
        demand_logs_of(headers, logs)
        facts, after = Facts.none(), -1
        if self._window.tip is not None:
            facts, after = self._window.tip.facts, self._window.tip.header.number
        for event in await self._store.events(after=after, until=progress.scanned_to):
            facts = apply(facts, event)
        move = await self._land(Window(), facts, headers, logs, None)
        report(_told(progress, head.number, head.number, len(logs)))
        return move

    async def _begin(self, head: Header) -> Progress:
        first_block = await self._scanner.first_block(head.number)
        progress = Progress(first_block=first_block, scanned_to=first_block - 1, complete=False, synced_once=False)
        await self._store.begin(progress)
        self._progress = progress
        return progress

    async def _scan(self, progress: Progress, until: int, report: Report) -> Progress:
        """Store the logs of blocks too old to change; a kill loses one range at most."""
        async for piece in self._scanner.ranges(progress.scanned_to + 1, until):
            events = await self._scanner.decode(piece.logs, recent=False)
            progress = replace(progress, scanned_to=piece.last)
            await self._store.add_scanned(events, progress)
            self._progress = progress
            report(_told(progress, piece.last, until, len(events)))
        return progress

    # --- the one transaction --------------------------------------------------------------------------------------

    async def _land(
        self,
        kept: Window,
        base: Facts,
        headers: Sequence[Header],
        logs: Sequence[RawLog],
        dropped: Sequence[Event] | None,
    ) -> Move:
        """Fold the new blocks, look at the state of what they touched, store it all, stand on the last.

        Args:
            kept: the blocks below.
            base: what was known below.
            headers: the new blocks.
            logs: their logs.
            dropped: events of blocks that are gone; None after a gap, when everything is looked at.
        """
        head, above = headers[-1], headers[0].number - 1
        links = links_of(base, headers, await self._scanner.decode(logs, recent=True))
        waiting = waits(base, dropped or (), head)
        facts = links[-1].facts
        for event in waiting:
            facts = apply(facts, event)
        unexplained = self._filters.unexplained(headers, logs)
        touched = everything(facts) if dropped is None or unexplained else touched_of(dropped, links)
        facts, observed = await self._reader.observe(facts, touched, head, first_index=len(waiting))
        if facts.pins is None:
            place = Position(head.number, FIRST_OBSERVATION + len(waiting) + len(observed))
            observed = (*observed, PinsBegun(evidence=Evidence(position=place)))
            facts = apply(facts, observed[-1])
        links[-1] = replace(links[-1], events=(*links[-1].events, *waiting, *observed), facts=facts)
        window = kept.extended(links)
        first_block = 0 if self._progress is None else self._progress.first_block
        progress = Progress(first_block=first_block, scanned_to=head.number, complete=True, synced_once=True)
        events = tuple(event for link in links for event in link.events)
        await self._store.commit(
            above=above,
            headers=headers,
            events=events,
            oldest=window.links[0].header.number,
            progress=progress,
        )
        self._window, self._progress = window, progress
        return Move(tip=links[-1], events=events, unexplained=unexplained)


def _told(progress: Progress, scanned_to: int, until: int, events: int) -> SyncProgress:
    return SyncProgress(first_block=progress.first_block, scanned_to=scanned_to, until=until, events=events)
