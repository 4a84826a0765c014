"""`OcpiParty`: an OCPI 2.2 and 2.2.1 platform with one role, on loopback.

It registers by the real handshake, answers what its node asks, and keeps all of it::

    GET  /ocpi/versions, /ocpi/2.2, /ocpi/2.2.1   for the node, with TOKEN_A's answer TOKEN_B
    *    /ocpi/{role}/{version}/{module}…         OCPI; kept in `inbox`
    GET  /received                                what was kept, as JSON, without a token (for people and tools)
"""

import asyncio
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import msgspec

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.ocn.keys import OperatorKey
from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.route import InterfaceRole, Module
from ocn_permission_agent.sandbox.parties.behaviour import Behaviour, misbehave
from ocn_permission_agent.sandbox.parties.client import HttpClient, Invitation, Reply
from ocn_permission_agent.sandbox.parties.inbox import MASK, Inbox, Received
from ocn_permission_agent.sandbox.parties.signing import request_signature, signed_answer
from ocn_permission_agent.sandbox.serving import Answer, Incoming, LoopbackServer

VERSIONS = ("2.2", "2.2.1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """A module in one role that a party offers."""

    module: Module
    role: InterfaceRole


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How a party reaches its node after the handshake. `node_url` has no slash at its end, but the prefix."""

    node_url: str
    version: str
    token_c: str

    @property
    def node_version(self) -> NodeVersion:
        """Which line of node software it is, told by its OCPI version."""
        return NodeVersion.V1 if self.version == "2.2" else NodeVersion.V2

    @property
    def authorization(self) -> str:
        """The header for OCPI requests: 2.x wants the token in Base64 (ocn-protocol.md a.4)."""
        token = self.token_c if self.version == "2.2" else b64encode(self.token_c.encode()).decode()
        return f"Token {token}"


class OcpiParty:
    """A party with its server and its client, inside `async with`.

    Args:
        party: who it is.
        role: OCPI role, e.g. ``CPO``.
        interfaces: what it offers to be called.
        clock: times of what it receives and sends.
        port: 0 takes any free one.

    With `sign_with(key)` it signs every request and every answer.
    """

    def __init__(
        self, party: Party, *, role: str, interfaces: Iterable[Interface], clock: Clock, port: int = 0
    ) -> None:
        self.party = party
        self.role = role
        self.interfaces = tuple(interfaces)
        self.clock = clock
        self.inbox = Inbox()
        self.behaviour = Behaviour.PROPER
        self._changed = asyncio.Event()
        self._connection: Connection | None = None
        self._signing_key: OperatorKey | None = None
        self._token_b = str(uuid4())
        self._listener = LoopbackServer(self._answer, port=port)
        self._client = HttpClient()

    @property
    def base_url(self) -> str:
        """Where it listens."""
        return self._listener.url

    @property
    def versions_url(self) -> str:
        """Given to the node in the credentials."""
        return f"{self.base_url}/ocpi/versions"

    @property
    def received_url(self) -> str:
        """Lists as JSON what it received."""
        return f"{self.base_url}/received"

    @property
    def connection(self) -> Connection:
        """Its connection; raises RuntimeError before the handshake."""
        if self._connection is None:
            raise RuntimeError(f"{self.party} is not registered with a node")
        return self._connection

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        await self._listener.up()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.__aexit__(kind, error, trace)
        await self._listener.close()

    async def up(self) -> None:
        """Come back on the same port."""
        await self._listener.up()

    async def down(self) -> None:
        """Refuse connections, cut open ones."""
        await self._listener.down()

    def behave(self, behaviour: Behaviour) -> None:
        """Answer differently from now on; requests that hang are answered."""
        self.behaviour = behaviour
        self._changed.set()
        self._changed = asyncio.Event()

    def sign_with(self, key: OperatorKey | None) -> None:
        """Sign messages from now on, or stop it with None."""
        self._signing_key = key

    async def register(self, invitation: Invitation) -> Connection:
        """Go through the handshake: versions, their details, credentials.

        Raises:
            RuntimeError: the node would not; its words are in the message.
        """
        shown = {"Authorization": f"Token {invitation.token_a}"}
        offered = _data(await self._client.call("GET", invitation.versions_url, headers=shown))
        chosen = max(offered, key=lambda entry: str(entry["version"]))
        details = _data(await self._client.call("GET", chosen["url"], headers=shown))
        credentials_url = next(e["url"] for e in details["endpoints"] if e["identifier"] == "credentials")
        node_url = invitation.versions_url.removesuffix("/ocpi/versions")
        self._connection = await self._exchange(
            "POST", credentials_url, shown, node_url=node_url, version=chosen["version"]
        )
        return self._connection

    async def renew(self) -> Connection:
        """PUT credentials: new tokens on both sides."""
        old = self.connection
        url = f"{old.node_url}/ocpi/{old.version}/credentials"
        self._token_b = str(uuid4())
        shown = {"Authorization": old.authorization}
        self._connection = await self._exchange("PUT", url, shown, node_url=old.node_url, version=old.version)
        return self._connection

    async def leave(self) -> Reply:
        """DELETE credentials."""
        left = self.connection
        url = f"{left.node_url}/ocpi/{left.version}/credentials"
        return await self._client.call("DELETE", url, headers={"Authorization": left.authorization})

    async def _exchange(
        self, method: str, url: str, shown: Mapping[str, str], *, node_url: str, version: str
    ) -> Connection:
        role = {
            "role": self.role,
            "business_details": {"name": f"{self.party} of the sandbox"},
            "party_id": self.party.party_id,
            "country_code": self.party.country_code,
        }
        credentials = {"token": self._token_b, "url": self.versions_url, "roles": [role]}
        answered = _data(await self._client.call(method, url, headers=shown, body=msgspec.json.encode(credentials)))
        return Connection(node_url=node_url, version=version, token_c=answered["token"])

    async def send(
        self,
        method: str,
        path: str,
        body: bytes | Mapping[str, Any] | None = None,
        *,
        to: Party,
        query: str = "",
        correlation_id: str | None = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> Reply:
        """Send an OCPI request through the node, under its public URL.

        Args:
            method: e.g. ``PUT``.
            path: as sent, from ``/ocpi/`` on or a whole URL (a next page, a Location, a `response_url`).
            body: bytes as they are, or an object to be written as JSON.
            to: the receiver.
            query: percent-encoded, without question mark.
            correlation_id: a new one unless given.
            headers: more of them, or other values; None leaves a header out.
        """
        url = path if "://" in path else f"{self.connection.node_url}{path}"
        all_headers: dict[str, str | None] = {
            "Authorization": self.connection.authorization,
            "X-Request-ID": str(uuid4()),
            "X-Correlation-ID": correlation_id or str(uuid4()),
            "OCPI-from-country-code": self.party.country_code,
            "OCPI-from-party-id": self.party.party_id,
            "OCPI-to-country-code": to.country_code,
            "OCPI-to-party-id": to.party_id,
        }
        if self._signing_key is not None:
            all_headers["OCN-Signature"] = request_signature(
                all_headers, query=query, body=_bytes(body), key=self._signing_key, version=self.connection.node_version
            )
        all_headers |= headers or {}
        return await self._client.call(
            method,
            f"{url}?{query}" if query else url,
            headers={name: value for name, value in all_headers.items() if value is not None},
            body=_bytes(body),
        )

    def path(self, module: Module, role: InterfaceRole, *rest: str) -> str:
        """The path of a module as nodes serve it, for `send`: charging profiles have version before role."""
        return "/".join((module_path(self.connection.version, module, role), *rest))

    async def respond(self, received: Received) -> Answer:
        """The proper answer to an OCPI request; parties that know more say more."""
        del received
        return self.success()

    def success(self, data: object = None, *, headers: Mapping[str, str] | None = None) -> Answer:
        """HTTP 200, OCPI 1000."""
        members: dict[str, object] = {"status_code": 1000}
        if data is not None:
            members["data"] = data
        members["timestamp"] = self._now()
        return Answer(body=msgspec.json.encode(members), headers=headers or {})

    def failure(self, status_code: int, message: str, *, http_status: int = 200) -> Answer:
        """An OCPI error."""
        members = {"status_code": status_code, "status_message": message, "timestamp": self._now()}
        return Answer(http_status=http_status, body=msgspec.json.encode(members))

    def _now(self) -> str:
        return self.clock.now().isoformat(timespec="seconds").replace("+00:00", "Z")

    async def _answer(self, incoming: Incoming) -> Answer:
        if incoming.raw_path == "/received":
            return Answer(body=self.inbox.as_json())
        if not self._knows(incoming.headers.get("authorization", "")):
            return self.failure(2001, "Unknown token", http_status=401)
        if incoming.raw_path == "/ocpi/versions":
            return self.success([{"version": name, "url": f"{self.base_url}/ocpi/{name}"} for name in VERSIONS])
        if incoming.raw_path in {f"/ocpi/{name}" for name in VERSIONS}:
            return self.success(self._details(incoming.raw_path.removeprefix("/ocpi/")))
        return await self._ocpi(incoming)

    async def _ocpi(self, incoming: Incoming) -> Answer:
        received = Received(
            method=incoming.method,
            raw_path=incoming.raw_path,
            raw_query=incoming.raw_query,
            headers=dict(incoming.headers) | {"authorization": MASK},
            body=incoming.body,
            at=self.clock.now(),
        )
        await self.inbox.add(received)
        while self.behaviour is Behaviour.HANGS:
            await self._changed.wait()
        bad = misbehave(self.behaviour)
        if bad is not None:
            return bad
        answer = await self.respond(received)
        if self._signing_key is not None:
            answer = signed_answer(answer, key=self._signing_key, version=self.connection.node_version)
        if self.behaviour is Behaviour.CREATES:
            return Answer(http_status=201, body=answer.body, headers=answer.headers)
        return answer

    def _knows(self, authorization: str) -> bool:
        shown = authorization.rsplit(" ", 1)[-1]
        return shown in {self._token_b, b64encode(self._token_b.encode()).decode()}

    def _details(self, version: str) -> dict[str, object]:
        endpoints = [
            {
                "identifier": interface.module.value,
                "role": interface.role.name,
                "url": self.base_url + module_path(version, interface.module, interface.role),
            }
            for interface in self.interfaces
        ]
        return {"version": version, "endpoints": endpoints}


def module_path(version: str, module: Module, role: InterfaceRole) -> str:
    """Where nodes serve a module, and where the parties of the sandbox do: ``/ocpi/receiver/2.2/sessions``."""
    first, second = (version, role.value) if module is Module.CHARGING_PROFILES else (role.value, version)
    return f"/ocpi/{first}/{second}/{module.value}"


def _bytes(body: bytes | Mapping[str, Any] | None) -> bytes:
    if body is None:
        return b""
    return body if isinstance(body, bytes) else msgspec.json.encode(body)


def _data(reply: Reply) -> Any:
    if not reply.accepted:
        raise RuntimeError(f"the node refused: {reply.http_status} {reply.body.decode(errors='replace')}")
    return reply.json["data"]
