"""The platform's side of one exchange: its body comes in, the answer goes out."""

import asyncio

from aiohttp import StreamReader, web

from ocn_permission_agent.errors import AgentError, Refusal, RequestRefused
from ocn_permission_agent.proxy.headers import RequestHead
from ocn_permission_agent.proxy.intake import too_large
from ocn_permission_agent.proxy.settings import ProxySettings

#: what of a body, or all the rest of it, must arrive within the idle time: a dribble is no progress
_PROGRESS_BYTES = 16 * 1024
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class ClientGone(AgentError):
    """The platform's connection ended; there is nobody to answer."""


class Client:
    """One request's platform. All bytes of the answer are written here, as they are."""

    def __init__(self, request: web.BaseRequest, head: RequestHead, *, settings: ProxySettings) -> None:
        self._request = request
        self._content = request.content
        self._writer = request.writer
        self._settings = settings
        self._upgrades = head.upgrades
        self._received_bytes = 0
        #: seconds that may still be waited for the next `_PROGRESS_BYTES`, and what has come of them
        self._patience_seconds = settings.body_idle_timeout_seconds
        self._progress_bytes = 0
        self._owes_continue = head.expects_continue and head.has_body
        #: whether a part of the answer is on the wire
        self.answering = False

    @property
    def complete(self) -> bool:
        """Whether all of the body has arrived; the next `read` then has all that is left."""
        return self._content.is_eof()

    @property
    def keep_alive(self) -> bool:
        """Whether the platform wants to go on with this connection, and can."""
        return self._request.keep_alive and not self._upgrades

    @property
    def is_old(self) -> bool:
        """Whether it speaks HTTP/1.0."""
        return self._request.version < (1, 1)

    async def read(self) -> bytes:
        """The next piece of the body as sent, empty at its end.

        Raises:
            RequestRefused: 400 broken framing, 408 it comes too slowly, 413 over the limit.
            ClientGone: the connection ended.
        """
        return self._counted(await self._piece())

    def take(self) -> bytes:
        """What has arrived and was not read yet; may only be called once the body is `complete`.

        Raises:
            RequestRefused, ClientGone: as `read`.
        """
        try:
            return self._counted(self._content.read_nowait())
        except (OSError, RuntimeError) as error:
            raise ClientGone("the platform is gone") from error
        except web.RequestPayloadError as error:
            raise RequestRefused(Refusal.FRAMING, "the body's framing is broken") from error

    def _counted(self, piece: bytes) -> bytes:
        self._received_bytes += len(piece)
        if self._received_bytes > self._settings.body_limit_bytes:
            raise too_large(self._settings.body_limit_bytes)
        self._progress_bytes += len(piece)
        if self._progress_bytes >= _PROGRESS_BYTES:
            self._progress_bytes = 0
            self._patience_seconds = self._settings.body_idle_timeout_seconds
        return piece

    async def _piece(self) -> bytes:
        content = self._content
        try:
            if content.is_eof():
                return content.read_nowait()
            if self._owes_continue:
                self._owes_continue = False
                await self._writer.write(_CONTINUE)
                self._writer.output_size = 0
            return await self._awaited(content)
        except TimeoutError as error:
            raise RequestRefused(Refusal.SLOW_BODY, "the body did not arrive in time") from error
        except (OSError, RuntimeError) as error:
            raise ClientGone("the platform is gone") from error
        except web.RequestPayloadError as error:
            raise RequestRefused(Refusal.FRAMING, "the body's framing is broken") from error

    async def _awaited(self, content: StreamReader) -> bytes:
        """Wait for the platform; time that the node takes is not counted against it."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.timeout(self._patience_seconds):
            piece = await content.readany()
        self._patience_seconds -= loop.time() - began
        return piece

    async def send(self, data: bytes) -> None:
        """Write bytes of the answer, waiting while the platform does not read.

        Raises:
            ClientGone: the connection ended.
            RequestRefused: nothing was read for too long.
        """
        self.answering = True
        try:
            transport = self._request.transport
            if transport is None or transport.is_closing():
                raise ClientGone("the platform is gone")
            transport.write(data)
            self._writer.output_size += len(data)
            if self._request.protocol.writing_paused:
                async with asyncio.timeout(self._settings.body_idle_timeout_seconds):
                    await self._writer.drain()
        except TimeoutError as error:
            raise RequestRefused(Refusal.SLOW_READER, "the answer is not read") from error
        except (OSError, RuntimeError) as error:
            raise ClientGone("the platform is gone") from error

    def cut(self) -> None:
        """End the connection in the middle of an answer, so that nobody takes it for complete."""
        if self._request.transport is not None:
            self._request.transport.abort()
