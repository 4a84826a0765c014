"""Where copies become durable: the store; while that cannot be written, the spool; and when neither can, a gap.

::

    record ──▶ the store works, and nothing waits in the spool? ──yes──▶ store ──fails──┐
                         │ no                                                           │
                         └───────────────▶ spool ◀──────────────────────────────────────┘
                                             │ full, or cannot be written: StoreUnavailable, the caller counts a gap
    every second: the spool's oldest go to the store, in order; gaps are written down; what failed is tried again

While the spool holds anything, whatever comes queues behind it, so order is kept. How far the spool is emptied is
written in the same transaction as what was taken from it, so nothing is stored twice whenever the process dies.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.errors import StoreUnavailable
from ocn_permission_agent.log import Log
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.outbox.gaps import Gap, GapBook, Gaps
from ocn_permission_agent.outbox.intents import Intents
from ocn_permission_agent.outbox.model import CopyPlan
from ocn_permission_agent.outbox.spool import Batch, Mark, Spool
from ocn_permission_agent.outbox.spooled import packed, unpacked

ROUND_SECONDS = 1.0
#: of one transaction; the spool's limit is thousands of them
_BATCH = 200
_BATCH_BYTES = 1024 * 1024


class Outbox(Protocol):
    """The store, as recording needs it; any method may raise `StoreUnavailable`."""

    async def record(self, plan: CopyPlan) -> int:
        """Store a plan; durable on return; returns how many deliveries were stored."""
        ...

    async def record_spooled(self, plans: Sequence[CopyPlan], mark: Mark) -> tuple[CopyPlan, ...]:
        """Store plans, in order, and how far the spool is emptied with them, in one transaction.

        Returns those that no store would take as they are; they must not stop the others.
        """
        ...


class GapStore(Protocol):
    """Where gaps are written down; any method may raise `StoreUnavailable`."""

    async def note(self, gaps: Gaps) -> None:
        """Write gaps down."""
        ...

    async def spool_mark(self) -> Mark | None:
        """How far the spool is emptied."""
        ...

    async def touch(self, now: datetime) -> None:
        """Write something."""
        ...


class Recorder:
    """Records from the first request on, whether the store is there or not.

    Args:
        spool: not open yet.
        intents: not open yet; they belong to whoever has the spool.
        gaps: are written down here.
        on_drained: told when the spool's copies have reached the store, to wake the dispatcher.
        clock: paces the rounds.
        metrics: how much waits in the spool.
        log: one line whenever the store or the spool begins, or ceases, to work.
    """

    def __init__(
        self,
        *,
        spool: Spool,
        intents: Intents,
        gaps: GapBook,
        on_drained: Callable[[], None],
        clock: Clock,
        metrics: Metrics,
        log: Log,
    ) -> None:
        self._spool = spool
        self._intents = intents
        self._gaps = gaps
        self._on_drained = on_drained
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._stores: tuple[Outbox, GapStore] | None = None
        #: None: not tried yet
        self._store_works: bool | None = None
        self._spool_works: bool | None = None
        #: of the spool, since it began to be emptied
        self._taken_over = 0
        self._gate = asyncio.Event()
        self._gate.set()

    @property
    def can_record(self) -> bool:
        """Whether a copy would be recorded now, as far as is known."""
        return bool(self._store_works or self._spool_works)

    @property
    def spooled_bytes(self) -> int:
        """What waits in the spool."""
        return self._spool.waiting_bytes

    @property
    def handed_over(self) -> bool:
        """Whether nothing waits, and nothing new is spooled: the store takes it all."""
        return bool(self._store_works) and not self._spool.holds_something

    def refused(self, plan: CopyPlan) -> None:
        """No store would take it as it is: a gap."""
        self._gaps.note(_gap_of(plan))

    def spoilt(self) -> None:
        """A spooled copy cannot be read: a gap."""
        self._gaps.note(Gap(reason="spool_broken", at=self._clock.now()))

    async def record(self, plan: CopyPlan) -> int:
        """Make a plan durable; the number of deliveries, those included that may prove to be repetitions later.

        Raises:
            StoreUnavailable: neither store nor spool can be written; nothing is kept.
        """
        await self._gate.wait()
        if self._stores is not None and self._store_works:
            try:
                return await self._stores[0].record(plan)
            except StoreUnavailable as error:
                self._store_failed(error)
        try:
            await self._spool.append(packed(plan))
        except StoreUnavailable as error:
            self._spool_failed(error)
            raise
        self._observe()
        return len(plan.deliveries)

    async def attach(self, outbox: Outbox, gaps: GapStore) -> None:
        """The store is open: empty the spool into it, then record there.

        Raises:
            StoreUnavailable: not any more.
        """
        self._stores = (outbox, gaps)
        await self._catch_up()

    def detach(self) -> None:
        """The store is closed."""
        self._stores = None
        self._store_works = None

    async def open_files(self) -> None:
        """Open spool and intents; what cannot be opened now, a later round will try again."""
        try:
            if not self._spool.is_open:
                for _ in range(await self._spool.open()):
                    self.spoilt()
                self._spool_works = True
                self._observe()
            if not self._intents.is_open:
                # Only now: whoever has the spool's lock has the intents.
                left = self._intents.open()
                for each in left.sums:
                    self._gaps.recall(each)
                for gap in left.gaps:
                    self._gaps.note(gap)
        except StoreUnavailable as error:
            self._spool_failed(error)

    async def run(self) -> None:
        """Round after round until cancelled."""
        while True:
            await self.round()
            await self._clock.sleep(ROUND_SECONDS)

    async def round(self) -> None:
        """Do what can be done now about all that waits."""
        await self.open_files()
        self._gaps.tell_rest()
        if self._stores is not None:
            try:
                await self._catch_up()
            except StoreUnavailable as error:
                self._store_failed(error)
        if not self._spool_works and self._spool.is_open:
            await self._probe_spool()
        if failures := self._intents.mend():
            self._log.warning("intent.failed", count=failures)

    async def close(self) -> None:
        """Write down what can be, and free the files."""
        await self.round()
        await self._spool.close()
        self._intents.close()

    # --- the store ------------------------------------------------------------------------------------------------

    async def _catch_up(self) -> None:
        """Gaps first, then the spool from its head; afterwards the store takes new copies."""
        if self._stores is None:
            return
        outbox, gaps = self._stores
        await self._write_gaps(gaps)
        if self._store_works and not self._spool.holds_something:
            return
        await gaps.touch(self._clock.now())
        before = self._spool.waiting_bytes
        if before:
            await self._drain(outbox, gaps)
        # Nobody begins to record while the last few are taken over: from here on all go to the store.
        self._gate.clear()
        try:
            await self._spool.settled()
            await self._take_over(outbox, leave_bytes=0)
            self._store_worked()
        finally:
            self._gate.set()
        if before:
            self._log.info("spool.drained", copies=self._taken_over)
            self._taken_over = 0

    async def _write_gaps(self, gaps: GapStore) -> None:
        taken = self._gaps.take()
        if taken is None:
            return
        try:
            await gaps.note(taken)
        except BaseException:
            self._gaps.give_back(taken)
            raise
        self._gaps.written(taken)

    async def _drain(self, outbox: Outbox, gaps: GapStore) -> None:
        """Bring what waits to the store, all but the few that come meanwhile."""
        mark = await gaps.spool_mark()
        if mark is not None:
            await self._spool.advance(mark)
        await self._take_over(outbox, leave_bytes=_BATCH_BYTES // 4)

    async def _take_over(self, outbox: Outbox, *, leave_bytes: int) -> None:
        """Bring the spool's oldest to the store until no more than `leave_bytes` wait."""
        while self._spool.waiting_bytes > leave_bytes:
            batch = await self._spool.read(most=_BATCH, most_bytes=_BATCH_BYTES)
            plans = self._plans_of(batch)
            for refused in await outbox.record_spooled(plans, batch.mark):
                self.refused(refused)
            await self._spool.advance(batch.mark)
            self._taken_over += len(plans)
            self._on_drained()
            self._observe()

    def _plans_of(self, batch: Batch) -> list[CopyPlan]:
        plans = [None if payload is None else unpacked(payload) for payload in batch.payloads]
        for _ in range(plans.count(None)):
            self.spoilt()
        return [plan for plan in plans if plan is not None]

    def _store_worked(self) -> None:
        if not self._store_works:
            self._log.info("store.available")
        self._store_works = True

    def _store_failed(self, error: StoreUnavailable) -> None:
        if self._store_works is not False:
            self._log.error("store.unavailable", reason=str(error))
        self._store_works = False

    # --- the spool ------------------------------------------------------------------------------------------------

    async def _probe_spool(self) -> None:
        try:
            await self._spool.probe()
        except StoreUnavailable:
            return
        self._spool_works = True
        self._log.info("spool.available")

    def _spool_failed(self, error: StoreUnavailable) -> None:
        if self._spool_works is not False:
            self._log.error("spool.unavailable", reason=str(error))
        self._spool_works = False

    def _observe(self) -> None:
        self._metrics.spool_bytes.set(self._spool.waiting_bytes)


def _gap_of(plan: CopyPlan) -> Gap:
    envelope = plan.envelope
    return Gap(
        reason="unrecordable",
        at=envelope.recorded_at,
        module=envelope.request.module.value,
        method=envelope.request.method,
        customer=str(envelope.customer),
        customer_address=envelope.customer_address,
        object_id=plan.deliveries[0].lane.object_id,
        correlation_id=envelope.request.correlation_id,
    )
