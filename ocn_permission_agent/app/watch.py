"""Whose turn it is to watch the chain: this agent's, or another's, whom it follows then.

::

    following ──the lease is free, or its holder dead──▶ on duty (watcher and auditor run)
        ▲                                                  │
        └──────────────another agent took it───────────────┘

With a store that only one agent can open, it is always on duty.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from ocn_permission_agent.app.supervise import supervise
from ocn_permission_agent.app.surroundings import Surroundings
from ocn_permission_agent.chain.announcement import Perspective
from ocn_permission_agent.chain.audit import Auditor
from ocn_permission_agent.chain.decisions import DecisionStore
from ocn_permission_agent.chain.endpoints import Endpoints, EndpointState
from ocn_permission_agent.chain.errands import Errands
from ocn_permission_agent.chain.following import LOOK_SECONDS, Following
from ocn_permission_agent.chain.scan import Report
from ocn_permission_agent.chain.store import ChainStore
from ocn_permission_agent.chain.watcher import Watcher
from ocn_permission_agent.clock import Clock
from ocn_permission_agent.cluster.lease import LEASE_SECONDS, RENEW_SECONDS, Lease
from ocn_permission_agent.config import Config
from ocn_permission_agent.consent.address import address
from ocn_permission_agent.errors import AgentError, LeaseLost, StoreUnavailable
from ocn_permission_agent.log import Log
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.store.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """Those who work while this agent is on duty; made anew for each turn."""

    watcher: Watcher
    auditor: Auditor


class Watch:
    """Runs until it is cancelled.

    Args:
        lease: tells whose turn it is.
        shift: makes those who work.
        following: what is done meanwhile.
        endpoints: whom the watcher asks.
        clock: paces it.
        metrics: tell whether this agent is on duty.
        log: one line whenever the turn changes.
        stopping: whether the agent is about to end.
    """

    def __init__(
        self,
        *,
        lease: Lease,
        shift: Callable[[], Shift],
        following: Following,
        endpoints: Endpoints,
        clock: Clock,
        metrics: Metrics,
        log: Log,
        stopping: Callable[[], bool],
    ) -> None:
        self._lease = lease
        self._make_shift = shift
        self._shift = shift()
        self._following = following
        self._endpoints = endpoints
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._stopping = stopping
        self._on_duty = False

    @property
    def watcher(self) -> Watcher:
        """Of this turn, or of the next."""
        return self._shift.watcher

    @property
    def on_duty(self) -> bool:
        """Whether this agent watches the chain."""
        return self._on_duty

    def endpoint_states(self) -> tuple[EndpointState, ...]:
        """How the endpoints are doing, by the agent that is on duty."""
        return self._endpoints.states() if self._on_duty else self._following.endpoints

    async def run(self) -> None:
        """Watch or follow; trouble with the store, of which the recorder tells, is waited out."""
        try:
            while True:
                with suppress(StoreUnavailable):
                    if await self._lease.take():
                        await self._serve()
                    # Whoever is on duty next begins from what the store holds then.
                    self._shift = self._make_shift()
                    await self._following.look()
                await self._clock.sleep(LOOK_SECONDS)
        finally:
            with suppress(StoreUnavailable):
                await self._lease.release()

    async def sync(self, report: Report) -> None:
        """Read the chain up to its head, once.

        Raises:
            StoreUnavailable: another agent is on duty, and reads it; or the store cannot be used.
            ChainUnavailable, ContractMismatch, StoreMismatch: as `Watcher.first_sync`.
        """
        await self._take_within(LEASE_SECONDS + 5.0)
        failure: AgentError | None = None
        try:
            async with asyncio.TaskGroup() as group:
                holding = group.create_task(self._hold())
                try:
                    await self._shift.watcher.first_sync(report)
                except AgentError as error:
                    failure = error
                holding.cancel()
        finally:
            with suppress(StoreUnavailable):
                await self._lease.release()
        if failure is not None:
            raise failure

    async def _take_within(self, seconds: float) -> None:
        deadline = self._clock.monotonic() + seconds
        while not await self._lease.take():
            if self._clock.monotonic() > deadline:
                raise StoreUnavailable("another agent watches the chain: what it has read is in the store already")
            await self._clock.sleep(LOOK_SECONDS)

    async def _serve(self) -> None:
        """Be on duty until the lease is lost."""
        self._following.rest()
        self._on_duty = True
        self._metrics.watches_chain.set(1)
        self._log.info("watch.begun")
        try:
            async with asyncio.TaskGroup() as group:
                loops = {"watcher": self._shift.watcher.run, "auditor": self._shift.auditor.run}
                workers = [group.create_task(self._supervised(name, loop), name=name) for name, loop in loops.items()]
                await self._hold()
                for worker in workers:
                    worker.cancel()
        finally:
            self._on_duty = False
            self._metrics.watches_chain.set(0)
        self._log.warning("watch.lost")

    async def _supervised(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        async def until_lost() -> None:
            with suppress(LeaseLost):
                await loop()

        def stopping() -> bool:
            return self._lease.lost or self._stopping()

        await supervise(name, until_lost, clock=self._clock, log=self._log, stopping=stopping)

    async def _hold(self) -> None:
        """Keep the lease, and what was decided at other agents in force; returns once the lease is lost."""
        renewed = self._clock.monotonic()
        with suppress(LeaseLost):
            while not self._lease.lost:
                await self._clock.sleep(LOOK_SECONDS)
                if not self._lease.shared:
                    continue
                with suppress(StoreUnavailable):
                    await self._following.look_at_decisions()
                    if self._clock.monotonic() - renewed >= RENEW_SECONDS:
                        await self._lease.renew()
                        renewed = self._clock.monotonic()


def watch_on(database: Database, endpoints: Endpoints, *, lease: Lease, around: Surroundings) -> Watch:
    """The watch of an agent whose store is open."""
    config, view, clock, log = around.config, around.view, around.clock, around.log
    perspective = perspective_of(config)
    store = ChainStore(database, fence=lease.fence)

    def shift() -> Shift:
        errands = Errands()
        watcher = Watcher(
            errands=errands,
            endpoints=endpoints,
            store=store,
            decisions=DecisionStore(database, fence=lease.fence),
            view=view,
            clock=clock,
            settings=config.chain,
            perspective=perspective,
            public_url=config.public_url,
            log=log,
            announces=lease.shared,
        )
        auditor = Auditor(
            errands=errands,
            watcher=watcher,
            endpoints=endpoints,
            store=store,
            settings=config.chain,
            clock=clock,
            metrics=around.metrics,
            log=log,
        )
        return Shift(watcher=watcher, auditor=auditor)

    return Watch(
        lease=lease,
        shift=shift,
        following=Following(
            store=ChainStore(database),
            decisions=DecisionStore(database),
            view=view,
            perspective=perspective,
            clock=clock,
        ),
        endpoints=endpoints,
        clock=clock,
        metrics=around.metrics,
        log=log,
        stopping=around.stopping,
    )


def perspective_of(config: Config) -> Perspective:
    """By what this agent makes an index."""
    return Perspective(
        operator=address(config.operator_key.address),
        confirmations=config.chain.confirmations,
        consent=config.consent,
    )
