"""The network of the demo: a chain, two nodes, the agent before one of them, five parties.

::

    node A  ← agent ← DE*CPO, DE*CP2, DE*ANA (analytics)
    node B          ← NL*MSP, DE*BIL (billing)
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.sandbox.chain.actors import ETHER, Actor, Contracts, deploy
from ocn_permission_agent.sandbox.chain.client import ChainClient
from ocn_permission_agent.sandbox.chain.server import ChainServer
from ocn_permission_agent.sandbox.chain.wallet import Wallet
from ocn_permission_agent.sandbox.contracts import ContractCodes, own_contracts
from ocn_permission_agent.sandbox.network import enrol, list_node
from ocn_permission_agent.sandbox.node.node import Node, NodeSettings
from ocn_permission_agent.sandbox.parties.cpo import Cpo
from ocn_permission_agent.sandbox.parties.platform import OcpiParty
from ocn_permission_agent.sandbox.parties.receiver import Emsp, Service
from ocn_permission_agent.sandbox.serving import free_ports
from ocn_permission_agent.sandbox.story.agent import AgentFiles, AgentProcess, write_config

CHAIN_ID = 246
CONFIRMATIONS = 2
CPO = Party("DE", "CPO")
OTHER_CPO = Party("DE", "CP2")
EMSP = Party("NL", "MSP")
BILLING = Party("DE", "BIL")
ANALYTICS = Party("DE", "ANA")
_WALLETS = ("deployer", "A", "B", *(str(party) for party in (CPO, OTHER_CPO, EMSP, BILLING, ANALYTICS)))

PartyKind = TypeVar("PartyKind", bound=OcpiParty)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything that runs. `node_of` and `actors` are keyed by party (``DE*CPO``), actors also by node."""

    rpc_url: str
    chain: ChainClient
    contracts: Contracts
    wallets: dict[str, Wallet]
    actors: dict[str, Actor]
    nodes: dict[str, Node]
    node_of: dict[str, str]
    agent: AgentProcess
    admin_token: str
    cpo: Cpo
    other_cpo: Cpo
    emsp: Emsp
    billing: Service
    analytics: Service
    clock: Clock

    @property
    def parties(self) -> tuple[OcpiParty, ...]:
        """All of them, customers first."""
        return (self.cpo, self.other_cpo, self.emsp, self.billing, self.analytics)

    def actor(self, party: OcpiParty) -> Actor:
        """Who writes to the contracts for a party."""
        return self.actors[str(party.party)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """A chain with both contracts on it, and who writes to them, by the names of their wallets."""

    rpc_url: str
    chain: ChainClient
    contracts: Contracts
    actors: dict[str, Actor]


async def prepare_ground(
    opened: AsyncExitStack, wallets: Mapping[str, Wallet], codes: ContractCodes | None = None
) -> Ground:
    """Start a chain that mines at once; `opened` ends it.

    Args:
        opened: takes what has to be closed.
        wallets: each gets funds; the one named ``deployer`` deploys.
        codes: the contracts; our own unless told.
    """
    server = ChainServer(
        chain_id=CHAIN_ID, accounts={wallet.address: 1000 * ETHER for wallet in wallets.values()}, mining="auto"
    )
    rpc_url = await asyncio.to_thread(server.start_process)
    opened.callback(server.stop)
    chain = await opened.enter_async_context(ChainClient(rpc_url))
    contracts = await deploy(chain, wallets["deployer"], codes or own_contracts())
    actors = {name: Actor(chain, contracts, wallet) for name, wallet in wallets.items()}
    return Ground(rpc_url=rpc_url, chain=chain, contracts=contracts, actors=actors)


@asynccontextmanager
async def a_world(
    *,
    folder: Path,
    clock: Clock,
    proxy_port: int | None = None,
    admin_port: int | None = None,
    codes: ContractCodes | None = None,
    changed: Mapping[str, Mapping[str, Any]] | None = None,
    node_settings: Mapping[str, Mapping[str, Any]] | None = None,
    emsp_at: str = "B",
) -> AsyncIterator[World]:
    """Bring everything up, and down again at the end.

    Args:
        folder: for the agent's files; must exist.
        clock: everybody's but the chain's and the agent's, which have the machine's.
        proxy_port: of the agent; None takes a free one.
        admin_port: likewise.
        codes: the contracts; our own unless told.
        changed: configuration of the agent, by section, over the demo's.
        node_settings: fields of `NodeSettings` by node, over the demo's, e.g. another version.
        emsp_at: the eMSP's node. Nodes of different versions cannot pass requests on to each other.

    Raises:
        AgentFailed: the agent does not start.
        OSError: a port is in use.
    """
    wallets = {name: Wallet.from_seed(f"demo {name}") for name in _WALLETS}
    async with AsyncExitStack() as opened:
        ground = await prepare_ground(opened, wallets, codes)
        rpc_url, chain, contracts, actors = ground.rpc_url, ground.chain, ground.contracts, ground.actors
        nodes = {}
        for name in ("A", "B"):
            settings = NodeSettings(
                name=name, operator_key=wallets[name].key.hex(), rpc_url=rpc_url, registry=contracts.registry
            )
            settings = replace(settings, **(node_settings or {}).get(name, {}))
            nodes[name] = await opened.enter_async_context(Node(settings, clock=clock))
        admin_token = secrets.token_urlsafe(16)
        agent = agent_process(
            AgentFiles(folder=folder),
            contracts=contracts,
            rpc_url=rpc_url,
            node_url=nodes["A"].listen_url,
            operator_key=nodes["A"].settings.operator_key,
            admin_token=admin_token,
            changed=changed or {},
            clock=clock,
            ports=(proxy_port, admin_port),
        )
        nodes["A"].publish_at(agent.proxy_url)
        for name, node in nodes.items():
            await list_node(node, actors[name])
        opened.push_async_callback(agent.stop)
        await agent.start()

        async def join(party: PartyKind, node: str) -> PartyKind:
            await opened.enter_async_context(party)
            await enrol(party, node=nodes[node], actor=actors[str(party.party)])
            return party

        cpo = await join(Cpo(CPO, clock=clock), "A")
        other_cpo = await join(Cpo(OTHER_CPO, clock=clock), "A")
        emsp = await join(Emsp(EMSP, clock=clock), emsp_at)
        billing = await join(Service(BILLING, clock=clock), "B")
        analytics = await join(Service(ANALYTICS, clock=clock), "A")
        await chain.set_mining("interval", 1.0)
        yield World(
            rpc_url=rpc_url,
            chain=chain,
            contracts=contracts,
            wallets=wallets,
            actors=actors,
            nodes=nodes,
            node_of={str(party): "A" for party in (CPO, OTHER_CPO, ANALYTICS)}
            | {str(EMSP): emsp_at, str(BILLING): "B"},
            agent=agent,
            admin_token=admin_token,
            cpo=cpo,
            other_cpo=other_cpo,
            emsp=emsp,
            billing=billing,
            analytics=analytics,
            clock=clock,
        )


def agent_process(
    files: AgentFiles,
    *,
    contracts: Contracts,
    rpc_url: str,
    node_url: str,
    operator_key: str,
    admin_token: str,
    changed: Mapping[str, Mapping[str, Any]],
    clock: Clock,
    ports: tuple[int | None, int | None] = (None, None),
) -> AgentProcess:
    """The agent with the demo's settings: few confirmations, short pauses, loopback allowed. Not started yet.

    Args:
        files: are written.
        contracts: that it follows.
        rpc_url: where the chain is.
        node_url: behind the proxy.
        operator_key: hex.
        admin_token: of its admin listener.
        changed: configuration over the demo's, by section.
        clock: paces waiting for it.
        ports: of proxy and admin listener; None takes a free one.
    """
    proxy, admin = (f"127.0.0.1:{port or free}" for port, free in zip(ports, free_ports(2), strict=True))
    for path, content in ((files.operator_key, operator_key), (files.admin_token, admin_token)):
        path.touch(mode=0o600)
        path.write_text(content)
    # As in the Registry: of a 2.x node with its prefix.
    public_url = "/".join(part for part in (f"http://{proxy}", changed.get("node", {}).get("api_prefix")) if part)
    values: dict[str, dict[str, Any]] = {
        "proxy": {"listen": proxy, "public_url": public_url, "drain_seconds": 0},
        "node": {"url": node_url, "version": "1", "service_interface_disabled": True},
        "admin": {"listen": admin, "token_file": str(files.admin_token)},
        "operator": {"key_file": str(files.operator_key)},
        "chain": {
            "rpc_urls": [rpc_url],
            "chain_id": contracts.chain_id,
            "registry": contracts.registry,
            "permissions": contracts.permissions,
            "start_block": contracts.block_number,
            "confirmations": CONFIRMATIONS,
            "poll_seconds": 0.25,
        },
        "store": {"url": f"sqlite:///{files.store}"},
        # One at a time for each service, so that the story can tell in which order things arrive.
        "delivery": {"schedule_seconds": [0.5, 0.5, 1, 1, 2], "attempt_timeout_seconds": 5, "max_in_flight": 1},
        "network": {"allow_http": True, "allow_addresses": ["127.0.0.0/8"]},
        "log": {"format": "json", "level": "info"},
    }
    more = {section: dict(keys) for section, keys in changed.items() if section not in values}
    write_config(files, {section: keys | dict(changed.get(section, {})) for section, keys in values.items()} | more)
    return AgentProcess(files, proxy_url=f"http://{proxy}", admin_url=f"http://{admin}", clock=clock)
