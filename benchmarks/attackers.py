"""Platforms that keep a proxy waiting, as many as wanted, in a process of their own; a line of counts each second.

    python -m benchmarks.attackers 127.0.0.1 8080 2000

A quarter each: a head that dribbles in, a body that dribbles in, silence, and answers that nobody reads. Whoever is cut
comes back at once. Ends with its standard input.
"""

import asyncio
import contextlib
import json
import resource
import socket
import sys
from collections import Counter

_PAUSE_SECONDS = 5.0
_HEAD = (
    b"PUT /ocpi/receiver/2.2/sessions/DE/CPO/slow HTTP/1.1\r\nHost: node.example\r\nAuthorization: Token slow\r\n"
    b"X-Request-ID: r\r\nX-Correlation-ID: c\r\nOCPI-from-country-code: XX\r\nOCPI-from-party-id: SLO\r\n"
    b"OCPI-to-country-code: NL\r\nOCPI-to-party-id: MSP\r\n"
)
_BODY = b"Content-Length: 100000\r\n\r\n"
_READS_NOTHING = b"GET /large HTTP/1.1\r\nHost: node.example\r\n\r\n"


class Crowd:
    """All of them, and how often they were cut."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self.open: Counter[str] = Counter()
        self.cut: Counter[str] = Counter()

    async def attack(self, kind: str) -> None:
        """One attacker, for ever."""
        while True:
            with contextlib.suppress(OSError):
                await self._attack_once(kind)
            self.cut[kind] += 1
            await asyncio.sleep(0.2)

    async def _attack_once(self, kind: str) -> None:
        raw = socket.socket()
        raw.setblocking(False)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        try:
            await asyncio.get_running_loop().sock_connect(raw, self._address)
            reader, writer = await asyncio.open_connection(sock=raw, limit=1024)
        except OSError:
            raw.close()
            raise
        self.open[kind] += 1
        try:
            if kind == "deaf":
                writer.transport.pause_reading()  # type: ignore[attr-defined]  it is a socket's
            await self._keep_waiting(kind, reader, writer)
        finally:
            self.open[kind] -= 1
            writer.transport.abort()

    async def _keep_waiting(self, kind: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if kind == "silence":
            await reader.read(1)
            return
        if kind == "deaf":
            writer.write(_READS_NOTHING)
            # Only a write tells that the other side has cut; a deaf reader never sees it.
            while not writer.is_closing():
                await asyncio.sleep(_PAUSE_SECONDS)
                writer.write(b"\r\n")
            return
        writer.write(_HEAD if kind == "head" else _HEAD + _BODY)
        while not reader.at_eof() and not writer.is_closing():
            writer.write(b"X-A: 1\r\n" if kind == "head" else b"x")
            await asyncio.sleep(_PAUSE_SECONDS)


async def _main(host: str, port: int, count: int) -> None:
    crowd = Crowd(host, port)
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(crowd.attack(("head", "body", "silence", "deaf")[number % 4])) for number in range(count)
        ]
        ended = loop.run_in_executor(None, sys.stdin.read)
        while not ended.done():
            await asyncio.wait((ended,), timeout=1.0)
            print(json.dumps({"open": crowd.open, "cut": crowd.cut}), flush=True)
        for task in tasks:
            task.cancel()


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(_main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
