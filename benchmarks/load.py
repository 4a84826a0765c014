"""Load at a fixed rate over keep-alive connections; latency counts from when a request was due."""

import asyncio
import time
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Latencies of one round, in milliseconds, sorted; `failures` had another status than 200."""

    latencies_ms: tuple[float, ...]
    failures: int

    def quantile(self, share: float) -> float:
        """The latency that `share` of all requests stayed below."""
        return self.latencies_ms[min(len(self.latencies_ms) - 1, int(share * len(self.latencies_ms)))]


async def load(url: str, *, requests: list[bytes], rate: float, connections: int = 16) -> Measured:
    """Send each request once, `rate` of them a second.

    Args:
        url: scheme, host and port; the requests hold their own heads.
        requests: whole HTTP/1.1 requests.
        rate: per second.
        connections: opened before the clock starts.
    """
    parts = urlsplit(url)
    opened = [await asyncio.open_connection(parts.hostname, parts.port) for _ in range(connections)]
    free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for connection in opened:
        free.put_nowait(connection)
    latencies: list[float] = []
    failures = 0

    async def one(request: bytes, due: float) -> None:
        nonlocal failures
        connection = await free.get()
        reader, writer = connection
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.partition(b":")[2]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
        )
        await reader.readexactly(length)
        free.put_nowait(connection)
        latencies.append((time.perf_counter() - due) * 1000)
        failures += not head.startswith(b"HTTP/1.1 200 ")

    start = time.perf_counter() + 0.1
    async with asyncio.TaskGroup() as group:
        for number, request in enumerate(requests):
            due = start + number / rate
            pause = due - time.perf_counter()
            if pause > 0:
                await asyncio.sleep(pause)
            group.create_task(one(request, due))
    for _, writer in opened:
        writer.close()
    return Measured(latencies_ms=tuple(sorted(latencies)), failures=failures)
