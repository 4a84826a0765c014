"""What of a head is passed on, what is changed, and which heads are refused. Pure.

Which differences between what a platform sent and what the node receives are allowed, and back, stands in
`proxy/differences.py`.
"""

from collections.abc import Iterable, Mapping
from enum import Enum, auto
from typing import NamedTuple

from ocn_permission_agent.errors import Refusal, RequestRefused
from ocn_permission_agent.ocpi.request import ROUTING_HEADERS
from ocn_permission_agent.proxy.differences import FORWARDED, HOP_BY_HOP, TOWARDS_PLATFORM

HeaderLines = Iterable[tuple[bytes, bytes]]

#: words of `Connection` that name no header to be dropped
_CONNECTION_WORDS = HOP_BY_HOP | {b"", b"close", b"trailers"}
#: headers that say who speaks to whom: one value each, and no second spelling (proxy.md "Refused")
_GUARDED = frozenset(
    {
        b"authorization",
        b"ocpi-from-country-code",
        b"ocpi-from-party-id",
        b"ocpi-to-country-code",
        b"ocpi-to-party-id",
    }
)
#: headers that `Connection` must never take away, sent or not
_END_TO_END = _GUARDED | {
    b"content-encoding",
    b"content-length",
    b"content-type",
    b"host",
    b"ocn-signature",
    b"x-correlation-id",
    b"x-request-id",
}
_READ = frozenset(name.encode() for name in (*ROUTING_HEADERS, "ocn-signature", "content-encoding"))


class _Kind(Enum):
    """What is done with a header, besides passing it on."""

    GUARDED = auto()
    READ = auto()
    HOP = auto()
    FORWARDED = auto()
    HOST = auto()
    EXPECT = auto()
    LENGTH = auto()


#: those that are more than passed on, by name; a routing header is guarded and read
_KINDS: dict[bytes, _Kind] = {
    **dict.fromkeys(_READ, _Kind.READ),
    **dict.fromkeys(_GUARDED, _Kind.GUARDED),
    **dict.fromkeys(HOP_BY_HOP, _Kind.HOP),
    **dict.fromkeys(FORWARDED, _Kind.FORWARDED),
    b"host": _Kind.HOST,
    b"expect": _Kind.EXPECT,
    b"content-length": _Kind.LENGTH,
}
#: names in lower case, as text
_TEXT = {name: name.decode() for name in _READ}


class Limits(NamedTuple):
    """What a head may be at most; the parser enforces the size of a field."""

    headers: int
    url_bytes: int


