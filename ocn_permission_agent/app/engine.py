"""What runs beside the listeners while the store is open: built here, run by the agent."""

import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from urllib.parse import urlsplit

from ocn_permission_agent.app.membership import Shared, membership
from ocn_permission_agent.app.node_versions import NodeVersions
from ocn_permission_agent.app.together import Together
from ocn_permission_agent.app.watch import Shift, Watch
from ocn_permission_agent.chain.announcement import Perspective
from ocn_permission_agent.chain.audit import Auditor
from ocn_permission_agent.chain.decisions import Decider, DecisionStore
from ocn_permission_agent.chain.endpoints import Endpoints
from ocn_permission_agent.chain.following import Following
from ocn_permission_agent.chain.rpc import RpcClient
from ocn_permission_agent.chain.store import ChainStore
from ocn_permission_agent.chain.watcher import Watcher
from ocn_permission_agent.clock import Clock
from ocn_permission_agent.cluster.lease import Lease
from ocn_permission_agent.config import Config
from ocn_permission_agent.consent.address import address
from ocn_permission_agent.consent.view import ConsentView
from ocn_permission_agent.ledger.keeping import Keeper
from ocn_permission_agent.ledger.store import LedgerStore
from ocn_permission_agent.log import Log
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.net.client import HttpTransport
from ocn_permission_agent.net.own import OwnNode
from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.outbox.casework import Casework, NotCopiedBook
from ocn_permission_agent.outbox.courier import Courier
from ocn_permission_agent.outbox.dispatcher import Dispatcher
from ocn_permission_agent.outbox.express import Express
from ocn_permission_agent.outbox.gathered import GatheringOutbox
from ocn_permission_agent.outbox.opening import outbox_on
from ocn_permission_agent.outbox.recorder import Recorder
from ocn_permission_agent.outbox.stopwatch import Stopwatch
from ocn_permission_agent.outbox.stored import StoredOutbox
from ocn_permission_agent.outbox.stored_casework import StoredCasework
from ocn_permission_agent.outbox.upkeep import Upkeep
from ocn_permission_agent.proxy.tls import node_context
from ocn_permission_agent.store.database import Database
from ocn_permission_agent.store.opening import open_store

