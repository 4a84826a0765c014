"""One connection of a platform, where requests part: the short way or the long one.

aiohttp's task (`web.RequestHandler.start`) sleeps until a request comes in. One that may take the short way
(`proxy/short_way.py`) never wakes it: what it waits for is kept out of aiohttp's sight until the answer is written.
The task, another for each request, and what they need cost a quarter of what a request does. Whatever is not fit for
the short way wakes the task as ever, and that calls the long way (`proxy/handler.py`).

         a request comes in
    asleep ----------------> crossing ---- answer ----> asleep, or with what has come in meanwhile: long way
       |                        |
       | not fit                | the node's answer comes in pieces
       +-------> long way <-----+
                    |
                    +---- done ----> asleep, with what has come in before that: as if it came in now
"""

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any, Protocol

from aiohttp import StreamReader, web
from aiohttp.http import RawRequestMessage

from ocn_permission_agent.errors import Refusal
from ocn_permission_agent.proxy.guarded import FAULT, GuardedConnection, Hall
from ocn_permission_agent.proxy.passage import Passage
from ocn_permission_agent.proxy.settings import ProxySettings
from ocn_permission_agent.proxy.short_way import Crossing, Platform


class Handle(Protocol):
    """Answers one request; told how far it came on the short way, if it was begun there."""

    def __call__(self, request: web.BaseRequest, begun: Passage | None = None, /) -> Awaitable[web.StreamResponse]:
        """Answer it."""
        ...


class Begin(Protocol):
    """Begins the short way, or tells what the long one begins with (`ShortWay.begin`)."""

    def __call__(self, message: RawRequestMessage, body: StreamReader, platform: Platform, /) -> Crossing | Passage:
        """Begin."""
        ...


