"""What the ledger needs besides entries: seals, and an end."""

from datetime import datetime, timedelta
from typing import Protocol

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.ledger.store import Signer
from ocn_permission_agent.log import Log

#: between two looks
_ROUND_SECONDS = 60.0


class Ledger(Protocol):
    """The store of the ledger; any method may raise `StoreUnavailable`."""

    async def seal(self, key: Signer, *, now: datetime) -> int:
        """Sign what has grown."""
        ...

    async def forget(self, *, before: datetime) -> int:
        """Let go of what is old."""
        ...


class Keeper:
    """A loop of its own.

    Args:
        ledger: what is kept.
        key: the operator's; signs checkpoints.
        days: for how long entries are kept.
        clock: time.
        log: one line when entries were let go of.
    """

    def __init__(self, *, ledger: Ledger, key: Signer, days: float, clock: Clock, log: Log) -> None:
        self._ledger = ledger
        self._key = key
        self._days = days
        self._clock = clock
        self._log = log

    async def run(self) -> None:
        """Round after round until cancelled.

        Raises:
            StoreUnavailable: the caller starts it again.
        """
        while True:
            await self.round()
            await self._clock.sleep(_ROUND_SECONDS)

    async def round(self) -> None:
        """Seal what has grown, let go of what is old."""
        now = self._clock.now()
        await self._ledger.seal(self._key, now=now)
        forgotten = await self._ledger.forget(before=now - timedelta(days=self._days))
        if forgotten:
            self._log.info("ledger.forgotten", entries=forgotten)
