"""Reading the logs of many blocks in pieces that the endpoint accepts."""

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from ocn_permission_agent.chain.blocks import RawLog
from ocn_permission_agent.chain.decode import decode_log
from ocn_permission_agent.chain.ranges import Width, last_of
from ocn_permission_agent.chain.settings import ChainSettings
from ocn_permission_agent.chain.source import ChainSource
from ocn_permission_agent.chain.transactions import must_be_traced, traced
from ocn_permission_agent.consent.events import Event
from ocn_permission_agent.errors import ChainReorganised, ChainUnavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncProgress:
    """How far a long read has come: blocks `first_block` to `scanned_to` of those up to `until` are read."""

    first_block: int
    scanned_to: int
    until: int
    events: int


#: told after every range of a long read
Report: TypeAlias = Callable[[SyncProgress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Blocks that were read, and their logs."""

    first: int
    last: int
    logs: tuple[RawLog, ...]


class Scanner:
    """Asks for logs range by range, and remembers which width the endpoint accepts."""

    def __init__(self, *, source: ChainSource, settings: ChainSettings) -> None:
        self._source = source
        self._settings = settings
        self._width = Width()

    async def ranges(self, first: int, last: int) -> AsyncIterator[Range]:
        """All logs from one block to another, both included.

        Raises:
            ChainUnavailable: no answer, or even a single block was refused.
        """
        start = first
        while start <= last:
            end = last_of(start, self._width, last)
            logs = await self._source.logs(start, end)
            if logs is None:
                narrower = self._width.refused()
                if narrower is None:
                    raise ChainUnavailable(f"{self._source.endpoint} refuses to tell the logs of block {start}")
                self._width = Width(min(narrower.blocks, max(1, (end - start + 1) // 2)))
                continue
            if not all(start <= log.block_number <= end for log in logs):
                raise ChainUnavailable(f"{self._source.endpoint} answered logs that were not asked for")
            yield Range(first=start, last=end, logs=logs)
            start = end + 1
            self._width = self._width.answered()

    async def logs(self, first: int, last: int) -> tuple[RawLog, ...]:
        """The same, all at once."""
        return tuple([log async for piece in self.ranges(first, last) for log in piece.logs])

    async def decode(self, logs: Iterable[RawLog], *, recent: bool) -> tuple[Event, ...]:
        """The events of logs, in their order, with how they were sent; logs that are none of ours are left out.

        Args:
            logs: of the two contracts.
            recent: the blocks can still change, and every endpoint knows their transactions. Endpoints forget old
                ones; what cannot be looked up is not trusted later (C6).

        Raises:
            ChainUnavailable: a transaction of a recent block is not told.
            ChainReorganised: it is in another block by now.
        """
        registry, permissions = self._settings.registry, self._settings.permissions
        decoded = ((log, decode_log(log, registry=registry, permissions=permissions)) for log in logs)
        events = [(log, event) for log, event in decoded if event is not None]
        places = {log.transaction_hash: log.block_hash for log, event in events if must_be_traced(event)}
        found = dict(zip(places, await self._source.transactions(list(places)), strict=True))
        for wanted, transaction in found.items():
            if transaction is None and recent:
                raise ChainUnavailable(f"{self._source.endpoint} does not tell the transaction of a log")
            if transaction is not None and transaction.block_hash != places[wanted]:
                raise ChainReorganised(f"{self._source.endpoint} changed its blocks while we looked")
        return tuple(
            traced(event, found[log.transaction_hash], permissions=permissions) if must_be_traced(event) else event
            for log, event in events
        )

    async def first_block(self, head: int) -> int:
        """Where to begin: as configured, else where the Registry was deployed, else 0.

        The Registry comes first: the Permissions contract is made for it.
        """
        if self._settings.start_block:
            return self._settings.start_block
        low, high = 0, head
        while low < high:
            middle = (low + high) // 2
            found = await self._source.has_code(self._settings.registry, hex(middle))
            if found is None:
                return 0  # old state is not told: everything is scanned
            low, high = (low, middle) if found else (middle + 1, high)
        return low
