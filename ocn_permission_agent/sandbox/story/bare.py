"""The agent before any node at all, with a customer that agreed to everything: for benchmarks and load tests.

Nobody registers with the node: the agent knows its customer from the chain alone.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.sandbox.chain.wallet import Wallet
from ocn_permission_agent.sandbox.story.agent import AgentFailed, AgentFiles, AgentProcess
from ocn_permission_agent.sandbox.story.world import agent_process, prepare_ground

SERVICE = Party("DE", "SVC")
_READ_LIMIT_SECONDS = 20.0
_POLL_SECONDS = 0.1


@asynccontextmanager
async def a_bare_agent(
    *,
    folder: Path,
    node_url: str,
    customer: Party,
    clock: Clock,
    changed: Mapping[str, Mapping[str, Any]] | None = None,
) -> AsyncIterator[AgentProcess]:
    """A running agent that has read the agreement of `customer` with a service on the same node, permission 0.

    Args:
        folder: for the agent's files.
        node_url: answers everything, also ``/ocn/message``.
        customer: sends through the agent.
        clock: paces waiting.
        changed: configuration over the demo's; the limits per service are lifted.

    Raises:
        AgentFailed: it does not start, or does not read the chain.
    """
    agents = bare_agents(
        folders=(folder,), node_url=node_url, customer=customer, clock=clock, changed=changed, public_url=None
    )
    async with agents as (agent,):
        yield agent


@asynccontextmanager
async def bare_agents(
    *,
    folders: Sequence[Path],
    node_url: str,
    customer: Party,
    clock: Clock,
    public_url: str | None,
    changed: Mapping[str, Mapping[str, Any]] | None = None,
    store_url: str | None = None,
    services: int = 1,
) -> AsyncIterator[tuple[AgentProcess, ...]]:
    """As `a_bare_agent`, one in each folder, before the same node.

    Args:
        folders: for the files of each agent.
        node_url: answers everything, also ``/ocn/message``.
        customer: sends through the agents.
        clock: paces waiting.
        public_url: under which all are reached; None for that of the only one.
        changed: configuration of each over the demo's; the limits per service are lifted.
        store_url: of a PostgreSQL database that all of them use; None for a file in the folder of each.
        services: how many there are, with which the customer agrees: ``DE*SVC``, ``DE*SV2``, …

    Raises:
        AgentFailed: one does not start, or does not read the chain.
    """
    parties = {"customer": customer} | {f"service {number}": service(number) for number in range(1, services + 1)}
    wallets = {name: Wallet.from_seed(f"bare {name}") for name in ("deployer", "operator", *parties)}
    settings: dict[str, dict[str, Any]] = {"delivery": {"max_rate": 10_000, "max_in_flight": 64}}
    settings |= {section: dict(keys) for section, keys in (changed or {}).items()}
    if public_url is not None:
        settings["proxy"] = settings.get("proxy", {}) | {"public_url": public_url}
    async with AsyncExitStack() as opened:
        ground = await prepare_ground(opened, wallets)
        chain, contracts, actors = ground.chain, ground.contracts, ground.actors
        agents = tuple(
            agent_process(
                AgentFiles(folder=folder),
                contracts=contracts,
                rpc_url=ground.rpc_url,
                node_url=node_url,
                operator_key=wallets["operator"].key.hex(),
                admin_token=secrets.token_urlsafe(16),
                changed=settings if store_url is None else settings | {"store": _shared(store_url, folder)},
                clock=clock,
            )
            for folder in folders
        )
        prefix = settings.get("node", {}).get("api_prefix")
        url = public_url or "/".join(part for part in (agents[0].proxy_url, prefix) if part)
        await actors["operator"].set_node(url)
        for name, party in parties.items():
            await actors[name].set_party(
                party.country_code, party.party_id, roles=[0], operator=actors["operator"].address
            )
        for name in set(parties) - {"customer"}:
            await actors[name].set_service("Everything", "https://service.example", [0])
            await actors["customer"].create_agreement(actors[name].address)
        await chain.set_mining("interval", 1.0)
        async with asyncio.TaskGroup() as group:
            for agent in agents:
                opened.push_async_callback(agent.stop)
                group.create_task(agent.start())
        for agent in agents:
            await _until_agreed(agent, services, clock)
        yield agents


def service(number: int) -> Party:
    """Which one that is, counted from 1."""
    return SERVICE if number == 1 else Party("DE", f"SV{number}")


def _shared(store_url: str, folder: Path) -> dict[str, str]:
    return {"url": store_url, "spool_folder": str(folder)}


async def _until_agreed(agent: AgentProcess, services: int, clock: Clock) -> None:
    deadline = clock.monotonic() + _READ_LIMIT_SECONDS
    while clock.monotonic() < deadline:
        status = await agent.status_if_open()
        if status is not None and status["agreements"] == services:
            return
        await clock.sleep(_POLL_SECONDS)
    raise AgentFailed(f"the agent did not read the agreement: {agent.last_words()}")
