"""What of a request is known, refused and decided before the node hears of it, whichever way it then takes."""

from typing import NamedTuple

from ocn_permission_agent.errors import Refusal, RequestRefused
from ocn_permission_agent.ocpi.route import PathFault, Route, find_route
from ocn_permission_agent.proxy.answers import is_inert
from ocn_permission_agent.proxy.copier import Candidate, Copier
from ocn_permission_agent.proxy.headers import HeaderLines, Limits, RequestHead, read_head, request_head
from ocn_permission_agent.proxy.settings import NodeSettings, ProxySettings


class Asked(NamedTuple):
    """A request that is fit to be passed on.

    `candidate` is there if somebody may be owed a copy. `wire_head` is the head as the node gets it. `inert` tells that
    the proxy answers it itself and the node never does.
    """

    head: RequestHead
    route: Route | None
    candidate: Candidate | None
    wire_head: bytes
    inert: bool = False


class Intake:
    """Reads heads.

    Args:
        settings: limits and habits.
        node: the node's api prefix.
        node_host: authority of the node's URL.
        copier: decides who may be owed a copy.
    """

    def __init__(self, *, settings: ProxySettings, node: NodeSettings, node_host: bytes, copier: Copier) -> None:
        self._limits = Limits(headers=settings.headers_limit, url_bytes=settings.url_limit_bytes)
        self._body_limit_bytes = settings.body_limit_bytes
        self._preserve_host = settings.preserve_host
        self._scheme = b"http" if settings.tls is None else b"https"
        self._api_prefix = node.api_prefix
        self._node_host = node_host
        self._copier = copier

    def read(self, *, method: str, target: str, version: tuple[int, int], raw_headers: HeaderLines, peer: str) -> Asked:
        """Read one; what it counts on the way, it counts each time.

        Args:
            method: as received.
            target: as received, undecodable bytes as surrogates.
            version: of HTTP, major and minor.
            raw_headers: lines as received.
            peer: address of the other end.

        Raises:
            RequestRefused: 4xx; nothing was counted.
        """
        head = read_head(
            method=method,
            target=target,
            http_minor=version[1] if version[0] == 1 else 0,
            raw_headers=raw_headers,
            limits=self._limits,
        )
        if (head.content_length or 0) > self._body_limit_bytes:
            raise too_large(self._body_limit_bytes)
        path, _, query = target.partition("?")
        if is_inert(path):
            return Asked(head, None, None, b"", inert=True)
        route = find_route(method, path, api_prefix=self._api_prefix)
        return Asked(
            head,
            None if isinstance(route, PathFault) else route,
            self._copier.candidate(method=method, query=query, read=head.read, route=route),
            request_head(
                head,
                node_host=self._node_host,
                preserve_host=self._preserve_host,
                peer=peer,
                scheme=self._scheme,
            ),
        )


def too_large(limit_bytes: int) -> RequestRefused:
    """The refusal of a body over the limit."""
    return RequestRefused(Refusal.BODY_SIZE, f"body larger than {limit_bytes} bytes")
