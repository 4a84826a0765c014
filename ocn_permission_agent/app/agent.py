"""One running agent: what it is made of, and how it begins and ends.

::

    first contact ──▶ listen ──▶ work ──────────────▶ drain ──▶ stop
    (refuses what     (proxy,    engine: store, watcher,   (SIGTERM)
     can't be right)   admin)    dispatcher, upkeep

The engine is everything that the primary path does not need. It is restarted whenever it fails; the listeners are not
touched by that.
"""

import asyncio
import gc
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import TypeVar
from urllib.parse import urlsplit

from ocn_permission_agent import __version__
from ocn_permission_agent.admin.clerk import Clerk
from ocn_permission_agent.admin.desk import Desk
from ocn_permission_agent.admin.server import AdminServer
from ocn_permission_agent.admin.status import ChainStatus, EndpointStatus, Status
from ocn_permission_agent.app.engine import Engine, open_engine
from ocn_permission_agent.app.keeping import Keeping
from ocn_permission_agent.app.supervise import supervise
from ocn_permission_agent.chain.decisions import Decider
from ocn_permission_agent.chain.scan import Report
from ocn_permission_agent.clock import Clock
from ocn_permission_agent.config import Config
from ocn_permission_agent.consent.view import ConsentView
from ocn_permission_agent.errors import ChainUnavailable, ContractMismatch, StoreRestored, StoreUnavailable
from ocn_permission_agent.log import Log
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.outbox.casework import Casework, NotCopiedBook
from ocn_permission_agent.proxy.listener import Proxy

T = TypeVar("T")

#: objects that were made and not freed; collections of the young, and of the younger, before the next older are seen
_COLLECT_AFTER = (20_000, 20, 20)

