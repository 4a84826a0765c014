"""One OCPI request on its way through a node, from a platform or from another node."""

from dataclasses import dataclass, replace
from typing import Self

import msgspec

from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.route import RouteKind

#: a query parameter as a node holds it: offset, limit and duration are integers
QueryValue = str | int


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a node knows of a request; never holds `Authorization`.

    `module`, `interface_role` are spelled as in `/ocn/message` (``CHARGING_PROFILES``, ``RECEIVER``). `query` is None
    where the node's handler takes no parameters at all. `body` is canonical JSON text, empty for none. `proxy_uid`
    and `proxy_resource` belong to `/ocn/message` (ocn-protocol.md c.1). `kind` is None when it came that way.
    """

    module: str
    interface_role: str
    method: str
    sender: Party
    receiver: Party
    request_id: str
    correlation_id: str
    url_path: str | None
    query: tuple[tuple[str, QueryValue], ...] | None
    body: bytes
    kind: RouteKind | None = None
    ocn_signature: str | None = None
    proxy_uid: str | None = None
    proxy_resource: str | None = None
    custom_module_id: str | None = None
    #: 2.x only: what the customer's node thought of its signature
    verification_status: str | None = None

    @property
    def response_url(self) -> str | None:
        """Where the customer of an asynchronous request wants its result, from body or query."""
        for name, value in self.query or ():
            if name == "response_url":
                return str(value)
        if self.module not in {"COMMANDS", "CHARGING_PROFILES"} or not self.body.startswith(b"{"):
            return None
        found = _members(self.body).get("response_url")
        return None if found is None else msgspec.json.decode(found, type=str)

    def with_response_url(self, url: str) -> Self:
        """The same with another `response_url` where there was one."""
        if self.query and any(name == "response_url" for name, _ in self.query):
            query = tuple((name, url if name == "response_url" else value) for name, value in self.query)
            return replace(self, query=query)
        members = _members(self.body) | {"response_url": msgspec.Raw(msgspec.json.encode(url))}
        return replace(self, body=msgspec.json.encode(members))


def _members(body: bytes) -> dict[str, msgspec.Raw]:
    """The members of a JSON object, each still as its text."""
    return msgspec.json.decode(body, type=dict[str, msgspec.Raw])
