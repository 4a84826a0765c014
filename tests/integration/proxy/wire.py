"""The two ends of the wire as raw sockets: what is seen is bytes, with nobody's idea of HTTP in between."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

OK_BODY = b'{"status_code":1000,"timestamp":"2026-03-01T10:00:00Z"}'


def reply(body: bytes = OK_BODY, *, status: str = "200 OK", headers: bytes = b"") -> bytes:
    """A complete answer with a Content-Length."""
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s" % (status.encode(), len(body), headers, body)


@dataclass
class Seen:
    """One request as it stood on the wire."""

    head: bytes
    body: bytes = b""
    raw_body: bytes = b""
    trailers: bytes = b""

    @property
    def request_line(self) -> bytes:
        return self.head.split(b"\r\n")[0]

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Names as spelled, values without the white space around them."""
        lines = (line.partition(b":") for line in self.header_lines)
        return [(name, value.strip(b" \t")) for name, _, value in lines]

    @property
    def header_lines(self) -> list[bytes]:
        return self.head.rstrip(b"\r\n").split(b"\r\n")[1:]

    def values(self, name: bytes) -> list[bytes]:
        lines = (line.partition(b":") for line in self.header_lines)
        return [value.strip() for key, _, value in lines if key.lower() == name.lower()]


async def read_message(reader: asyncio.StreamReader, *, bodiless: bool = False) -> Seen:
    """Read one request or reply; a body without a length runs to the end of the connection."""
    seen = Seen(await reader.readuntil(b"\r\n\r\n"))
    return seen if bodiless else await read_body(reader, seen)


async def read_body(reader: asyncio.StreamReader, seen: Seen) -> Seen:
    """Add the body of a message whose head was read."""
    if seen.values(b"transfer-encoding"):
        while True:
            line = await reader.readline()
            size = int(line.partition(b";")[0], 16)
            seen.raw_body += line
            if size == 0:
                while (line := await reader.readline()) not in (b"\r\n", b""):
                    seen.trailers += line
                return seen
            chunk = await reader.readexactly(size + 2)
            seen.raw_body += chunk
            seen.body += chunk[:-2]
    length = seen.values(b"content-length")
    if length:
        seen.body = await reader.readexactly(int(length[0]))
    elif seen.head.startswith(b"HTTP/"):
        seen.body = await reader.read()
    return seen


async def read_reply(reader: asyncio.StreamReader, method: str) -> Seen:
    """Read the final reply to a request of this method, interim ones left out."""
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        status = head.split(b" ", 2)[1]
        if not status.startswith(b"1"):
            break
    seen = Seen(head)
    return seen if method == "HEAD" or status in (b"204", b"304") else await read_body(reader, seen)


Script = Callable[[Seen], bytes]
Connected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class RawNode:
    """A node that keeps what it sees and says what its script tells; `on_connection` replaces it altogether."""

    script: Script = lambda seen: reply()  # noqa: ARG005
    on_connection: Connected | None = None
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    tls: ssl.SSLContext | None = None
    #: answers the first request of a connection whatever else is said, and does not keep it
    warming: bool = False
    #: ends the connection after each answer
    closes: bool = False
    busy: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{'http' if self.tls is None else 'https'}://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.busy += 1
        self.idle.clear()
        self.writers.append(writer)
        try:
            if self.warming:
                await read_message(reader)
                writer.write(reply())
            if self.on_connection is not None:
                await self.on_connection(reader, writer)
                return
            while True:
                seen = await read_message(reader)
                self.seen.append(seen)
                self.asked.set()
                writer.write(self.script(seen))
                await writer.drain()
                if self.closes:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.busy -= 1
            if self.busy == 0:
                self.idle.set()
            writer.close()


@asynccontextmanager
async def listening(node: RawNode) -> AsyncIterator[RawNode]:
    node.idle.set()
    server = await asyncio.start_server(node.serve, "127.0.0.1", node.port, ssl=node.tls)
    node.port = server.sockets[0].getsockname()[1]
    try:
        yield node
    finally:
        server.close()
        for writer in node.writers:
            writer.close()
        await server.wait_closed()
        await node.idle.wait()


@dataclass
class Line:
    """A platform's connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, data: bytes, *, bodiless: bool = False) -> Seen:
        self.writer.write(data)
        await self.writer.drain()
        return await read_message(self.reader, bodiless=bodiless)

    async def ended(self) -> bool:
        """Whether the other side closes, with nothing more to say."""
        async with asyncio.timeout(5):
            return await self.reader.read() == b""


@asynccontextmanager
async def line_to(address: tuple[str, int], tls: ssl.SSLContext | None = None) -> AsyncIterator[Line]:
    reader, writer = await asyncio.open_connection(*address, ssl=tls)
    try:
        yield Line(reader, writer)
    finally:
        writer.close()


async def ask(address: tuple[str, int], data: bytes, *, bodiless: bool = False) -> Seen:
    async with line_to(address) as line, asyncio.timeout(10):
        return await line.ask(data, bodiless=bodiless)