#: where a copied command's result goes: nowhere (proxy.md)
_INERT_PATH = "/ocn-agent/inert/copy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """What runs beside the listeners while the store is open."""

    database: Database
    outbox: StoredOutbox
    recording: Express | GatheringOutbox
    watch: Watch
    decider: Decider
    dispatcher: Dispatcher
    upkeep: Upkeep
    keeper: Keeper
    casework: Casework
    shared: Shared | None
    together: Together | None


async def open_engine(
    opened: AsyncExitStack,
    *,
    config: Config,
    view: ConsentView,
    node_version_seen: Callable[[], NodeVersion | None],
    clock: Clock,
    metrics: Metrics,
    log: Log,
    notes: NotCopiedBook,
    stopping: Callable[[], bool],
    recorder: Recorder,
    beside_others: bool = False,
) -> Engine:
    """Open the store and build what works on it; `opened` closes it again.

    Args:
        opened: takes what has to be closed.
        config: checked.
        view: where the watcher publishes, and all others look.
        node_version_seen: the node's version by its traffic; None before the first request.
        clock: everybody's.
        metrics: instruments.
        log: bound logger of the process.
        notes: of requests that were not copied; written down now and then.
        stopping: whether the agent is about to end.
        recorder: whose spool may have to be brought together with those of other agents.
        beside_others: for a command, beside an agent that runs in the same folder.

    Raises:
        StoreUnavailable: not now.
        StoreMismatch: the store was made for others, or by another version.
    """
    database = await open_store(config.store, metrics=metrics, clock=clock, beside_others=beside_others)
    opened.push_async_callback(database.close)
    member = membership(database, config.store, clock=clock, beside_others=beside_others)
    rpcs = [await opened.enter_async_context(RpcClient(url=url, clock=clock)) for url in config.chain.rpc_urls]
    endpoints = Endpoints(rpcs=rpcs, settings=config.chain, clock=clock, metrics=metrics, log=log)
    own = await opened.enter_async_context(
        OwnNode(url=config.node.url, tls=node_context(config.node.ca_file), clock=clock)
    )
    remote = await opened.enter_async_context(HttpTransport(config.network))
    ledger = LedgerStore(database)
    casework = StoredCasework(database, settings=config.delivery, ledger=ledger)
    outbox = outbox_on(
        database,
        agent=member.name,
        settings=config.delivery,
        ledger=ledger,
        metrics=metrics,
        guard=member.guard,
    )
    watch = _watch(
        database,
        lease=member.watching,
        config=config,
        endpoints=endpoints,
        view=view,
        clock=clock,
        metrics=metrics,
        log=log,
        stopping=stopping,
    )
    own_url = "/".join(part for part in (config.node.url, config.node.api_prefix) if part)
    courier = Courier(
        view=view,
        versions=NodeVersions(
            configured=config.node_version,
            seen=node_version_seen,
            own_url=own_url,
            own_transport=own,
            remote_transport=remote,
            clock=clock,
        ),
        key=config.operator_key,
        own_node_url=own_url,
        own_transport=own,
        remote_transport=remote,
        clock=clock,
        settings=config.delivery,
        memory=outbox,
        inert_url=_origin(config.public_url) + _INERT_PATH,
    )
    stopwatch = Stopwatch(clock=clock, metrics=metrics)
    dispatcher = Dispatcher(
        store=outbox,
        courier=courier,
        settings=config.delivery,
        clock=clock,
        metrics=metrics,
        log=log,
        spread=random.random,
        stopwatch=stopwatch,
    )
    upkeep = Upkeep(
        store=outbox,
        view=view,
        clock=clock,
        metrics=metrics,
        log=log,
        write_notes=lambda: notes.write(casework),
        stopwatch=stopwatch,
    )
    together, recording = None, _recording(outbox, dispatcher, member.shared)
    if isinstance(recording, GatheringOutbox) and member.shared is not None:
        together = Together(
            roster=member.shared.roster,
            gathering=member.shared.gathering,
            outbox=recording,
            lease=member.shared.settling,
            spooling=recorder,
            clock=clock,
            log=log,
            on_recorded=dispatcher.wake,
        )
    decisions = DecisionStore(database)
    decider = Decider(store=decisions, view=view, clock=clock, log=log, withdraw=upkeep.withdraw_closed)
    return Engine(
        database=database,
        decider=decider,
        outbox=outbox,
        recording=recording,
        watch=watch,
        dispatcher=dispatcher,
        upkeep=upkeep,
        casework=casework,
        shared=member.shared,
        together=together,
        keeper=Keeper(ledger=ledger, key=config.operator_key, days=config.delivery.ledger_days, clock=clock, log=log),
    )


def _recording(outbox: StoredOutbox, dispatcher: Dispatcher, shared: Shared | None) -> Express | GatheringOutbox:
    """Where the recorder records: an agent on its own sends at once what can be, several keep order together."""
    if shared is None:
        return Express(outbox=outbox, sender=dispatcher)
    return GatheringOutbox(outbox, shared.gathering, on_recorded=dispatcher.wake)


def _watch(
    database: Database,
    *,
    lease: Lease,
    config: Config,
    endpoints: Endpoints,
    view: ConsentView,
    clock: Clock,
    metrics: Metrics,
    log: Log,
    stopping: Callable[[], bool],
) -> Watch:
    """Who watches the chain, or follows the agent that does."""
    perspective = perspective_of(config)
    store = ChainStore(database, fence=lease.fence)

    def shift() -> Shift:
        watcher = Watcher(
            endpoints=endpoints,
            store=store,
            decisions=DecisionStore(database, fence=lease.fence),
            view=view,
            clock=clock,
            settings=config.chain,
            perspective=perspective,
            public_url=config.public_url,
            log=log,
            announces=lease.shared,
        )
        auditor = Auditor(
            watcher=watcher,
            endpoints=endpoints,
            store=store,
            settings=config.chain,
            clock=clock,
            metrics=metrics,
            log=log,
        )
        return Shift(watcher=watcher, auditor=auditor)

    following = Following(
        store=ChainStore(database),
        decisions=DecisionStore(database),
        view=view,
        perspective=perspective,
        clock=clock,
    )
    return Watch(
        lease=lease,
        shift=shift,
        following=following,
        endpoints=endpoints,
        clock=clock,
        metrics=metrics,
        log=log,
        stopping=stopping,
    )


def perspective_of(config: Config) -> Perspective:
    """By what this agent makes an index."""
    return Perspective(
        operator=address(config.operator_key.address),
        confirmations=config.chain.confirmations,
        consent=config.consent,
    )


def _origin(url: str) -> str:
    """Scheme and authority."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
