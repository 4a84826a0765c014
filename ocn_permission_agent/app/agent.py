"""One running agent: what it is made of, and how it begins and ends.

::

    first contact ──▶ listen ──▶ work ──────────────▶ drain ──▶ stop
    (refuses what     (proxy,    engine: store, watcher,   (SIGTERM)
     can't be right)   admin)    dispatcher, upkeep

The engine is everything that the primary path does not need. It is restarted whenever it fails; the listeners are not
touched by that.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TypeVar

from ocn_permission_agent import __version__
from ocn_permission_agent.admin.clerk import Clerk
from ocn_permission_agent.admin.desk import Desk
from ocn_permission_agent.admin.server import AdminServer
from ocn_permission_agent.admin.status import Status
from ocn_permission_agent.app.engine_room import EngineRoom
from ocn_permission_agent.app.first_contact import make_contact
from ocn_permission_agent.app.keeping import Keeping
from ocn_permission_agent.app.reporting import status_of
from ocn_permission_agent.app.supervise import supervise
from ocn_permission_agent.app.surroundings import Surroundings
from ocn_permission_agent.chain.scan import Report
from ocn_permission_agent.clock import Clock
from ocn_permission_agent.compiled import is_compiled
from ocn_permission_agent.config import Config
from ocn_permission_agent.consent.view import ConsentView
from ocn_permission_agent.log import Log
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.outbox.casework import NotCopiedBook
from ocn_permission_agent.proxy.listener import Proxy

T = TypeVar("T")

#: from the signal to the end (proxy.md), the last steps left out
_FAREWELL_SECONDS = 28.0
#: at most for requests in flight, and then for attempts in flight
_GRACE_SECONDS = 9.0


class Agent:
    """Made from a configuration, run once.

    Args:
        config: checked.
        clock: everybody's.
        log: bound logger of the process.
    """

    def __init__(self, config: Config, *, clock: Clock, log: Log) -> None:
        self._config = config
        self._clock = clock
        self._log = log
        self._stop_asked = asyncio.Event()
        self._hurry_asked = asyncio.Event()
        metrics, notes = Metrics(), NotCopiedBook()
        self._view = ConsentView(clock=clock, max_staleness_seconds=config.chain.max_staleness_seconds, metrics=metrics)
        self._keeping = Keeping(
            config.store,
            gap_days=config.delivery.ledger_days,
            on_drained=self._wake_dispatcher,
            clock=clock,
            metrics=metrics,
            log=log,
        )
        self._proxy = Proxy(
            settings=config.proxy,
            node=config.node,
            view=self._view,
            recorder=self._keeping.recorder,
            gaps=self._keeping.gaps,
            intents=self._keeping.intents,
            clock=clock,
            metrics=metrics,
            log=log,
            notes=notes,
        )
        self._around = Surroundings(
            config=config,
            view=self._view,
            recorder=self._keeping.recorder,
            notes=notes,
            node_version_seen=lambda: self._proxy.node_version_seen,
            stopping=self._stop_asked.is_set,
            clock=clock,
            metrics=metrics,
            log=log,
        )
        self._room = EngineRoom(self._around, keeping=self._keeping)
        self._admin = self._admin_server()
        self._view.on_publish(self._room.wake_all)
        self._view.on_clear(self._room.reconsider_held)

    def _admin_server(self) -> AdminServer:
        room, around = self._room, self._around
        return AdminServer(
            settings=self._config.admin,
            ready=lambda: self._proxy.listening,
            status=self.status,
            consent=self._view,
            desk=self._desk(),
            clerk=Clerk(
                casework=room.casework,
                notes=around.notes,
                clock=self._clock,
                log=self._log,
                on_revived=room.wake_dispatcher,
            ),
            backup=self._keeping.back_up,
            metrics=around.metrics,
        )

    def _wake_dispatcher(self) -> None:
        self._room.wake_dispatcher()

    def _desk(self) -> Desk:
        return Desk(index=lambda: self._view.index, decider=self._room.decider)

    # --- life -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT; a second one cuts the farewell short.

        Raises:
            ConfigError: an address cannot be listened on.
            ContractMismatch: not the contracts we were told of, and the store is empty.
            StoreMismatch: the store was made for others, or by another version.
        """
        await make_contact(self._room, self._around)
        await self._keeping.recorder.open_files()
        await self._proxy.start()
        try:
            await self._admin.start()
            self._tell_start()
            self._listen_to_signals()
            async with asyncio.TaskGroup() as group:
                recorder = self._begin(group, "recorder", self._keeping.recorder.run)
                engine = self._begin(group, "engine", self._room.run)
                certificate = self._begin(group, "certificate", self._proxy.follow_certificate)
                teller = self._begin(group, "refusals", self._proxy.tend)
                await self._stop_asked.wait()
                await self._say_farewell(group)
                certificate.cancel()
                recorder.cancel()
                teller.cancel()
                await asyncio.wait((recorder,))
                await self._keeping.close()
                engine.cancel()
        finally:
            await self._proxy.stop(grace_seconds=0)
            await self._admin.stop()
        self._log.info("agent.stopped")

    async def sync(self, report: Report) -> None:
        """Read the chain up to its head, once, and end.

        Raises:
            ChainUnavailable, StoreUnavailable: again later; what was read is kept.
            ContractMismatch, StoreMismatch: as `run`.
        """
        async with AsyncExitStack() as opened:
            engine = await self._room.open(opened)
            await engine.watch.sync(report)

    async def decide(self, work: Callable[[Desk], Awaitable[T]]) -> T:
        """Take a decision on the store, and end.

        Raises:
            StoreUnavailable: it cannot be used now; an agent that runs has it for itself.
            StoreMismatch: as `run`.
        """
        async with AsyncExitStack() as opened:
            engine = await self._room.take(opened)
            await engine.watch.watcher.restore()
            return await work(self._desk())

    async def status(self) -> Status:
        """The facts of the status document.

        Raises:
            StoreUnavailable: the store cannot be read now.
        """
        return await status_of(self._room.engine, self._keeping, self._view)

    def stop(self) -> None:
        """Begin the farewell; asked for a second time, hurry."""
        if self._stop_asked.is_set():
            self._hurry_asked.set()
        self._stop_asked.set()

    # --- begin ----------------------------------------------------------------------------------------------------

    def _begin(self, group: asyncio.TaskGroup, name: str, loop: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        return group.create_task(supervise(name, loop, clock=self._clock, log=self._log), name=name)

    def _tell_start(self) -> None:
        host, port = self._proxy.address
        config = self._config
        self._log.info(
            "agent.started",
            version=__version__,
            compiled=is_compiled(),
            proxy=f"{host}:{port}",
            public_url=config.public_url,
            node=config.node.url,
            operator=config.operator_key.address,
            admin=":".join(map(str, self._admin.address)),
        )
        if config.node_version is not NodeVersion.V2 and not config.service_interface_disabled:
            self._log.warning(
                "node.doubted",
                reason=(
                    "an OCN Node 1.x forwards to services by itself and goes on after a revoke: set "
                    "ocn.node.serviceInterfaceEnabled=false there, then node.service_interface_disabled = true here"
                ),
            )

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self._stay)

    def _stay(self) -> None:
        """Whoever wants a new configuration read, or closes a terminal, does not want customers cut off."""
        self._log.warning("hangup.ignored")

    # --- end ------------------------------------------------------------------------------------------------------

    async def _say_farewell(self, group: asyncio.TaskGroup) -> None:
        """Not ready → serve on, closing connections → stop accepting → finish in flight → settle (proxy.md)."""
        self._log.info("agent.draining", seconds=self._config.drain_seconds)
        self._proxy.drain()
        hurry = group.create_task(self._hurry_asked.wait())
        pause = group.create_task(_sleep(self._clock, self._config.drain_seconds))
        await asyncio.wait((pause, hurry), return_when=asyncio.FIRST_COMPLETED)
        pause.cancel()
        grace_seconds = min(_GRACE_SECONDS, (_FAREWELL_SECONDS - self._config.drain_seconds) / 2)
        await self._proxy.stop(grace_seconds=grace_seconds, hurried=self._hurry_asked.is_set)
        if (engine := self._room.engine_if_open) is not None:
            dispatcher = engine.dispatcher
            settled = group.create_task(dispatcher.stop(grace_seconds))
            await asyncio.wait((settled, hurry), return_when=asyncio.FIRST_COMPLETED)
            if not settled.done():
                await dispatcher.stop(0)
        hurry.cancel()


async def _sleep(clock: Clock, seconds: float) -> None:
    await clock.sleep(seconds)
