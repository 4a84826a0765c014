"""Recording where several agents do: past an open gathering nothing is recorded, whatever is said joins it.

See cluster/gathering.py for why. This stands between the recorder and the outbox.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from ocn_permission_agent.cluster.gathering import Gathered, Gathering
from ocn_permission_agent.errors import GatheringOpen
from ocn_permission_agent.outbox.model import CopyPlan
from ocn_permission_agent.outbox.rows import to_us
from ocn_permission_agent.outbox.spool import Mark
from ocn_permission_agent.outbox.spooled import packed, unpacked

#: of one transaction
_BATCH = 200
#: under which the outbox notes a batch that was recorded; nobody reads it
_MARK = Mark(name="gathered", offset=0)


class Outbox(Protocol):
    """The outbox itself; any method may raise `StoreUnavailable`."""

    async def record(self, plan: CopyPlan) -> int:
        """Store a plan; raises GatheringOpen while it must wait for its turn."""
        ...

    async def record_spooled(self, plans: Sequence[CopyPlan], mark: Mark) -> tuple[CopyPlan, ...]:
        """Store plans, in order, those passed over that are stored already; gives those that no store would take."""
        ...


class GatheringOutbox:
    """An outbox that keeps order with those of other agents.

    Args:
        outbox: where copies are recorded in the end; calls `Gathering.guard` first.
        gathering: of all agents.
    """

    def __init__(self, outbox: Outbox, gathering: Gathering) -> None:
        self._outbox = outbox
        self._gathering = gathering

    async def record(self, plan: CopyPlan) -> int:
        """Store a plan, or have it wait for its turn; those of its deliveries counted that may prove repetitions."""
        while True:
            try:
                return await self._outbox.record(plan)
            except GatheringOpen:
                if await self._gathering.add(_gathered(plan)):
                    return len(plan.deliveries)

    async def record_spooled(self, plans: Sequence[CopyPlan], mark: Mark) -> tuple[CopyPlan, ...]:
        """Bring plans to the gathering, and how far the spool is emptied."""
        await self._gathering.bring([_gathered(plan) for plan in plans], mark=str(mark))
        return ()

    async def settle(self, number: int, refused: Callable[[CopyPlan], None], spoilt: Callable[[], None]) -> bool:
        """Record what was gathered, by the time of each, and close the gathering; whether it is closed now.

        A death in between does no harm: who goes on passes over what is recorded.

        Args:
            number: of the gathering; a later one stays open.
            refused: told of each plan that no store would take.
            spoilt: told of each that cannot be read.
        """
        while copies := await self._gathering.first(_BATCH):
            read = [unpacked(copy.payload) for copy in copies]
            for _ in range(read.count(None)):
                spoilt()
            for plan in await self._outbox.record_spooled([plan for plan in read if plan is not None], _MARK):
                refused(plan)
            await self._gathering.drop(copies)
        return await self._gathering.close(number)


def _gathered(plan: CopyPlan) -> Gathered:
    return Gathered(said_at_us=to_us(plan.envelope.recorded_at), payload=packed(plan))
