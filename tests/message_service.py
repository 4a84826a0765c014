"""A node with a service behind it, on a real socket, that takes ``POST /ocn/message`` and can misbehave."""

import asyncio
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum

from aiohttp import web


class Mood(Enum):
    """What the service does with a message."""

    ACCEPT = "accept"
    #: the node says that nobody listens at the service's address
    REFUSED_CONNECTION = "refused_connection"
    #: the node falls over before the service has seen it
    CRASH_BEFORE = "crash_before"
    #: … and after
    CRASH_AFTER = "crash_after"
    #: the service processes it, and the connection is cut
    CUT_AFTER = "cut_after"
    #: the service itself is in trouble, after it has processed it
    SERVER_ERROR = "server_error"
    #: the service does not want it
    REFUSE = "refuse"
    #: the node wants an OCN-Signature, and passes on what has one
    WANT_SIGNATURE = "want_signature"
    #: the node does not know our key
    DISTRUST = "distrust"
    #: the answer waits until the test lets it go
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Received:
    """One message that the service has processed."""

    headers: Mapping[str, str]
    text: bytes

    @property
    def object_path(self) -> str:
        return str(json.loads(self.text).get("url_path"))

    @property
    def method(self) -> str:
        return str(json.loads(self.text)["method"])

    @property
    def is_signed(self) -> bool:
        return "OCN-Signature" in json.loads(self.text)["headers"]

    @property
    def body(self) -> object:
        return json.loads(self.text)["body"]


def accept_all() -> Mood:
    return Mood.ACCEPT


class MessageService:
    """Keeps what it processes. `mood` is asked for each message; `overlaps` counts two at a time of one object."""

    def __init__(self, mood: Callable[[], Mood] = accept_all) -> None:
        self.mood = mood
        self.received: list[Received] = []
        self.arrived: asyncio.Queue[Received] = asyncio.Queue()
        self.let_go = asyncio.Event()
        self.asked = 0
        self.overlaps = 0
        self.most_at_once = 0
        self._active: Counter[str] = Counter()
        self._runner = web.ServerRunner(web.Server(self._handle), shutdown_timeout=0.1)
        self._site: web.SockSite | None = None
        self._listening: socket.socket | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def begin(self) -> None:
        await self._runner.setup()
        await self.rise()

    async def rise(self) -> None:
        if self._site is None:
            self._listening = socket.create_server(("127.0.0.1", self._port), backlog=128)
            self._port = self._listening.getsockname()[1]
            self._site = web.SockSite(self._runner, self._listening)
            await self._site.start()

    async def fall(self) -> None:
        """Nobody listens any more: connection refused."""
        if self._site is None or self._listening is None:
            return
        # First accept nothing more, and let what was just accepted be made: asyncio (3.11) leaks a connection whose
        # server closes between the two.
        asyncio.get_running_loop().remove_reader(self._listening.fileno())
        for _ in range(5):
            await asyncio.sleep(0)
        await self._site.stop()
        self._site = None
        for connection in self._runner.server.connections if self._runner.server else []:
            connection.force_close()

    async def end(self) -> None:
        self.let_go.set()
        await self.fall()
        await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        received = Received(dict(request.headers), await request.read())
        self.asked += 1
        key = received.object_path
        self._active[key] += 1
        self.overlaps += self._active[key] > 1
        self.most_at_once = max(self.most_at_once, self._active.total())
        try:
            await asyncio.sleep(0)
            return await self._answer(request, received)
        finally:
            self._active[key] -= 1

    async def _answer(self, request: web.BaseRequest, received: Received) -> web.StreamResponse:
        mood = self.mood()
        if mood is Mood.REFUSED_CONNECTION:
            return _ocpi(200, 4003, "Connection refused (Connection refused)")
        if mood is Mood.DISTRUST:
            return _ocpi(200, 4003, "Could not verify OCN-Signature of request")
        if mood is Mood.WANT_SIGNATURE and not received.is_signed:
            return _ocpi(400, 2001, "Missing OCN Signature")
        if mood is Mood.CRASH_BEFORE:
            return web.json_response({"status": 500, "error": "Internal Server Error"}, status=500)
        self.received.append(received)
        self.arrived.put_nowait(received)
        if mood is Mood.CRASH_AFTER:
            return web.json_response({"status": 500, "error": "Internal Server Error"}, status=500)
        if mood is Mood.CUT_AFTER:
            assert request.transport is not None
            request.transport.abort()
        if mood is Mood.SERVER_ERROR:
            return _ocpi(200, 3000, "database is full")
        if mood is Mood.REFUSE:
            return _ocpi(400, 2001, "kwh is missing")
        if mood is Mood.WAIT:
            await self.let_go.wait()
        return _ocpi(200, 1000, "Success")


def _ocpi(http_status: int, code: int, message: str) -> web.Response:
    body = {"status_code": code, "status_message": message, "timestamp": "2026-03-01T10:00:00Z"}
    return web.json_response(body, status=http_status)


@asynccontextmanager
async def message_service(mood: Callable[[], Mood] = accept_all) -> AsyncIterator[MessageService]:
    service = MessageService(mood)
    await service.begin()
    try:
        yield service
    finally:
        await service.end()
