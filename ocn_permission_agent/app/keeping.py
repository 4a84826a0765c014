"""All by which copies are kept, in the store and in the files beside it.

========================  ==========================================================================================
``agent.db``              the store
``agent.db.spool``        copies that wait while the store cannot be written
``agent.db.intents``      requests that are on their way to the node
``agent.db.generation``   tells a store that was put back from a backup
========================  ==========================================================================================
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from ocn_permission_agent.app.membership import Shared
from ocn_permission_agent.clock import Clock
from ocn_permission_agent.errors import StoreError, StoreUnavailable
from ocn_permission_agent.ledger.store import LedgerStore
from ocn_permission_agent.log import Log
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.outbox.gap_store import StoredGaps
from ocn_permission_agent.outbox.gaps import GapBook, GapSum, total_by_reason
from ocn_permission_agent.outbox.generation import RAISED_EVERY_SECONDS, Generation
from ocn_permission_agent.outbox.intents import Intents
from ocn_permission_agent.outbox.recorder import Outbox, Recorder
from ocn_permission_agent.outbox.rows import to_us
from ocn_permission_agent.outbox.spool import Spool
from ocn_permission_agent.outbox.stored import StoredOutbox
from ocn_permission_agent.store.backup import NOT_A_FILE, back_up
from ocn_permission_agent.store.database import Database
from ocn_permission_agent.store.settings import StoreSettings


class Keeping:
    """There from the first request on; the store comes and goes.

    Args:
        store: where it is; the files lie beside it.
        gap_days: for how long gaps are remembered: as long as the ledger.
        on_drained: told when what waited in the spool has reached the store.
        clock: everybody's.
        metrics: instruments.
        log: bound logger of the process.
    """

    def __init__(
        self,
        store: StoreSettings,
        *,
        gap_days: float,
        on_drained: Callable[[], None],
        clock: Clock,
        metrics: Metrics,
        log: Log,
    ) -> None:
        self._settings = store
        self._gaps_kept = timedelta(days=gap_days)
        self._clock = clock
        self._log = log
        self.intents = Intents(store.beside("intents"))
        self.gaps = GapBook(clock=clock, metrics=metrics, log=log, journal=self.intents)
        self.recorder = Recorder(
            spool=Spool(store.beside("spool")),
            intents=self.intents,
            gaps=self.gaps,
            on_drained=on_drained,
            clock=clock,
            metrics=metrics,
            log=log,
        )
        self._generation = Generation(store.beside("generation"), clock=clock, gaps=self.gaps, log=log)
        self._written: StoredGaps | None = None

    async def attach(self, database: Database, outbox: StoredOutbox, recording: Outbox, shared: Shared | None) -> None:
        """The store is open; nothing has been sent from it yet.

        Args:
            database: the store.
            outbox: in it.
            recording: where copies are recorded in it.
            shared: what several agents on it have in common; None for the only one.

        Raises:
            StoreUnavailable: not any more.
        """
        ledger = LedgerStore(database)
        if shared is None:
            written = StoredGaps(database, ledger=ledger)
            await self._generation.begin(written, outbox)
        else:
            written = StoredGaps(database, ledger=ledger, spool_key=shared.gathering.mark_key)
            await self._generation.begin(written, outbox, turn=shared.starting)
        await self.recorder.attach(recording, written)
        self._written = written

    def detach(self) -> None:
        """The store is closed."""
        self._written = None
        self.recorder.detach()

    async def tend(self) -> None:
        """Raise the generation and forget old gaps, until cancelled.

        Raises:
            StoreUnavailable: the caller starts it again.
            StoreRestored: the store must be opened anew.
        """
        while True:
            written = self._store()
            await self._generation.go_on(written)
            await written.forget(before=self._clock.now() - self._gaps_kept)
            await self._clock.sleep(RAISED_EVERY_SECONDS)

    async def close(self) -> None:
        """Write down what can be, and free the files; a copy of the store made before is an old one from here on."""
        await self.recorder.close()
        if self._written is not None:
            try:
                await self._generation.go_on(self._written, at_once=True)
            except StoreError as error:
                self._log.warning("store.unavailable", reason=str(error))

    async def back_up(self, target: Path) -> int:
        """Copy the store into a new file; returns its bytes.

        Raises:
            StoreUnavailable: it cannot be made; the message says why.
        """
        written = self._store()
        if self._settings.postgres_url is not None:
            raise StoreUnavailable(NOT_A_FILE)
        size = await asyncio.to_thread(back_up, self._settings.path, target, at_us=to_us(self._clock.now()))
        await self._generation.go_on(written, at_once=True)
        return size

    async def gap_sums(self) -> tuple[GapSum, ...]:
        """All gaps by reason, those included that are not in the store yet.

        Raises:
            StoreUnavailable: the store cannot be read.
        """
        unwritten = self.gaps.unwritten()
        return total_by_reason((*await self._store().totals(), *unwritten))

    def _store(self) -> StoredGaps:
        if self._written is None:
            raise StoreUnavailable("the store is not open")
        return self._written
