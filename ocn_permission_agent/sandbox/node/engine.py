"""The node's handling of OCPI requests: checks in their order, then on to the receiver (ocn-protocol.md b.1, c.4).

::

    platform -> from_platform: token, role, receiver, lists, signature, proxy number -+- local  -> endpoint or kept URL
                                                                                      +- remote -> {domain}/ocn/message
    node -----> from_node: own text, sender, receiver, signature of the node, lists, signature -> endpoint or given URL
"""

from dataclasses import replace

import msgspec

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.errors import SignatureError
from ocn_permission_agent.ocn.keys import recover
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.sandbox.node.binding import body_refusal
from ocn_permission_agent.sandbox.node.call import Call
from ocn_permission_agent.sandbox.node.dialect import Dialect
from ocn_permission_agent.sandbox.node.handover import Handover
from ocn_permission_agent.sandbox.node.inbound import read_call
from ocn_permission_agent.sandbox.node.platforms import Platform, Platforms
from ocn_permission_agent.sandbox.node.refusal import Crash, Refusal
from ocn_permission_agent.sandbox.node.registry import Registration, RegistryReader
from ocn_permission_agent.sandbox.node.relay import OcpiReplyText, node_body
from ocn_permission_agent.sandbox.node.rules import NOT_ON_WHITELIST
from ocn_permission_agent.sandbox.node.seal import Demand, Seal
from ocn_permission_agent.sandbox.node.services import ServiceForwarding
from ocn_permission_agent.sandbox.serving import Answer, Incoming

_ABOUT_SIGNATURES = frozenset({"ocn_signature", "ocn_verification_status"})
_VERIFIED = msgspec.Raw(b'"VERIFIED"')


