"""A small network for tests: a real chain, nodes that are listed on it, parties that went through the handshake."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from ocn_permission_agent.clock import Clock, SystemClock
from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.sandbox.chain.actors import ETHER, Actor, Contracts, deploy
from ocn_permission_agent.sandbox.chain.client import ChainClient
from ocn_permission_agent.sandbox.chain.server import ChainServer
from ocn_permission_agent.sandbox.chain.wallet import Wallet
from ocn_permission_agent.sandbox.network import enrol, list_node
from ocn_permission_agent.sandbox.node.node import Node, NodeSettings
from ocn_permission_agent.sandbox.parties.cpo import Cpo
from ocn_permission_agent.sandbox.parties.platform import OcpiParty
from ocn_permission_agent.sandbox.parties.receiver import Emsp, Service

CPO = Party("DE", "CPO")
OTHER_CPO = Party("DE", "CPX")
MSP = Party("NL", "MSP")
BILLING = Party("DE", "BIL")
ANALYTICS = Party("DE", "ANA")
STRANGER = Party("FR", "XXX")

PartyKind = TypeVar("PartyKind", bound=OcpiParty)
_NAMES = ("deployer", "node A", "node B", "DE*CPO", "DE*CPX", "NL*MSP", "DE*BIL", "DE*ANA", "stranger")
#: 2.x's path prefix in tests
PREFIX = "ocn-v2"
WALLETS = {name: Wallet.from_seed(name) for name in _NAMES}


@contextmanager
def a_chain() -> Iterator[str]:
    """The URL of a chain that mines at once and on which all `WALLETS` are rich."""
    accounts = {wallet.address: 1000 * ETHER for wallet in WALLETS.values()}
    server = ChainServer(chain_id=246, accounts=accounts, mining="auto")
    try:
        yield server.start_thread()
    finally:
        server.stop()


@dataclass
class Network:
    """Nodes and parties of one test, all closed with it. `clock` is everybody's."""

    chain: ChainClient
    contracts: Contracts
    clock: Clock
    opened: AsyncExitStack = field(repr=False)
    version: NodeVersion = NodeVersion.V1

    def actor(self, name: str) -> Actor:
        return Actor(self.chain, self.contracts, WALLETS[name])

    async def node(
        self,
        name: str = "node A",
        *,
        public_host: str = "127.0.0.1",
        receiver_timeout_seconds: float = 5.0,
        signatures: bool = False,
        typed_bodies: bool = False,
        service_interface: bool = False,
    ) -> Node:
        """A running node, listed on the chain."""
        settings = NodeSettings(
            name=name,
            operator_key=WALLETS[name].key.hex(),
            rpc_url=self.chain.url,
            registry=self.contracts.registry,
            version=self.version,
            api_prefix="" if self.version is NodeVersion.V1 else PREFIX,
            receiver_timeout_seconds=receiver_timeout_seconds,
            signatures=signatures,
            typed_bodies=typed_bodies,
            service_interface=service_interface,
            permissions=self.contracts.permissions,
        )
        node = await self.opened.enter_async_context(Node(settings, clock=self.clock))
        node.publish_at(node.listen_url.replace("127.0.0.1", public_host))
        await list_node(node, self.actor(name))
        return node

    async def join(self, party: PartyKind, node: Node) -> PartyKind:
        """A running party, listed on the chain and registered with the node."""
        await self.opened.enter_async_context(party)
        await enrol(party, node=node, actor=self.actor(str(party.party)))
        return party

    async def cpo(self, node: Node, party: Party = CPO) -> Cpo:
        return await self.join(Cpo(party, clock=self.clock), node)

    async def emsp(self, node: Node, party: Party = MSP) -> Emsp:
        return await self.join(Emsp(party, clock=self.clock), node)

    async def service(self, node: Node, party: Party = BILLING) -> Service:
        return await self.join(Service(party, clock=self.clock), node)


@asynccontextmanager
async def a_network(
    chain_url: str, *, version: NodeVersion = NodeVersion.V1, clock: Clock | None = None
) -> AsyncIterator[Network]:
    """Fresh contracts on a chain, and nobody on them yet."""
    async with ChainClient(chain_url) as chain, AsyncExitStack() as opened:
        contracts = await deploy(chain, WALLETS["deployer"])
        yield Network(chain=chain, contracts=contracts, clock=clock or SystemClock(), opened=opened, version=version)
