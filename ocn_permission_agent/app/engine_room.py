"""Where the engine is: there is one while the store is open, and none otherwise. Whoever needs it asks here."""

import asyncio
import gc
import sys
from contextlib import AsyncExitStack, suppress

from ocn_permission_agent.app.engine import Engine, open_engine
from ocn_permission_agent.app.keeping import Keeping
from ocn_permission_agent.app.supervise import supervise
from ocn_permission_agent.app.surroundings import Surroundings
from ocn_permission_agent.chain.decisions import Decider
from ocn_permission_agent.errors import StoreRestored, StoreUnavailable
from ocn_permission_agent.outbox.casework import Casework

#: objects that were made and not freed; collections of the young, and of the younger, before the next older are seen
_COLLECT_AFTER = (20_000, 20, 20)
#: how soon a thread that waits for the interpreter gets it
_SWITCH_AFTER_SECONDS = 0.000_02


class EngineRoom:
    """Opens and runs the engine, and tells it news.

    Args:
        around: what it works with.
        keeping: gets the store as long as it is open.
    """

    def __init__(self, around: Surroundings, *, keeping: Keeping) -> None:
        self._around = around
        self._keeping = keeping
        self._engine: Engine | None = None

    @property
    def engine(self) -> Engine:
        """The one that runs.

        Raises:
            StoreUnavailable: there is none.
        """
        if self._engine is None:
            raise StoreUnavailable("the store is not open")
        return self._engine

    @property
    def engine_if_open(self) -> Engine | None:
        """The one that runs; None if there is none."""
        return self._engine

    def decider(self) -> Decider:
        """Of the engine that runs; raises StoreUnavailable."""
        return self.engine.decider

    def casework(self) -> Casework:
        """Of the engine that runs; raises StoreUnavailable."""
        return self.engine.casework

    async def open(self, opened: AsyncExitStack) -> Engine:
        """Make one for once, which is not run.

        Raises:
            StoreUnavailable, StoreMismatch: as `open_engine`.
        """
        return await open_engine(opened, self._around)

    async def take(self, opened: AsyncExitStack) -> Engine:
        """Make one beside an agent that runs, for a command; it counts as the one that runs until `opened` is closed.

        Raises:
            StoreUnavailable, StoreMismatch: as `open_engine`.
        """
        engine = await open_engine(opened, self._around, beside_others=True)
        self._put(engine, opened)
        return engine

    async def run(self) -> None:
        """Open the store and work on it until cancelled.

        Raises:
            StoreUnavailable, StoreRestored: it has to be opened anew.
            StoreMismatch: as `open_engine`.
        """
        async with AsyncExitStack() as opened:
            engine = await self.open(opened)
            # Once it is known who has agreed, their requests are copied: to the spool, as long as nothing is attached.
            await self._keeping.recorder.open_files()
            await engine.watch.watcher.restore()
            opened.callback(self._keeping.detach)
            await self._keeping.attach(engine.database, engine.outbox, engine.recording, engine.shared)
            tune_the_interpreter()
            self._put(engine, opened)
            try:
                await self._work(engine)
            except* StoreRestored as errors:
                raise StoreRestored(str(errors.exceptions[0])) from None
            finally:
                if engine.together is not None:
                    with suppress(StoreUnavailable):
                        await engine.together.leave()

    # --- news -----------------------------------------------------------------------------------------------------

    def wake_dispatcher(self) -> None:
        """Something may be due."""
        if self._engine is not None:
            self._engine.dispatcher.wake()

    def wake_all(self) -> None:
        """There is a new index: something may be due, or has to be withdrawn."""
        if self._engine is not None:
            self._engine.dispatcher.wake()
            self._engine.upkeep.wake()

    def reconsider_held(self) -> None:
        """What held everything is over."""
        if self._engine is not None:
            self._engine.dispatcher.reconsider()

    # --------------------------------------------------------------------------------------------------------------

    async def _work(self, engine: Engine) -> None:
        loops = {
            "watch": engine.watch.run,
            "dispatcher": engine.dispatcher.run,
            "upkeep": engine.upkeep.run,
            "ledger": engine.keeper.run,
            "keeping": self._keeping.tend,
        }
        if engine.together is not None:
            loops["together"] = engine.together.run
        async with asyncio.TaskGroup() as group:
            for name, loop in loops.items():
                supervised = supervise(
                    name,
                    loop,
                    clock=self._around.clock,
                    log=self._around.log,
                    stopping=self._around.stopping,
                    beyond=StoreRestored,
                )
                group.create_task(supervised, name=name)

    def _put(self, engine: Engine, opened: AsyncExitStack) -> None:
        self._engine = engine
        opened.callback(self._forget)

    def _forget(self) -> None:
        self._engine = None


def tune_the_interpreter() -> None:
    """Let the garbage collector look less often and not at what is here to stay, and let threads change hands sooner.

    A look at all that is known of the chain takes a second where a million agreements are known, and what is made for
    a request is freed without the collector. The store's thread needs the interpreter often and briefly: the event
    loop lets it have it within a callback, instead of waking it after each, in vain.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)
    sys.setswitchinterval(_SWITCH_AFTER_SECONDS)
