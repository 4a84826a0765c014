"""From an answered request to recorded copies, or to the reason why there are none."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple, Protocol

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.consent.index import Entitlement
from ocn_permission_agent.errors import Refusal, RequestRefused, StoreUnavailable
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.reply import read_reply
from ocn_permission_agent.ocpi.request import OcpiRequest, request_on
from ocn_permission_agent.ocpi.route import InterfaceRole, Module, PathFault, Route, RouteKind
from ocn_permission_agent.outbox.gaps import Gap
from ocn_permission_agent.outbox.lane import object_of
from ocn_permission_agent.outbox.model import CopyPlan
from ocn_permission_agent.proxy.coding import plain
from ocn_permission_agent.proxy.copying import NotCopied, never_copied, plan_copies
from ocn_permission_agent.proxy.settings import NodeSettings, ProxySettings

#: nobody asks why these were not copied
_READS = frozenset({"GET", "HEAD", "OPTIONS"})


class Index(Protocol):
    """Who must hear it, as of one block (`ConsentIndex`)."""

    @property
    def block_number(self) -> int:
        """0 before the first complete sync."""
        ...

    def has_agreements(self, sender: Party) -> bool:
        """Whether any request of this party may be due."""
        ...

    def providers_for(self, sender: Party, module: Module, role: InterfaceRole) -> tuple[Entitlement, ...]:
        """Who must hear of a request to this interface."""
        ...


class View(Protocol):
    """Where the newest index is found (`ConsentView`)."""

    @property
    def index(self) -> Index:
        """The newest one."""
        ...


class Recorder(Protocol):
    """Where copies become durable."""

    @property
    def can_record(self) -> bool:
        """Whether a copy would be recorded now, as far as is known."""
        ...

    async def record(self, plan: CopyPlan) -> int:
        """Store a plan in one transaction, durable on return; the number of deliveries.

        Raises:
            StoreUnavailable: nothing was stored.
        """
        ...


class Intents(Protocol):
    """Where it is noted, before the node is asked, that a copy may be due."""

    def begin(
        self,
        *,
        at: datetime,
        customer: str,
        customer_address: str,
        module: str,
        method: str,
        object_id: str,
        correlation_id: str,
    ) -> int:
        """Note it; the number to `end` it with."""
        ...

    def end(self, number: int) -> bool:
        """It is recorded, or need not be; whether nobody had said so before. One that is a gap stays until written."""
        ...


class Gaps(Protocol):
    """Where what could not be recorded is counted."""

    def note(self, gap: Gap, *, error: str = "") -> None:
        """Count and tell a gap; `error` is what was wrong, in words."""
        ...


class Notes(Protocol):
    """Where it is kept for a while why a request was not copied."""

    def note(self, request: OcpiRequest, reason: str, *, at: datetime) -> None:
        """Keep it; costs nothing that a customer would wait for."""
        ...


class Candidate(NamedTuple):
    """A request that is due to somebody if the node accepts it. `request` lacks its body yet.

    `object_id` and `intent` are known once the request is about to go to the node.
    """

    request: OcpiRequest
    entitlements: tuple[Entitlement, ...]
    content_encoding: str
    object_id: str = ""
    intent: int = 0


class Copier:
    """Asks consent before a request goes to the node, and records what is due after the node's answer.

    Nothing here may keep the customer from its answer: what fails becomes a counted gap.

    Args:
        view: what the chain says.
        recorder: the outbox.
        gaps: counts what could not be recorded.
        intents: survive the death of the process.
        node: api prefix and own party.
        settings: `copy_reads` and the limits.
        clock: when copies are recorded.
        metrics: gets what is not copied.
        notes: likewise, one by one, but for reads; None keeps nothing.
    """

    def __init__(
        self,
        *,
        view: View,
        recorder: Recorder,
        gaps: Gaps,
        intents: Intents,
        node: NodeSettings,
        settings: ProxySettings,
        clock: Clock,
        metrics: Metrics,
        notes: Notes | None = None,
    ) -> None:
        self._view = view
        self._recorder = recorder
        self._gaps = gaps
        self._intents = intents
        self._node = node
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._notes = notes

    def candidate(
        self, *, method: str, query: str, read: Mapping[str, str], route: Route | PathFault
    ) -> Candidate | None:
        """Tell whether somebody may be owed a copy; None lets the request stream.

        Args:
            method: as received.
            query: still percent-encoded.
            read: headers that decide, names in lower case.
            route: what the path is.
        """
        try:
            return self._candidate(method=method, query=query, read=read, route=route)
        except Exception as error:  # noqa: BLE001  the customer's request goes on whatever is wrong with consent
            self._gaps.note(Gap(reason="internal_error", at=self._clock.now()), error=type(error).__name__)
            return None

    def _candidate(
        self, *, method: str, query: str, read: Mapping[str, str], route: Route | PathFault
    ) -> Candidate | None:
        if route is PathFault.UNKNOWN:
            return None
        index = self._view.index
        sender = Party(read.get("ocpi-from-country-code", ""), read.get("ocpi-from-party-id", ""))
        if isinstance(route, PathFault):
            if index.has_agreements(sender):
                self._metrics.not_copied.labels(NotCopied.UNCLEAR_PATH.value).inc()
            return None
        if index.block_number == 0:
            if route.kind is not RouteKind.PROXIED and method != "GET":
                self._gaps.note(Gap(reason="first_sync", at=self._clock.now(), module=route.module.value))
            return None
        if not index.has_agreements(sender):
            return None
        entitlements = index.providers_for(sender, route.module, route.interface_role)
        if not entitlements and method in _READS:
            return None
        request = request_on(route, method=method, raw_query=query, headers=read)
        if request is None or self._ruled_out(request, entitlements):
            return None
        return Candidate(request, entitlements, read.get("content-encoding", ""))

    def _ruled_out(self, request: OcpiRequest, entitlements: tuple[Entitlement, ...]) -> bool:
        """Whether it is known beforehand that nobody is owed a copy; noted then."""
        reason = never_copied(request, own_party=self._node.own_party, copy_reads=self._settings.copy_reads)
        if reason is None and not entitlements:
            reason = NotCopied.NOT_COVERED
        if reason is not None:
            self._not_copied(request, reason)
        return reason is not None

    def demand_recording(self) -> None:
        """With `strict`, take nothing that may be due while no copy could be recorded.

        Raises:
            RequestRefused: 503; nothing has been sent to the node.
        """
        if self._settings.strict and not self._recorder.can_record:
            raise RequestRefused(Refusal.UNRECORDABLE, "copies that are due cannot be recorded now; try again later")

    def intend(self, candidate: Candidate, body: bytes) -> Candidate:
        """Note that a request goes to the node; end that with `settle`.

        Args:
            candidate: what will be asked.
            body: of the request, as far as it is known.
        """
        request, entitled = candidate.request, candidate.entitlements[0]
        whole = request
        unknown = False
        if request.route.kind is RouteKind.CDR:  # only a CDR has its id in the body
            whole = request.with_body(body)
            unknown = not body or candidate.content_encoding != ""
        object_id = "" if unknown else object_of(whole)[1]
        intent = self._intents.begin(
            at=self._clock.now(),
            customer=str(entitled.customer),
            customer_address=entitled.customer_address,
            module=request.route.module._value_,
            method=request.method,
            object_id=object_id,
            correlation_id=request.correlation_id,
        )
        return Candidate(request, candidate.entitlements, candidate.content_encoding, object_id, intent)

    def settle(self, candidate: Candidate) -> bool:
        """Note that what became of a request is known and written down; whether that is new."""
        return self._intents.end(candidate.intent)

    async def record(
        self, candidate: Candidate, *, body: bytes, http_status: int, reply: bytes, reply_encoding: str
    ) -> int:
        """Record what is due of an answered request; the number of copies.

        Args:
            candidate: what was asked.
            body: of the request, as sent.
            http_status: of the reply.
            reply: its body, as sent.
            reply_encoding: its `Content-Encoding`.
        """
        try:
            return await self._record(
                candidate, body=body, http_status=http_status, reply=reply, reply_encoding=reply_encoding
            )
        except StoreUnavailable as error:
            self._missed(candidate, "store_unavailable", error=str(error))
        except Exception as error:  # noqa: BLE001  the customer gets its answer whatever is wrong with the copy
            self._missed(candidate, "internal_error", error=type(error).__name__)
        return 0

    async def _record(
        self, candidate: Candidate, *, body: bytes, http_status: int, reply: bytes, reply_encoding: str
    ) -> int:
        limit = self._settings.body_limit_bytes
        readable = plain(reply, reply_encoding, limit_bytes=limit)
        content = plain(body, candidate.content_encoding, limit_bytes=limit)
        plan = plan_copies(
            request=candidate.request.with_body(content or b""),
            reply=read_reply(http_status, b"" if readable is None else readable),
            entitlements=candidate.entitlements,
            recorded_at=self._clock.now(),
        )
        if isinstance(plan, NotCopied):
            if plan.is_gap:
                self._missed(candidate, plan.value)
            else:
                self._not_copied(candidate.request, plan)
            return 0
        if content is None:
            self._missed(candidate, "unreadable_body")
            return 0
        return await self._recorder.record(plan)

    def missed(self, candidate: Candidate, reason: str) -> None:
        """Count and tell a copy that was, or may have been, due and could not be recorded.

        Args:
            candidate: what was asked.
            reason: label of ``gaps_total``.
        """
        self._missed(candidate, reason)

    def _missed(self, candidate: Candidate, reason: str, *, error: str = "") -> None:
        request = candidate.request
        gap = Gap(
            reason=reason,
            at=self._clock.now(),
            module=request.module.value,
            method=request.method,
            customer=str(candidate.entitlements[0].customer),
            customer_address=candidate.entitlements[0].customer_address,
            object_id=candidate.object_id,
            correlation_id=request.correlation_id,
            intent=candidate.intent,
        )
        self._gaps.note(gap, error=error)

    def _not_copied(self, request: OcpiRequest, reason: NotCopied) -> None:
        self._metrics.not_copied.labels(reason.value).inc()
        if self._notes is not None and reason is not NotCopied.READ:
            self._notes.note(request, reason.value, at=self._clock.now())
