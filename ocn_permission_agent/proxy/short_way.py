"""The short way through the proxy: for a request that is here as a whole.

Nearly every request is like that, and so is its answer: here in one piece. Then nothing has to be waited for but the
node's answer, and no task, future or timer is needed: the platform's connection calls `ShortWay.begin`, the node's
calls `Crossing.answered`. Where somebody may be owed a copy, one task reads and records the node's answer before it is
passed back. Whatever is not like that takes the long way (`proxy/handler.py`), from the start or from where its answer
turns out to come in pieces. What is decided is decided by the same code on both.

::

    begin ──▶ sent ──▶ answered ── nobody may be owed a copy ────────────▶ passed back, or on to the long way
                          └─────── held (proxy/held.py) ──▶ recorded ──▶
"""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from aiohttp import StreamReader
from aiohttp.http import HttpVersion, HttpVersion11

from ocn_permission_agent.errors import RequestRefused, UpstreamError
from ocn_permission_agent.net.node import NodeConnections
from ocn_permission_agent.net.wire import WireConnection
from ocn_permission_agent.net.wire_reply import WireReply
from ocn_permission_agent.proxy.exchange import whole
from ocn_permission_agent.proxy.held import Held, Holds
from ocn_permission_agent.proxy.intake import Asked, Intake
from ocn_permission_agent.proxy.passage import Crossed, Passage, Passages
from ocn_permission_agent.proxy.refusals import Refusals, trouble_with_node
from ocn_permission_agent.proxy.relay import Gathered, arrived, head_of, whole_answer
from ocn_permission_agent.proxy.settings import ProxySettings


class Head(Protocol):
    """Of a request, as the parser gave it: aiohttp's `RawRequestMessage`, of which there are two, one in C."""

    @property
    def method(self) -> str:
        """As received."""
        ...

    @property
    def path(self) -> str:
        """The request's target."""
        ...

    @property
    def version(self) -> HttpVersion:
        """Of HTTP."""
        ...

    @property
    def raw_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """In their order."""
        ...

    @property
    def should_close(self) -> bool:
        """Whether the platform wants no other answer on this connection."""
        ...


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

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Have something done that the answer waits for; it goes on when nobody is there any more."""
        ...

    def answer(self, data: bytes, *, keep_alive: bool) -> None:
        """Send all of an answer, unless nobody is there; that request is done with."""
        ...

    def go_on(self, passage: Passage) -> None:
        """Take the long way from here."""
        ...

    def give_up(self) -> None:
        """End the connection without an answer, and abandon what was to be one."""
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
        holds: what somebody may be owed a copy of.
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
        holds: Holds,
        passages: Passages,
        refusals: Refusals,
        draining: Callable[[], bool],
    ) -> None:
        self._body_limit_bytes = settings.body_limit_bytes
        self._answer_seconds = settings.node_answer_timeout_seconds
        self._intake = intake
        self._holds = holds
        self.upstream = upstream
        self.passages = passages
        self.refusals = refusals
        self.draining = draining

    def begin(self, message: Head, body: StreamReader, platform: Platform) -> "Crossing | Passage":
        """Send a request to the node; or, with nothing of its body taken, tell what the long way begins with.

        Args:
            message: its head.
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

    def _sent(self, passage: Passage, message: Head, body: StreamReader, platform: Platform) -> "Crossing | None":
        asked = passage.asked = self._intake.read(
            method=message.method,
            target=message.path,
            version=message.version,
            raw_headers=message.raw_headers,
            peer=platform.peer,
        )
        if not self._is_plain(message, asked, body):
            return None
        held = None if asked.candidate is None else self._holds.begin(asked.candidate)
        if held is not None and not held.has_room_for(body.total_bytes):
            return None
        connection = self.upstream.idle()
        if connection is None:
            return None
        crossing = Crossing(self, passage, connection, platform, held, may_go_on=not message.should_close)
        crossing.send(asked, body.read_nowait(), self._answer_seconds)
        return crossing

    def _is_plain(self, message: Head, asked: Asked, body: StreamReader) -> bool:
        """Whether it goes to the node like most others do, with a body that is within the limit."""
        return not (
            asked.inert
            or asked.head.upgrades
            or message.version != HttpVersion11
            or body.total_bytes > self._body_limit_bytes
        )


