"""`Node`: one stand-in OCN node, from settings to a listener.

::

    async with Node(settings, clock=SystemClock()) as node:
        node.publish_at(proxy_url)      # where its platforms will find it; its own address unless told
        invitation = await invite(node.admin, [Party("DE", "CPO")])
"""

from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit
from uuid import uuid4

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.ocn.keys import OperatorKey
from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.sandbox.chain.client import ChainClient
from ocn_permission_agent.sandbox.node.dialect import DIALECTS
from ocn_permission_agent.sandbox.node.engine import Engine
from ocn_permission_agent.sandbox.node.forwarding import Forwarding
from ocn_permission_agent.sandbox.node.handover import Handover
from ocn_permission_agent.sandbox.node.handshake import Handshake
from ocn_permission_agent.sandbox.node.outgoing import Outgoing
from ocn_permission_agent.sandbox.node.platforms import Platforms
from ocn_permission_agent.sandbox.node.proxied import ProxyNumbers
from ocn_permission_agent.sandbox.node.refusal import Crash, Refusal
from ocn_permission_agent.sandbox.node.registry import Registration, RegistryReader
from ocn_permission_agent.sandbox.node.seal import Seal
from ocn_permission_agent.sandbox.node.server import Identity, NodeServer
from ocn_permission_agent.sandbox.node.services import ServiceForwarding
from ocn_permission_agent.sandbox.serving import Answer, Incoming, LoopbackServer


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """What a node is started with.

    `operator_key` is hex, with or without 0x. `url` is what the node believes to be its public URL (``ocn.node.url``),
    without the prefix; empty means its own listening address. `api_prefix` is 2.x's, without slashes around it.
    `signatures` is ``ocn.node.signatures``. `own_party` is 2.x's own country and party, ``CH*OCN`` unless given.
    `typed_bodies` binds bodies to the node's classes as the real one does (b.5): unknown members vanish, incomplete
    objects are refused; off, any JSON object passes, which is handier by hand.
    `service_interface` is 1.x's own forwarding to services (``serviceInterfaceEnabled``), which needs `permissions`.
    `checks_own_health` lets the start fail unless ``{public URL}/health`` can be reached, as 1.x does.
    `receiver_timeout_seconds` bounds every call the node makes (a 1.x node waits about 30, a 2.x node 15).
    """

    name: str
    operator_key: str = field(repr=False)
    rpc_url: str
    registry: str
    url: str = ""
    version: NodeVersion = NodeVersion.V1
    api_prefix: str = ""
    api_key: str = field(default_factory=lambda: str(uuid4()), repr=False)
    port: int = 0
    signatures: bool = False
    own_party: Party | None = None
    typed_bodies: bool = False
    service_interface: bool = False
    permissions: str = ""
    checks_own_health: bool = False
    receiver_timeout_seconds: float = 30.0


