"""The watcher: follows the contracts, judges whether they are the right ones, publishes what it finds.

::

    restore ──▶ check (C12) ──▶ advance ──▶ publish ──▶ pause ──┐
                  ▲    ▲                                        │
                  │    └────────────────────────────────────────┘
                  └── after any trouble, for the endpoint behind the same name may be another one
"""

import random
from collections.abc import Callable

from ocn_permission_agent.chain.backoff import pause_seconds
from ocn_permission_agent.chain.checks import Findings, check_chain
from ocn_permission_agent.chain.cursor import Link
from ocn_permission_agent.chain.decisions import DecisionStore, fold
from ocn_permission_agent.chain.follower import Follower, Move
from ocn_permission_agent.chain.reader import StateReader
from ocn_permission_agent.chain.rpc import RpcClient
from ocn_permission_agent.chain.scan import Report, Scanner, SyncProgress
from ocn_permission_agent.chain.settings import ChainSettings
from ocn_permission_agent.chain.source import ChainSource
from ocn_permission_agent.chain.store import ChainStore, Identity
from ocn_permission_agent.chain.telling import tell_event
from ocn_permission_agent.clock import Clock
from ocn_permission_agent.consent.address import Address
from ocn_permission_agent.consent.index import ConsentIndex
from ocn_permission_agent.consent.settings import ConsentSettings
from ocn_permission_agent.consent.view import ConsentView
from ocn_permission_agent.errors import ChainReorganised, ChainUnavailable, ContractMismatch, StoreUnavailable
from ocn_permission_agent.log import Log
from ocn_permission_agent.metrics import Metrics

#: a chain that changes during this many looks in a row is no longer ordinary
_RESTLESS_LOOKS = 3


class Watcher:
    """Keeps a `ConsentView` in step with the chain.

    Args:
        rpc: the endpoint, open.
        store: the chain's tables.
        decisions: what the operator decided; in force before anything is published.
        view: gets each new index.
        clock: pauses between polls.
        settings: which chain.
        consent: what the operator decided about consent.
        operator: address of this node's operator key.
        public_url: what the Registry must have as this operator's domain.
        metrics: gets the lag of the endpoint.
        log: one line per change.
        jitter: random numbers in [0, 1) that spread the pauses after failures.
    """

    def __init__(
        self,
        *,
        rpc: RpcClient,
        store: ChainStore,
        decisions: DecisionStore,
        view: ConsentView,
        clock: Clock,
        settings: ChainSettings,
        consent: ConsentSettings,
        operator: Address,
        public_url: str,
        metrics: Metrics,
        log: Log,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._source = ChainSource(rpc=rpc, settings=settings)
        scanner = Scanner(source=self._source, settings=settings)
        reader = StateReader(source=self._source, settings=settings)
        self._follower = Follower(source=self._source, scanner=scanner, reader=reader, store=store)
        self._store = store
        self._decisions = decisions
        self._view = view
        self._clock = clock
        self._settings = settings
        self._consent = consent
        self._operator = operator
        self._public_url = public_url
        self._lag = metrics.chain_head_lag_blocks.labels(endpoint=self._source.endpoint)
        self._log = log
        self._jitter = jitter
        self._restored = False
        self._checked = False
        self._alarmed: str | None = None

    async def restore(self) -> None:
        """Publish what the store remembers, not yet fresh. Needs no chain; later calls do nothing.

        Raises:
            StoreMismatch: the store was made for other contracts.
            StoreUnavailable: it cannot be read.
        """
        if self._restored:
            return
        genesis_hash = await self._store.genesis_hash()
        if genesis_hash is not None:
            await self._store.claim(self._identity(genesis_hash))
        self._view.decide(fold(await self._decisions.all()))
        await self._follower.restore()
        if self._follower.tip is not None and self._follower.synced_once:
            self._view.restore(self._index(self._follower.tip))
        self._restored = True

    async def check(self) -> Findings:
        """Ask the endpoint everything of C12 now; changes nothing.

        Raises:
            ChainUnavailable: no usable answer.
        """
        try:
            return await check_chain(
                self._source,
                settings=self._settings,
                remembered_genesis=await self._store.genesis_hash(),
                operator=self._operator,
                public_url=self._public_url,
            )
        except ChainReorganised as error:
            raise ChainUnavailable(str(error)) from error

    async def first_sync(self, report: Report) -> None:
        """Read everything up to the head, or go on where an earlier run was stopped.

        Args:
            report: told after every range.

        Raises:
            As `poll_once`.
        """
        await self._poll(report)

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
                self._checked = False
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
        if not await self._is_trusted():
            return
        move = await self._follower.advance(report)
        if move is None:
            # Its head is a block we passed: a server that lags. The view ages until the head moves on (C8).
            raise ChainUnavailable(f"{self._source.endpoint} is behind the block we know")
        self._lag.set(0)
        self._view.publish(self._index(move.tip))
        self._tell(move)

    async def _is_trusted(self) -> bool:
        """C12: on an empty store a problem refuses; on a synced one it closes everything until it is gone."""
        if self._checked:
            return True
        findings = await self.check()
        if findings.fatal:
            sentence = "; ".join(findings.fatal)
            tip = self._follower.tip
            if tip is None or not self._follower.synced_once:
                raise ContractMismatch(sentence)
            self._view.publish(self._index(tip, distrust=sentence))
            self._alarm("contract.mismatched", sentence)
            return False
        await self._store.claim(self._identity(findings.genesis_hash))
        self._checked = True
        return True

    def _identity(self, genesis_hash: str) -> Identity:
        return Identity(
            chain_id=self._settings.chain_id,
            genesis_hash=genesis_hash,
            registry=self._settings.registry,
            permissions=self._settings.permissions,
        )

    def _index(self, tip: Link, *, distrust: str | None = None) -> ConsentIndex:
        return ConsentIndex(
            facts=tip.facts,
            block_number=tip.header.number,
            block_hash=tip.header.hash,
            block_time=tip.header.time,
            own_operator=self._operator,
            confirmations=self._settings.confirmations,
            settings=self._consent,
            distrust=distrust,
        )

    def _alarm(self, event: str, reason: str) -> None:
        """One line per change, not per poll."""
        if self._alarmed != event:
            self._log.error(event, endpoint=self._source.endpoint, reason=reason)
        self._alarmed = event

    def _tell(self, move: Move) -> None:
        head = move.tip.header
        if self._alarmed is not None:
            self._log.info("chain.recovered", endpoint=self._source.endpoint, head=head.number)
            self._alarmed = None
        if self._view.block_from_the_future:
            self._log.error("clock.doubted", head=head.number, block_time=head.time.isoformat())
        if move.dropped_blocks:
            self._log.warning("chain.reorganised", head=head.number, dropped_blocks=move.dropped_blocks)
        for event in move.events:
            tell_event(self._log, event, move.tip.facts)
        if move.events:
            self._log.info("head.advanced", head=head.number, events=len(move.events))

    def _log_progress(self, progress: SyncProgress) -> None:
        self._log.info("range.committed", scanned_to=progress.scanned_to, until=progress.until, events=progress.events)
