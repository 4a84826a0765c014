"""Which version of OCN Node stands at the end of a route: its text is written for it, so it is never guessed.

1.x and 2.x cannot read each other's messages (ocn-protocol.md c.3 rule 8). Both answer ``/ocn/registry/node-info``;
only 2.x has ``/ocn/registry/nodes`` (a.6).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import msgspec

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.consent.index import ProviderRoute
from ocn_permission_agent.net.answer import Answer, NoAnswer
from ocn_permission_agent.ocn.version import NodeVersion

#: a node may be upgraded while we run
REMEMBERED_SECONDS = 3600.0
#: a node that could not be read is asked again after this
_UNCLEAR_SECONDS = 30.0
_TIMEOUT_SECONDS = 10.0


class Transport(Protocol):
    """One HTTP GET, no redirects followed; a failure is a value."""

    async def get(self, url: str, *, timeout_seconds: float) -> Answer | NoAnswer:
        """The answer, or why there is none."""
        ...


class _NodeInfo(msgspec.Struct):
    """The members of ``/ocn/registry/node-info``."""

    url: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    version: NodeVersion | None
    until: float


class NodeVersions:
    """Knows, or finds out, what a node speaks.

    Args:
        configured: ``node.version`` of the own node; None for ``auto``.
        seen: the own node's version by the traffic, if any was seen.
        own_url: the own node with its api prefix.
        own_transport: reaches the own node.
        remote_transport: the guarded connection to addresses from the Registry.
        clock: how long an answer is remembered.
    """

    def __init__(
        self,
        *,
        configured: NodeVersion | None,
        seen: Callable[[], NodeVersion | None],
        own_url: str,
        own_transport: Transport,
        remote_transport: Transport,
        clock: Clock,
    ) -> None:
        self._configured = configured
        self._seen = seen
        self._own_url = own_url
        self._own_transport = own_transport
        self._remote_transport = remote_transport
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._doubted: NodeVersion | None = None

    def known_of(self, route: ProviderRoute) -> NodeVersion | None:
        """The version of the node at the end of a route; None if it has to be asked, or was asked in vain."""
        if route.own:
            if self._configured is not None:
                return self._configured
            seen = self._seen()
            if seen is not None and seen is not self._doubted:
                return seen
        answered = self._answered(self._base(route))
        return None if answered is None else answered.version

    async def version_of(self, route: ProviderRoute) -> NodeVersion | None:
        """The same, asked if need be; None while it is unclear."""
        known = self.known_of(route)
        if known is not None:
            return known
        return await self._probed(self._base(route), self._own_transport if route.own else self._remote_transport)

    def forget(self, route: ProviderRoute) -> None:
        """What was known of a node may be wrong: it is asked itself, next time. What is configured stays."""
        if route.own:
            self._doubted = self._seen()
        self._known.pop(self._base(route), None)

    def _base(self, route: ProviderRoute) -> str:
        return self._own_url if route.own else route.domain.rstrip("/")

    def _answered(self, base: str) -> _Known | None:
        """What was learnt not too long ago."""
        known = self._known.get(base)
        return known if known is not None and self._clock.monotonic() < known.until else None

    async def _probed(self, base: str, transport: Transport) -> NodeVersion | None:
        known = self._answered(base)
        if known is not None:
            return known.version
        version = await self._probe(base, transport) if base else None
        lasts = _UNCLEAR_SECONDS if version is None else REMEMBERED_SECONDS
        self._known[base] = _Known(version=version, until=self._clock.monotonic() + lasts)
        return version

    async def _probe(self, base: str, transport: Transport) -> NodeVersion | None:
        info = await transport.get(f"{base}/ocn/registry/node-info", timeout_seconds=_TIMEOUT_SECONDS)
        if isinstance(info, NoAnswer) or not _is_node(info):
            return None
        nodes = await transport.get(f"{base}/ocn/registry/nodes", timeout_seconds=_TIMEOUT_SECONDS)
        if isinstance(nodes, NoAnswer) or nodes.status >= 500:
            return None
        return NodeVersion.V2 if nodes.status == 200 else NodeVersion.V1


def _is_node(info: Answer) -> bool:
    if info.status != 200:
        return False
    try:
        msgspec.json.decode(info.body, type=_NodeInfo)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True
