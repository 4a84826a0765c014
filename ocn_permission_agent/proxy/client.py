"""The platform's side of one exchange: its body comes in, the answer goes out."""

import asyncio

from aiohttp import web

from ocn_permission_agent.errors import AgentError, RequestRefused
from ocn_permission_agent.proxy.headers import RequestHead
from ocn_permission_agent.proxy.settings import ProxySettings

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
        self._received_bytes = 0
        self._owes_continue = head.expects_continue and head.has_body
        #: whether a part of the answer is on the wire
        self.answering = False
        if (head.content_length or 0) > settings.body_limit_bytes:
            raise self._too_large()

    @property
    def complete(self) -> bool:
        """Whether all of the body has arrived; the next `read` then has all that is left."""
        return self._content.is_eof()

    @property
    def keep_alive(self) -> bool:
        """Whether the platform wants to go on with this connection."""
        return self._request.keep_alive

    @property
    def is_old(self) -> bool:
        """Whether it speaks HTTP/1.0."""
        return self._request.version < (1, 1)

    async def read(self) -> bytes:
        """The next piece of the body as sent, empty at its end.

        Raises:
            RequestRefused: 400 broken framing, 408 nothing came for too long, 413 over the limit.
            ClientGone: the connection ended.
        """
        piece = await self._piece()
        self._received_bytes += len(piece)
        if self._received_bytes > self._settings.body_limit_bytes:
            raise self._too_large()
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
            async with asyncio.timeout(self._settings.body_idle_timeout_seconds):
                return await content.readany()
        except TimeoutError as error:
            raise RequestRefused(408, 2001, "the body did not arrive in time") from error
        except (OSError, RuntimeError) as error:
            raise ClientGone("the platform is gone") from error
        except web.RequestPayloadError as error:
            raise RequestRefused(400, 2001, "the body's framing is broken") from error

    def _too_large(self) -> RequestRefused:
        return RequestRefused(413, 2001, f"body larger than {self._settings.body_limit_bytes} bytes")

    async def send(self, data: bytes) -> None:
        """Write bytes of the answer, waiting while the platform does not read.

        Raises:
            ClientGone: the connection ended, or nothing was read for too long.
        """
        self.answering = True
        try:
            async with asyncio.timeout(self._settings.body_idle_timeout_seconds):
                await self._writer.write(data)
        except (OSError, TimeoutError, RuntimeError) as error:
            raise ClientGone("the platform is gone") from error

    def cut(self) -> None:
        """End the connection in the middle of an answer, so that nobody takes it for complete."""
        if self._request.transport is not None:
            self._request.transport.abort()