class Connection(GuardedConnection):
    """As aiohttp has it, but for requests that take the short way.

    Args:
        server: aiohttp's own idea of all connections.
        hall: ours.
        handle: the long way.
        begin: the short way.
        loop: the running one.
        settings: the limits.
    """

    def __init__(
        self,
        server: web.Server,
        *,
        hall: Hall,
        handle: Handle,
        begin: Begin,
        loop: asyncio.AbstractEventLoop,
        settings: ProxySettings,
    ) -> None:
        super().__init__(server, hall=hall, loop=loop, settings=settings)
        self._long_way = handle
        self._short_way = begin
        self._request_handler = self._handle
        #: address of the other end
        self.peer = "unknown"
        #: what is on the short way; until it is over, the first of aiohttp's queue of messages
        self._crossing: Crossing | None = None
        #: what aiohttp's task waits for meanwhile
        self._asleep: asyncio.Future[None] | None = None
        #: those that aiohttp does not know of; there once its own task runs
        self._tasks: asyncio.TaskGroup
        #: what has come in before that task was ready for it, out of its sight
        self._postponed: list[tuple[Any, StreamReader]] = []
        #: what the long way begins with
        self._begun: Passage | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        if isinstance(self.peername, tuple):
            self.peer = str(self.peername[0])

    async def start(self) -> None:
        """Serve; what `run` has begun ends with it."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                await super().start()
        finally:
            self.give_up()

    @property
    def waits_for_peer(self) -> bool:
        """See `GuardedConnection`; on the short way it is the node's turn."""
        return self._crossing is None and super().waits_for_peer

    # --- which way ------------------------------------------------------------------------------------------------

    def _parse(self, data: bytes) -> None:
        asleep, self._waiter = self._waiter, None  # or aiohttp would wake its task for every request
        try:
            super()._parse(data)
        finally:
            self._waiter = asleep

    def _came_in(self) -> None:
        if self._crossing is not None:
            return  # it waits its turn
        asleep = self._waiter
        if self._postponed:
            self._hide()
        elif asleep is None and len(self._messages) == 1 and not self._request_in_progress:
            self._postpone()
        elif asleep is not None and not asleep.done():
            self._begin(asleep)

    def _begin(self, asleep: asyncio.Future[None]) -> None:
        """A request has come in, and nothing else is going on."""
        message, body = self._messages[0]
        if (
            len(self._messages) == 1
            and isinstance(message, RawRequestMessage)
            and body.is_eof()
            and not self._upgraded
            and self._wire is not None
            and self._wire.get_write_buffer_size() == 0
        ):
            try:
                begun = self._short_way(message, body, self)
            except Exception as error:  # noqa: BLE001  it must not get to the event loop, which would log it
                return self.fail(error)
            if isinstance(begun, Crossing):
                self._crossing, self._asleep, self._waiter = begun, asleep, None
                self._request_in_progress = True
                return None
            self._begun = begun
        asleep.set_result(None)
        return None

    def _postpone(self) -> None:
        """A request came right behind an answer of the long way: aiohttp's task is done, and will go to sleep.

        Under load that is the usual case. If the task found the request, it would take the long way, and so would all
        that follow on this connection.
        """
        self._hide()
        self._loop.call_soon(self._begin_postponed)  # the task's own turn comes before that

    def _hide(self) -> None:
        self._postponed += self._messages
        self._messages.clear()

    def _begin_postponed(self) -> None:
        self._messages.extend(self._postponed)
        self._postponed.clear()
        if len(self._messages) >= self._max_msg_queue_size and not self._buffer_paused:
            self._pause_reading_for_buffer()  # the parser has stopped there; aiohttp goes on when the queue is shorter
        asleep = self._waiter
        if asleep is not None and not asleep.done():
            self._begin(asleep)
        # else it has not gone to sleep, and will see the request; or the connection is being closed

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        begun, self._begun = self._begun, None
        return await self._long_way(request, begun)

    @property
    def gone(self) -> bool:
        """Whether there is nobody to answer any more."""
        return self.transport is None or self.transport.is_closing()

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """See `short_way.Platform`; aiohttp's task, asleep meanwhile, is its parent."""
        self._tasks.create_task(work)

    def answer(self, data: bytes, *, keep_alive: bool) -> None:
        """Send all of an answer of the short way, and be ready for the next request."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)
        self._messages.popleft()
        if self._parser is not None:
            self._parser.message_consumed()
        if not keep_alive:
            self._close = True
        self._leave_short_way()

    def go_on(self, passage: Passage) -> None:
        """Let the long way finish what was begun on the short one."""
        self._begun = passage
        self._wake_task()

    def give_up(self) -> None:
        """See `short_way.Platform`; nothing if no request is on the short way."""
        if self._crossing is not None:
            self.force_close()
            self._crossing.abandon()
            self._leave_short_way()

    def fail(self, error: Exception) -> None:
        """Answer a fault of ours on the short way; the connection ends."""
        self._hall.tell(Refusal.FAULT, error)
        if not self.gone and self.transport is not None:
            self.transport.write(self._own(Refusal.FAULT, FAULT))
        self._close = True
        self._leave_short_way()

    def _leave_short_way(self) -> None:
        """A request is done with."""
        self._request_in_progress = False
        if self._handler_waiter is not None and not self._handler_waiter.done():
            self._handler_waiter.set_result(None)
        if self._messages and not (self._close or self._force_close):
            self._wake_task()
            return
        self._give_task_back()
        if self._close or self._force_close:
            self.force_close()
        else:
            self._wait_for_next()

    def _give_task_back(self) -> None:
        self._crossing = None
        if self._asleep is not None:
            self._waiter, self._asleep = self._asleep, None

    def _wake_task(self) -> None:
        """From here on everything is up to aiohttp's task."""
        self._give_task_back()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _wait_for_next(self) -> None:
        """Have the time for the next head begin, as aiohttp's task does after a request."""
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(self._next_keepalive_close_time, self._process_keepalive)

    async def shutdown(self, timeout: float | None = 15.0) -> None:  # noqa: ASYNC109  aiohttp's
        """End it; what is still on the short way after the time-out is given up."""
        await super().shutdown(timeout)
        self.give_up()