#: for the endpoint to answer at the first contact; the proxy listens afterwards whatever came of it
_FIRST_CONTACT_SECONDS = 5.0
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
        self._metrics = Metrics()
        self._view = ConsentView(
            clock=clock, max_staleness_seconds=config.chain.max_staleness_seconds, metrics=self._metrics
        )
        self._keeping = Keeping(
            config.store,
            gap_days=config.delivery.ledger_days,
            on_drained=self._wake_dispatcher,
            clock=clock,
            metrics=self._metrics,
            log=log,
        )
        self._engine: Engine | None = None
        self._notes = NotCopiedBook()
        self._proxy = Proxy(
            settings=config.proxy,
            node=config.node,
            view=self._view,
            recorder=self._keeping.recorder,
            gaps=self._keeping.gaps,
            intents=self._keeping.intents,
            clock=clock,
            metrics=self._metrics,
            log=log,
            notes=self._notes,
        )
        self._admin = AdminServer(
            settings=config.admin,
            ready=lambda: self._proxy.listening,
            status=self.status,
            consent=self._view,
            desk=Desk(index=lambda: self._view.index, decider=self._decider),
            clerk=Clerk(
                casework=self._casework,
                notes=self._notes,
                clock=clock,
                log=log,
                on_revived=self._wake_dispatcher,
            ),
            backup=self._keeping.back_up,
            metrics=self._metrics,
        )
        self._stop_asked = asyncio.Event()
        self._hurry_asked = asyncio.Event()
        self._view.on_publish(self._wake_all)
        self._view.on_clear(self._reconsider_held)

    # --- life -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT; a second one cuts the farewell short.

        Raises:
            ConfigError: an address cannot be listened on.
            ContractMismatch: not the contracts we were told of, and the store is empty.
            StoreMismatch: the store was made for others, or by another version.
        """
        await self._first_contact()
        await self._keeping.recorder.open_files()
        await self._proxy.start()
        try:
            await self._admin.start()
            self._tell_start()
            self._listen_to_signals()
            async with asyncio.TaskGroup() as group:
                recorder = group.create_task(
                    supervise("recorder", self._keeping.recorder.run, clock=self._clock, log=self._log), name="recorder"
                )
                engine = group.create_task(
                    supervise("engine", self._run_engine, clock=self._clock, log=self._log), name="engine"
                )
                certificate = group.create_task(
                    supervise("certificate", self._proxy.follow_certificate, clock=self._clock, log=self._log),
                    name="certificate",
                )
                teller = group.create_task(
                    supervise("refusals", self._proxy.tend, clock=self._clock, log=self._log), name="refusals"
                )
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
            engine = await self._open_engine(opened)
            await engine.watch.sync(report)

    async def decide(self, work: Callable[[Desk], Awaitable[T]]) -> T:
        """Take a decision on the store, and end.

        Raises:
            StoreUnavailable: it cannot be used now; an agent that runs has it for itself.
            StoreMismatch: as `run`.
        """
        async with AsyncExitStack() as opened:
            self._engine = await self._open_engine(opened, beside_others=True)
            opened.callback(self._forget_engine)
            await self._engine.watch.watcher.restore()
            return await work(Desk(index=lambda: self._view.index, decider=self._decider))

    def _decider(self) -> Decider:
        if self._engine is None:
            raise StoreUnavailable("the store is not open")
        return self._engine.decider

    def _casework(self) -> Casework:
        if self._engine is None:
            raise StoreUnavailable("the store is not open")
        return self._engine.casework

    async def status(self) -> Status:
        """The facts of the status document.

        Raises:
            StoreUnavailable: the store cannot be read now.
        """
        if self._engine is None:
            raise StoreUnavailable("the store is not open")
        counts = await self._engine.outbox.counts()
        gaps, shared = await self._keeping.gap_sums(), self._engine.shared
        index, fresh, age = self._view.index, self._view.fresh, self._view.age_seconds()
        head = index.block_number or None
        return Status(
            version=__version__,
            chain=ChainStatus(
                head=head,
                head_time=None if head is None else index.block_time,
                fresh=fresh,
                age_seconds=age,
                held=index.distrust or index.doubt,
                endpoints=tuple(
                    EndpointStatus(
                        name=each.name,
                        head=each.head,
                        reachable=each.reachable,
                        followed=each.followed,
                        complaint=each.complaint,
                    )
                    for each in self._engine.watch.endpoint_states()
                ),
            ),
            services=sum(service.listed for service in index.services()),
            agreements=sum(not agreement.verdict.closed for agreement in index.agreements()),
            deliveries=counts,
            backlog=await self._engine.outbox.backlog(),
            gaps=gaps,
            spool_bytes=self._keeping.recorder.spooled_bytes,
            gathered=0 if shared is None else await shared.gathering.waiting(),
            agents=() if shared is None else await shared.statuses(),
        )

    def stop(self) -> None:
        """Begin the farewell; asked for a second time, hurry."""
        if self._stop_asked.is_set():
            self._hurry_asked.set()
        self._stop_asked.set()

    # --- begin ----------------------------------------------------------------------------------------------------

    async def _first_contact(self) -> None:
        """Refuse a store that is not ours and, while the store knows nothing, a chain that is not the configured one.

        What is only unreachable is waited for later, behind a proxy that works.
        """
        try:
            async with AsyncExitStack() as opened:
                engine = await self._open_engine(opened)
                watcher = engine.watch.watcher
                await watcher.restore()
                if engine.together is not None:
                    await engine.together.arrive()
                if self._view.index.block_number > 0:
                    return
                async with asyncio.timeout(_FIRST_CONTACT_SECONDS):
                    findings = await watcher.check()
        except StoreUnavailable as error:
            self._log.error("store.unavailable", reason=str(error))
        except ChainUnavailable as error:
            self._log.error("chain.unavailable", endpoint=self._endpoint(), reason=str(error))
        except TimeoutError:
            self._log.error("chain.unavailable", endpoint=self._endpoint(), reason="no answer in time")
        else:
            if findings.sentence is not None:
                raise ContractMismatch(findings.sentence)

    def _tell_start(self) -> None:
        host, port = self._proxy.address
        config = self._config
        self._log.info(
            "agent.started",
            version=__version__,
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

    # --- work -----------------------------------------------------------------------------------------------------

    async def _run_engine(self) -> None:
        async with AsyncExitStack() as opened:
            engine = await self._open_engine(opened)
            await engine.watch.watcher.restore()
            opened.callback(self._keeping.detach)
            await self._keeping.attach(engine.database, engine.outbox, engine.recording, engine.shared)
            _spare_the_collector()
            self._engine = engine
            opened.callback(self._forget_engine)
            try:
                await self._work(engine)
            except* StoreRestored as errors:
                raise StoreRestored(str(errors.exceptions[0])) from None
            finally:
                if engine.together is not None:
                    with suppress(StoreUnavailable):
                        await engine.together.leave()

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
                    clock=self._clock,
                    log=self._log,
                    stopping=self._stop_asked.is_set,
                    beyond=StoreRestored,
                )
                group.create_task(supervised, name=name)

    def _forget_engine(self) -> None:
        self._engine = None

    async def _open_engine(self, opened: AsyncExitStack, *, beside_others: bool = False) -> Engine:
        return await open_engine(
            opened,
            config=self._config,
            view=self._view,
            node_version_seen=lambda: self._proxy.node_version_seen,
            clock=self._clock,
            metrics=self._metrics,
            log=self._log,
            notes=self._notes,
            stopping=self._stop_asked.is_set,
            recorder=self._keeping.recorder,
            beside_others=beside_others,
        )

    def _wake_dispatcher(self) -> None:
        if self._engine is not None:
            self._engine.dispatcher.wake()

    def _reconsider_held(self) -> None:
        if self._engine is not None:
            self._engine.dispatcher.reconsider()

    def _wake_all(self) -> None:
        if self._engine is not None:
            self._engine.dispatcher.wake()
            self._engine.upkeep.wake()

    def _endpoint(self) -> str:
        """What may be shown of the RPC endpoint."""
        return urlsplit(self._config.chain.rpc_urls[0]).netloc.rpartition("@")[2]

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
        if self._engine is not None:
            dispatcher = self._engine.dispatcher
            settled = group.create_task(dispatcher.stop(grace_seconds))
            await asyncio.wait((settled, hurry), return_when=asyncio.FIRST_COMPLETED)
            if not settled.done():
                await dispatcher.stop(0)
        hurry.cancel()


def _spare_the_collector() -> None:
    """Take what is here to stay out of the garbage collector's sight, and let it look less often.

    A look at all that is known of the chain takes a second where a million agreements are known, and what is made for
    a request is freed without the collector.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)


async def _sleep(clock: Clock, seconds: float) -> None:
    await clock.sleep(seconds)
