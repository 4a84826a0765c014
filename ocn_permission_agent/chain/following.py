"""Following another agent: the index that it announces in the store, published here with its age.

The store's word for the time is not taken: how old an announcement is, is bounded by when this agent looked last and
did not find it. So the view here is never fresher than that of the agent which made it, whatever the clocks say (C8).
"""

import asyncio

from ocn_permission_agent.chain.announcement import Announcement, Perspective
from ocn_permission_agent.chain.cursor import Window
from ocn_permission_agent.chain.decisions import DecisionStore, fold
from ocn_permission_agent.chain.endpoints import EndpointState
from ocn_permission_agent.chain.store import ChainStore
from ocn_permission_agent.clock import Clock
from ocn_permission_agent.consent.view import ConsentView

#: between two looks at the store, when nobody wakes us
LOOK_SECONDS = 1.0


class Following:
    """Keeps a `ConsentView` in step with the store.

    Args:
        store: the chain's tables.
        decisions: what operators decided, at whichever agent.
        view: gets each new index, and each decision.
        perspective: of this agent.
        clock: ages what is told.
    """

    def __init__(
        self,
        *,
        store: ChainStore,
        decisions: DecisionStore,
        view: ConsentView,
        perspective: Perspective,
        clock: Clock,
    ) -> None:
        self._store = store
        self._decisions = decisions
        self._view = view
        self._perspective = perspective
        self._clock = clock
        self._window = Window()
        self._rewrites: int | None = None
        self._told: Announcement | None = None
        self._looked_at: float | None = None
        self._decided: int | None = None

    @property
    def endpoints(self) -> tuple[EndpointState, ...]:
        """How the endpoints of the agent that watches are doing, as it told last."""
        return () if self._told is None else self._told.endpoints

    async def look(self) -> None:
        """Take over what is new: announcements and decisions.

        Raises:
            StoreUnavailable: the view ages.
        """
        began = self._clock.monotonic()
        marks = await self._store.marks()
        await self._take_decisions(marks.decision)
        known = None if self._told is None else self._told.revision
        if marks.revision == known or await self._take_announcement():
            self._looked_at = began

    async def look_at_decisions(self) -> None:
        """Take over the decisions only: for the agent that watches the chain itself.

        Raises:
            StoreUnavailable: try again.
        """
        await self._take_decisions((await self._store.marks()).decision)

    def rest(self) -> None:
        """From now on this agent watches itself: what was loaded is let go of."""
        self._window, self._rewrites, self._told, self._looked_at = Window(), None, None, None

    async def _take_decisions(self, newest: int | None) -> None:
        if newest != self._decided:
            decisions = fold(await self._decisions.all())
            if decisions != self._view.decisions:
                self._view.decide(decisions)
            self._decided = newest

    async def _take_announcement(self) -> bool:
        """Publish the newest announcement; False while its blocks are being replaced: the next one is near."""
        told = await self._store.told(self._window, self._rewrites)
        if told is None:
            return False
        self._window = await asyncio.to_thread(told.onto, self._window)
        self._rewrites, announcement = told.rewrites, told.announcement
        tip = self._window.tip
        if tip is None:
            return False
        index = self._perspective.index(tip, distrust=announcement.distrust, doubt=announcement.doubt)
        if self._told is None or self._looked_at is None:
            # Nobody knows how long it has stood there: it tells what is known, not that it is fresh.
            self._view.restore(index)
        elif announcement.head_age_seconds is None:
            self._view.amend(index)
        else:
            by_clock = (self._clock.now() - announcement.polled_at).total_seconds()
            unseen = max(by_clock, self._clock.monotonic() - self._looked_at)
            self._view.publish(index, head_age_seconds=announcement.head_age_seconds + unseen)
        self._told = announcement
        return True
