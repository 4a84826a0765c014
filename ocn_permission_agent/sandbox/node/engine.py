"""The node's handling of OCPI requests: checks in their order, then on to the receiver (ocn-protocol.md b.1, c.4).

::

    platform ──► from_platform: token → role → receiver → proxy number ─┬─ local ──► endpoint or kept URL
                                                                        └─ remote ─► POST {domain}/ocn/message
    node ─────► from_node: own text → sender → receiver → signature ────── local ──► endpoint or given URL
"""

from dataclasses import replace
from typing import Protocol
from uuid import uuid4

from ocn_permission_agent.errors import SignatureError
from ocn_permission_agent.ocn.keys import recover
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.route import Route, RouteKind
from ocn_permission_agent.sandbox.node.binding import bind_call, body_refusal
from ocn_permission_agent.sandbox.node.call import Call
from ocn_permission_agent.sandbox.node.dialect import Dialect
from ocn_permission_agent.sandbox.node.forwarding import IDENTIFIERS, Forwarding
from ocn_permission_agent.sandbox.node.inbound import read_call
from ocn_permission_agent.sandbox.node.platforms import Platform, Platforms
from ocn_permission_agent.sandbox.node.proxied import ProxyNumbers
from ocn_permission_agent.sandbox.node.refusal import Crash, Refusal
from ocn_permission_agent.sandbox.node.registry import Registration, RegistryReader
from ocn_permission_agent.sandbox.node.relay import OcpiReplyText, write_reply_text
from ocn_permission_agent.sandbox.serving import Answer, Incoming

_NEXT = '; rel="next"'
#: relayed on success, in this spelling
_PAGE_HEADERS = ("X-Total-Count", "X-Limit")
_MESSAGE_HEADERS = ("Location", "Link", *_PAGE_HEADERS)


class PublicUrl(Protocol):
    """Where the node tells others to find it: its own address or that of a proxy before it, prefix included."""

    def __call__(self) -> str:
        """Without a slash at its end."""
        ...


