"""Carrying one delivery to the node that hosts its service, or to the service itself (delivery.md "Route").

Two steps, because the store notes the start of an attempt between them: `prepare` asks for consent, now, and writes
and signs the message; `send` posts it and reads the answer.

A node may refuse a message for what it is, before anybody behind the node has seen it: an OCN-Signature is missing, or
the text is that of another version. Then `send` learns, asks for consent again, and posts the right one in the same
attempt.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec.structs import replace

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.consent.address import Address, AgreementId
from ocn_permission_agent.consent.index import ProviderRoute
from ocn_permission_agent.consent.verdict import Standing, Verdict
from ocn_permission_agent.net.answer import Answer, NoAnswer
from ocn_permission_agent.ocn.keys import OperatorKey
from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.ocpi.route import InterfaceRole, Module
from ocn_permission_agent.outbox.after_attempt import Decision, held, withdrawn
from ocn_permission_agent.outbox.answer import EXCERPT_LIMIT, NodeFault, Reading, read_answer, read_no_answer
from ocn_permission_agent.outbox.model import Attempt, AttemptVerdict, Delivery, Envelope, PlannedDelivery
from ocn_permission_agent.outbox.settings import DeliverySettings, DirectRoute
from ocn_permission_agent.outbox.signing import Signing, SigningMemory
from ocn_permission_agent.outbox.writing import Draft, ForNode, Ready, Writer

#: the worst body of this size takes some 50 ms to be written: nobody waits longer for the loop
_WRITTEN_AT_ONCE_BYTES = 8 * 1024


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
    """One HTTP request, no redirects followed; a failure is a value."""

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes, timeout_seconds: float
    ) -> Answer | NoAnswer:
        """The answer, or why there is none; within the time-out, connecting included."""
        ...


class Versions(Protocol):
    """Knows whose text a node reads."""

    def known_of(self, route: ProviderRoute) -> NodeVersion | None:
        """The version of the node at the end of a route; None if it has to be asked."""
        ...

    async def version_of(self, route: ProviderRoute) -> NodeVersion | None:
        """The same, asked if need be; None while it is unclear, then nothing is sent."""
        ...

    def forget(self, route: ProviderRoute) -> None:
        """What is known of that node may be wrong: it is to be asked again."""
        ...


class Courier:
    """Takes deliveries to their services.

    Args:
        view: the newest facts of the chain.
        versions: which text each node reads.
        key: the operator's; signs every message.
        own_node_url: base of the node behind the proxy, its api prefix included; trusted.
        own_transport: reaches that node, and only that.
        remote_transport: the guarded connection to addresses from the Registry, and to services themselves.
        clock: the time of attempts.
        settings: the time-out of an attempt, and what holds for single services.
        memory: which providers want signatures, kept; None forgets it with the process.
        inert_url: takes the place of a customer's `response_url`; None leaves it.
    """

    def __init__(
        self,
        *,
        view: View,
        versions: Versions,
        key: OperatorKey,
        own_node_url: str,
        own_transport: Transport,
        remote_transport: Transport,
        clock: Clock,
        settings: DeliverySettings,
        memory: SigningMemory | None = None,
        inert_url: str | None = None,
    ) -> None:
        self._view = view
        self._versions = versions
        self._own_transport = own_transport
        self._remote_transport = remote_transport
        self._clock = clock
        self._settings = settings
        self._writer = Writer(key=key, own_node_url=own_node_url, inert_url=inert_url, clock=clock)
        self._signing = Signing(settings=settings, memory=memory)

    def may_leave(self, envelope: Envelope, planned: PlannedDelivery) -> bool:
        """Whether, as things stand, nothing would keep a copy that is only being recorded."""
        return self._verdict(envelope, planned.provider_address, planned.agreement).standing is Standing.OPEN

    def judge(self, delivery: Delivery) -> Decision | None:
        """The end or the waiting of a delivery that may not leave now; None if it may (consent.md)."""
        verdict = self._verdict(delivery.envelope, delivery.provider_address, delivery.agreement)
        match verdict.standing:
            case Standing.OPEN:
                return None
            case Standing.HELD:
                return held(f"{verdict.rule}: {verdict.reason}", now=self._clock.now())
            case Standing.CLOSED:
                return withdrawn(f"{verdict.rule}: {verdict.reason}", now=self._clock.now())

    def _verdict(self, envelope: Envelope, provider: Address, agreement: AgreementId) -> Verdict:
        return self._view.index.verdict(
            envelope.customer_address,
            provider,
            agreement=agreement,
            module=envelope.request.module,
            role=envelope.request.interface_role,
            fresh=self._view.fresh,
        )

    def prepare_together(self, deliveries: Sequence[Delivery]) -> list[Ready | Decision | None]:
        """As `prepare` for each; None where something would have to be waited for. All are written, then all signed."""
        drafts = [self._draft_at_once(delivery) for delivery in deliveries]
        return [self._writer.signed(draft) if isinstance(draft, Draft) else draft for draft in drafts]

    def _draft_at_once(self, delivery: Delivery) -> Draft | Ready | Decision | None:
        where = self._where_at_once(delivery)
        return None if where is None else self.judge(delivery) or self._writer.draft(delivery, where)

    def _where_at_once(self, delivery: Delivery) -> ForNode | DirectRoute | None:
        """Where it goes; None where that is not known, or it takes too long to be written."""
        if len(delivery.envelope.request.body) > _WRITTEN_AT_ONCE_BYTES:
            return None
        return self._settings.of(delivery.provider).direct or self._known_node(delivery)

    def _known_node(self, delivery: Delivery) -> ForNode | None:
        """How its provider's node takes a message, as far as that is known already."""
        route = self._view.index.route_to(delivery.provider_address)
        if route is None or not (route.own or route.domain):
            return None
        version = self._versions.known_of(route)
        signed = self._signing.known(delivery.provider, delivery.provider_address)
        return None if version is None or signed is None else ForNode(route=route, version=version, signed=signed)

    async def prepare(self, delivery: Delivery) -> Ready | Decision:
        """A signed message for the node of the provider, or why there is none."""
        (ready,) = self.prepare_together([delivery])
        if ready is not None:
            return ready
        direct = self._settings.of(delivery.provider).direct
        if direct is not None:
            return self.judge(delivery) or await self._written(delivery, direct)
        route = self._view.index.route_to(delivery.provider_address)
        version = None if route is None else await self._versions.version_of(route)
        signed = await self._signing.wanted(delivery.provider, delivery.provider_address)
        # Judged last: whatever was waited for above, consent is that of this moment.
        objection = self.judge(delivery)
        if objection is not None:
            return objection
        if route is None or not (route.own or route.domain):
            return held("C11: no node is known for the provider", now=self._clock.now())
        if version is None:
            return held("version: it is unclear which one the provider's node speaks", now=self._clock.now())
        return await self._written(delivery, ForNode(route=route, version=version, signed=signed))

    async def _written(self, delivery: Delivery, where: ForNode | DirectRoute) -> Ready | Decision:
        """The message; a large one is written beside the loop, and consent asked for again afterwards."""
        if len(delivery.envelope.request.body) <= _WRITTEN_AT_ONCE_BYTES:
            return self._writer.written(delivery, where)
        written = await asyncio.to_thread(self._writer.written, delivery, where)
        return self.judge(delivery) or written

    async def send(self, ready: Ready) -> Attempt:
        """Post it. Never raises for what may happen on the way."""
        started_at, deadline = self._clock.now(), self._clock.monotonic() + self._settings.attempt_timeout_seconds
        reading = await self._post(ready, deadline)
        # At most twice: once for the text, once for the signature in it.
        for _ in range(2 if reading.fault is not None else 0):
            better = await self._better(ready, reading)
            if better is None or self._clock.monotonic() >= deadline:
                break
            if self.judge(better.delivery) is not None:
                reading = replace(reading, verdict=AttemptVerdict.NOT_PROCESSED, fault=None)
                break
            ready, reading = better, await self._post(better, deadline)
        reading = _told_apart(ready, reading)
        return Attempt(
            started_at=started_at,
            ended_at=self._clock.now(),
            verdict=reading.verdict,
            http_status=reading.http_status,
            ocpi_status=reading.ocpi_status,
            detail=reading.detail,
            retry_after_seconds=reading.retry_after_seconds,
            unreachable=reading.unreachable,
            signature_refused=reading.fault is NodeFault.SIGNATURE_REFUSED,
        )

    async def _post(self, ready: Ready, deadline: float) -> Reading:
        own = ready.node is not None and ready.node.route.own
        transport = self._own_transport if own else self._remote_transport
        answer = await transport.request(
            ready.method,
            ready.url,
            headers=ready.headers,
            body=ready.body,
            timeout_seconds=deadline - self._clock.monotonic(),
        )
        if isinstance(answer, NoAnswer):
            return read_no_answer(answer)
        direct = None if ready.node is not None else self._settings.of(ready.delivery.provider).direct
        secrets = () if direct is None else (direct.token,)
        return read_answer(answer, now=self._clock.now(), direct=ready.node is None, secrets=secrets)

    async def _better(self, ready: Ready, reading: Reading) -> Ready | None:
        """The message that the node wants instead; None where the answer stands, or nobody could write a better one."""
        node, delivery = ready.node, ready.delivery
        if node is None:
            return None
        match reading.fault:
            case NodeFault.NOTARY_MISSING if not node.signed:
                if not await self._signing.learn(delivery.provider, delivery.provider_address):
                    return None
                wanted = replace(node, signed=True)
            case NodeFault.SIGNATURE_REFUSED | NodeFault.CRASHED:
                self._versions.forget(node.route)
                version = await self._versions.version_of(node.route)
                if version is None or version is node.version:
                    return None
                if reading.fault is NodeFault.CRASHED and version is not NodeVersion.V1:
                    return None  # only 1.x crashes for the other version's text; here a service may have been called
                wanted = replace(node, version=version)
            case _:
                return None
        written = await self._written(delivery, wanted)
        return written if isinstance(written, Ready) else None


def _told_apart(ready: Ready, reading: Reading) -> Reading:
    """What an answer means of a message without the OCN-Signature that was due.

    Where the node demands one, it is this customer's signature that stands in the way, not how the service is set up.
    """
    if ready.note is None:
        return reading
    if reading.fault is NodeFault.NOTARY_MISSING:
        reading = replace(reading, verdict=AttemptVerdict.REFUSED)
    detail = f"sent without OCN-Signature, {ready.note} {reading.detail}".rstrip()
    return replace(reading, detail=detail.encode("unicode_escape").decode("ascii")[:EXCERPT_LIMIT])
