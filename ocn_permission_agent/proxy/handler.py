"""One request, from the platform to the node and back (house.md "One session PUT, file by file").

Most requests stream through untouched. Only one that somebody may be owed a copy of is held until the node has said
whether it accepted it, and its copies are durable before the platform gets the node's answer.
"""

from collections.abc import Callable
from typing import NamedTuple

from aiohttp import web
from prometheus_client import Counter

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.errors import (
    AgentError,
    Refusal,
    RequestRefused,
    UpstreamBroken,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from ocn_permission_agent.log import Log
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.net.node import NodeConnections
from ocn_permission_agent.net.wire_reply import WireReply
from ocn_permission_agent.ocpi.route import Route, find_route
from ocn_permission_agent.proxy.answers import is_inert, own_answer
from ocn_permission_agent.proxy.buffers import Budget, Share
from ocn_permission_agent.proxy.client import Client, ClientGone
from ocn_permission_agent.proxy.copier import Candidate, Copier
from ocn_permission_agent.proxy.exchange import Outgoing, TakeReply, exchange
from ocn_permission_agent.proxy.headers import Limits, RequestHead, read_head, request_head
from ocn_permission_agent.proxy.refusals import Refusals
from ocn_permission_agent.proxy.relay import Gathered, answer, arrived, gather
from ocn_permission_agent.proxy.server import Written
from ocn_permission_agent.proxy.settings import NodeSettings, ProxySettings

_METHODS = frozenset({"GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS"})


class _Notes:
    """What is to be told of a request once it is answered."""

    __slots__ = ("client", "copies", "head", "keep_alive", "method", "node_seconds", "route", "started", "status")

    def __init__(self, method: str, started: float) -> None:
        self.method = method
        self.started = started
        self.head: RequestHead | None = None
        self.route: Route | None = None
        self.client: Client | None = None
        #: of the answer; 499 as long as nobody was there to get one
        self.status = 499
        self.copies = 0
        self.keep_alive = False
        #: from the first byte to the node until its answer began; None if it never began
        self.node_seconds: float | None = None


class _Asked(NamedTuple):
    """A request that is fit to be passed on; `wire_head` is its head as the node gets it."""

    head: RequestHead
    wire_head: bytes
    client: Client
    notes: _Notes


class Handler:
    """Answers requests.

    Args:
        settings: limits and habits.
        node: the node's api prefix.
        upstream: the connections to the node.
        copier: decides and records copies.
        refusals: counts and tells what is answered in our own name.
        draining: whether connections shall end with their next answer.
        clock: durations and timestamps.
        metrics: requests and overhead.
        log: one line per request.
    """

    def __init__(
        self,
        *,
        settings: ProxySettings,
        node: NodeSettings,
        upstream: NodeConnections,
        copier: Copier,
        refusals: Refusals,
        draining: Callable[[], bool],
        clock: Clock,
        metrics: Metrics,
        log: Log,
    ) -> None:
        self._settings = settings
        self._node = node
        self._upstream = upstream
        self._copier = copier
        self._refusals = refusals
        self._draining = draining
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._counters: dict[tuple[str, str, str, int], Counter] = {}
        self._budget = Budget(settings.buffer_total_bytes)
        self._limits = Limits(headers=settings.headers_limit, url_bytes=settings.url_limit_bytes)
        #: requests that are being answered
        self.in_flight = 0
        #: OCPI version of the last route that the node knew: ``2.2`` or ``2.2.1``
        self.version_seen: str | None = None

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        self.in_flight += 1
        notes = _Notes(request.method, self._clock.monotonic())
        try:
            return await self._answered(request, notes)
        finally:
            self.in_flight -= 1
            self._tell(notes)

    async def _answered(self, request: web.BaseRequest, notes: _Notes) -> web.StreamResponse:
        """Serve a request, and say in our own name what went wrong on the way."""
        try:
            await self._serve(request, notes)
            return Written(keep_alive=notes.keep_alive)
        except RequestRefused as refused:
            return self._own(notes, refused.cause, refused.reason, close=True)
        except UpstreamUnreachable:
            return self._own(notes, Refusal.NODE_UNREACHABLE, "the OCN node cannot be reached")
        except UpstreamTimeout:
            return self._own(notes, Refusal.NODE_SILENT, "the OCN node did not answer in time")
        except UpstreamBroken:
            return self._own(notes, Refusal.NODE_BROKEN, "the OCN node closed the connection")
        except ClientGone:
            return Written(keep_alive=False)

    def _own(self, notes: _Notes, cause: Refusal, reason: str, *, close: bool = False) -> web.StreamResponse:
        """An answer of ours; or none, where the node's has begun already and can only be cut."""
        self._refusals.note(cause)
        client = notes.client
        if client is not None and (client.answering or cause.http_status is None):
            client.cut()
            return Written(keep_alive=False)
        notes.status = cause.http_status or 500
        keep_alive = not close and self._may_go_on(client)
        data = own_answer(
            http_status=notes.status,
            status_code=cause.ocpi_status,
            status_message=reason,
            now=self._clock.now(),
            close=not keep_alive,
            bodiless=notes.method == "HEAD",
        )
        return Written(data, keep_alive=keep_alive)

    def _may_go_on(self, client: Client | None) -> bool:
        """Whether a connection may serve another request after this one."""
        return client is not None and client.complete and client.keep_alive and not self._draining()

    async def _serve(self, request: web.BaseRequest, notes: _Notes) -> None:
        head = notes.head = read_head(
            method=request.method,
            target=request.raw_path,
            http_minor=request.version[1] if request.version[0] == 1 else 0,
            raw_headers=request.raw_headers,
            limits=self._limits,
        )
        client = notes.client = Client(request, head, settings=self._settings)
        path = head.path
        if is_inert(path):
            return await self._answer_inert(client, notes)
        route = find_route(head.method, path, api_prefix=self._node.api_prefix)
        notes.route = route if isinstance(route, Route) else None
        candidate = self._copier.candidate(method=head.method, query=head.query, read=head.read, route=route)
        wire_head = request_head(
            head,
            node_host=self._upstream.authority,
            preserve_host=self._settings.preserve_host,
            peer=request.remote or "unknown",
            scheme=b"http" if self._settings.tls is None else b"https",
        )
        asked = _Asked(head=head, wire_head=wire_head, client=client, notes=notes)
        if candidate is None:
            await self._stream(asked)
        else:
            await self._copy(asked, candidate)
        return None

    async def _answer_inert(self, client: Client, notes: _Notes) -> None:
        """Answer what was sent to the `response_url` of a copied command: thank you, and nothing happens."""
        while not client.complete:
            await client.read()
        notes.status = 200
        notes.keep_alive = self._may_go_on(client)
        await client.send(
            own_answer(
                http_status=200,
                status_code=1000,
                status_message="this was a copy; the result reaches nobody",
                now=self._clock.now(),
                close=not notes.keep_alive,
                bodiless=notes.method == "HEAD",
            )
        )

    async def _stream(self, asked: _Asked) -> None:
        """Let a request and its reply pass."""

        async def pass_back(reply: WireReply, request_complete: bool) -> None:
            await self._pass_back(asked, reply, arrived(reply), request_complete)

        await self._exchange(asked, arrived(asked.client), pass_back)

    async def _copy(self, asked: _Asked, candidate: Candidate) -> None:
        """Hold a request and its reply, record what is due in between, then answer.

        What ends this otherwise, as the end of the process, leaves the intent open: it becomes a gap at the next start.
        """
        self._copier.demand_recording()
        with self._budget.share() as share:
            body = await gather(
                asked.client,
                share,
                announced_bytes=asked.head.content_length,
                limit_bytes=self._settings.body_limit_bytes,
            )
            due = self._copier.intend(candidate, body.data)

            async def record(reply: WireReply, request_complete: bool) -> None:
                start = await self._record(asked, due, body, reply, share)
                self._copier.settle(due)
                await self._pass_back(asked, reply, start, request_complete)

            try:
                await self._exchange(asked, body, record)
            except (UpstreamTimeout, UpstreamBroken):
                if asked.notes.node_seconds is None:
                    self._copier.missed(due, "unknown_outcome")
                self._copier.settle(due)
                raise
            except (AgentError, ClientGone):
                self._copier.settle(due)
                raise
            except Exception:
                if self._copier.settle(due):
                    self._copier.missed(due, "internal_error")
                raise

    async def _record(
        self, asked: _Asked, candidate: Candidate, body: Gathered, reply: WireReply, share: Share
    ) -> Gathered:
        """Read a reply and record what is due by it; what was read of it."""
        if not body.whole:
            if 200 <= reply.status < 300:
                self._copier.missed(candidate, "buffer_full")
            return arrived(reply)
        try:
            start = await gather(
                reply, share, announced_bytes=reply.length, limit_bytes=self._settings.body_limit_bytes
            )
        except (UpstreamTimeout, UpstreamBroken):
            self._copier.missed(candidate, "unknown_outcome")
            raise
        if not start.whole:
            self._copier.missed(candidate, "unknown_outcome")
            return start
        asked.notes.copies = await self._copier.record(
            candidate,
            body=body.data,
            http_status=reply.status,
            reply=start.data,
            reply_encoding=reply.header(b"content-encoding"),
        )
        return start

    async def _exchange(self, asked: _Asked, body: Gathered, take: TakeReply[None]) -> None:
        """Send the request; `take` gets the reply."""
        sent_at = self._clock.monotonic()

        async def taken(reply: WireReply, request_complete: bool) -> None:
            asked.notes.node_seconds = self._clock.monotonic() - sent_at
            await take(reply, request_complete)

        await exchange(
            Outgoing(
                method=asked.head.method,
                head=asked.wire_head,
                first=body.data,
                complete=body.whole,
                chunked=asked.head.chunked,
            ),
            taken,
            upstream=self._upstream,
            client=asked.client,
            answer_timeout_seconds=self._settings.node_answer_timeout_seconds,
        )

    async def _pass_back(self, asked: _Asked, reply: WireReply, start: Gathered, request_complete: bool) -> None:
        """Answer with the node's reply."""
        asked.notes.status = reply.status
        asked.notes.keep_alive = await answer(
            reply,
            start,
            client=asked.client,
            method=asked.head.method,
            keep_alive=request_complete and self._may_go_on(asked.client),
        )

    def _counter(self, module: str, role: str, method: str, status: int) -> Counter:
        """The counter of such requests; the look-up by labels is what counting costs."""
        key = (module, role, method, status)
        counter = self._counters.get(key)
        if counter is None:
            counter = self._counters[key] = self._metrics.requests.labels(module, role, method, str(status))
        return counter

    def _tell(self, notes: _Notes) -> None:
        """Count and log a finished request."""
        route, head = notes.route, notes.head
        module = route.module.value if route is not None else "other"
        role = route.interface_role.value if route is not None else "none"
        method = notes.method if notes.method in _METHODS else "other"
        self._counter(module, role, method, notes.status).inc()
        total_seconds = self._clock.monotonic() - notes.started
        if notes.node_seconds is not None:
            self._metrics.proxy_overhead_seconds.observe(max(total_seconds - notes.node_seconds, 0.0))
        if route is not None and 200 <= notes.status < 300:
            self.version_seen = route.version
        tell = self._log.info if notes.copies else self._log.debug
        tell(
            "request.proxied",
            method=method,
            module=module,
            interface_role=role,
            status=notes.status,
            copies=notes.copies,
            correlation_id="" if head is None else head.read.get("x-correlation-id", "")[:64],
            duration_ms=round(total_seconds * 1000, 2),
            node_ms=None if notes.node_seconds is None else round(notes.node_seconds * 1000, 2),
        )
