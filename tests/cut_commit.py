"""A way to the server that is cut in the middle of a commit: it is made, and nobody is told."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit


@dataclass
class Way:
    """`url` leads over it. The answer to the COMMIT that `cut_in` counts is swallowed: 1 is the next, 0 none."""

    url: str
    cut_in: int = 0
    cuts: int = 0

    def cuts_now(self, data: bytes) -> bool:
        """Whether these bytes, on their way to the server, are those after which nothing comes back."""
        if self.cut_in and b"COMMIT" in data:
            self.cut_in -= 1
            return self.cut_in == 0
        return False


@contextlib.asynccontextmanager
async def cut_commit(url: str, folder: Path) -> AsyncIterator[Way]:
    """A way to the server of a URL with a socket (``?host=/folder``)."""
    parts = urlsplit(url)
    (host,) = parse_qs(parts.query)["host"]
    way = Way(url=parts._replace(query=f"host={folder}").geturl())

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.5432")
        try:
            async with asyncio.TaskGroup() as group:
                back = group.create_task(_pass_on(behind_reader, writer))
                while data := await reader.read(65536):
                    cut = way.cuts_now(data)
                    if cut:
                        back.cancel()
                        await asyncio.wait([back])
                    behind_writer.write(data)
                    await behind_writer.drain()
                    if cut:
                        await behind_reader.read(65536)
                        way.cuts += 1
                        break
                back.cancel()
        except* ConnectionError:
            pass
        finally:
            writer.close()
            behind_writer.close()

    server = await asyncio.start_unix_server(serve, folder / ".s.PGSQL.5432")
    try:
        yield way
    finally:
        server.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
