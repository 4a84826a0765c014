"""Requests and replies of every shape that HTTP allows, as bytes."""

import gzip
from dataclasses import dataclass

from hypothesis import strategies as st

from ocn_permission_agent.proxy.differences import TOWARDS_NODE, TOWARDS_PLATFORM
from tests.integration.proxy.house import TOKEN

_TOKEN_CHARS = st.sampled_from("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~")
#: never by chance: they frame the message, or the proxy refuses contradictions between them
_KEPT_APART = frozenset(
    {
        b"authorization",
        b"content-length",
        b"ocpi-from-country-code",
        b"ocpi-from-party-id",
        b"ocpi-to-country-code",
        b"ocpi-to-party-id",
    }
)
#: the proxy refuses a request that says one of them twice (RFC 9110: they have one value)
_ONCE = frozenset(
    {b"content-location", b"content-range", b"content-type", b"etag", b"max-forwards", b"server", b"user-agent"}
)


def _free(name: bytes) -> bool:
    lower = name.lower().replace(b"_", b"-")
    return lower not in _KEPT_APART and not TOWARDS_NODE.covers(lower) and not TOWARDS_PLATFORM.covers(lower)


NAMES = (
    st.text(_TOKEN_CHARS, min_size=1, max_size=20).map(str.encode)
    | st.sampled_from([b"Accept", b"Accept-Encoding", b"Cookie", b"Cache-Control", b"X-Request-ID"])
    | st.sampled_from(
        [b"Set-Cookie", b"Link", b"X-Total-Count", b"X-Limit", b"Date", b"Server", b"Via", b"X-Under_Score"]
    )
).filter(_free)
VALUES = st.binary(max_size=60).map(
    lambda value: bytes(byte for byte in value if (byte >= 0x20 or byte == 0x09) and byte != 0x7F).strip(b" \t")
)
PADDING = st.sampled_from([b" ", b"", b"   ", b"\t"])


