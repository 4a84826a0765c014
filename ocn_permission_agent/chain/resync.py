"""Reading the whole chain anew, beside what is known, after it was reorganised deeper than we remember blocks.

Nothing of what we know is touched before the new reading is complete; until then it is what everything is held by. The
addresses that customers had are kept: a chain that is another one must not let anybody take over a name (C1).
"""

from datetime import datetime

from ocn_permission_agent.chain.decisions import DecisionStore
from ocn_permission_agent.chain.follower import Follower
from ocn_permission_agent.chain.scan import Report
from ocn_permission_agent.chain.settings import ChainSettings
from ocn_permission_agent.chain.source import ChainSource
from ocn_permission_agent.chain.store import ChainStore
from ocn_permission_agent.consent.address import Address
from ocn_permission_agent.consent.decisions import Decisions, PartyConfirmed
from ocn_permission_agent.consent.facts import Facts
from ocn_permission_agent.errors import ChainUnavailable

#: looks that must find the same before anything is read anew
_LOOKS = 2
#: who keeps the addresses, as the audit shows it
_AUTHOR = "the agent, before it read the chain anew"


class Resync:
    """One reading anew, begun when the deep fork was first seen.

    Args:
        settings: which chain.
        store: what is known; the new reading is stored beside it.
        decisions: takes the addresses that are kept.
    """

    def __init__(self, *, settings: ChainSettings, store: ChainStore, decisions: DecisionStore) -> None:
        self._settings = settings
        self._store = store
        self._decisions = decisions
        self._looks = 0
        self._beside: Follower | None = None

    def seen(self) -> None:
        """The fork was seen (again)."""
        self._looks += 1

    @property
    def agreed(self) -> bool:
        """Whether it was seen often enough to be believed."""
        return self._looks >= _LOOKS

    async def keep_pins(self, facts: Facts, decisions: Decisions, *, operator: Address, at: datetime) -> int:
        """Write down the addresses that this node's parties are bound to; gives their number.

        Raises:
            StoreUnavailable: try again.
        """
        kept = 0
        for (party, owner), account in sorted((facts.pins or {}).items(), key=str):
            if owner == operator and party not in decisions.addresses:
                await self._decisions.add(PartyConfirmed(party=party, address=account), by=_AUTHOR, at=at)
                kept += 1
        return kept

    async def read(self, source: ChainSource, report: Report) -> Follower:
        """Read up to the head, or go on where a failure stopped it; gives who stands there, in the old one's place.

        Raises:
            ChainUnavailable, ChainReorganised, StoreUnavailable: nothing has changed; call it again.
        """
        beside = self._beside
        if beside is None:
            beside = Follower(source=source, settings=self._settings, store=self._store.beside())
            await self._store.beside().clear()
            self._beside = beside
        beside.follow(source)
        if await beside.advance(report) is None or not beside.complete:
            raise ChainUnavailable(f"{source.endpoint} is behind the block we know")
        await self._store.take_over()
        beside.settle(self._store)
        return beside
