"""What a party received: every OCPI request, in order, body as bytes, no token."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from ocn_permission_agent.ocpi.route import Module, PathFault, Route, find_route

#: shown instead of a token
MASK = "Token ***"


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request as it arrived. `headers` has lower-case names and a masked `authorization`."""

    method: str
    raw_path: str
    raw_query: str
    headers: Mapping[str, str]
    body: bytes
    at: datetime

    @property
    def path(self) -> str:
        """Path and query as they were on the request line."""
        return f"{self.raw_path}?{self.raw_query}" if self.raw_query else self.raw_path

    @property
    def json(self) -> object:
        """The body, parsed; None when empty. Raises msgspec.DecodeError for what is no JSON."""
        return msgspec.json.decode(self.body) if self.body else None

    @property
    def route(self) -> Route | None:
        """The OCPI route of the path, whose layout is the nodes' own."""
        found = find_route(self.method, self.raw_path)
        return None if isinstance(found, PathFault) else found

    @property
    def module(self) -> Module | None:
        """The module of the path."""
        return None if self.route is None else self.route.module


class Inbox:
    """Grows only; readers may wait for more."""

    def __init__(self) -> None:
        self._received: list[Received] = []
        self._grown = asyncio.Condition()

    def __len__(self) -> int:
        return len(self._received)

    def all(self) -> tuple[Received, ...]:
        """Everything so far, oldest first."""
        return tuple(self._received)

    def of(self, module: Module) -> tuple[Received, ...]:
        """What belongs to one module."""
        return tuple(received for received in self._received if received.module is module)

    async def add(self, received: Received) -> None:
        """Keep one more and wake those who wait."""
        self._received.append(received)
        async with self._grown:
            self._grown.notify_all()

    async def until(
        self, enough: Callable[[Sequence[Received]], bool], *, within_seconds: float = 10.0
    ) -> tuple[Received, ...]:
        """Wait until what was received is enough; gives everything.

        Raises:
            TimeoutError: it was not, in time.
        """
        async with asyncio.timeout(within_seconds), self._grown:
            await self._grown.wait_for(lambda: enough(self._received))
        return tuple(self._received)

    async def until_count(self, count: int, *, within_seconds: float = 10.0) -> tuple[Received, ...]:
        """Wait for at least so many."""
        return await self.until(lambda received: len(received) >= count, within_seconds=within_seconds)

    def as_json(self) -> bytes:
        """The list that `received_url` answers with: `body` parsed where it is JSON, `body_text` as it came."""
        return msgspec.json.encode([_shown(received) for received in self._received])


def _shown(received: Received) -> dict[str, object]:
    text = received.body.decode(errors="replace")
    try:
        body: object = received.json
    except msgspec.MsgspecError:
        body = text
    return {
        "method": received.method,
        "path": received.path,
        "headers": dict(received.headers),
        "body": body,
        "body_text": text,
        "time": received.at.isoformat().replace("+00:00", "Z"),
    }
