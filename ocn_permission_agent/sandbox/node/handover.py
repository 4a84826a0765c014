"""From a checked call to the receiver's reply and back: callbacks, proxy numbers, links (b.4, c.4, f)."""

from dataclasses import replace
from typing import Protocol
from uuid import uuid4

from ocn_permission_agent.ocpi.route import RouteKind
from ocn_permission_agent.sandbox.node.call import Call
from ocn_permission_agent.sandbox.node.dialect import Dialect
from ocn_permission_agent.sandbox.node.forwarding import IDENTIFIERS, Forwarding
from ocn_permission_agent.sandbox.node.platforms import Platform
from ocn_permission_agent.sandbox.node.proxied import ProxyNumbers
from ocn_permission_agent.sandbox.node.refusal import Refusal
from ocn_permission_agent.sandbox.node.relay import OcpiReplyText, write_reply_text
from ocn_permission_agent.sandbox.node.seal import Seal
from ocn_permission_agent.sandbox.serving import Answer

_NEXT = '; rel="next"'
_PAGE_HEADERS = ("X-Total-Count", "X-Limit")
#: handed on to another node as they are
_MESSAGE_HEADERS = ("Location", "Link", *_PAGE_HEADERS)


class PublicUrl(Protocol):
    """Where the node tells others to find it: its own address or that of a proxy before it, prefix included."""

    def __call__(self) -> str:
        """Without a slash at its end."""
        ...


class Handover:
    """Hands calls over and takes replies back. Raises what `Forwarding` raises."""

    def __init__(
        self, *, dialect: Dialect, proxied: ProxyNumbers, forwarding: Forwarding, seal: Seal, public_url: PublicUrl
    ) -> None:
        self._dialect = dialect
        self._proxied = proxied
        self._forwarding = forwarding
        self._seal = seal
        self._public_url = public_url

    async def to_local(self, call: Call, platform: Platform) -> OcpiReplyText:
        """From one of the node's platforms to another."""
        resource = self._kept_resource(call)
        wanted = call.response_url
        if wanted is not None:
            number = self._proxied.keep(wanted, asker=call.receiver, holder=call.sender)
            call = self._with_callback(call, f"{self._public_url()}{self._callback_path(call)}/{number}")
        return await self._forwarding.to_platform(call, platform, resource=resource)

    async def to_remote(self, call: Call, *, domain: str) -> OcpiReplyText:
        """From one of the node's platforms to another node."""
        resource = self._kept_resource(call)
        wanted = call.response_url
        if resource is not None:
            call = replace(call, proxy_resource=resource)
        elif wanted is not None:
            uid = str(uuid4())
            callback = f"{domain.rstrip('/')}{self._callback_path(call)}/{uid}"
            call = replace(self._with_callback(call, callback), proxy_uid=uid, proxy_resource=wanted)
        return await self._forwarding.to_node(call, domain=domain)

    async def from_remote(self, call: Call, platform: Platform) -> OcpiReplyText:
        """From another node to one of the node's platforms; `proxy_resource` is kept for a callback or called."""
        resource = call.proxy_resource
        if resource is not None and call.proxy_uid is not None:
            self._proxied.keep(resource, asker=call.receiver, holder=call.sender, uid=call.proxy_uid)
            resource = None
        return await self._forwarding.to_platform(call, platform, resource=resource)

    async def versions_of(self, platform: Platform) -> OcpiReplyText:
        """What a platform answers at its versions URL."""
        return await self._forwarding.versions_of(platform)

    def answer_to_platform(self, call: Call, reply: OcpiReplyText) -> Answer:
        """The answer to a platform, with the URLs of the receiver behind numbers of ours."""
        headers: dict[str, str] = {}
        is_page = call.kind is RouteKind.PROXIED and call.interface_role == "SENDER"
        location = reply.header("Location", self._dialect)
        if reply.succeeded and call.kind is RouteKind.CDR and location is not None:
            number = self._keep(location, call)
            headers["Location"] = f"{self._public_url()}/ocpi/receiver/{self._dialect.ocpi_version}/cdrs/{number}"
        if reply.succeeded and (is_page or call.kind is RouteKind.LIST):
            headers |= self._passed_on(reply, _PAGE_HEADERS)
            link = reply.header("Link", self._dialect) or ""
            if _NEXT in link:
                number = self._keep(link.partition("<")[2].partition(">")[0], call)
                pages = f"/ocpi/sender/{self._dialect.ocpi_version}/{IDENTIFIERS[call.module]}/page"
                headers["Link"] = f"<{self._public_url()}{pages}/{number}>{_NEXT}"
        if reply.succeeded and is_page:
            self._proxied.drop(call.url_path or "")
        new_headers = {name.lower(): value for name, value in headers.items()}
        members = self._seal.resigned_response(new_headers, reply.signed_headers, reply.members)
        return Answer(http_status=reply.http_status, body=write_reply_text(members), headers=headers)

    def answer_to_node(self, reply: OcpiReplyText) -> Answer:
        """The answer to another node, nothing rewritten."""
        # 2.x looks for a "location" in lower case here, which its platforms do not send.
        names = _MESSAGE_HEADERS[1:] if self._dialect.mangles_headers else _MESSAGE_HEADERS
        headers = self._passed_on(reply, names) if reply.succeeded else {}
        return Answer(http_status=reply.http_status, body=write_reply_text(reply.members), headers=headers)

    def _with_callback(self, call: Call, url: str) -> Call:
        changed = call.with_response_url(url)
        return replace(changed, ocn_signature=self._seal.resigned(changed, call.response_url or ""))

    def _callback_path(self, call: Call) -> str:
        """Where results are posted: for charging profiles a path that no node serves (a.2)."""
        identifier = IDENTIFIERS[call.module]
        return f"/ocpi/sender/{self._dialect.ocpi_version}/{identifier}/{call.url_path}"

    def _kept_resource(self, call: Call) -> str | None:
        """The URL that a proxy number in the path stands for; None when the route has none (b.1 row 11)."""
        if call.kind not in {RouteKind.PROXIED, RouteKind.RESULT}:
            return None
        kept = self._proxied.find(call.url_path or "", asker=call.sender, holder=call.receiver)
        if kept is None:
            raise Refusal(self._dialect.unknown_proxy_http, 2003, "Proxied resource not found")
        return kept.resource

    def _keep(self, resource: str, call: Call) -> str:
        return self._proxied.keep(resource.strip("[]"), asker=call.sender, holder=call.receiver)

    def _passed_on(self, reply: OcpiReplyText, names: tuple[str, ...]) -> dict[str, str]:
        found = {name: reply.header(name, self._dialect) for name in names}
        return {name: value for name, value in found.items() if value is not None}
