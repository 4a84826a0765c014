"""A delivery in bytes: a signed message for a node of one version, or a plain OCPI request for the service itself."""

import secrets
import uuid
from collections.abc import Mapping

import msgspec

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.consent.index import ProviderRoute
from ocn_permission_agent.errors import CanonicalError
from ocn_permission_agent.ocn.keys import OperatorKey
from ocn_permission_agent.ocn.message import copy_message
from ocn_permission_agent.ocn.readdress import readdress
from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.outbox.after_attempt import Decision, parked
from ocn_permission_agent.outbox.direct import direct_copy
from ocn_permission_agent.outbox.model import Delivery
from ocn_permission_agent.outbox.settings import DirectRoute


class ForNode(msgspec.Struct, frozen=True, kw_only=True):
    """A message for a node: of which version, and whether it was to carry an OCN-Signature."""

    route: ProviderRoute
    version: NodeVersion
    signed: bool


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A message for a node that is not signed yet; see `Ready`."""

    delivery: Delivery
    node: ForNode
    url: str
    text: bytes
    note: str | None


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """A request that may leave. `node` is None when it goes to the service itself.

    `note` says why an OCN-Signature that was due is left out. `headers` may hold a token: never to be logged.
    """

    delivery: Delivery
    node: ForNode | None
    method: str = "POST"
    url: str
    headers: Mapping[str, str]
    body: bytes
    note: str | None = None

    def __repr__(self) -> str:
        return f"Ready(delivery={self.delivery.id}, method={self.method!r}, url={self.url!r})"


class Writer:
    """Writes and signs.

    Args:
        key: the operator's; signs every message.
        own_node_url: base of the node behind the proxy, its api prefix included.
        inert_url: takes the place of a customer's `response_url`; None leaves it.
        clock: when something was parked.
    """

    def __init__(self, *, key: OperatorKey, own_node_url: str, inert_url: str | None, clock: Clock) -> None:
        self._key = key
        self._own_node_url = own_node_url
        self._inert_url = inert_url
        self._clock = clock
        #: a random beginning, then counted: no two alike, and no call of the system for each
        self._request_id_begins, self._request_number = str(uuid.uuid4())[:24], secrets.randbits(44)

    def written(self, delivery: Delivery, where: ForNode | DirectRoute) -> Ready | Decision:
        """The request in bytes; parked when no node could read its body."""
        draft = self.draft(delivery, where)
        return self.signed(draft) if isinstance(draft, Draft) else draft

    def draft(self, delivery: Delivery, where: ForNode | DirectRoute) -> Draft | Ready | Decision:
        """The same, a message for a node without its signature."""
        try:
            return self._for_node(delivery, where) if isinstance(where, ForNode) else self._direct(delivery, where)
        except CanonicalError as error:
            return parked(f"no node could read its body: {error}", now=self._clock.now())

    def _for_node(self, delivery: Delivery, node: ForNode) -> Draft:
        request, customer, provider = delivery.envelope.request, delivery.envelope.customer, delivery.provider
        header = body = note = None
        if node.signed:
            # Decoded anew for each provider: what is stashed below one signature must not show up below another.
            readdressed = readdress(
                request,
                sender=customer,
                receiver=provider,
                key=self._key,
                version=node.version,
                response_url=self._inert_url,
            )
            header, body, note = readdressed.header, readdressed.body, readdressed.note
        text = copy_message(
            request,
            sender=customer,
            receiver=provider,
            version=node.version,
            ocn_signature=header,
            response_url=self._inert_url,
            body=body,
        )
        url = message_url(self._own_node_url if node.route.own else node.route.domain)
        return Draft(delivery=delivery, node=node, url=url, text=text, note=note)

    def signed(self, draft: Draft) -> Ready:
        """What a draft becomes."""
        return Ready(
            delivery=draft.delivery,
            node=draft.node,
            url=draft.url,
            headers={
                "X-Request-ID": self._request_id(),
                "OCN-Signature": self._key.sign(draft.text),
                "Content-Type": "application/json",
            },
            body=draft.text,
            note=draft.note,
        )

    def _request_id(self) -> str:
        """A new one, in the form of a UUID."""
        self._request_number += 1
        return f"{self._request_id_begins}{self._request_number:012x}"

    def _direct(self, delivery: Delivery, route: DirectRoute) -> Ready:
        copy = direct_copy(delivery, route, request_id=self._request_id(), response_url=self._inert_url)
        return Ready(
            delivery=delivery, node=None, method=copy.method, url=copy.url, headers=copy.headers, body=copy.body
        )


def message_url(base: str) -> str:
    """Where a node takes messages. Of a 2.x node the Registry's domain already holds the api prefix."""
    return base.rstrip("/") + "/ocn/message"