class Crossing:
    """A request on the short way, between its platform and the node.

    Args:
        way: all of them.
        passage: is told of it.
        connection: to the node, for this exchange only.
        platform: gets the answer.
        held: if somebody may be owed a copy.
        may_go_on: the platform's connection may serve another request.
    """

    __slots__ = ("_connection", "_held", "_may_go_on", "_over", "_passage", "_platform", "_way")

    def __init__(
        self,
        way: ShortWay,
        passage: Passage,
        connection: WireConnection,
        platform: Platform,
        held: Held | None,
        *,
        may_go_on: bool,
    ) -> None:
        self._way = way
        self._passage = passage
        self._connection = connection
        self._platform = platform
        self._held = held
        self._may_go_on = may_go_on
        self._over = False

    def send(self, asked: Asked, body: bytes, answer_seconds: float) -> None:
        """Send the request, and have `answered` called."""
        connection, held = self._connection, self._held
        try:
            if held is not None:
                held.intend(held.take(body))
            self._way.passages.sent(self._passage)
            connection.begin(asked.head.method)
            # Whether the node reads it all need not be waited for: it is in memory anyway, and the answer has its time.
            connection.write(whole(asked.wire_head, body, chunked=asked.head.chunked))
        except Exception as error:
            connection.abort()
            if held is not None:
                held.end(error)
            raise
        connection.when_answered(self.answered, answer_seconds)

    def answered(self) -> None:
        """The node has answered, or will not; called by its connection, which may end after this was abandoned."""
        if self._over:
            return
        try:
            reply = self._connection.outcome()
            self._way.passages.answered(self._passage)
            self._passage.status = reply.status
            if self._held is None:
                self._pass_back(reply, arrived(reply))
            else:
                self._platform.run(self._record(self._held, reply))
        except Exception as error:  # noqa: BLE001  it is not the fault of the node's connection, which called
            self._fail(error)

    def abandon(self) -> None:
        """Wait for the node, and for what is recorded, no longer."""
        if not self._over:
            self._connection.abort()
            self._end()

    async def _record(self, held: Held, reply: WireReply) -> None:
        """Have what is due recorded before anything of the answer leaves."""
        try:
            start = await held.record(reply)
            self._passage.copies = held.copies
            if not self._over:
                self._pass_back(reply, start)
        except Exception as error:  # noqa: BLE001  a fault of one request is no other's
            self._fail(error)
        except BaseException:
            self._platform.give_up()
            raise

    def _pass_back(self, reply: WireReply, start: Gathered) -> None:
        """Answer, if all of the answer is here."""
        if not start.whole:
            self._go_the_long_way(start)
            return
        head, framing = head_of(
            reply, method=self._passage.method, client_is_old=False, keep_alive=self._connection_goes_on()
        )
        self._answer(whole_answer(head, framing, start.data), keep_alive=not framing.close)

    def _fail(self, error: Exception) -> None:
        """Say in our own name what went wrong."""
        if self._over and isinstance(error, UpstreamError):
            return  # its connection ended because this was abandoned
        if self._held is not None:
            self._held.end(error)
        if not isinstance(error, UpstreamError):
            self.abandon()
            self._platform.fail(error)
            return
        way, passage, keep_alive = self._way, self._passage, self._connection_goes_on()
        cause, reason = trouble_with_node(error)
        way.refusals.note(cause)
        passage.status = cause.http_status or 500
        data = way.refusals.answer(cause, reason, close=not keep_alive, bodiless=passage.method == "HEAD")
        self._answer(data, keep_alive=keep_alive)

    def _connection_goes_on(self) -> bool:
        return self._may_go_on and not self._way.draining()

    def _answer(self, data: bytes, *, keep_alive: bool) -> None:
        self._way.upstream.give_back(self._connection, request_complete=True)
        self._end()
        self._platform.answer(data, keep_alive=keep_alive)

    def _go_the_long_way(self, start: Gathered) -> None:
        if self._platform.gone:
            self.abandon()
            self._platform.answer(b"", keep_alive=False)
        else:
            self._over = True
            self._passage.crossed = Crossed(self._connection, self._held, start)
            self._platform.go_on(self._passage)

    def _end(self) -> None:
        self._over = True
        if self._held is not None:
            self._held.leave()
        self._way.passages.end(self._passage)