class Engine:
    """One node's handling of requests. Its methods raise `Refusal`, `Crash` and `FrameworkRefusal`."""

    def __init__(
        self,
        *,
        dialect: Dialect,
        platforms: Platforms,
        proxied: ProxyNumbers,
        registry: RegistryReader,
        forwarding: Forwarding,
        public_url: PublicUrl,
    ) -> None:
        self._dialect = dialect
        self._platforms = platforms
        self._proxied = proxied
        self._registry = registry
        self._forwarding = forwarding
        self._public_url = public_url

    async def from_platform(self, incoming: Incoming, route: Route) -> Answer:
        """Handle what one of the node's platforms asks."""
        call = bind_call(incoming, route, self._dialect)
        platform = self.platform_of(incoming.headers["authorization"])
        if not platform.has_role(call.sender):
            raise self._dialect.refuse(2001, "Could not find role on sending platform using OCPI-from-* headers")
        local = self._platforms.by_party(call.receiver)
        if local is not None:
            reply = await self._to_local(call, local)
        else:
            reply = await self._to_remote(call, await self._registered(call.receiver))
        return self._relayed(call, reply)

    async def from_node(self, incoming: Incoming) -> Answer:
        """Handle `/ocn/message`."""
        for name in ("X-Request-ID", "OCN-Signature"):
            if name.lower() not in incoming.headers:
                raise self._dialect.refuse(2001, self._dialect.header_missing.format(name=name))
        if not incoming.body:
            raise body_refusal(self._dialect, "Required request body is missing")
        call, text = read_call(incoming.body, dialect=self._dialect)
        sender = await self._registry.registration(call.sender)
        if sender is None:
            raise Refusal(200, 4001, _unknown(self._dialect.sender_unknown, call.sender))
        receiver = self._platforms.by_party(call.receiver)
        if receiver is None:
            raise Refusal(200, 4001, "Recipient unknown to OCN Node entered in Registry")
        try:
            signer = recover(text, incoming.headers["ocn-signature"])
        except SignatureError as error:
            raise Crash(str(error)) from error
        if signer != sender.operator:
            raise Refusal(200, 4003, "Could not verify OCN-Signature of request")
        reply = await self._forwarding.to_platform(call, receiver, resource=self._given_resource(call))
        headers = {}
        if reply.succeeded:
            headers = {name: reply.headers[name.lower()] for name in _MESSAGE_HEADERS if name.lower() in reply.headers}
        return Answer(http_status=reply.http_status, body=write_reply_text(reply), headers=headers)

    def platform_of(self, authorization: str) -> Platform:
        """The platform that shows this TOKEN_C."""
        platform = self._platforms.by_token_c(self._dialect.read_token(authorization))
        if platform is None:
            raise self._dialect.refuse(2001, self._dialect.caller_unknown)
        return platform

    async def _registered(self, receiver: Party) -> Registration:
        registration = await self._registry.registration(receiver)
        if registration is None:
            raise Refusal(200, 4001, _unknown(self._dialect.receiver_unknown, receiver))
        return registration

    async def _to_local(self, call: Call, platform: Platform) -> OcpiReplyText:
        resource = self._kept_resource(call)
        wanted = call.response_url
        if wanted is not None:
            number = self._proxied.keep(wanted, asker=call.receiver, holder=call.sender)
            call = call.with_response_url(f"{self._public_url()}{self._callback_path(call)}/{number}")
        return await self._forwarding.to_platform(call, platform, resource=resource)

    async def _to_remote(self, call: Call, registered: Registration) -> OcpiReplyText:
        resource = self._kept_resource(call)
        wanted = call.response_url
        if resource is not None:
            call = replace(call, proxy_resource=resource)
        elif wanted is not None:
            uid = str(uuid4())
            domain = registered.domain.rstrip("/")
            callback = f"{domain}{self._callback_path(call)}/{uid}"
            call = replace(call.with_response_url(callback), proxy_uid=uid, proxy_resource=wanted)
        return await self._forwarding.to_node(call, domain=registered.domain)

    def _callback_path(self, call: Call) -> str:
        """Where results are posted (f): for charging profiles a path that no node serves (a.2)."""
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

    def _given_resource(self, call: Call) -> str | None:
        """What another node wants done with `proxy_resource`: kept for a callback, or called at once (c.4)."""
        if call.proxy_resource is None or call.proxy_uid is None:
            return call.proxy_resource
        self._proxied.keep(call.proxy_resource, asker=call.receiver, holder=call.sender, uid=call.proxy_uid)
        return None

    def _relayed(self, call: Call, reply: OcpiReplyText) -> Answer:
        """The answer to a platform, with the URLs of the receiver behind numbers of ours (b.4)."""
        headers: dict[str, str] = {}
        is_page = call.kind is RouteKind.PROXIED and call.interface_role == "SENDER"
        if reply.succeeded and call.kind is RouteKind.CDR and "location" in reply.headers:
            number = self._keep(reply.headers["location"], call)
            headers["Location"] = f"{self._public_url()}/ocpi/receiver/{self._dialect.ocpi_version}/cdrs/{number}"
        if reply.succeeded and (is_page or call.kind is RouteKind.LIST):
            headers |= {name: reply.headers[name.lower()] for name in _PAGE_HEADERS if name.lower() in reply.headers}
            link = reply.headers.get("link", "")
            if _NEXT in link:
                number = self._keep(link.partition("<")[2].partition(">")[0], call)
                pages = f"/ocpi/sender/{self._dialect.ocpi_version}/{IDENTIFIERS[call.module]}/page"
                headers["Link"] = f"<{self._public_url()}{pages}/{number}>{_NEXT}"
        if reply.succeeded and is_page:
            self._proxied.drop(call.url_path or "")
        return Answer(http_status=reply.http_status, body=write_reply_text(reply), headers=headers)

    def _keep(self, resource: str, call: Call) -> str:
        return self._proxied.keep(resource, asker=call.sender, holder=call.receiver)


def _unknown(template: str, party: Party) -> str:
    return template.format(country_code=party.country_code, party_id=party.party_id)
