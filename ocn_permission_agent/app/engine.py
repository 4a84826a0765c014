"""What runs beside the listeners while the store is open: built here, run in the engine room."""

import random
from contextlib import AsyncExitStack
from dataclasses import dataclass
from urllib.parse import urlsplit

from ocn_permission_agent.app.membership import Shared, membership
from ocn_permission_agent.app.node_versions import NodeVersions
from ocn_permission_agent.app.surroundings import Surroundings
from ocn_permission_agent.app.together import Together
from ocn_permission_agent.app.watch import Watch, watch_on
from ocn_permission_agent.chain.decisions import Decider, DecisionStore
from ocn_permission_agent.chain.endpoints import Endpoints
from ocn_permission_agent.chain.rpc import RpcClient
from ocn_permission_agent.ledger.keeping import Keeper
from ocn_permission_agent.ledger.store import LedgerStore
from ocn_permission_agent.net.client import HttpTransport
from ocn_permission_agent.net.own import OwnNode
from ocn_permission_agent.outbox.casework import Casework
from ocn_permission_agent.outbox.courier import Courier
from ocn_permission_agent.outbox.dispatcher import Dispatcher
from ocn_permission_agent.outbox.express import Express
from ocn_permission_agent.outbox.gathered import GatheringOutbox
from ocn_permission_agent.outbox.opening import outbox_on
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


async def open_engine(opened: AsyncExitStack, around: Surroundings, *, beside_others: bool = False) -> Engine:
    """Open the store and build what works on it; `opened` closes it again.

    Args:
        opened: takes what has to be closed.
        around: what is there already.
        beside_others: for a command, beside an agent that runs in the same folder.

    Raises:
        StoreUnavailable: not now.
        StoreMismatch: the store was made for others, or by another version.
    """
    config, clock, metrics, log = around.config, around.clock, around.metrics, around.log
    database = await open_store(config.store, metrics=metrics, clock=clock, beside_others=beside_others)
    opened.push_async_callback(database.close)
    member = membership(database, config.store, clock=clock, beside_others=beside_others)
    ledger = LedgerStore(database)
    casework = StoredCasework(database, settings=config.delivery, ledger=ledger)
    outbox = outbox_on(
        database, agent=member.name, settings=config.delivery, ledger=ledger, metrics=metrics, guard=member.guard
    )
    stopwatch = Stopwatch(clock=clock, metrics=metrics)
    dispatcher = await _dispatcher(opened, around, outbox, stopwatch)
    upkeep = Upkeep(
        store=outbox,
        view=around.view,
        clock=clock,
        metrics=metrics,
        log=log,
        write_notes=lambda: around.notes.write(casework),
        stopwatch=stopwatch,
    )
    decisions, recording = DecisionStore(database), _recording(outbox, dispatcher, member.shared)
    return Engine(
        database=database,
        decider=Decider(store=decisions, view=around.view, clock=clock, log=log, withdraw=upkeep.withdraw_closed),
        outbox=outbox,
        recording=recording,
        watch=watch_on(database, await _endpoints(opened, around), lease=member.watching, around=around),
        dispatcher=dispatcher,
        upkeep=upkeep,
        casework=casework,
        shared=member.shared,
        together=_together(member.shared, recording, dispatcher, around),
        keeper=Keeper(ledger=ledger, key=config.operator_key, days=config.delivery.ledger_days, clock=clock, log=log),
    )


async def _endpoints(opened: AsyncExitStack, around: Surroundings) -> Endpoints:
    settings, clock = around.config.chain, around.clock
    rpcs = [await opened.enter_async_context(RpcClient(url=url, clock=clock)) for url in settings.rpc_urls]
    return Endpoints(rpcs=rpcs, settings=settings, clock=clock, metrics=around.metrics, log=around.log)


async def _dispatcher(
    opened: AsyncExitStack, around: Surroundings, outbox: StoredOutbox, stopwatch: Stopwatch
) -> Dispatcher:
    """With a courier that calls the own node as one trusted, all others as strangers."""
    config, clock = around.config, around.clock
    own = await opened.enter_async_context(
        OwnNode(url=config.node.url, tls=node_context(config.node.ca_file), clock=clock)
    )
    remote = await opened.enter_async_context(HttpTransport(config.network))
    own_url = "/".join(part for part in (config.node.url, config.node.api_prefix) if part)
    courier = Courier(
        view=around.view,
        versions=NodeVersions(
            configured=config.node_version,
            seen=around.node_version_seen,
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
    return Dispatcher(
        store=outbox,
        courier=courier,
        settings=config.delivery,
        clock=clock,
        metrics=around.metrics,
        log=around.log,
        spread=random.random,
        stopwatch=stopwatch,
    )


def _recording(outbox: StoredOutbox, dispatcher: Dispatcher, shared: Shared | None) -> Express | GatheringOutbox:
    """Where the recorder records: what can be is sent at once, and several agents keep order together."""
    express = Express(outbox=outbox, sender=dispatcher)
    return express if shared is None else GatheringOutbox(express, shared.gathering)


def _together(
    shared: Shared | None, recording: Express | GatheringOutbox, dispatcher: Dispatcher, around: Surroundings
) -> Together | None:
    if shared is None or not isinstance(recording, GatheringOutbox):
        return None
    return Together(
        roster=shared.roster,
        gathering=shared.gathering,
        outbox=recording,
        lease=shared.settling,
        spooling=around.recorder,
        clock=around.clock,
        log=around.log,
        on_recorded=dispatcher.wake,
    )


def _origin(url: str) -> str:
    """Scheme and authority."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
