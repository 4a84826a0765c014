"""Arranging for tests of the outbox: plans, a view that says what the test says, and a service that keeps things."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.consent.address import Address, AgreementId, address
from ocn_permission_agent.consent.index import ProviderRoute
from ocn_permission_agent.consent.verdict import Standing, Verdict
from ocn_permission_agent.ledger.store import LedgerStore
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.request import OcpiRequest
from ocn_permission_agent.ocpi.route import InterfaceRole, Module
from ocn_permission_agent.outbox.lane import lane_of
from ocn_permission_agent.outbox.model import (
    Attempt,
    AttemptVerdict,
    CopyPlan,
    Delivery,
    DeliveryState,
    Envelope,
    Place,
    PlannedDelivery,
)
from ocn_permission_agent.outbox.opening import outbox_on
from ocn_permission_agent.outbox.postgres import unguarded
from ocn_permission_agent.outbox.settings import DeliverySettings
from ocn_permission_agent.outbox.stored import StoredOutbox
from ocn_permission_agent.store.database import Connection, Database
from ocn_permission_agent.store.postgres import PostgresDatabase
from tests.factories import a_request
from tests.stores import Where, open_at

CUSTOMER = Party("DE", "CPO")
CUSTOMER_ADDRESS = address("0x" + "c1" * 20)
BILLING = Party("DE", "PAY")
ANALYTICS = Party("NL", "ANA")
PROVIDERS: dict[Party, Address] = {BILLING: address("0x" + "51" * 20), ANALYTICS: address("0x" + "52" * 20)}
AGREEMENT = AgreementId("0x" + "ab" * 32, 3)


def session(
    method: str = "PUT", name: str = "s1", body: bytes = b'{"kwh":1.5}', *, correlation_id: str = "corr-1"
) -> OcpiRequest:
    path = f"/ocpi/receiver/2.2/sessions/DE/CPO/{name}"
    return a_request(method, path, body=body, x_correlation_id=correlation_id)


def cdr(name: str = "cdr-1", body: bytes | None = None) -> OcpiRequest:
    return a_request("POST", "/ocpi/receiver/2.2/cdrs", body=body or b'{"id":"%s","total":7.5}' % name.encode())


def command() -> OcpiRequest:
    body = b'{"response_url":"https://cpo.example/cb","token":{"uid":"u"}}'
    return a_request("POST", "/ocpi/receiver/2.2/commands/START_SESSION", body=body)


def a_plan(
    request: OcpiRequest,
    *providers: Party,
    at: datetime,
    agreement: AgreementId = AGREEMENT,
) -> CopyPlan:
    return CopyPlan(
        envelope=Envelope(customer=CUSTOMER, customer_address=CUSTOMER_ADDRESS, request=request, recorded_at=at),
        deliveries=tuple(
            PlannedDelivery(
                provider=provider,
                provider_address=PROVIDERS[provider],
                agreement=agreement,
                lane=lane_of(request, customer_address=CUSTOMER_ADDRESS, provider_address=PROVIDERS[provider]),
            )
            for provider in (providers or (BILLING,))
        ),
    )


def a_delivery(
    request: OcpiRequest,
    *,
    at: datetime,
    attempts: int = 1,
    window: timedelta = timedelta(days=14),
    whole_known: bool = False,
    collapsed: bool = False,
    in_doubt: bool = False,
) -> Delivery:
    plan = a_plan(request, at=at)
    planned = plan.deliveries[0]
    return Delivery(
        id=1,
        place=Place(envelope_id=1, lane_id=1, scope_id=1, channel_id=1, provider_id=1, agreement_block=0),
        envelope=plan.envelope,
        provider=planned.provider,
        provider_address=planned.provider_address,
        agreement=planned.agreement,
        lane=planned.lane,
        state=DeliveryState.PENDING,
        attempts=attempts,
        next_attempt_at=at,
        expires_at=at + window,
        whole_known=whole_known,
        collapsed=collapsed,
        in_doubt=in_doubt,
    )


def an_attempt(
    verdict: AttemptVerdict,
    *,
    at: datetime,
    seconds: float = 1.0,
    http_status: int | None = 200,
    ocpi_status: int | None = None,
    unreachable: bool = False,
    signature_refused: bool = False,
    retry_after_seconds: float | None = None,
    detail: str = "as told",
) -> Attempt:
    return Attempt(
        started_at=at,
        ended_at=at + timedelta(seconds=seconds),
        verdict=verdict,
        http_status=http_status,
        ocpi_status=ocpi_status,
        detail=detail,
        unreachable=unreachable,
        signature_refused=signature_refused,
        retry_after_seconds=retry_after_seconds,
    )


async def open_outbox(
    where: Where,
    clock: Clock,
    settings: DeliverySettings | None = None,
    metrics: Metrics | None = None,
    *,
    holder: str = "agent-1",
) -> tuple[Database, StoredOutbox]:
    metrics = metrics or Metrics()
    database = await open_at(where, metrics=metrics, clock=clock)
    return database, an_outbox(database, settings=settings, metrics=metrics, holder=holder)


def an_outbox(
    database: Database,
    *,
    settings: DeliverySettings | None = None,
    metrics: Metrics | None = None,
    salt: Callable[[], bytes] | None = None,
    holder: str = "agent-1",
    guard: Callable[[Connection], None] = unguarded,
) -> StoredOutbox:
    """The outbox with the ledger, as the agent composes them.

    On PostgreSQL it is the store that keeps to the limits, over all agents; tests of other things take as many as they
    like at once, as they do on SQLite.
    """
    ledger = LedgerStore(database)
    if salt is not None:
        ledger = LedgerStore(database, salts=lambda count: [salt() for _ in range(count)])
    settings = settings or DeliverySettings()
    if isinstance(database, PostgresDatabase):
        settings = replace(settings, max_in_flight=10_000, max_rate=10_000)
    return outbox_on(
        database, agent=holder, settings=settings, ledger=ledger, metrics=metrics or Metrics(), guard=guard
    )


@dataclass
class StatedIndex:
    """An index that says what the test wrote down: everybody is open and lives on the own node, but for …"""

    standings: dict[tuple[Address, Module], Verdict] = field(default_factory=dict)
    routes: dict[Address, ProviderRoute | None] = field(default_factory=dict)

    def verdict(
        self,
        customer: Address,
        provider: Address,
        *,
        agreement: AgreementId,
        module: Module,
        role: InterfaceRole,
        fresh: bool,
    ) -> Verdict:
        stated = self.standings.get((provider, module))
        if stated is not None:
            return stated
        if not fresh:
            return Verdict(standing=Standing.HELD, rule="C8", reason="the view is stale")
        return Verdict(standing=Standing.OPEN, rule="C2", reason="it stands")

    def route_to(self, provider: Address) -> ProviderRoute | None:
        if provider in self.routes:
            return self.routes[provider]
        party = next(party for party, known in PROVIDERS.items() if known == provider)
        return ProviderRoute(provider=party, operator=address("0x" + "0e" * 20), domain="", own=True)

    def close(self, provider: Party, *modules: Module) -> None:
        for module in modules or tuple(Module):
            self.standings[PROVIDERS[provider], module] = Verdict(
                standing=Standing.CLOSED, rule="C2", reason="revoked", transaction_hash="0x" + "de" * 32
            )


@dataclass
class StatedView:
    index: StatedIndex = field(default_factory=StatedIndex)
    fresh: bool = True


class SameVersion:
    """Every node speaks `version`; once it was forgotten, `then`, if that is given."""

    def __init__(self, version: NodeVersion | None = NodeVersion.V1, *, then: NodeVersion | None = None) -> None:
        self._version = version
        self._then = then

    def known_of(self, route: ProviderRoute) -> NodeVersion | None:
        return self._version

    async def version_of(self, route: ProviderRoute) -> NodeVersion | None:
        return self._version

    def forget(self, route: ProviderRoute) -> None:
        self._version = self._then or self._version


class Lines:
    """A log that keeps its lines; `news` gets each as it is written."""

    def __init__(self) -> None:
        self.news: asyncio.Queue[str] = asyncio.Queue()
        self.lines: list[tuple[str, dict[str, object]]] = []

    def info(self, event: str, **fields: Any) -> None:
        self.lines.append((event, fields))
        self.news.put_nowait(event)

    debug = warning = error = info

    def of(self, event: str) -> list[dict[str, object]]:
        return [fields for name, fields in self.lines if name == event]


def no_jitter() -> float:
    return 0.5


def from_list(values: Iterable[float]) -> Callable[[], float]:
    iterator = iter(values)
    return lambda: next(iterator)
