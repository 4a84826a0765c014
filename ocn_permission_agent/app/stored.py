"""What the store knows of the chain, by the rules of the running agent."""

import structlog

from ocn_permission_agent.app.watch import perspective_of
from ocn_permission_agent.chain.decisions import DecisionStore
from ocn_permission_agent.chain.endpoints import Endpoints
from ocn_permission_agent.chain.rpc import RpcClient
from ocn_permission_agent.chain.store import ChainStore
from ocn_permission_agent.chain.watcher import Watcher
from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.config import Config
from ocn_permission_agent.consent.index import ConsentIndex
from ocn_permission_agent.consent.view import ConsentView
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.store.opening import look_at_store


async def stored_index(config: Config) -> ConsentIndex:
    """The index of the newest block in the store; nothing is asked of the chain, nothing in the store changes.

    Raises:
        StoreUnavailable: the store cannot be read.
        StoreMismatch: it was made for other contracts.
    """
    clock, metrics, log = SystemClock(), Metrics(), structlog.get_logger()
    view = ConsentView(clock=clock, max_staleness_seconds=config.chain.max_staleness_seconds, metrics=metrics)
    database = await look_at_store(config.store, clock=clock)
    try:
        watcher = Watcher(
            endpoints=Endpoints(
                rpcs=[RpcClient(url=url, clock=clock) for url in config.chain.rpc_urls],
                settings=config.chain,
                clock=clock,
                metrics=metrics,
                log=log,
            ),
            store=ChainStore(database),
            decisions=DecisionStore(database),
            view=view,
            clock=clock,
            settings=config.chain,
            perspective=perspective_of(config),
            public_url=config.public_url,
            log=log,
        )
        await watcher.restore()
    finally:
        await database.close()
    return view.index
