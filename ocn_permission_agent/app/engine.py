"""What runs beside the listeners while the store is open: built here, run by the agent."""

import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from urllib.parse import urlsplit

from ocn_permission_agent.app.node_versions import NodeVersions
from ocn_permission_agent.chain.audit import Auditor
from ocn_permission_agent.chain.decisions import Decider, DecisionStore
from ocn_permission_agent.chain.endpoints import Endpoints
from ocn_permission_agent.chain.rpc import RpcClient
from ocn_permission_agent.chain.store import ChainStore
from ocn_permission_agent.chain.watcher import Watcher
from ocn_permission_agent.clock import Clock
from ocn_permission_agent.config import Config
from ocn_permission_agent.consent.address import address
from ocn_permission_agent.consent.view import ConsentView
from ocn_permission_agent.ledger.keeping import Keeper
from ocn_permission_agent.ledger.store import LedgerStore
from ocn_permission_agent.log import Log
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.net.client import HttpTransport
from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.outbox.casework import Casework, NotCopiedBook
from ocn_permission_agent.outbox.courier import Courier
from ocn_permission_agent.outbox.dispatcher import Dispatcher
from ocn_permission_agent.outbox.sqlite import SqliteOutbox
from ocn_permission_agent.outbox.stored_casework import StoredCasework
from ocn_permission_agent.outbox.upkeep import Upkeep
from ocn_permission_agent.proxy.tls import node_context
from ocn_permission_agent.store.sqlite import SqliteDatabase

#: where a copied command's result goes: nowhere (proxy.md)
_INERT_PATH = "/ocn-agent/inert/copy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """What runs beside the listeners while the store is open."""

    database: SqliteDatabase
    outbox: SqliteOutbox
    watcher: Watcher
    auditor: Auditor
    endpoints: Endpoints
    decider: Decider
    dispatcher: Dispatcher
    upkeep: Upkeep
    keeper: Keeper
    casework: Casework


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

    Raises:
        StoreUnavailable: not now.
        StoreMismatch: the store was made for others, or by another version.
    """
    database = await SqliteDatabase.open(config.store_path, metrics=metrics, clock=clock)
    opened.push_async_callback(database.close)
    rpcs = [await opened.enter_async_context(RpcClient(url=url, clock=clock)) for url in config.chain.rpc_urls]
    endpoints = Endpoints(rpcs=rpcs, settings=config.chain, clock=clock, metrics=metrics, log=log)
    own = await opened.enter_async_context(HttpTransport.trusted(tls=node_context(config.node.ca_file)))
    remote = await opened.enter_async_context(HttpTransport.guarded(config.network))
    ledger = LedgerStore(database)
    casework = StoredCasework(database, settings=config.delivery, ledger=ledger)
    outbox = SqliteOutbox(database, settings=config.delivery, ledger=ledger, metrics=metrics)
    watcher = Watcher(
        endpoints=endpoints,
        store=ChainStore(database),
        decisions=DecisionStore(database),
        view=view,
        clock=clock,
        settings=config.chain,
        consent=config.consent,
        operator=address(config.operator_key.address),
        public_url=config.public_url,
        log=log,
    )
    auditor = Auditor(
        watcher=watcher,
        endpoints=endpoints,
        store=ChainStore(database),
        settings=config.chain,
        clock=clock,
        metrics=metrics,
        log=log,
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
    dispatcher = Dispatcher(
        store=outbox,
        courier=courier,
        settings=config.delivery,
        clock=clock,
        metrics=metrics,
        log=log,
        spread=random.random,
    )
    upkeep = Upkeep(
        store=outbox,
        view=view,
        clock=clock,
        metrics=metrics,
        log=log,
        write_notes=lambda: notes.write(casework),
    )
    decisions = DecisionStore(database)
    decider = Decider(store=decisions, view=view, clock=clock, log=log, withdraw=upkeep.withdraw_closed)
    return Engine(
        database=database,
        decider=decider,
        outbox=outbox,
        watcher=watcher,
        auditor=auditor,
        endpoints=endpoints,
        dispatcher=dispatcher,
        upkeep=upkeep,
        casework=casework,
        keeper=Keeper(ledger=ledger, key=config.operator_key, days=config.delivery.ledger_days, clock=clock, log=log),
    )


def _origin(url: str) -> str:
    """Scheme and authority."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
