"""Settings of the proxy and of the node behind it."""

from dataclasses import dataclass
from pathlib import Path

from ocn_permission_agent.ocpi.party import Party


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """`[node]` of the configuration. The URL comes from the operator and is trusted.

    `url` is ``http(s)://host[:port]`` without a path. `api_prefix` is 2.x's, without slashes around it. `own_party` is
    the party of a 2.x node itself, whose requests are answered without a look at the token. `ca_file` holds the
    certificates, PEM, that an https node is verified by; None for the system's.
    """

    url: str
    ca_file: Path | None = None
    api_prefix: str = ""
    own_party: Party | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """The listener's certificate with its chain, and the key to it; PEM, not encrypted."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySettings:
    """`[proxy]` of the configuration and the limits of proxy.md; port 0 takes a free one."""

    listen_host: str = "0.0.0.0"  # noqa: S104  a node is meant to be reached
    listen_port: int = 8080
    #: None: plain http, TLS ends before the proxy
    tls: TlsFiles | None = None
    preserve_host: bool = True
    copy_reads: bool = False
    #: refuse what may have to be copied while no copy could be recorded
    strict: bool = False
    #: of one request
    body_limit_bytes: int = 8 * 1024 * 1024
    #: of all requests and replies held in memory at one time
    buffer_total_bytes: int = 64 * 1024 * 1024
    header_field_limit_bytes: int = 16 * 1024
    headers_limit: int = 100
    #: of a head that is not complete yet
    head_limit_bytes: int = 64 * 1024
    #: of platforms at one time; beyond it, those go that we have waited for longest
    max_connections: int = 4096
    url_limit_bytes: int = 8 * 1024
    connect_timeout_seconds: float = 5.0
    #: for a complete head, counted from the connection or from the last answer
    headers_timeout_seconds: float = 30.0
    #: between two pieces of a body, in either direction
    body_idle_timeout_seconds: float = 60.0
    node_answer_timeout_seconds: float = 60.0
    #: how long the rest of a refused body is read, so that the refusal can be read before the connection ends
    linger_seconds: float = 2.0
    #: how long a connection to the node is kept for the next request; shorter than any node keeps it, because a
    #: request that meets a closing connection is not sent again
    node_idle_seconds: float = 10.0
