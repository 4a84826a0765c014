"""The watcher: follows the contracts, judges whether they are the right ones, publishes what it finds.

::

    restore ──▶ check (C12) ──▶ advance ──▶ publish ──▶ pause ──┐
                  ▲    ▲                                        │
                  │    └────────────────────────────────────────┘
                  └── after any trouble, for the endpoint behind the same name may be another one
"""

import random
from collections.abc import Callable
from dataclasses import replace

from ocn_permission_agent.chain.announcement import Perspective, announcement_of
from ocn_permission_agent.chain.backoff import pause_seconds
from ocn_permission_agent.chain.checks import Findings
from ocn_permission_agent.chain.cursor import Link
from ocn_permission_agent.chain.decisions import DecisionStore, fold
from ocn_permission_agent.chain.endpoints import Endpoints
from ocn_permission_agent.chain.errands import Errands
from ocn_permission_agent.chain.follower import Follower, Move
from ocn_permission_agent.chain.resync import Resync
from ocn_permission_agent.chain.scan import Report, SyncProgress
from ocn_permission_agent.chain.settings import ChainSettings
from ocn_permission_agent.chain.source import ChainSource
from ocn_permission_agent.chain.store import ChainStore
from ocn_permission_agent.chain.telling import Alarms, contradicts, tell_move
from ocn_permission_agent.chain.touched import touched_by
from ocn_permission_agent.chain.trust import Distrust, Trust
from ocn_permission_agent.clock import Clock
from ocn_permission_agent.consent.index import ConsentIndex
from ocn_permission_agent.consent.view import ConsentView
from ocn_permission_agent.errors import (
    ChainForkedDeeply,
    ChainReorganised,
    ChainUnavailable,
    ContractMismatch,
    StoreUnavailable,
)
from ocn_permission_agent.log import Log

#: a chain that changes during this many looks in a row is no longer ordinary
_RESTLESS_LOOKS = 3
#: what holds everything and needs a person is told again after this
_MISMATCH_ALARM_SECONDS = 60.0


