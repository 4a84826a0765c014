"""What of a head is passed on, what is changed, and which heads are refused. Pure.

Which differences between what a platform sent and what the node receives are allowed, and back, stands in
`proxy/differences.py`.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from ocn_permission_agent.errors import Refusal, RequestRefused
from ocn_permission_agent.ocpi.request import ROUTING_HEADERS
from ocn_permission_agent.proxy.differences import FORWARDED, HOP_BY_HOP, TOWARDS_PLATFORM

HeaderLines = Sequence[tuple[bytes, bytes]]

#: words of `Connection` that name no header to be dropped
_CONNECTION_WORDS = HOP_BY_HOP | {b"", b"close", b"trailers"}
#: what nearly every `Connection` says, which names no header
_PLAIN_CONNECTION = frozenset({b"keep-alive", b"close"})
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
#: headers that decisions are made from: their names as text, and whether they are guarded
_READ = {
    name.encode(): (name, name.encode() in _GUARDED) for name in (*ROUTING_HEADERS, "ocn-signature", "content-encoding")
}
#: headers that are neither read nor just passed on
_SPECIAL = HOP_BY_HOP | FORWARDED | {b"host", b"expect", b"content-length", b"authorization"}


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
    headers: Sequence[tuple[bytes, bytes]]
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
        "authorization", "connection", "content_length", "expect", "forwarded", "host", "kept", "read", "transfer",
        "upgrade",
    )  # fmt: skip

    def __init__(self) -> None:
        self.kept: list[tuple[bytes, bytes]] = []
        self.read: dict[str, str] = {}
        self.forwarded: dict[bytes, bytes] = {}
        self.connection: list[bytes] = []
        self.authorization: bytes | None = None
        self.host: bytes | None = None
        self.content_length: bytes | None = None
        self.transfer: bytes | None = None
        self.expect = False
        self.upgrade = False

    def take(self, lines: HeaderLines) -> None:
        """Take all header lines; one loop without calls, because every request of every platform pays for it."""
        kept, read = self.kept, self.read
        for line in lines:
            name, value = line
            lower = name.lower()
            known = _READ.get(lower)
            if known is not None:
                text, guarded = known
                said = value.decode("latin-1")
                if read.setdefault(text, said) != said and guarded:
                    raise _two_values(name)
                kept.append(line)
            elif lower in _SPECIAL:
                self._special(lower, line)
            elif b"_" in lower and lower.replace(b"_", b"-") in _GUARDED:
                raise RequestRefused(Refusal.UNDERSCORE, f"header {_shown(name)} is spelled with an underscore")
            else:
                kept.append(line)

    def _special(self, lower: bytes, line: tuple[bytes, bytes]) -> None:
        name, value = line
        if lower == b"content-length":
            self.content_length = _once(self.content_length, value, name)
            self.kept.append(line)
        elif lower == b"host":
            self.host = _once(self.host, value, name, Refusal.HOST)
        elif lower == b"authorization":
            if self.authorization is not None and self.authorization != value:
                raise _two_values(name)
            self.authorization = value
            self.kept.append(line)
        elif lower in FORWARDED:
            known = self.forwarded.get(lower)
            self.forwarded[lower] = value if known is None else known + b", " + value
        elif lower != b"expect":
            self._hop(lower, value)
        elif value.lower() == b"100-continue":
            self.expect = True
        else:
            self.kept.append(line)

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
    if len(raw_headers) > limits.headers:
        raise RequestRefused(Refusal.HEADER_COUNT, f"more than {limits.headers} headers")
    found = _Reading()
    found.take(raw_headers)
    _check_framing(found, http_minor)
    kept, length = found.kept, found.content_length
    if dropped := found.connection and _dropped_by_connection(found):
        kept = [line for line in kept if line[0].lower() not in dropped]
    return RequestHead(
        method,
        target,
        kept,
        found.read,
        found.host,
        found.forwarded,
        None if length is None else int(length),
        found.transfer is not None,
        found.expect and http_minor >= 1,
        found.upgrade,
    )


def _two_values(name: bytes) -> RequestRefused:
    return RequestRefused(Refusal.TWO_VALUES, f"header {_shown(name)} is sent twice with different values")


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


def reply_head(
    *, status: int, reason: bytes, names: Sequence[bytes], raw_headers: HeaderLines, framing: ReplyFraming
) -> bytes:
    """The head of the node's reply as the platform gets it.

    Args:
        status: as received.
        reason: as received.
        names: of the headers, in lower case.
        raw_headers: as received.
        framing: how the body is framed.

    Raises:
        ValueError: a header value that would break the head apart.
    """
    dropped = TOWARDS_PLATFORM.left_out
    if b"connection" in names and (named := _named_by_connection(names, raw_headers)):
        dropped = dropped | named
    if framing.chunked:
        dropped = dropped | {b"content-length"}
    lines = [b"HTTP/1.1 %d %b" % (status, reason)]
    lines += [b"%b: %b" % line for lower, line in zip(names, raw_headers, strict=True) if lower not in dropped]
    if framing.chunked:
        lines.append(b"Transfer-Encoding: chunked")
    if framing.close:
        lines.append(b"Connection: close")
    lines.append(b"\r\n")
    head = b"\r\n".join(lines)
    # each line ends with one break, and so does the head: any other comes from a value
    if not head.count(b"\r") == head.count(b"\n") == len(lines):
        raise ValueError("line break in a header value")
    return head


def _named_by_connection(names: Sequence[bytes], raw_headers: HeaderLines) -> frozenset[bytes]:
    """Headers that a node's `Connection` takes away; never one that means something end to end."""
    (value, *more) = [value for lower, (_, value) in zip(names, raw_headers, strict=True) if lower == b"connection"]
    if not more and value in _PLAIN_CONNECTION:
        return frozenset()
    return frozenset(word.strip().lower() for each in (value, *more) for word in each.split(b",")) - _END_TO_END


def frame_reply(
    *, method: str, status: int, names: Collection[bytes], client_is_old: bool, keep_alive: bool
) -> ReplyFraming:
    """Decide how a reply is framed.

    Args:
        method: of the request.
        status: of the reply.
        names: of the reply's headers, in lower case.
        client_is_old: the platform speaks HTTP/1.0; it gets no chunks, its connection ends with the reply.
        keep_alive: whether the platform's connection may serve another request.
    """
    bodiless = method == "HEAD" or status in (204, 304) or status < 200
    sized = b"content-length" in names and b"transfer-encoding" not in names
    return ReplyFraming(bodiless, not bodiless and not sized and not client_is_old, client_is_old or not keep_alive)