class Engine:
    """One node's handling of requests. Its methods raise `Refusal`, `Crash` and `FrameworkRefusal`.

    `own_party` is what 2.x answers for itself, unchecked and for everybody (e.3, E11); None in 1.x. `services` is
    1.x's own forwarding, None when it is off.
    """

    def __init__(
        self,
        *,
        dialect: Dialect,
        platforms: Platforms,
        registry: RegistryReader,
        handover: Handover,
        seal: Seal,
        own_party: Party | None,
        services: ServiceForwarding | None,
        clock: Clock,
    ) -> None:
        self._dialect = dialect
        self._platforms = platforms
        self._registry = registry
        self._handover = handover
        self._seal = seal
        self._own_party = own_party
        self._services = services
        self._clock = clock

    async def from_platform(self, call: Call, authorization: str) -> Answer:
        """Handle what one of the node's platforms asks."""
        if self._is_for_the_node(call):
            return Answer(body=node_body(1000, now=self._clock.now()))
        sender = self.platform_of(authorization)
        if not sender.has_role(call.sender):
            raise self._dialect.refuse(2001, "Could not find role on sending platform using OCPI-from-* headers")
        receiver = self._platforms.by_party(call.receiver)
        registered = None
        if receiver is None or self._dialect.asks_registry_first:
            registered = await self._registered(call.receiver)
        demand = Demand(
            sender_rule=sender.rules.signatures,
            receiver_rule=receiver is not None and receiver.rules.signatures,
            receiver_is_local=receiver is not None,
        )
        if receiver is not None:
            self._check_lists(call, sender=sender, receiver=receiver)
        call = await self._signature_checked(call, demand)
        if self._services is not None:
            await self._services.share(call)
        if receiver is not None:
            reply = await self._handover.to_local(call, receiver)
        else:
            reply = await self._handover.to_remote(call, domain=registered.domain if registered else "")
        return self._handover.answer_to_platform(call, await self._checked_response(call, reply, demand))

    async def from_node(self, incoming: Incoming) -> Answer:
        """Handle `/ocn/message`."""
        for name in ("X-Request-ID", "OCN-Signature"):
            if name.lower() not in incoming.headers:
                raise self._dialect.refuse(2001, self._dialect.texts.header_missing.format(name=name))
        if not incoming.body:
            raise body_refusal(self._dialect, "Required request body is missing")
        call, text = read_call(incoming.body, dialect=self._dialect)
        if call.module == "VERSIONS":
            return await self._versions_of(call.receiver)
        sender = await self._registry.registration(call.sender)
        if sender is None:
            raise Refusal(200, 4001, _about(self._dialect.texts.sender_unknown, call.sender))
        receiver = self._platforms.by_party(call.receiver)
        if receiver is None:
            raise Refusal(200, 4001, "Recipient unknown to OCN Node entered in Registry")
        try:
            signer = recover(text, incoming.headers["ocn-signature"])
        except SignatureError as error:
            raise Crash(str(error)) from error
        if signer != sender.operator:
            raise Refusal(200, 4003, "Could not verify OCN-Signature of request")
        self._check_lists(call, sender=None, receiver=receiver)
        demand = Demand(receiver_rule=receiver.rules.signatures)
        call = await self._signature_checked(call, demand)
        reply = await self._handover.from_remote(call, receiver)
        return self._handover.answer_to_node(await self._checked_response(call, reply, demand))

    def platform_of(self, authorization: str) -> Platform:
        """The platform that shows this TOKEN_C."""
        platform = self._platforms.by_token_c(self._dialect.read_token(authorization))
        if platform is None:
            raise self._dialect.refuse(2001, self._dialect.texts.caller_unknown)
        return platform

    async def _versions_of(self, receiver: Party) -> Answer:
        """2.x tells them to whoever asks, without any signature (c.4.3)."""
        platform = self._platforms.by_party(receiver)
        if platform is None:
            raise Refusal(200, 4001, "Recipient unknown to OCN Node entered in Registry")
        return self._handover.answer_to_node(await self._handover.versions_of(platform))

    def _is_for_the_node(self, call: Call) -> bool:
        if self._own_party is None or call.receiver.folded != self._own_party.folded:
            return False
        receives = call.interface_role == "RECEIVER"
        return receives and (call.module, call.method) in {
            ("LOCATIONS", "PUT"),
            ("LOCATIONS", "PATCH"),
            ("TARIFFS", "PUT"),
        }

    async def _registered(self, receiver: Party) -> Registration:
        registration = await self._registry.registration(receiver)
        if registration is None:
            raise Refusal(200, 4001, _about(self._dialect.texts.receiver_unknown, receiver))
        return registration

    def _check_lists(self, call: Call, *, sender: Platform | None, receiver: Platform) -> None:
        if sender is not None and not sender.rules.may_send_to(call.receiver):
            raise self._dialect.refuse(2000, NOT_ON_WHITELIST)
        objection = receiver.rules.objection_to(call.sender, call.module)
        if objection is not None:
            raise self._dialect.refuse(2000, objection)

    async def _signature_checked(self, call: Call, demand: Demand) -> Call:
        """The call, with what 2.x thinks of its signature."""
        if self._seal.request_active(call, demand):
            self._seal.check_request(call, await self._registry.registration(call.sender))
        if not self._dialect.tells_verification:
            return call
        return replace(call, verification_status=self._seal.verification_status(call))

    async def _checked_response(self, call: Call, reply: OcpiReplyText, demand: Demand) -> OcpiReplyText:
        """The reply as it goes on: 2.x keeps a signature only where it was asked for, and says what it thinks of it."""
        active = self._seal.response_active(call, demand)
        if active:
            receiver = await self._registry.registration(call.receiver)
            self._seal.check_response(reply.headers_to_verify(self._dialect), reply.members, receiver)
        if not self._dialect.tells_verification:
            return reply
        members = {name: text for name, text in reply.members.items() if name not in _ABOUT_SIGNATURES}
        if active:
            members |= {"ocn_signature": reply.members["ocn_signature"], "ocn_verification_status": _VERIFIED}
        return replace(reply, members=members)


def _about(template: str, party: Party) -> str:
    return template.format(country_code=party.country_code, party_id=party.party_id)
