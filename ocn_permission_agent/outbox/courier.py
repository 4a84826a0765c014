"""Carrying one delivery to the node that hosts its service (delivery.md "Route").

Two steps, because the store notes the start of an attempt between them: `prepare` asks for consent, now, and writes
and signs the message; `send` posts it and reads the answer.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.consent.address import Address, AgreementId
from ocn_permission_agent.consent.index import ProviderRoute
from ocn_permission_agent.consent.verdict import Standing, Verdict
from ocn_permission_agent.errors import CanonicalError
from ocn_permission_agent.net.answer import Answer, NoAnswer
from ocn_permission_agent.ocn.message import copy_message
from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.ocpi.route import InterfaceRole, Module
from ocn_permission_agent.outbox.after_attempt import Decision, held, parked, withdrawn
from ocn_permission_agent.outbox.answer import read_answer, read_no_answer
from ocn_permission_agent.outbox.model import Attempt, Delivery


class Index(Protocol):
    """What the courier asks of a `ConsentIndex`."""

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
        """Whether a copy under this agreement may leave now."""
        ...

    def route_to(self, provider: Address) -> ProviderRoute | None:
        """Where a provider is reached."""
        ...


class View(Protocol):
    """What the courier asks of the `ConsentView`."""

    @property
    def index(self) -> Index:
        """The newest index."""
        ...

    @property
    def fresh(self) -> bool:
        """Whether it is fresh enough to send by."""
        ...


class Transport(Protocol):
    """One HTTP POST, no redirects followed; a failure is a value."""

    async def post(
        self, *, url: str, headers: Mapping[str, str], body: bytes, timeout_seconds: float
    ) -> Answer | NoAnswer:
        """The answer, or why there is none; within the time-out, connecting included."""
        ...


class Versions(Protocol):
    """Knows whose text a node reads."""

    async def version_of(self, route: ProviderRoute) -> NodeVersion | None:
        """The version of the node at the end of a route; None while it is unclear, then nothing is sent."""
        ...


class Signer(Protocol):
    """The operator's key."""

    def sign(self, text: bytes) -> str:
        """The value of the header ``OCN-Signature`` for a message."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A message that may leave. `own` tells that it goes to the node behind the proxy."""

    url: str
    own: bool
    headers: Mapping[str, str]
    body: bytes


class Courier:
    """Takes deliveries to their services.

    Args:
        view: the newest facts of the chain.
        versions: which text each node reads.
        key: the operator's; signs every message.
        own_node_url: base of the node behind the proxy, its api prefix included; trusted.
        own_transport: reaches that node, and only that.
        remote_transport: the guarded connection to addresses from the Registry.
        clock: the time of attempts.
        timeout_seconds: of an attempt as a whole.
        inert_url: takes the place of a customer's `response_url`; None leaves it.
    """

    def __init__(
        self,
        *,
        view: View,
        versions: Versions,
        key: Signer,
        own_node_url: str,
        own_transport: Transport,
        remote_transport: Transport,
        clock: Clock,
        timeout_seconds: float = 45.0,
        inert_url: str | None = None,
    ) -> None:
        self._view = view
        self._versions = versions
        self._key = key
        self._own_node_url = own_node_url
        self._own_transport = own_transport
        self._remote_transport = remote_transport
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._inert_url = inert_url

    def judge(self, delivery: Delivery) -> Decision | None:
        """The end or the waiting of a delivery that may not leave now; None if it may (consent.md)."""
        request = delivery.envelope.request
        verdict = self._view.index.verdict(
            delivery.envelope.customer_address,
            delivery.provider_address,
            agreement=delivery.agreement,
            module=request.module,
            role=request.interface_role,
            fresh=self._view.fresh,
        )
        match verdict.standing:
            case Standing.OPEN:
                return None
            case Standing.HELD:
                return held(f"{verdict.rule}: {verdict.reason}", now=self._clock.now())
            case Standing.CLOSED:
                return withdrawn(f"{verdict.rule}: {verdict.reason}", now=self._clock.now())

    async def prepare(self, delivery: Delivery) -> Ready | Decision:
        """A signed message for the node of the provider, or why there is none."""
        route = self._view.index.route_to(delivery.provider_address)
        version = None if route is None else await self._versions.version_of(route)
        # Judged last: whatever was waited for above, consent is that of this moment.
        objection = self.judge(delivery)
        if objection is not None:
            return objection
        if route is None or not (route.own or route.domain):
            return held("C11: no node is known for the provider", now=self._clock.now())
        if version is None:
            return held("it is unclear which version the provider's node speaks", now=self._clock.now())
        try:
            body = copy_message(
                delivery.envelope.request,
                sender=delivery.envelope.customer,
                receiver=delivery.provider,
                version=version,
                response_url=self._inert_url,
            )
        except CanonicalError as error:
            return parked(f"no node could read its body: {error}", now=self._clock.now())
        return Ready(
            url=message_url(self._own_node_url if route.own else route.domain),
            own=route.own,
            headers={
                "X-Request-ID": str(uuid.uuid4()),
                "OCN-Signature": self._key.sign(body),
                "Content-Type": "application/json",
            },
            body=body,
        )

    async def send(self, ready: Ready) -> Attempt:
        """Post it. Never raises for what may happen on the way."""
        transport = self._own_transport if ready.own else self._remote_transport
        started_at = self._clock.now()
        answer = await transport.post(
            url=ready.url, headers=ready.headers, body=ready.body, timeout_seconds=self._timeout_seconds
        )
        ended_at = self._clock.now()
        reading = read_no_answer(answer) if isinstance(answer, NoAnswer) else read_answer(answer, now=ended_at)
        return Attempt(
            started_at=started_at,
            ended_at=ended_at,
            verdict=reading.verdict,
            http_status=reading.http_status,
            ocpi_status=reading.ocpi_status,
            detail=reading.detail,
            retry_after_seconds=reading.retry_after_seconds,
            unreachable=reading.unreachable,
        )


def message_url(base: str) -> str:
    """Where a node takes messages. Of a 2.x node the Registry's domain already holds the api prefix."""
    return base.rstrip("/") + "/ocn/message"