class RequestHead(NamedTuple):
    """A request's head, read once.

    `target` is path and query as received. `headers` are the end-to-end ones as received, `Host`, `Expect` and
    ``X-Forwarded-*`` left out. `read` has the values that decisions are made from, names in lower case, text as
    Latin-1; never `Authorization`. `forwarded` are the ``X-Forwarded-*`` values received.
    """

    method: str
    target: str
    headers: tuple[tuple[bytes, bytes], ...]
    read: Mapping[str, str]
    host: bytes | None
    forwarded: Mapping[bytes, bytes]
    content_length: int | None
    chunked: bool
    expects_continue: bool
    #: asks for another protocol; bytes behind such a request may be lost by the parser, so it is a connection's last
    upgrades: bool

    @property
    def path(self) -> str:
        """Still percent-encoded."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """Without the question mark, still percent-encoded."""
        return self.target.partition("?")[2]

    @property
    def has_body(self) -> bool:
        """Whether the framing announces a body."""
        return self.chunked or bool(self.content_length)


class _Reading:
    """The findings of one pass over the header lines."""

    __slots__ = (
        "connection", "content_length", "expect", "forwarded", "guarded", "host", "kept", "read", "transfer", "upgrade",
    )  # fmt: skip

    def __init__(self) -> None:
        self.kept: list[tuple[bytes, bytes]] = []
        self.guarded: dict[bytes, bytes] = {}
        self.read: dict[str, str] = {}
        self.forwarded: dict[bytes, bytes] = {}
        self.connection: list[bytes] = []
        self.host: bytes | None = None
        self.content_length: bytes | None = None
        self.transfer: bytes | None = None
        self.expect = False
        self.upgrade = False

    def line(self, name: bytes, value: bytes) -> None:
        """Take one header line."""
        lower = name.lower()
        kind = _KINDS.get(lower)
        if kind is None:
            if b"_" in lower and lower.replace(b"_", b"-") in _GUARDED:
                raise RequestRefused(Refusal.UNDERSCORE, f"header {_shown(name)} is spelled with an underscore")
            self.kept.append((name, value))
        elif kind is _Kind.GUARDED:
            if self.guarded.setdefault(lower, value) != value:
                raise RequestRefused(Refusal.TWO_VALUES, f"header {_shown(name)} is sent twice with different values")
            self._read(lower, value)
            self.kept.append((name, value))
        elif kind is _Kind.READ:
            self._read(lower, value)
            self.kept.append((name, value))
        else:
            self._special(kind, lower, name, value)

    def _read(self, lower: bytes, value: bytes) -> None:
        text = _TEXT.get(lower)
        if text is not None:
            self.read.setdefault(text, value.decode("latin-1"))

    def _special(self, kind: _Kind, lower: bytes, name: bytes, value: bytes) -> None:
        match kind:
            case _Kind.LENGTH:
                self.content_length = _once(self.content_length, value, name)
                self.kept.append((name, value))
            case _Kind.HOST:
                self.host = _once(self.host, value, name, Refusal.HOST)
            case _Kind.FORWARDED:
                known = self.forwarded.get(lower)
                self.forwarded[lower] = value if known is None else known + b", " + value
            case _Kind.EXPECT if value.lower() == b"100-continue":
                self.expect = True
            case _Kind.EXPECT:
                self.kept.append((name, value))
            case _:
                self._hop(lower, value)

    def _hop(self, lower: bytes, value: bytes) -> None:
        if lower == b"connection":
            self.connection += (word.strip(b" \t").lower() for word in value.split(b","))
        elif lower == b"transfer-encoding":
            self.transfer = _once(self.transfer, value, lower)
        elif lower == b"upgrade":
            self.upgrade = True


def read_head(*, method: str, target: str, http_minor: int, raw_headers: HeaderLines, limits: Limits) -> RequestHead:
    """Read a head as the parser gave it.

    Args:
        method: as received.
        target: as received, undecodable bytes as surrogates.
        http_minor: 1 for HTTP/1.1.
        raw_headers: lines as received.
        limits: of the configuration.

    Raises:
        RequestRefused: one of the shapes of proxy.md "Refused with 400", or over a limit.
    """
    _check_target(method, target, limits)
    found = _Reading()
    for index, (name, value) in enumerate(raw_headers):
        if index >= limits.headers:
            raise RequestRefused(Refusal.HEADER_COUNT, f"more than {limits.headers} headers")
        found.line(name, value)
    _check_framing(found, http_minor)
    dropped = _dropped_by_connection(found)
    return RequestHead(
        method=method,
        target=target,
        headers=tuple(line for line in found.kept if line[0].lower() not in dropped) if dropped else tuple(found.kept),
        read=found.read,
        host=found.host,
        forwarded=found.forwarded,
        content_length=None if found.content_length is None else int(found.content_length),
        chunked=found.transfer is not None,
        expects_continue=found.expect and http_minor >= 1,
        upgrades=found.upgrade,
    )


def _once(known: bytes | None, value: bytes, name: bytes, cause: Refusal = Refusal.FRAMING) -> bytes:
    if known is not None:
        raise RequestRefused(cause, f"header {_shown(name)} is sent twice")
    return value


def _shown(name: bytes) -> str:
    """A header name fit for an error body; what is no plain name is not repeated."""
    text = name.decode("latin-1")
    return text if text.isascii() and text.replace("-", "").replace("_", "").isalnum() else "(odd name)"


def _check_target(method: str, target: str, limits: Limits) -> None:
    if len(target) > limits.url_bytes:
        raise RequestRefused(Refusal.URL_SIZE, f"URL longer than {limits.url_bytes} bytes")
    if method == "CONNECT" or not (target.startswith("/") or (target == "*" and method == "OPTIONS")):
        raise RequestRefused(Refusal.TARGET, "the request target must be a path")


def _check_framing(found: _Reading, http_minor: int) -> None:
    if found.transfer is not None:
        if http_minor < 1:
            raise RequestRefused(Refusal.FRAMING, "HTTP/1.0 knows no Transfer-Encoding")
        if found.content_length is not None:
            raise RequestRefused(Refusal.FRAMING, "both Content-Length and Transfer-Encoding")
        if found.transfer.strip().lower() != b"chunked":
            raise RequestRefused(Refusal.FRAMING, "Transfer-Encoding other than chunked")
    length = found.content_length
    if length is not None and not (length.isdigit() and len(length) < 19):
        raise RequestRefused(Refusal.FRAMING, "Content-Length is not a number")
    if found.host is None and http_minor >= 1:
        raise RequestRefused(Refusal.HOST, "no Host header")


def _dropped_by_connection(found: _Reading) -> frozenset[bytes]:
    """Further headers that `Connection` names; only names that nobody sent or that mean nothing end to end."""
    named = frozenset(found.connection) - _CONNECTION_WORDS
    if not named:
        return frozenset()
    sent = {name.lower() for name, _ in found.kept} | found.forwarded.keys()
    if named & (_END_TO_END | sent):
        raise RequestRefused(Refusal.CONNECTION, "Connection names an end-to-end header")
    return named


def request_head(head: RequestHead, *, node_host: bytes, preserve_host: bool, peer: str, scheme: bytes) -> bytes:
    """The head as the node gets it.

    Args:
        head: what was read.
        node_host: authority of the node's URL.
        preserve_host: keep the platform's Host.
        peer: address of the other end of the platform's connection.
        scheme: ``http`` or ``https``, as the platform reached us.
    """
    forwarded = head.forwarded
    peers = forwarded.get(b"x-forwarded-for")
    own = peer.encode("ascii", "replace")
    received_host = head.host or node_host
    host = received_host if preserve_host else node_host
    line = f"{head.method} {head.target} HTTP/1.1\r\nHost: ".encode("utf-8", "surrogateescape")
    lines = [line + host]
    lines += [name + b": " + value for name, value in head.headers]
    lines.append(b"X-Forwarded-For: " + (own if peers is None else peers + b", " + own))
    lines.append(b"X-Forwarded-Proto: " + forwarded.get(b"x-forwarded-proto", scheme))
    lines.append(b"X-Forwarded-Host: " + forwarded.get(b"x-forwarded-host", received_host))
    lines.append(b"Transfer-Encoding: chunked\r\n\r\n" if head.chunked else b"\r\n")
    return b"\r\n".join(lines)


class ReplyFraming(NamedTuple):
    """How a reply's body is framed for the platform."""

    #: nothing follows the head (HEAD, 204, 304)
    bodiless: bool
    #: length unknown: in chunks
    chunked: bool
    #: the connection ends with this reply
    close: bool


