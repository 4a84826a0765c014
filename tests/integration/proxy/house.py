"""A proxy on loopback with a raw node behind it, an outbox that keeps plans and a consent that is told what to say."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from prometheus_client import CollectorRegistry

from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.consent.address import AgreementId, address
from ocn_permission_agent.consent.index import Entitlement
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.route import InterfaceRole, Module
from ocn_permission_agent.outbox.gaps import GapBook
from ocn_permission_agent.outbox.intents import Intents
from ocn_permission_agent.outbox.model import CopyPlan
from ocn_permission_agent.proxy.listener import Proxy
from ocn_permission_agent.proxy.settings import NodeSettings, ProxySettings
from tests.integration.proxy.wire import RawNode, ask, listening

CUSTOMER = Party("DE", "CPO")
TOKEN = b"f70fffe6-6d1a-4c1d-9c2e-canary-token"
BILLING = Entitlement(
    customer=CUSTOMER,
    customer_address=address("0x" + "11" * 20),
    provider=Party("DE", "PAY"),
    provider_address=address("0x" + "22" * 20),
    agreement=AgreementId("0x" + "33" * 32, 0),
)


@dataclass
class Consent:
    """An index and a view in one: one customer agreed to billing for some interfaces."""

    customer: Party = CUSTOMER
    entitlements: tuple[Entitlement, ...] = (BILLING,)
    modules: frozenset[Module] = frozenset(Module)
    block_number: int = 100

    @property
    def index(self) -> "Consent":
        return self

    def has_agreements(self, sender: Party) -> bool:
        return sender.folded == self.customer.folded and bool(self.entitlements)

    def providers_for(self, sender: Party, module: Module, role: InterfaceRole) -> tuple[Entitlement, ...]:
        return self.entitlements if self.has_agreements(sender) and module in self.modules else ()


@dataclass
class Outbox:
    """Keeps plans in memory."""

    plans: list[CopyPlan] = field(default_factory=list)
    failure: Exception | None = None
    recorded: asyncio.Event = field(default_factory=asyncio.Event)
    can_record: bool = True

    async def record(self, plan: CopyPlan) -> int:
        if self.failure is not None:
            raise self.failure
        self.plans.append(plan)
        self.recorded.set()
        return len(plan.deliveries)


@dataclass
class Lines:
    """A logger that keeps its lines as text."""

    lines: list[str] = field(default_factory=list)

    def debug(self, event: str, **fields: object) -> None:
        self.lines.append(f"debug {event} {fields}")

    def info(self, event: str, **fields: object) -> None:
        self.lines.append(f"info {event} {fields}")

    def warning(self, event: str, **fields: object) -> None:
        self.lines.append(f"warning {event} {fields}")

    def error(self, event: str, **fields: object) -> None:
        self.lines.append(f"error {event} {fields}")


@dataclass
class House:
    node: RawNode
    proxy: Proxy
    outbox: Outbox
    consent: Consent
    metrics: Metrics
    log: Lines

    @property
    def address(self) -> tuple[str, int]:
        return self.proxy.address

    def count(self, name: str, **labels: str) -> float:
        registry: CollectorRegistry = self.metrics.registry
        return registry.get_sample_value(f"ocn_agent_{name}_total", labels) or 0.0


#: whether a house has a connection to the node from its start: a request that finds none takes the long way.
#: Set by the fixture `both_ways`.
WARM = False
SETTINGS = ProxySettings(listen_host="127.0.0.1", listen_port=0, linger_seconds=0.1)


@asynccontextmanager
async def a_house(
    node: RawNode | None = None,
    *,
    consent: Consent | None = None,
    outbox: Outbox | None = None,
    settings: ProxySettings = SETTINGS,
    node_settings: NodeSettings | None = None,
    intents_path: Path | None = None,
) -> AsyncIterator[House]:
    metrics, log = Metrics(), Lines()
    consent, outbox = consent or Consent(), outbox or Outbox()
    intents = Intents(intents_path or Path("nowhere"))
    if intents_path is not None:
        intents.open()

    async with listening(node or RawNode()) as up:
        known = node_settings or NodeSettings(url="")
        proxy = Proxy(
            settings=settings,
            node=replace(known, url=known.url or up.url),
            view=consent,
            recorder=outbox,
            gaps=GapBook(clock=SystemClock(), metrics=metrics, log=log, journal=intents),
            intents=intents,
            clock=SystemClock(),
            metrics=metrics,
            log=log,
        )
        await proxy.start()
        try:
            if WARM:
                await _warm_up(up, proxy)
                log.lines.clear()
            yield House(up, proxy, outbox, consent, metrics, log)
        finally:
            await proxy.stop(grace_seconds=1)


async def _warm_up(node: RawNode, proxy: Proxy) -> None:
    node.warming = True
    await ask(proxy.address, a_put(path="/warm-up"))
    node.warming = False


def a_put(
    body: bytes = b'{"id":"s1","kwh":1.5}',
    *,
    method: str = "PUT",
    path: str = "/ocpi/receiver/2.2/sessions/DE/CPO/s1",
    sender: tuple[str, str] = ("DE", "CPO"),
    receiver: tuple[str, str] = ("NL", "MSP"),
    extra: bytes = b"",
    framing: bytes | None = None,
) -> bytes:
    """A platform's request as bytes; `framing` replaces the Content-Length line."""
    lines = [
        f"{method} {path} HTTP/1.1".encode(),
        b"Host: node.example",
        b"Authorization: Token " + TOKEN,
        b"X-Request-ID: r-1",
        b"X-Correlation-ID: c-1",
        f"OCPI-from-country-code: {sender[0]}".encode(),
        f"OCPI-from-party-id: {sender[1]}".encode(),
        f"OCPI-to-country-code: {receiver[0]}".encode(),
        f"OCPI-to-party-id: {receiver[1]}".encode(),
        b"Content-Type: application/json",
    ]
    head = b"\r\n".join(lines) + b"\r\n" + extra
    return head + (b"Content-Length: %d\r\n" % len(body) if framing is None else framing) + b"\r\n" + body