class Watcher:
    """Keeps a `ConsentView` in step with the chain.

    Args:
        endpoints: whom to ask.
        store: the chain's tables.
        decisions: what the operator decided; in force before anything is published.
        view: gets each new index.
        clock: pauses between polls.
        settings: which chain.
        perspective: of this agent: its operator's key, and what the operator decided about consent.
        public_url: what the Registry must have as this operator's domain.
        log: one line per change.
        errands: of the auditor that works beside it; None where there is none.
        jitter: random numbers in [0, 1) that spread the pauses after failures.
        announces: tell other agents, through the store, what is published.
    """

    def __init__(
        self,
        *,
        endpoints: Endpoints,
        store: ChainStore,
        decisions: DecisionStore,
        view: ConsentView,
        clock: Clock,
        settings: ChainSettings,
        perspective: Perspective,
        public_url: str,
        log: Log,
        errands: Errands | None = None,
        jitter: Callable[[], float] = random.random,
        announces: bool = False,
    ) -> None:
        self._endpoints = endpoints
        self._follower = Follower(source=endpoints.followed, settings=settings, store=store)
        self._store = store
        self._decisions = decisions
        self._view = view
        self._clock = clock
        self._settings = settings
        self._perspective = perspective
        self._announces = announces
        self._trust = Trust(
            endpoints=endpoints, store=store, settings=settings, operator=perspective.operator, public_url=public_url
        )
        self._log = log
        self._jitter = jitter
        self._restored = False
        self._alarms = Alarms(log=log, clock=clock, repeated={"contract.mismatched": _MISMATCH_ALARM_SECONDS})
        self._resync: Resync | None = None
        self._errands = errands or Errands()

    @property
    def _source(self) -> ChainSource:
        return self._endpoints.followed

    @property
    def tip(self) -> Link | None:
        """The block we stand on; None before the first sync."""
        return self._follower.tip if self._follower.synced_once else None

    @property
    def first_block(self) -> int:
        """Where reading began."""
        return self._follower.first_block

    # --- following ------------------------------------------------------------------------------------------------

    async def restore(self) -> None:
        """Publish what the store remembers, not yet fresh. Needs no chain; later calls do nothing.

        Raises:
            StoreMismatch: the store was made for other contracts.
            StoreUnavailable: it cannot be read.
        """
        if self._restored:
            return
        await self._trust.demand_store()
        self._view.decide(fold(await self._decisions.all()))
        await self._follower.restore()
        if self._follower.tip is not None and self._follower.synced_once:
            self._take_up(self._follower.tip)
        self._restored = True

    def _take_up(self, tip: Link) -> None:
        """Show what is known; what the view knows of this block already, by another agent, stays as old as it is."""
        if self._view.index.block_hash != tip.header.hash:
            self._view.restore(self._perspective.index(tip))

    async def check(self) -> Findings:
        """Ask the followed endpoint everything of C12 now; changes nothing.

        Raises:
            ChainUnavailable: no usable answer.
        """
        return await self._trust.findings()

    async def first_sync(self, report: Report) -> None:
        """Read everything up to the head, or go on where an earlier run was stopped.

        Args:
            report: told after every range.

        Raises:
            As `poll_once`.
        """
        for _ in range(self._endpoints.count - 1):
            try:
                return await self._poll(report)
            except ChainUnavailable as error:
                self._alarm("chain.unavailable", str(error))
        return await self._poll(report)

    async def poll_once(self) -> None:
        """Bring the view to the head, once.

        Raises:
            ChainUnavailable: no usable answer; the view ages.
            ChainReorganised: the chain changed while we looked; try again.
            ContractMismatch: not the contracts we were told of, and the store is empty.
            StoreMismatch: the store was made for other contracts.
            StoreUnavailable: nothing could be stored, nothing was published.
        """
        await self._poll(self._log_progress)

    async def run(self) -> None:
        """Poll for ever; trouble with the chain or the store is told once and waited out.

        Raises:
            ContractMismatch, StoreMismatch: as `poll_once`; trying again needs a person.
        """
        failures = 0
        while True:
            try:
                await self.poll_once()
            except ChainReorganised as error:
                # Blocks changed while we looked: ordinary, as long as a next look finds them at rest.
                failures += 1
                if failures >= _RESTLESS_LOOKS:
                    self._alarm("chain.unavailable", str(error))
            except ChainUnavailable as error:
                failures += 1
                self._alarm("chain.unavailable", str(error))
            except StoreUnavailable as error:
                failures += 1
                self._alarm("store.unavailable", str(error))
            else:
                failures = 0
            await self._clock.sleep(self._pause_seconds(failures))

    def _pause_seconds(self, failures: int) -> float:
        if failures == 0:
            return self._settings.poll_seconds
        asked = self._source.asked_pause_seconds()
        return pause_seconds(failures, spread=self._jitter(), asked_seconds=asked)

    async def _poll(self, report: Report) -> None:
        await self.restore()
        try:
            await self._poll_followed(report)
        except ChainUnavailable:
            # Whoever answers next, perhaps behind the same name, may serve another chain.
            self._trust.withdraw()
            self._endpoints.failed()
            self._follower.follow(self._source)
            raise

    async def _poll_followed(self, report: Report) -> None:
        distrust = await self._distrust()
        if distrust is not None and not distrust.readable:
            await self._hold(distrust)
            # All of them are wrong now; whichever is the first to be right again is the one to follow.
            self._endpoints.turn()
            self._follower.follow(self._source)
            return
        domain = self._own_domain()
        try:
            move = await self._advance(report)
        except ChainForkedDeeply as error:
            await self._meet_deep_fork(error)
            raise
        self._endpoints.arrived(self._follower.window, touched_by(move.events))
        await self._endpoints.compare(self._follower.window)
        sentence = None if distrust is None else distrust.sentence
        index = self._perspective.index(move.tip, distrust=sentence, doubt=self._endpoints.doubt)
        # Here first: what closes counts at once, whether the store can be written or not.
        self._view.publish(index)
        await self._announce(index)
        self._tell(move)
        self._errands.polled()
        if distrust is not None:
            await self._hold(distrust)
        elif domain != self._own_domain():
            # Our own entry is not what it was when it was asked for: it is asked for again.
            self._trust.withdraw()
            if (distrust := await self._distrust()) is not None:
                await self._hold(distrust)

    async def _advance(self, report: Report) -> Move:
        if self._resync is not None and self._resync.agreed:
            await self._read_anew(self._resync, report)
        await self._put_found_into_place()
        move = await self._follower.advance(report)
        if move is None:
            # Its head is a block we passed: a server that lags. The view ages until the head moves on (C8).
            raise ChainUnavailable(f"{self._source.endpoint} is behind the block we know")
        self._resync = None
        with self._errands.looking() as touched:
            if not touched:
                return move
            again = await self._follower.look_again(touched)
        return replace(move, tip=again.tip, events=(*move.events, *again.events))

    async def _put_found_into_place(self) -> None:
        with self._errands.putting_into_place() as found:
            if not found:
                return
            events = await self._follower.take_found(found)
        self._errands.look_at(touched_by(events))
        self._log.warning("logs.recovered", endpoint=self._source.endpoint, events=len(events))

    # --- a chain that has none of our blocks ------------------------------------------------------------------------

    async def _meet_deep_fork(self, error: ChainForkedDeeply) -> None:
        """Hold everything at once; read anew only when it is seen a second time and nobody still has our blocks."""
        tip = self._follower.tip
        if tip is None:
            return
        await self._amend(self._perspective.index(tip, doubt=str(error)))
        self._alarm("chain.forked", str(error))
        witness = await self._endpoints.has_our_past(self._follower.window)
        if witness is not None:
            self._resync = None
            return
        if self._resync is None:
            self._resync = Resync(settings=self._settings, store=self._store, decisions=self._decisions)
        self._resync.seen()

    async def _read_anew(self, resync: Resync, report: Report) -> None:
        """Read the chain from its start beside what we know, and stand on it once it is complete."""
        old = self._follower.tip
        if old is None:
            return
        kept = await resync.keep_pins(
            old.facts, self._view.decisions, operator=self._perspective.operator, at=self._clock.now()
        )
        self._view.decide(fold(await self._decisions.all()))
        self._follower = await resync.read(self._source, report)
        self._log.warning(
            "chain.resynced", endpoint=self._source.endpoint, old_head=old.header.number, kept_addresses=kept
        )
        self._resync = None

    async def _distrust(self) -> Distrust | None:
        """C12: on an empty store a problem refuses; on a synced one it holds everything until it is gone."""
        distrust = await self._trust.distrust()
        if distrust is not None and self.tip is None:
            raise ContractMismatch(distrust.sentence)
        return distrust

    async def _hold(self, distrust: Distrust) -> None:
        tip = self.tip
        if tip is not None:
            await self._amend(self._perspective.index(tip, distrust=distrust.sentence, doubt=self._endpoints.doubt))
        self._alarm("contract.mismatched", distrust.sentence)

    def _own_domain(self) -> str | None:
        """Where the Registry has this node, as far as we know."""
        return None if self.tip is None else self.tip.facts.domain(self._perspective.operator)

    async def _amend(self, index: ConsentIndex) -> None:
        self._view.amend(index)
        await self._announce(index)

    async def _announce(self, index: ConsentIndex) -> None:
        """Tell the other agents what was published here."""
        if self._announces:
            announcement = announcement_of(
                index,
                polled_at=self._clock.now(),
                head_age_seconds=self._view.head_age_seconds(),
                endpoints=self._endpoints.states(),
            )
            await self._store.announce(announcement)

    def _alarm(self, event: str, reason: str) -> None:
        self._alarms.sound(event, endpoint=self._source.endpoint, reason=reason)

    def _tell(self, move: Move) -> None:
        head = move.tip.header
        if self._view.index.distrust is None and self._alarms.end():
            self._log.info("chain.recovered", endpoint=self._source.endpoint, head=head.number)
        if self._view.block_from_the_future:
            self._log.error("clock.doubted", head=head.number, block_time=head.time.isoformat())
        tell_move(self._log, move, endpoint=self._source.endpoint)
        if contradicts(move):
            self._errands.contradicted()

    def _log_progress(self, progress: SyncProgress) -> None:
        self._log.info("range.committed", scanned_to=progress.scanned_to, until=progress.until, events=progress.events)