def reply_head(*, status: int, reason: bytes, raw_headers: HeaderLines, framing: ReplyFraming) -> bytes:
    """The head of the node's reply as the platform gets it.

    Raises:
        ValueError: a header value that would break the head apart.
    """
    received = [(name.lower(), name, value) for name, value in raw_headers]
    dropped = TOWARDS_PLATFORM.left_out
    for lower, _, value in received:
        if lower == b"connection":
            dropped = dropped | {word.strip().lower() for word in value.split(b",")} - _END_TO_END
    if framing.chunked:
        dropped = dropped | {b"content-length"}
    lines = [b"HTTP/1.1 %d " % status + reason]
    lines += [name + b": " + value for lower, name, value in received if lower not in dropped]
    if any(b"\r" in line or b"\n" in line for line in lines):
        raise ValueError("line break in a header value")
    if framing.chunked:
        lines.append(b"Transfer-Encoding: chunked")
    if framing.close:
        lines.append(b"Connection: close")
    lines.append(b"\r\n")
    return b"\r\n".join(lines)


def frame_reply(
    *, method: str, status: int, raw_headers: HeaderLines, client_is_old: bool, keep_alive: bool
) -> ReplyFraming:
    """Decide how a reply is framed.

    Args:
        method: of the request.
        status: of the reply.
        raw_headers: of the reply.
        client_is_old: the platform speaks HTTP/1.0; it gets no chunks, its connection ends with the reply.
        keep_alive: whether the platform's connection may serve another request.
    """
    bodiless = method == "HEAD" or status in (204, 304) or status < 200
    names = {name.lower() for name, _ in raw_headers}
    sized = b"content-length" in names and b"transfer-encoding" not in names
    return ReplyFraming(
        bodiless=bodiless,
        chunked=not bodiless and not sized and not client_is_old,
        close=client_is_old or not keep_alive,
    )
