"""Our own JSON-RPC client: batches that are checked, deadlines, a limit on what is read.

General libraries accept batches with missing items or wrong ids, and retry without looking at what was asked
(permissions-contract.md §3). Here every trouble is `ChainUnavailable`, and the watcher decides when to try again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import aiohttp
import orjson

from ocn_permission_agent.chain.backoff import asked_pause_seconds
from ocn_permission_agent.chain.text import shown
from ocn_permission_agent.clock import Clock
from ocn_permission_agent.errors import ChainAnswerTooLarge, ChainUnavailable
from ocn_permission_agent.hiding import hide

BATCH_LIMIT = 100
#: words of a path such as "rpc" and "v3" are no secrets
_SHORTEST_SECRET = 8
DEADLINE_SECONDS = 20.0
#: more than the logs of one full block can take, hex-encoded
ANSWER_LIMIT_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One JSON-RPC call."""

    method: str
    params: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An error object in place of a result. `text` is the endpoint's, escaped; for people only, never decided upon."""

    code: int
    text: str


class RpcClient:
    """Speaks to one endpoint; an async context manager.

    Args:
        url: may hold a secret in path, query or user part; only its host is ever shown.
        clock: measures what `Retry-After` asks for.
        deadline_seconds: for one HTTP request, from connecting to the last byte.
    """

    def __init__(self, *, url: str, clock: Clock, deadline_seconds: float = DEADLINE_SECONDS) -> None:
        self._url = url
        parts = urlsplit(url)
        self._endpoint = f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
        self._secrets = _secrets_of(parts)
        self._clock = clock
        self._timeout = aiohttp.ClientTimeout(total=deadline_seconds)
        self._session: aiohttp.ClientSession | None = None
        self._last_id = 0
        self._silent_until = 0.0

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    @property
    def endpoint(self) -> str:
        """What may be shown of the URL: host and port."""
        return self._endpoint

    def asked_pause_seconds(self) -> float:
        """How long the endpoint still asks to be left alone."""
        return max(0.0, self._silent_until - self._clock.monotonic())

    async def call(self, method: str, *params: Any) -> Any:
        """The result of one call.

        Raises:
            ChainUnavailable: no answer, or the endpoint refused.
        """
        (answer,) = await self.batch([Call(method=method, params=params)])
        return self.demand(answer)

    def demand(self, answer: Any) -> Any:
        """The result, where a refusal is of no use; raises ChainUnavailable."""
        if isinstance(answer, Refusal):
            raise ChainUnavailable(f"{self.endpoint} refused: {answer.code} {answer.text}")
        return answer

    async def batch(self, calls: Sequence[Call]) -> list[Any | Refusal]:
        """The results in the order of the calls, in HTTP requests of at most 100 each.

        Raises:
            ChainAnswerTooLarge: over the limit; fewer calls or a smaller range may do.
            ChainUnavailable: no answer in time, not HTTP 200, not JSON, or items are missing or are not ours.
        """
        results: list[Any | Refusal] = []
        for start in range(0, len(calls), BATCH_LIMIT):
            results += await self._send(calls[start : start + BATCH_LIMIT])
        return results

    async def _send(self, calls: Sequence[Call]) -> list[Any | Refusal]:
        first = self._last_id + 1
        self._last_id += len(calls)
        body = orjson.dumps(
            [
                {"jsonrpc": "2.0", "id": first + place, "method": call.method, "params": call.params}
                for place, call in enumerate(calls)
            ]
        )
        text = await self._post(body)
        try:
            answer = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise ChainUnavailable(f"{self.endpoint} answered something that is not JSON") from error
        return self._in_order(answer, first=first, count=len(calls))

    def _in_order(self, answer: object, *, first: int, count: int) -> list[Any | Refusal]:
        if isinstance(answer, dict) and "error" in answer:
            refusal = self._refusal(answer["error"])
            raise ChainUnavailable(f"{self.endpoint} refused the batch: {refusal.code} {refusal.text}")
        if not isinstance(answer, list) or len(answer) != count:
            raise ChainUnavailable(f"{self.endpoint} did not answer every call of a batch")
        found: dict[int, Any | Refusal] = {}
        for item in answer:
            number = item.get("id") if isinstance(item, dict) else None
            if type(number) is not int or not first <= number < first + count or number in found:
                raise ChainUnavailable(f"{self.endpoint} answered a call that was not asked")
            if item.get("error") is not None:
                found[number] = self._refusal(item["error"])
            elif "result" in item:
                found[number] = item["result"]
            else:
                raise ChainUnavailable(f"{self.endpoint} answered neither a result nor an error")
        return [found[number] for number in range(first, first + count)]

    def _refusal(self, error: object) -> Refusal:
        fields = error if isinstance(error, dict) else {}
        code = fields.get("code")
        message = hide(str(fields.get("message", "")), self._secrets)
        return Refusal(code=code if isinstance(code, int) else 0, text=shown(message.encode("utf-8", "replace")))

    async def _post(self, body: bytes) -> bytes:
        if self._session is None:
            raise ChainUnavailable("the connection to the chain is closed")
        if self.asked_pause_seconds() > 0:
            raise ChainUnavailable(f"{self.endpoint} asked to be left alone for {self.asked_pause_seconds():.0f} s")
        try:
            async with self._session.post(
                self._url, data=body, headers={"Content-Type": "application/json"}, allow_redirects=False
            ) as response:
                if response.status != 200:
                    asked = asked_pause_seconds(response.headers.get("Retry-After"))
                    self._silent_until = self._clock.monotonic() + asked
                    raise ChainUnavailable(f"{self.endpoint} answered HTTP {response.status}")
                return await self._read(response.content)
        except TimeoutError as error:
            raise ChainUnavailable(f"{self.endpoint} did not answer within {self._timeout.total:.0f} s") from error
        except (aiohttp.ClientError, OSError) as error:
            # The library's own words may repeat the URL, and with it a secret: only the kind of error is told.
            raise ChainUnavailable(f"{self.endpoint} cannot be asked: {type(error).__name__}") from None

    async def _read(self, content: aiohttp.StreamReader) -> bytes:
        pieces = bytearray()
        async for piece in content.iter_any():
            pieces += piece
            if len(pieces) > ANSWER_LIMIT_BYTES:
                raise ChainAnswerTooLarge(f"{self.endpoint} answered more than {ANSWER_LIMIT_BYTES} bytes")
        return bytes(pieces)


def _secrets_of(url: SplitResult) -> tuple[str, ...]:
    """What endpoints may repeat of a URL, and nobody is to see: all but its host."""
    secrets = {url.path.strip("/"), *url.path.split("/"), url.query, url.username or "", url.password or ""}
    secrets |= {value for _, value in parse_qsl(url.query)} | {unquote(url.password or "")}
    return tuple(secret for secret in secrets if len(secret) >= _SHORTEST_SECRET)
