"""What may differ between what is sent and what arrives: the one list of it (proxy.md "Transparent"). Pure.

`proxy/headers.py` writes heads by it, docs/reference/proxy.md names its headers, and the transparency tests allow
nothing else: every other header keeps its bytes, its order among the others, its spelling and its repetition; bodies,
targets, methods, status codes and reason phrases keep theirs.

What is no header differs by what HTTP itself calls a matter of one connection: the protocol version (always
``HTTP/1.1``), how many spaces stand between the parts of a request line, white space around a header's value, chunk
boundaries with their extensions, trailers, interim replies.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """Of one direction; names in lower case.

    `left_out` never passes, nor does what a `Connection` header names. `own` are written by the proxy, from what was
    sent or in its own right.
    """

    left_out: frozenset[bytes]
    own: frozenset[bytes]

    def covers(self, name: bytes) -> bool:
        """Whether a header of this name, in any spelling, may differ."""
        lower = name.lower()
        return lower in self.left_out or lower in self.own


#: a matter of one connection (RFC 9110 §7.6.1)
HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"http2-settings",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
#: how the platform reached us; a proxy in front may have written them before
FORWARDED = frozenset({b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"})

TOWARDS_NODE = Differences(
    # with the value "100-continue", which the proxy answers; any other value passes
    left_out=HOP_BY_HOP | {b"expect"},
    # Host stands first, and is the node's with preserve_host = false; Transfer-Encoding where the body is chunked
    own=FORWARDED | {b"host", b"transfer-encoding"},
)
TOWARDS_PLATFORM = Differences(
    left_out=HOP_BY_HOP,
    # "close" where the connection ends; Transfer-Encoding where the body is chunked
    own=frozenset({b"connection", b"transfer-encoding"}),
)
