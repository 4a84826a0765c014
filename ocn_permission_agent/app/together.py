"""What an agent does about the other agents on its store, about once a second: be seen, look around, gather."""

from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.cluster.gathering import Gathering
from ocn_permission_agent.cluster.lease import Lease
from ocn_permission_agent.cluster.roster import AgentRow, Peers, Roster
from ocn_permission_agent.errors import StoreUnavailable
from ocn_permission_agent.log import Log
from ocn_permission_agent.outbox.gathered import GatheringOutbox
from ocn_permission_agent.outbox.model import CopyPlan

ROUND_SECONDS = 1.0
#: for how long agents are waited for in all; one that is killed and started again and again must not hold up the others
LONGEST_SECONDS = 60.0


class Spooling(Protocol):
    """The recorder, as far as its spool goes."""

    @property
    def spooled_bytes(self) -> int:
        """What waits in the spool."""
        ...

    @property
    def handed_over(self) -> bool:
        """Whether nothing waits, and nothing new is spooled: the store takes it all."""
        ...

    def refused(self, plan: CopyPlan) -> None:
        """No store would take it."""
        ...

    def spoilt(self) -> None:
        """A spooled copy cannot be read."""
        ...


class Together:
    """A loop of its own.

    Args:
        roster: of all agents.
        gathering: of their spools.
        outbox: records what was gathered.
        lease: of the one who does that.
        spooling: this agent's spool.
        clock: paces it, and tells who lives.
        log: one line per gathering that this agent has closed.
        on_recorded: told when gathered copies are recorded, to wake the dispatcher.
    """

    def __init__(
        self,
        *,
        roster: Roster,
        gathering: Gathering,
        outbox: GatheringOutbox,
        lease: Lease,
        spooling: Spooling,
        clock: Clock,
        log: Log,
        on_recorded: Callable[[], None],
    ) -> None:
        self._roster = roster
        self._gathering = gathering
        self._outbox = outbox
        self._lease = lease
        self._spooling = spooling
        self._clock = clock
        self._log = log
        self._on_recorded = on_recorded
        self._peers = Peers()
        self._met = 0
        #: monotonic; since when there has always been one, this or another
        self._gathering_since: float | None = None

    async def arrive(self) -> None:
        """Before this agent takes its first request: what it takes until its store is open goes into its spool.

        Raises:
            StoreUnavailable: then all of it is spooled, as by any agent that has lost the store.
        """
        await self._roster.be_seen(now=self._clock.now(), spool_bytes=self._spooling.spooled_bytes, met=0)
        await self._gathering.call()

    async def run(self) -> None:
        """Round after round until cancelled; trouble with the store, of which the recorder tells, is waited out."""
        while True:
            with suppress(StoreUnavailable):
                await self.round()
            await self._clock.sleep(ROUND_SECONDS)

    async def round(self) -> None:
        """Be seen; in a gathering bring what there is to an end.

        Raises:
            StoreUnavailable: again later.
        """
        state = await self._gathering.state()
        if state.open:
            await self._gathering.begin()
            state = await self._gathering.state()
        if self._spooling.handed_over:
            # All that was said before is in the store; what is said from now on meets this gathering, or a later one.
            self._met = state.number
        now = self._clock.monotonic()
        others = await self._roster.be_seen(
            now=self._clock.now(), spool_bytes=self._spooling.spooled_bytes, met=self._met
        )
        self._peers.look(others, now)
        if not state.open:
            self._gathering_since = None
            return
        if self._gathering_since is None:
            self._gathering_since = now
        patient = now - self._gathering_since < LONGEST_SECONDS
        if patient and (self._met < state.number or self._peers.awaited(others, state.number, now)):
            return
        await self._settle(state.number, others)

    async def leave(self) -> None:
        """End in good order.

        Raises:
            StoreUnavailable: the others will notice.
        """
        if self._spooling.handed_over:
            await self._roster.leave()

    async def _settle(self, number: int, others: tuple[AgentRow, ...]) -> None:
        if not await self._lease.take():
            return
        try:
            copies = await self._gathering.waiting()
            if await self._outbox.settle(number, self._spooling.refused, self._spooling.spoilt):
                missing = [each.host for each in others if each.met < number]
                self._log.info("spools.gathered", gathering=number, copies=copies, missing=missing)
        finally:
            await self._lease.release()
        self._on_recorded()
