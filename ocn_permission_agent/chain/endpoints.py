"""Several RPC endpoints: one is followed, the others are asked whether they see the same chain (consent.md C8).

::

    followed   … ── c ── … ── tip        c = tip - confirmations
    other      … ── c ── … ── its head   the same hash at c, and the same state at the tip of what was touched

Whoever contradicts, lags by more than the confirmations, or serves another chain holds every copy until it agrees
again: which of two is right cannot be told. One that does not answer says nothing and holds nobody.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from ocn_permission_agent.chain.cursor import Window
from ocn_permission_agent.chain.reader import StateReader
from ocn_permission_agent.chain.rpc import RpcClient
from ocn_permission_agent.chain.settings import ChainSettings
from ocn_permission_agent.chain.source import ChainSource
from ocn_permission_agent.chain.touched import Touched
from ocn_permission_agent.clock import Clock
from ocn_permission_agent.errors import ChainReorganised, ChainUnavailable
from ocn_permission_agent.log import Log
from ocn_permission_agent.metrics import Metrics

#: for the other endpoints to answer, all at once; what comes later is asked for again at the next poll
COMPARE_SECONDS = 3.0
#: an endpoint that did not answer is not asked again for so long
_SILENCE_SECONDS = 30.0
#: entries whose state is compared at most; what is more is left to the audit
_COMPARED_LIMIT = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointState:
    """How one endpoint is doing. `complaint` is why it holds all copies, None when it does not."""

    name: str
    head: int | None
    reachable: bool
    followed: bool
    complaint: str | None


@dataclass(slots=True, kw_only=True)
class _Endpoint:
    source: ChainSource
    reader: StateReader
    head: int | None = None
    reachable: bool = False
    complaint: str | None = None
    silent_until: float = 0.0
    uncompared: Touched = field(default_factory=Touched)


class Endpoints:
    """All configured endpoints, in their order.

    Args:
        rpcs: open clients, at least one; the first is followed first.
        settings: which chain.
        clock: measures silences.
        metrics: gets lags and disagreements.
        log: one line when an endpoint begins and ends to contradict or to be silent.
    """

    def __init__(
        self, *, rpcs: Sequence[RpcClient], settings: ChainSettings, clock: Clock, metrics: Metrics, log: Log
    ) -> None:
        sources = [ChainSource(rpc=rpc, settings=settings) for rpc in rpcs]
        self._all = [
            _Endpoint(source=source, reader=StateReader(source=source, settings=settings)) for source in sources
        ]
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._at = 0

    @property
    def followed(self) -> ChainSource:
        """The endpoint whose chain we follow."""
        return self._all[self._at].source

    @property
    def place(self) -> int:
        """Which one that is, counted from 0."""
        return self._at

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._all)

    @property
    def several(self) -> bool:
        """Whether there are others to compare with, and to turn to."""
        return len(self._all) > 1

    def other(self) -> ChainSource:
        """An endpoint to look at the state by: not the followed one, if another one answers."""
        others = (each.source for each in self._others() if each.reachable and each.complaint is None)
        return next(others, self.followed)

    def states(self) -> tuple[EndpointState, ...]:
        """How each is doing, in their order."""
        return tuple(
            EndpointState(
                name=each.source.endpoint,
                head=each.head,
                reachable=each.reachable,
                followed=each is self._all[self._at],
                complaint=each.complaint,
            )
            for each in self._all
        )

    @property
    def doubt(self) -> str | None:
        """Why everything is held; None while nobody contradicts."""
        complaints = [each.complaint for each in self._others() if each.complaint is not None]
        return "; ".join(complaints) or None

    def failed(self) -> None:
        """The followed endpoint gave no usable answer: turn to the next one."""
        failed = self._all[self._at]
        failed.reachable = False
        if not self.several:
            return
        self.turn()
        self._log.warning("endpoint.followed", endpoint=self.followed.endpoint, instead_of=failed.source.endpoint)

    def turn(self) -> None:
        """Follow the next one."""
        self._at = (self._at + 1) % len(self._all)
        now = self._all[self._at]
        # What it said about its predecessor does not hold for itself, and the other way round.
        for each in self._all:
            each.complaint = None
        now.uncompared = Touched()

    def arrived(self, window: Window, touched: Touched) -> None:
        """The followed endpoint brought us to the tip; these entries were touched on the way."""
        followed, tip = self._all[self._at], window.tip
        if tip is None:
            return
        followed.reachable, followed.head, followed.complaint = True, tip.header.number, None
        self.dispute(touched)

    def dispute(self, touched: Touched) -> None:
        """Have the state of these entries compared as soon as the others have our tip."""
        for each in self._others():
            together = each.uncompared | touched
            if sum(len(getattr(together, name)) for name in Touched.__dataclass_fields__) <= _COMPARED_LIMIT:
                each.uncompared = together

    async def compare(self, window: Window) -> None:
        """Ask the others; never raises for what they do."""
        others = [each for each in self._others() if each.silent_until <= self._clock.monotonic()]
        if window.tip is None or not others:
            return
        async with asyncio.TaskGroup() as group:
            for each in others:
                group.create_task(self._compare_with(each, window), name=f"compare with {each.source.endpoint}")
        self._measure()

    async def has_our_past(self, window: Window) -> str | None:
        """The name of another endpoint that has the oldest block we remember; None when none has it."""
        oldest = window.links[0].header
        for each in self._others():
            try:
                async with asyncio.timeout(COMPARE_SECONDS):
                    glance = await each.source.glance(oldest.number)
            except (ChainUnavailable, ChainReorganised, TimeoutError):
                continue
            if glance.block_hash == oldest.hash and glance.chain_id == self._settings.chain_id:
                return each.source.endpoint
        return None

    def _others(self) -> list[_Endpoint]:
        return [each for place, each in enumerate(self._all) if place != self._at]

    async def _compare_with(self, each: _Endpoint, window: Window) -> None:
        try:
            async with asyncio.timeout(COMPARE_SECONDS):
                complaint = await self._complaint(each, window)
        except (ChainUnavailable, TimeoutError) as error:
            self._fell_silent(each, str(error) or "no answer in time")
            return
        each.reachable = True
        if complaint is None and each.complaint is not None:
            self._log.info("endpoint.agreed", endpoint=each.source.endpoint)
        elif complaint is not None and each.complaint is None:
            self._metrics.rpc_disagreements.inc()
            self._log.error("endpoint.contradicted", endpoint=each.source.endpoint, reason=complaint)
        each.complaint = complaint

    async def _complaint(self, each: _Endpoint, window: Window) -> str | None:
        """What it says that does not go together with the chain we follow."""
        ours = self._checkpoint(window)
        tip, name, followed = window.links[-1].header, each.source.endpoint, self.followed.endpoint
        glance = await each.source.glance(ours.number)
        each.head = glance.head
        if glance.chain_id != self._settings.chain_id:
            return f"{name} serves chain {glance.chain_id}, not {self._settings.chain_id}"
        if glance.head < ours.number:
            return f"{name} is {tip.number - glance.head} blocks behind {followed}"
        if glance.block_hash != ours.hash:
            return f"{name} and {followed} have different blocks {ours.number}"
        if glance.head > tip.number + self._settings.confirmations:
            return f"{followed} is {glance.head - tip.number} blocks behind {name}"
        return await self._contradiction(each, window)

    async def _contradiction(self, each: _Endpoint, window: Window) -> str | None:
        """Whether both tell the same state of what was touched, at the very same block."""
        touched, tip = each.uncompared, window.links[-1].header
        if not touched:
            return None
        questions = each.reader.questions(touched)
        try:
            theirs = await each.source.ask(questions, tip)
        except ChainReorganised:
            # It does not have our tip yet: compared at a later one. Until then an older complaint stands.
            return each.complaint
        try:
            ours = await self.followed.ask(questions, tip)
        except (ChainReorganised, ChainUnavailable):
            return each.complaint
        if ours != theirs:
            return f"{each.source.endpoint} and {self.followed.endpoint} tell different states of block {tip.number}"
        each.uncompared = Touched()
        return None

    def _checkpoint(self, window: Window) -> "_Block":
        wanted = window.links[-1].header.number - self._settings.confirmations
        header = next((link.header for link in window.links if link.header.number >= wanted), window.links[0].header)
        return _Block(number=header.number, hash=header.hash)

    def _fell_silent(self, each: _Endpoint, reason: str) -> None:
        """A complaint stands until it is taken back: silence is no agreement."""
        if each.reachable or each.silent_until == 0.0:
            self._log.warning("endpoint.unavailable", endpoint=each.source.endpoint, reason=reason)
        each.reachable = False
        each.silent_until = self._clock.monotonic() + _SILENCE_SECONDS

    def _measure(self) -> None:
        heads = [each.head for each in self._all if each.head is not None]
        for each in self._all:
            if each.head is not None and heads:
                lag = max(heads) - each.head
                self._metrics.chain_head_lag_blocks.labels(endpoint=each.source.endpoint).set(lag)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    number: int
    hash: str