def lines(names: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Up to twenty header lines, names repeated or not."""
    line = st.builds(lambda name, pad, value: name + b":" + pad + value + b"\r\n", names, PADDING, VALUES)
    return st.lists(line, max_size=20).map(b"".join)


REQUEST_LINES = lines(NAMES.filter(lambda name: name.lower() not in _ONCE))
REPLY_LINES = lines(NAMES | st.sampled_from([b"Content-Type", b"SERVER", b"ETag"]))
BODIES = (
    st.binary(max_size=3000)
    | st.binary(max_size=300).map(gzip.compress)
    | st.sampled_from([b'{"id":"s1","kwh":1.50}', b'{"status_code":1000}', b"\xff\xfe", b"0\r\n\r\n", b"x" * 200_000])
)
EXTENSIONS = st.sampled_from([b"", b"", b";a=1", b';name="quoted ; text"'])
TRAILERS = st.sampled_from([b"", b"", b"X-Trailer: 1\r\n", b"Digest: a\r\nX-Trailer: \xe9\r\n"])


@st.composite
def chunked(draw: st.DrawFn, body: bytes) -> bytes:
    """A body in chunks of any sizes, sizes in either case, with zeros before."""
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(body) - 1)), max_size=4)))
    pieces = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    spelled = draw(st.sampled_from([b"%x", b"%X", b"000%x"]))
    parts = [spelled % len(piece) + draw(EXTENSIONS) + b"\r\n" + piece + b"\r\n" for piece in pieces if piece]
    return b"".join(parts) + b"0" + draw(EXTENSIONS) + b"\r\n" + draw(TRAILERS) + b"\r\n"


_SEGMENTS = st.text(st.sampled_from("abcXYZ019-._~!$&'()*+,;=:@"), min_size=1, max_size=8) | st.sampled_from(
    [
        "%2F",
        "%2f",
        "%20",
        "%C3%A4",
        "%41",
        "%e9",
        "..",
        ".",
        "%zz",
        "a%",
        "s%20%C3%A4+1",
        "\xe9".encode("latin-1").hex(),
    ]
)
_PREFIXES = st.sampled_from(
    [
        "/ocpi/receiver/2.2/sessions/DE/CPO/",
        "/ocpi/sender/2.2/locations/",
        "/ocpi/2.2/receiver/chargingprofiles/",
        "/ocn-v2/ocpi/receiver/2.2.1/sessions/DE/CPO/",
        "/ocn-v2/ocpi/2.2.1/sender/chargingprofiles/",
        "/admin/",
        "/",
        "//",
    ]
)
_QUERIES = st.sampled_from(
    ["", "?", "?a=b", "?a=%C3%A4&b&&c=d=e", "?limit=50&offset=0&x=a+b%20c", "?q=/../&u=http://a/?b"]
)
TARGETS = st.builds(
    lambda prefix, segments, query: (prefix + "/".join(segments) + query).encode(),
    _PREFIXES,
    st.lists(_SEGMENTS, max_size=4),
    _QUERIES,
)
METHODS = st.sampled_from(["GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "PUT", "PATCH"])
ROUTING = st.fixed_dictionaries(
    {},
    optional={
        b"Authorization": st.sampled_from([b"Token " + TOKEN, b"token", b"Basic \xe9\xe8"]),
        b"OCPI-from-country-code": st.sampled_from([b"DE", b"de"]),
        b"ocpi-from-party-id": st.just(b"CPO"),
        b"OCPI-TO-COUNTRY-CODE": st.just(b"NL"),
        b"OCPI-to-party-id": st.just(b"MSP"),
        b"X-Correlation-ID": st.just(b"c-1"),
        b"Content-Type": st.sampled_from([b"application/json", b"text/plain; charset=latin-1"]),
        b"user-agent": VALUES,
        b"ETag": VALUES,
        b"Connection": st.sampled_from(
            [b"keep-alive", b"close", b"TE", b"keep-alive, X-Nobody-Sent-This", b"close, te"]
        ),
        b"TE": st.just(b"trailers"),
        b"Keep-Alive": st.just(b"timeout=5"),
        b"Expect": st.sampled_from([b"100-continue", b"100-Continue"]),
        b"X-Forwarded-For": st.sampled_from([b"203.0.113.9", b"203.0.113.9\r\nx-forwarded-FOR: 198.51.100.2"]),
        b"X-Forwarded-Proto": st.sampled_from([b"https", b"http"]),
        b"x-forwarded-host": st.just(b"public.example"),
    },
).map(lambda lines: b"".join(b"%b: %b\r\n" % line for line in lines.items()))


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """One request."""
    method, target = draw(METHODS), draw(TARGETS)
    old = draw(st.integers(0, 9)) == 0
    host = b"" if old and draw(st.booleans()) else b"Host: node.example\r\n"
    body = draw(BODIES)
    how = draw(st.sampled_from(["length", "length", "chunked", "none"]))
    if old and how == "chunked":
        how = "length"
    framing = {
        "length": b"Content-Length: %d\r\n" % len(body),
        "chunked": b"Transfer-Encoding: chunked\r\n",
        "none": b"",
    }
    sent = {"length": body, "chunked": draw(chunked(body)) if how == "chunked" else b"", "none": b""}
    head = [host, draw(REQUEST_LINES), draw(ROUTING), framing[how], draw(REQUEST_LINES)]
    version = b"HTTP/1.0" if old else b"HTTP/1.1"
    return b"%b %b %b\r\n%b\r\n" % (method.encode(), target, version, b"".join(head)) + sent[how]


@dataclass(frozen=True)
class Answer:
    """A node's reply as bytes, `interim` ones before it; `closes` tells that the connection ends with it."""

    interim: bytes
    data: bytes
    closes: bool


_REASONS = st.sampled_from(
    [b"OK", b"", b"No Content", b"I'm odd: yes", b"Sch\xf6n", "schön".encode(), b"A  B ", b"\tA"]
)
_INTERIM = st.sampled_from(
    [b"", b"", b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"]
)
_HOPS = st.sampled_from(
    [b"", b"", b"Connection: keep-alive\r\n", b"Keep-Alive: timeout=5\r\n", b"Connection: X-Hop\r\nX-Hop: 1\r\n"]
)


@st.composite
def answers(draw: st.DrawFn, method: str) -> Answer:
    """One reply to a request of this method."""
    status = draw(
        st.sampled_from([200, 200, 201, 204, 206, 301, 304, 307, 400, 401, 404, 405, 429, 499, 500, 503, 599])
    )
    bodiless = method == "HEAD" or status in (204, 304)
    body = draw(BODIES)
    how = draw(st.sampled_from(["length", "length", "chunked", "close"]))
    old = how != "chunked" and draw(st.integers(0, 9)) == 0
    framing = {
        "length": b"Content-Length: %d\r\n" % len(body),
        "chunked": b"Transfer-Encoding: chunked\r\n",
        "close": b"",
    }
    sent = {"length": body, "chunked": draw(chunked(body)) if how == "chunked" else b"", "close": body}
    if status == 204:
        framing[how] = b""
    fields = [draw(REPLY_LINES), draw(_HOPS), framing[how], draw(REPLY_LINES)]
    version = b"HTTP/1.0" if old else b"HTTP/1.1"
    head = b"%b %d %b\r\n%b\r\n" % (version, status, draw(_REASONS), b"".join(fields))
    return Answer(
        interim=b"" if old else draw(_INTERIM),
        data=head + (b"" if bodiless else sent[how]),
        closes=old or (how == "close" and not bodiless),
    )


@st.composite
def exchanges(draw: st.DrawFn) -> tuple[list[bytes], Answer]:
    """A request in the pieces in which it is sent, and the reply to it."""
    request = draw(requests())
    cuts = sorted(draw(st.sets(st.integers(1, len(request) - 1), max_size=3)))
    pieces = [request[start:end] for start, end in zip([0, *cuts], [*cuts, len(request)], strict=True)]
    return pieces, draw(answers(request.split(b" ", 1)[0].decode()))
