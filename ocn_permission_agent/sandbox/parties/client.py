"""The calling side of a party: plain HTTP towards its node, and what came back."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec
from yarl import URL

from ocn_permission_agent.ocpi.party import Party


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the node answered; header names in lower case."""

    http_status: int
    headers: Mapping[str, str]
    body: bytes
    request_id: str = ""
    correlation_id: str = ""

    @property
    def json(self) -> Any:
        """The body, parsed; raises msgspec.DecodeError for what is no JSON."""
        return msgspec.json.decode(self.body)

    @property
    def status_code(self) -> int | None:
        """The OCPI status, where there is one."""
        try:
            found = self.json
        except msgspec.MsgspecError:
            return None
        return found.get("status_code") if isinstance(found, dict) else None

    @property
    def status_message(self) -> str | None:
        """The OCPI status message, where there is one."""
        return self.json.get("status_message") if self.status_code is not None else None

    @property
    def accepted(self) -> bool:
        """HTTP 2xx with OCPI 1xxx."""
        return 200 <= self.http_status < 300 and 1000 <= (self.status_code or 0) < 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """What an operator hands to a party that wants in: TOKEN_A and the node's versions URL."""

    token_a: str
    versions_url: str


class HttpClient:
    """One keep-alive client; an async context manager. Raises aiohttp.ClientError and TimeoutError."""

    def __init__(self, *, timeout_seconds: float = 60.0) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=self._timeout)
        self._session._retry_connection = False  # nothing is ever sent twice
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def call(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes = b"") -> Reply:
        """One request; the URL goes out as it is written."""
        if self._session is None:
            raise RuntimeError("use it inside `async with`")
        given = {"Content-Type": "application/json"} if body else {}
        async with self._session.request(
            method,
            URL(url, encoded=True),
            headers=given | dict(headers),
            data=body or None,
            allow_redirects=False,
            skip_auto_headers=("Content-Type",),
        ) as reply:
            return Reply(
                http_status=reply.status,
                headers={name.lower(): value for name, value in reply.headers.items()},
                body=await reply.read(),
                request_id=headers.get("X-Request-ID", ""),
                correlation_id=headers.get("X-Correlation-ID", ""),
            )


async def invite(admin_url: str, api_key: str, *parties: Party) -> Invitation:
    """Ask a node's admin interface for a TOKEN_A.

    Args:
        admin_url: what stands before ``/admin``, never the public URL through a proxy.
        api_key: the operator's (``ocn.node.apikey``).
        parties: those that the platform will bring.

    Raises:
        RuntimeError: the node would not; its words are in the message.
    """
    wanted = [{"party_id": party.party_id, "country_code": party.country_code} for party in parties]
    async with HttpClient() as client:
        reply = await client.call(
            "POST",
            f"{admin_url}/admin/generate-registration-token",
            headers={"Authorization": f"Token {api_key}"},
            body=msgspec.json.encode(wanted),
        )
    if reply.http_status != 200:
        raise RuntimeError(f"the node gave no TOKEN_A: {reply.http_status} {reply.body.decode(errors='replace')}")
    return Invitation(token_a=reply.json["token"], versions_url=reply.json["versions"])
