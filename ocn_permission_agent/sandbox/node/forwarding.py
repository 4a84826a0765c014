"""The two ways on from a node: to a platform of its own, or to the node of the receiver."""

from collections.abc import Mapping
from urllib.parse import quote, urlencode
from uuid import uuid4

import msgspec

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.ocn.canonical import canonical
from ocn_permission_agent.ocn.keys import OperatorKey
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.sandbox.node.call import Call
from ocn_permission_agent.sandbox.node.dialect import Dialect
from ocn_permission_agent.sandbox.node.outgoing import Outgoing
from ocn_permission_agent.sandbox.node.platforms import Platform
from ocn_permission_agent.sandbox.node.refusal import Crash, Refusal, Unanswered
from ocn_permission_agent.sandbox.node.relay import OcpiReplyText, read_reply_text

#: identifiers of OCPI's version details, by the module names of `/ocn/message`
IDENTIFIERS: Mapping[str, str] = {
    "CDRS": "cdrs",
    "CHARGING_PROFILES": "chargingprofiles",
    "COMMANDS": "commands",
    "CREDENTIALS": "credentials",
    "HUB_CLIENT_INFO": "hubclientinfo",
    "LOCATIONS": "locations",
    "SESSIONS": "sessions",
    "TARIFFS": "tariffs",
    "TOKENS": "tokens",
}


class Forwarding:
    """Sends calls on and reads what comes back. Raises what `Outgoing.call` and `read_reply_text` raise."""

    def __init__(self, *, dialect: Dialect, key: OperatorKey, outgoing: Outgoing, clock: Clock) -> None:
        self._dialect = dialect
        self._key = key
        self._outgoing = outgoing
        self._clock = clock

    async def to_platform(self, call: Call, platform: Platform, *, resource: str | None = None) -> OcpiReplyText:
        """Call the endpoint of a local receiver, or `resource` instead.

        Raises:
            Refusal: also when the receiver has no endpoint for the module.
        """
        url = resource if resource is not None else self._endpoint_url(call, platform)
        body = _unquoted(call.body) if call.module == "CUSTOM" else call.body
        raw = await self._outgoing.call(call.method, url, headers=self._platform_headers(call, platform), body=body)
        return read_reply_text(raw, dialect=self._dialect, remote=False, now=self._clock.now())

    async def to_node(self, call: Call, *, domain: str) -> OcpiReplyText:
        """Hand the call to another node as `/ocn/message`, signed by the operator of this one.

        Raises:
            Refusal: 2.x: for whatever goes wrong.
        """
        text = message_text(call, dialect=self._dialect)
        headers = {
            "X-Request-ID": str(uuid4()),
            "OCN-Signature": self._key.sign(text),
            "Content-Type": self._dialect.message_content_type,
        }
        url = f"{domain.rstrip('/')}/ocn/message"
        try:
            raw = await self._outgoing.call("POST", url, headers=headers, body=text)
            return read_reply_text(raw, dialect=self._dialect, remote=True, now=self._clock.now())
        except (Refusal, Crash) as error:
            if not self._dialect.wraps_remote_failures:
                raise
            raise Refusal(200, 3000, _wrapped(error, url)) from error

    async def versions_of(self, platform: Platform) -> OcpiReplyText:
        """Ask a platform for its OCPI versions."""
        headers = {"Authorization": self._dialect.write_token(platform.token_b or "")}
        raw = await self._outgoing.call("GET", platform.versions_url or "", headers=headers)
        return read_reply_text(raw, dialect=self._dialect, remote=False, now=self._clock.now())

    def _endpoint_url(self, call: Call, platform: Platform) -> str:
        identifier = call.custom_module_id or IDENTIFIERS.get(call.module, call.module.lower())
        endpoint = platform.endpoints.get((identifier, call.interface_role))
        if endpoint is None:
            raise self._dialect.refuse(2001, "Receiver does not support the requested module")
        url = endpoint
        if call.url_path:
            url = f"{endpoint.rstrip('/')}/{self._path(call.url_path)}"
        loses_query = call.method == "DELETE" and self._dialect.delete_loses_query
        if call.query and not loses_query:
            url += ("&" if "?" in url else "?") + urlencode(call.query)
        return url

    def _path(self, url_path: str) -> str:
        """What is appended to an endpoint: 1.x encodes all that a URL cannot hold, ``%`` included, 2.x nothing."""
        path = url_path.strip("/")
        return path if self._dialect.sends_paths_raw else quote(path.partition("#")[0], safe="/!$&'()*+,:=@;?")

    def _platform_headers(self, call: Call, platform: Platform) -> dict[str, str]:
        """What a receiver is shown (c.5): a new X-Request-ID, the customer's X-Correlation-ID."""
        headers = {
            "Authorization": self._dialect.write_token(platform.token_b or ""),
            "X-Request-ID": str(uuid4()),
            "X-Correlation-ID": call.correlation_id,
        }
        if call.module not in {"CREDENTIALS", "HUB_CLIENT_INFO"}:
            headers |= {
                "OCPI-from-country-code": call.sender.country_code,
                "OCPI-from-party-id": call.sender.party_id,
                "OCPI-to-country-code": call.receiver.country_code,
                "OCPI-to-party-id": call.receiver.party_id,
            }
        if call.ocn_signature is not None:
            headers["OCN-Signature"] = call.ocn_signature
        if self._dialect.tells_verification:
            headers["OCN-Verification-Status"] = call.verification_status or "NOT_PRESENTED"
        if call.body:
            headers["Content-Type"] = "application/json"
        return headers


def _wrapped(error: Refusal | Crash, url: str) -> str:
    """2.x's words for what another node made of a message."""
    if isinstance(error, Unanswered):
        return "Failed to post OCN message: Failed to parse HTTP response: the server prematurely closed the connection"
    if str(error).startswith("Non-OCPI response received"):
        return f"Failed to forward OCN message to {url}: {error}"
    return f"Failed to post OCN message: {error}"


def message_text(call: Call, *, dialect: Dialect) -> bytes:
    """The body of `/ocn/message` for a call: members in the documented order, absent ones left out (c.1)."""
    headers: dict[str, object] = {"Authorization": ""}
    if call.ocn_signature is not None:
        headers["OCN-Signature"] = call.ocn_signature
    headers |= {
        "X-Request-ID": call.request_id,
        "X-Correlation-ID": call.correlation_id,
        "sender": _party_member(call.sender),
        "receiver": _party_member(call.receiver),
    }
    if dialect.tells_verification:
        headers["OCN-Verification-Status"] = call.verification_status or "NOT_PRESENTED"
    members: dict[str, object] = {
        "module": call.module,
        "interface_role": call.interface_role,
        "method": call.method,
        "headers": headers,
        "url_path": call.url_path,
        "query_params": None if call.query is None else dict(call.query),
        "proxy_uid": call.proxy_uid,
        "proxy_resource": call.proxy_resource,
        "custom_module_id": call.custom_module_id,
        "body": msgspec.Raw(call.body) if call.body else None,
    }
    present = {name: value for name, value in members.items() if value is not None}
    return canonical(msgspec.json.encode(present), version=dialect.version)


def _unquoted(body: bytes) -> bytes:
    """The text inside a JSON string; anything else as it is."""
    return msgspec.json.decode(body, type=str).encode() if body.startswith(b'"') else body


def _party_member(party: Party) -> dict[str, str]:
    return {"party_id": party.party_id, "country_code": party.country_code}
