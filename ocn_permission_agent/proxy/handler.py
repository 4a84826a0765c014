"""The long way of a request, from the platform to the node and back (house.md "One session PUT, file by file").

Every request can take it; the short way (`proxy/short_way.py`) takes what is here as a whole. What somebody may be owed
a copy of is held (`proxy/held.py`) until the node has said whether it accepted it, and its copies are durable before
the platform gets the node's answer. Everything else streams through untouched.
"""

from collections.abc import Callable
from contextlib import nullcontext
from typing import NamedTuple

from aiohttp import web

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.errors import Refusal, RequestRefused, UpstreamError
from ocn_permission_agent.net.node import NodeConnections
from ocn_permission_agent.net.wire_reply import WireReply
from ocn_permission_agent.proxy.answers import own_answer
from ocn_permission_agent.proxy.client import Client, ClientGone
from ocn_permission_agent.proxy.copier import Candidate
from ocn_permission_agent.proxy.exchange import Outgoing, TakeReply, exchange
from ocn_permission_agent.proxy.guarded import Written
from ocn_permission_agent.proxy.headers import RequestHead
from ocn_permission_agent.proxy.held import Holds
from ocn_permission_agent.proxy.intake import Intake
from ocn_permission_agent.proxy.passage import Crossed, Passage, Passages
from ocn_permission_agent.proxy.refusals import Refusals, trouble_with_node
from ocn_permission_agent.proxy.relay import Gathered, answer, arrived
from ocn_permission_agent.proxy.settings import ProxySettings


class _Underway(NamedTuple):
    """A request that is fit to be passed on; `wire_head` is its head as the node gets it."""

    head: RequestHead
    wire_head: bytes
    client: Client
    passage: Passage


class Handler:
    """Answers requests.

    Args:
        settings: limits and habits.
        intake: reads heads.
        upstream: the connections to the node.
        holds: what somebody may be owed a copy of.
        passages: told of each request.
        refusals: counts and tells what is answered in our own name.
        draining: whether connections shall end with their next answer.
        clock: durations and timestamps.
    """

    def __init__(
        self,
        *,
        settings: ProxySettings,
        intake: Intake,
        upstream: NodeConnections,
        holds: Holds,
        passages: Passages,
        refusals: Refusals,
        draining: Callable[[], bool],
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._intake = intake
        self._upstream = upstream
        self._holds = holds
        self._passages = passages
        self._refusals = refusals
        self._draining = draining
        self._clock = clock

    async def __call__(self, request: web.BaseRequest, begun: Passage | None = None) -> web.StreamResponse:
        """Answer one request; `begun` is how far it came on the short way, if it was begun there."""
        passage = self._passages.begin(request.method) if begun is None else begun
        try:
            return await self._answered(request, passage)
        finally:
            self._passages.end(passage)

    async def _answered(self, request: web.BaseRequest, passage: Passage) -> web.StreamResponse:
        """Serve a request, and say in our own name what went wrong on the way."""
        try:
            await self._serve(request, passage)
            return Written(keep_alive=passage.keep_alive)
        except RequestRefused as refused:
            return self._own(passage, refused.cause, refused.reason, close=True)
        except UpstreamError as error:
            return self._own(passage, *trouble_with_node(error))
        except ClientGone:
            return Written(keep_alive=False)

    def _own(self, passage: Passage, cause: Refusal, reason: str, *, close: bool = False) -> web.StreamResponse:
        """An answer of ours; or none, where the node's has begun already and can only be cut."""
        self._refusals.note(cause)
        client = passage.client
        if client is not None and (client.answering or cause.http_status is None):
            client.cut()
            return Written(keep_alive=False)
        passage.status = cause.http_status or 500
        keep_alive = not close and self._may_go_on(client)
        data = self._refusals.answer(cause, reason, close=not keep_alive, bodiless=passage.method == "HEAD")
        return Written(data, keep_alive=keep_alive)

    def _may_go_on(self, client: Client | None) -> bool:
        """Whether a connection may serve another request after this one."""
        return client is not None and client.complete and client.keep_alive and not self._draining()

    async def _serve(self, request: web.BaseRequest, passage: Passage) -> None:
        if passage.asked is None:
            passage.asked = self._intake.read(
                method=request.method,
                target=request.raw_path,
                version=request.version,
                raw_headers=request.raw_headers,
                peer=request.remote or "unknown",
            )
        head, _, candidate, wire_head, inert = passage.asked
        client = passage.client = Client(request, head, settings=self._settings)
        asked = _Underway(head=head, wire_head=wire_head, client=client, passage=passage)
        if inert:
            await self._answer_inert(client, passage)
        elif passage.crossed is not None:
            await self._go_on(asked, passage.crossed)
        elif candidate is None:
            await self._stream(asked)
        else:
            await self._copy(asked, candidate)

    async def _answer_inert(self, client: Client, passage: Passage) -> None:
        """Answer what was sent to the `response_url` of a copied command: thank you, and nothing happens."""
        while not client.complete:
            await client.read()
        passage.status = 200
        passage.keep_alive = self._may_go_on(client)
        await client.send(
            own_answer(
                http_status=200,
                status_code=1000,
                status_message="this was a copy; the result reaches nobody",
                now=self._clock.now(),
                close=not passage.keep_alive,
                bodiless=passage.method == "HEAD",
            )
        )

    async def _go_on(self, asked: _Underway, crossed: Crossed) -> None:
        """Pass back what the node has begun to answer to a request that was sent the short way."""
        connection, held, start = crossed
        with nullcontext() if held is None else held:
            try:
                reply = connection.outcome()
                if not start.data:
                    start = arrived(reply)  # by now it may all be here
                await self._pass_back(asked, reply, start, request_complete=True)
            finally:
                self._upstream.give_back(connection, request_complete=True)

    async def _stream(self, asked: _Underway) -> None:
        """Let a request and its reply pass."""

        async def pass_back(reply: WireReply, request_complete: bool) -> None:
            await self._pass_back(asked, reply, arrived(reply), request_complete)

        await self._exchange(asked, arrived(asked.client), pass_back)

    async def _copy(self, asked: _Underway, candidate: Candidate) -> None:
        """Hold a request and its reply, record what is due in between, then answer."""
        with self._holds.begin(candidate) as held:
            body = await held.gather(asked.client, announced_bytes=asked.head.content_length)
            held.intend(body)

            async def record(reply: WireReply, request_complete: bool) -> None:
                start = await held.record(reply)
                asked.passage.copies = held.copies
                await self._pass_back(asked, reply, start, request_complete)

            await self._exchange(asked, body, record)

    async def _exchange(self, asked: _Underway, body: Gathered, take: TakeReply[None]) -> None:
        """Send the request; `take` gets the reply."""
        self._passages.sent(asked.passage)

        async def taken(reply: WireReply, request_complete: bool) -> None:
            self._passages.answered(asked.passage)
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

    async def _pass_back(self, asked: _Underway, reply: WireReply, start: Gathered, request_complete: bool) -> None:
        """Answer with the node's reply."""
        asked.passage.status = reply.status
        asked.passage.keep_alive = await answer(
            reply,
            start,
            client=asked.client,
            method=asked.head.method,
            keep_alive=request_complete and self._may_go_on(asked.client),
        )
