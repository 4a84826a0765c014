"""Load at a fixed rate over keep-alive connections; latency counts from when a request was due.

So a server that stalls is charged for everything that had to wait meanwhile, not only for the requests that happened to
be on their way.
"""

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

#: how far ahead of the first request the clock starts
_LEAD_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Latencies of one round, in milliseconds, sorted; `failures` had another status than 200."""

    latencies_ms: tuple[float, ...]
    failures: int

    def quantile(self, share: float) -> float:
        """The latency that `share` of all requests stayed below."""
        return self.latencies_ms[min(len(self.latencies_ms) - 1, int(share * len(self.latencies_ms)))]


class _Round:
    """What is to be sent, what came of it, and which connections are free."""

    def __init__(self, requests: list[bytes], rate: float) -> None:
        self.requests = requests
        self.rate = rate
        self.start = 0.0
        self.sent = 0
        self.latencies: list[float] = []
        self.failures = 0
        self.free: deque[_Connection] = deque()
        self.over = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Send what is due, as long as a connection is free; what must wait for one is due all the same."""
        self.start = time.perf_counter() + _LEAD_SECONDS
        while self.sent < len(self.requests):
            self.send_due()
            pause = self.start + self.sent / self.rate - time.perf_counter()
            await asyncio.sleep(max(pause, 0.0005))
        await self.over

    def send_due(self) -> None:
        now = time.perf_counter()
        while self.free and self.sent < len(self.requests):
            due = self.start + self.sent / self.rate
            if due > now:
                return
            self.free.popleft().ask(self.requests[self.sent], due)
            self.sent += 1

    def answered(self, connection: "_Connection", due: float, *, accepted: bool) -> None:
        self.latencies.append((time.perf_counter() - due) * 1000)
        self.failures += not accepted
        self.free.append(connection)
        self.send_due()
        if len(self.latencies) == len(self.requests) and not self.over.done():
            self.over.set_result(None)


class _Connection(asyncio.Protocol):
    """One request at a time; answers are framed by Content-Length."""

    def __init__(self, round_: _Round) -> None:
        self._round = round_
        self._transport: asyncio.Transport | None = None
        self._due = 0.0
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        self._round.free.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._round.over.done():
            self._round.over.set_exception(ConnectionError(f"a connection ended: {exc}"))

    def ask(self, request: bytes, due: float) -> None:
        self._due = due
        if self._transport is not None:
            self._transport.write(request)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        _, _, behind = self._buffer[: end + 2].lower().partition(b"\r\ncontent-length:")
        if len(self._buffer) < end + 4 + int(behind.partition(b"\r")[0]):
            return
        accepted = self._buffer.startswith(b"HTTP/1.1 200 ")
        self._buffer = b""
        self._round.answered(self, self._due, accepted=accepted)


async def load(url: str, *, requests: list[bytes], rate: float, connections: int = 16) -> Measured:
    """Send each request once, `rate` of them a second.

    Args:
        url: scheme, host and port; the requests hold their own heads.
        requests: whole HTTP/1.1 requests.
        rate: per second.
        connections: opened before the clock starts.

    Raises:
        ConnectionError: a connection ended before all was answered.
    """
    parts = urlsplit(url)
    round_ = _Round(requests, rate)
    for _ in range(connections):
        await asyncio.get_running_loop().create_connection(
            lambda: _Connection(round_), parts.hostname or "", parts.port or 80
        )
    opened = list(round_.free)
    try:
        await round_.run()
    finally:
        round_.over.cancel()
        for connection in opened:
            connection.close()
    return Measured(latencies_ms=tuple(sorted(round_.latencies)), failures=round_.failures)
