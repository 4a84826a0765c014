"""The short way through the proxy: for a request that is here as a whole and that nobody is owed a copy of.

Nearly every request is like that, and so is its answer: here in one piece. Then nothing has to be waited for but the
node's answer, and no task, future or timer is needed: the platform's connection calls `ShortWay.begin`, the node's
calls `Crossing.answered`. Whatever is not like that takes the long way (`proxy/handler.py`), from the start or from
where its answer turns out to come in pieces. What is decided is decided by the same code on both.
"""

from collections.abc import Callable
from typing import Protocol

from aiohttp import StreamReader
from aiohttp.http import HttpVersion11, RawRequestMessage

from ocn_permission_agent.errors import RequestRefused, UpstreamError
from ocn_permission_agent.net.node import NodeConnections
from ocn_permission_agent.net.wire import WireConnection
from ocn_permission_agent.net.wire_reply import WireReply
from ocn_permission_agent.proxy.exchange import whole
from ocn_permission_agent.proxy.intake import Asked, Intake
from ocn_permission_agent.proxy.passage import Passage, Passages
from ocn_permission_agent.proxy.refusals import Refusals, trouble_with_node
from ocn_permission_agent.proxy.relay import head_of, whole_answer
from ocn_permission_agent.proxy.settings import ProxySettings


class Platform(Protocol):
    """The connection that a request came from."""

    @property
    def peer(self) -> str:
        """Address of its other end."""
        ...

    @property
    def gone(self) -> bool:
        """Whether there is nobody to answer."""
        ...

    def answer(self, data: bytes, *, keep_alive: bool) -> None:
        """Send all of an answer, unless nobody is there; that request is done with."""
        ...

    def go_on(self, passage: Passage) -> None:
        """Take the long way from here."""
        ...

    def fail(self, error: Exception) -> None:
        """Tell a fault of ours, of a request that was not answered, and end the connection."""
        ...


class ShortWay:
    """Sends requests that may take it.

    Args:
        settings: limits and habits.
        intake: reads heads.
        upstream: the connections to the node.
        passages: told of each request.
        refusals: counts and tells what is answered in our own name.
        draining: whether connections shall end with their next answer.
    """

    def __init__(
        self,
        *,
        settings: ProxySettings,
        intake: Intake,
        upstream: NodeConnections,
        passages: Passages,
        refusals: Refusals,
        draining: Callable[[], bool],
    ) -> None:
        self._body_limit_bytes = settings.body_limit_bytes
        self._answer_seconds = settings.node_answer_timeout_seconds
        self._intake = intake
        self.upstream = upstream
        self.passages = passages
        self.refusals = refusals
        self.draining = draining

    def begin(self, message: RawRequestMessage, body: StreamReader, platform: Platform) -> "Crossing | Passage":
        """Send a request to the node; or, with nothing of its body taken, tell what the long way begins with.

        Args:
            message: its head, as the parser gave it.
            body: of which all is here.
            platform: gets the answer.
        """
        passage = self.passages.begin(message.method)
        try:
            return self._sent(passage, message, body, platform) or passage
        except RequestRefused:
            return passage  # the long way reads it again, and says so
        except Exception:
            self.passages.end(passage)
            raise

    def _sent(
        self, passage: Passage, message: RawRequestMessage, body: StreamReader, platform: Platform
    ) -> "Crossing | None":
        asked = passage.asked = self._intake.read(
            method=message.method,
            target=message.path,
            version=message.version,
            raw_headers=message.raw_headers,
            peer=platform.peer,
        )
        if asked.candidate is not None or not self._is_plain(message, asked, body):
            return None
        connection = self.upstream.idle()
        if connection is None:
            return None
        crossing = Crossing(self, passage, connection, platform, may_go_on=not message.should_close)
        connection.begin(message.method)
        # Whether the node reads it all need not be waited for: it is in memory anyway, and the answer has its time.
        connection.write(whole(asked.wire_head, body.read_nowait(), chunked=asked.head.chunked))
        self.passages.sent(passage)
        connection.when_answered(crossing.answered, self._answer_seconds)
        return crossing

    def _is_plain(self, message: RawRequestMessage, asked: Asked, body: StreamReader) -> bool:
        """Whether it goes to the node like most others do, with a body that is within the limit."""
        return not (
            asked.inert
            or asked.head.upgrades
            or message.version != HttpVersion11
            or body.total_bytes > self._body_limit_bytes
        )


class Crossing:
    """A request on the short way, between its platform and the node."""

    __slots__ = ("_connection", "_may_go_on", "_over", "_passage", "_platform", "_way")

    def __init__(
        self,
        way: ShortWay,
        passage: Passage,
        connection: WireConnection,
        platform: Platform,
        *,
        may_go_on: bool,
    ) -> None:
        self._way = way
        self._passage = passage
        self._connection = connection
        self._platform = platform
        self._may_go_on = may_go_on
        self._over = False

    def answered(self) -> None:
        """The node has answered, or will not; called by its connection, which may end after this was abandoned."""
        if self._over:
            return
        try:
            self._answer()
        except Exception as error:  # noqa: BLE001  it is not the fault of the node's connection, which called
            self.abandon()
            self._platform.fail(error)

    def abandon(self) -> None:
        """Wait for the node no longer."""
        if not self._over:
            self._connection.abort()
            self._end()

    def _answer(self) -> None:
        way, passage = self._way, self._passage
        keep_alive = self._may_go_on and not way.draining()
        try:
            reply = self._connection.outcome()
            way.passages.answered(passage)
            passage.status = reply.status
            if not reply.complete:
                return self._go_the_long_way()
            data, keep_alive = self._whole(reply, keep_alive=keep_alive)
        except UpstreamError as error:
            cause, reason = trouble_with_node(error)
            way.refusals.note(cause)
            passage.status = cause.http_status or 500
            data = way.refusals.answer(cause, reason, close=not keep_alive, bodiless=passage.method == "HEAD")
        way.upstream.give_back(self._connection, request_complete=True)
        self._end()
        self._platform.answer(data, keep_alive=keep_alive)
        return None

    def _whole(self, reply: WireReply, *, keep_alive: bool) -> tuple[bytes, bool]:
        """The answer, and whether another request may follow it."""
        head, framing = head_of(reply, method=self._passage.method, client_is_old=False, keep_alive=keep_alive)
        return whole_answer(head, framing, reply.take()), not framing.close

    def _go_the_long_way(self) -> None:
        if self._platform.gone:
            self.abandon()
            self._platform.answer(b"", keep_alive=False)
        else:
            self._over = True
            self._passage.connection = self._connection
            self._platform.go_on(self._passage)

    def _end(self) -> None:
        self._over = True
        self._way.passages.end(self._passage)