class Node:
    """A running node, inside `async with`; its port is taken and its URLs are known as soon as it is made."""

    def __init__(self, settings: NodeSettings, *, clock: Clock) -> None:
        self.settings = settings
        self._clock = clock
        self._key = OperatorKey.load(settings.operator_key)
        self._url = settings.url
        self._server: NodeServer | None = None
        self._listener = LoopbackServer(self._answer, port=settings.port)
        self._running = AsyncExitStack()

    @property
    def operator_address(self) -> str:
        """The operator's address, in lower case."""
        return self._key.address

    @property
    def listen_url(self) -> str:
        """Where the node itself listens, without the prefix: `[node] url` of an agent in front of it."""
        return self._listener.url

    @property
    def public_url(self) -> str:
        """The URL that platforms and other nodes use, prefix included; what the Registry must hold."""
        base = (self._url or self._listener.url).rstrip("/")
        return f"{base}/{self.settings.api_prefix}" if self.settings.api_prefix else base

    @property
    def admin_url(self) -> str:
        """Where its operator reaches `/admin`, never through a proxy."""
        base = self._listener.url
        return f"{base}/{self.settings.api_prefix}" if self.settings.api_prefix else base

    @property
    def _own_party(self) -> Party | None:
        if self.settings.version is NodeVersion.V1:
            return None
        return self.settings.own_party or Party("CH", "OCN")

    def publish_at(self, url: str) -> None:
        """Change `ocn.node.url`; do it before anybody registers."""
        self._url = url

    async def up(self) -> None:
        """Listen (again)."""
        await self._listener.up()

    async def down(self) -> None:
        """Refuse connections; what the node knows stays."""
        await self._listener.down()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            opening.push_async_callback(self._listener.close)
            outgoing = await opening.enter_async_context(
                Outgoing(
                    timeout_seconds=self.settings.receiver_timeout_seconds,
                    timeouts_crash=DIALECTS[self.settings.version].timeouts_crash,
                    redirected_methods=DIALECTS[self.settings.version].redirected_methods,
                )
            )
            chain = await opening.enter_async_context(ChainClient(self.settings.rpc_url))
            self._server = self._assemble(outgoing, chain)
            await self._listener.up()
            if self.settings.checks_own_health:
                await self._check_health(outgoing)
            self._running = opening.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._running.aclose()

    async def _check_health(self, outgoing: Outgoing) -> None:
        """As 1.x does once it is listening: what stands before its public URL must be up (a.6)."""
        try:
            await outgoing.call("GET", f"{self.public_url}/health", headers={})
        except (Refusal, Crash) as error:
            raise RuntimeError(f"node {self.settings.name} cannot reach itself at {self.public_url}") from error

    def _assemble(self, outgoing: Outgoing, chain: ChainClient) -> NodeServer:
        dialect, platforms = DIALECTS[self.settings.version], Platforms()
        registry = RegistryReader(chain, registry=self.settings.registry)
        seal = Seal(dialect=dialect, key=self._key, signatures=self.settings.signatures)

        def public_url() -> str:
            return self.public_url

        forwarding = Forwarding(dialect=dialect, key=self._key, outgoing=outgoing, clock=self._clock)
        handover = Handover(
            dialect=dialect, proxied=ProxyNumbers(), forwarding=forwarding, seal=seal, public_url=public_url
        )
        services = None
        if self.settings.service_interface:
            services = ServiceForwarding(
                chain,
                permissions=self.settings.permissions,
                registry=registry,
                platforms=platforms,
                forwarding=forwarding,
                seal=seal,
            )
        engine = Engine(
            dialect=dialect,
            platforms=platforms,
            registry=registry,
            handover=handover,
            seal=seal,
            own_party=self._own_party,
            services=services,
            clock=self._clock,
        )
        handshake = Handshake(
            dialect=dialect,
            platforms=platforms,
            registry=registry,
            outgoing=outgoing,
            operates=self._operates,
            signatures=self.settings.signatures,
            clock=self._clock,
        )
        return NodeServer(
            identity=Identity(
                operator=self._key.address, api_key=self.settings.api_key, api_prefix=self.settings.api_prefix
            ),
            dialect=dialect,
            engine=engine,
            handshake=handshake,
            platforms=platforms,
            registry=registry,
            seal=seal,
            public_url=public_url,
            typed_bodies=self.settings.typed_bodies,
            clock=self._clock,
        )

    def _operates(self, registration: Registration) -> bool:
        """1.x compares the domain byte for byte; 2.x is content with the last two labels of its host (a.5)."""
        if registration.operator != self._key.address:
            return False
        if self.settings.version is NodeVersion.V2:
            return _end_of_host(registration.domain) == _end_of_host(self.public_url)
        return registration.domain == (self._url or self._listener.url)

    async def _answer(self, incoming: Incoming) -> Answer:
        if self._server is None:
            raise RuntimeError("a node answers inside `async with` only")
        return await self._server.answer(incoming)


def _end_of_host(url: str) -> list[str]:
    return (urlsplit(url).hostname or "").split(".")[-2:]
