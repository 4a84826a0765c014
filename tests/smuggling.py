"""Requests whose end two servers might see in two places, and what each of them means.

Sources of the shapes: RFC 9112 §§2-7, 11.2, and the published classes of request smuggling (CL.TE, TE.CL, TE.TE, CL.0,
chunk extensions, bare CR and LF, obs-fold, upgrades, pipelining). Each is sent with a canary behind it on the same
connection: a server that ends a request elsewhere sees the canary late, twice, or as a part of something else.
"""

from dataclasses import dataclass

#: what an attacker would like somebody to take for a request
HIDDEN = b"GET /hidden/ HTTP/1.1\r\nHost: node.example\r\n\r\n"
ROUTING = (
    b"Host: node.example\r\nAuthorization: Token smuggled\r\nX-Request-ID: r\r\nX-Correlation-ID: c\r\n"
    b"OCPI-from-country-code: DE\r\nOCPI-from-party-id: CPO\r\nOCPI-to-country-code: NL\r\nOCPI-to-party-id: MSP\r\n"
)


@dataclass(frozen=True, slots=True)
class Said:
    """A request as a server understands it."""

    method: str
    target: str
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Shape:
    """Bytes of a platform; `means` is empty where they must be refused. `last` of its connection: then no canary."""

    name: str
    sent: bytes
    means: tuple[Said, ...] = ()
    last: bool = False

    @property
    def expected(self) -> tuple[Said, ...]:
        """What is to be read of it with a canary behind it."""
        return self.means if self.last or not self.means else (*self.means, canary(self.name)[1])


def canary(name: str) -> tuple[bytes, Said]:
    """The request behind a shape."""
    return b"GET /canary/%b HTTP/1.1\r\nHost: node.example\r\n\r\n" % name.encode(), Said("GET", f"/canary/{name}")


def target_of(name: str) -> str:
    return f"/ocpi/receiver/2.2/sessions/DE/CPO/{name}"


def _put(name: str, framing: bytes, body: bytes, *, method: str = "PUT", version: bytes = b"HTTP/1.1") -> bytes:
    line = b"%b %b %b\r\n" % (method.encode(), target_of(name).encode(), version)
    return line + ROUTING + framing + b"\r\n" + body


def _chunks(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


_LENGTH = b"Content-Length: %d\r\n" % len(HIDDEN)
_CHUNKED = b"Transfer-Encoding: chunked\r\n"
_EMPTY = b"0\r\n\r\n"


def _refused() -> dict[str, tuple[bytes, bytes]]:
    """Framing lines and body, by name."""
    lengths = {
        "twice-alike": b"Content-Length: 45\r\nContent-Length: 45\r\n",
        "twice-first-zero": b"Content-Length: 0\r\n" + _LENGTH,
        "twice-last-zero": _LENGTH + b"Content-Length: 0\r\n",
        "twice-other-case": _LENGTH + b"content-length: 0\r\n",
        "list": b"Content-Length: 45, 45\r\n",
        "plus": b"Content-Length: +45\r\n",
        "minus": b"Content-Length: -45\r\n",
        "minus-zero": b"Content-Length: -0\r\n",
        "hex": b"Content-Length: 0x2d\r\n",
        "float": b"Content-Length: 45.0\r\n",
        "exponent": b"Content-Length: 4e1\r\n",
        "empty": b"Content-Length:\r\n",
        "spaces-inside": b"Content-Length: 4 5\r\n",
        "semicolon": b"Content-Length: 45;\r\n",
        "quoted": b'Content-Length: "45"\r\n',
        "overflow-64": b"Content-Length: 18446744073709551661\r\n",
        "overflow-63": b"Content-Length: 9223372036854775853\r\n",
        "other-digits": "Content-Length: ٤٥\r\n".encode(),
        "full-width": "Content-Length: \uff14\uff15\r\n".encode(),
        "space-before-colon": b"Content-Length : 45\r\n",
        "tab-before-colon": b"Content-Length\t: 45\r\n",
        "space-before-name": b" Content-Length: 45\r\n",
        "nul": b"Content-Length: 45\x00\r\n",
        "vertical-tab": b"Content-Length: \x0b45\r\n",
        "folded": b"Content-Length:\r\n 45\r\n",
        "bare-cr": b"Content-Length: 0\rContent-Length: 45\r\n",
        "bare-lf": b"Content-Length: 45\nX-A: 1\r\n",
    }
    codings = {
        "te-cl": _CHUNKED + _LENGTH,
        "cl-te": _LENGTH + _CHUNKED,
        "cl0-te": b"Content-Length: 0\r\n" + _CHUNKED,
        "te-twice": _CHUNKED + _CHUNKED,
        "te-identity": b"Transfer-Encoding: identity\r\n" + _LENGTH,
        "te-identity-chunked": b"Transfer-Encoding: identity\r\n" + _CHUNKED,
        "te-chunked-identity": _CHUNKED + b"Transfer-Encoding: identity\r\n",
        "te-list-gzip": b"Transfer-Encoding: gzip, chunked\r\n",
        "te-list-last-identity": b"Transfer-Encoding: chunked, identity\r\n",
        "te-list-chunked": b"Transfer-Encoding: chunked, chunked\r\n",
        "te-list-empty": b"Transfer-Encoding: , chunked\r\n",
        "te-parameter": b"Transfer-Encoding: chunked;q=1\r\n",
        "te-x": b"Transfer-Encoding: xchunked\r\n",
        "te-quoted": b'Transfer-Encoding: "chunked"\r\n',
        "te-vertical-tab": b"Transfer-Encoding: \x0bchunked\r\n",
        "te-form-feed": b"Transfer-Encoding: chunked\x0c\r\n",
        "te-nul": b"Transfer-Encoding: chunked\x00\r\n",
        "te-nbsp": b"Transfer-Encoding: \xa0chunked\r\n",
        "te-space-before-colon": b"Transfer-Encoding : chunked\r\n",
        "te-space-before-colon-cl": b"Transfer-Encoding : chunked\r\n" + _LENGTH,
        "te-space-before-name": b" Transfer-Encoding: chunked\r\n",
        "te-folded": b"Transfer-Encoding:\r\n chunked\r\n",
        "te-folded-behind": b"X-A: 1\r\n Transfer-Encoding: chunked\r\n",
        "te-space-behind": b"Transfer-Encoding: chunked \t\r\n",
        "te-empty": b"Transfer-Encoding:\r\n",
        "te-empty-cl": b"Transfer-Encoding:\r\n" + _LENGTH,
        "te-bare-cr": b"X-A: 1\rTransfer-Encoding: chunked\r\n",
        "te-bare-lf": b"X-A: 1\nTransfer-Encoding: chunked\r\n",
        "te-lf-lf": b"X-A: 1\n\nTransfer-Encoding: chunked\r\n",
        "te-nul-in-name": b"Transfer-Encoding\x00: chunked\r\n",
        "te-kelvin": "Transfer-Encoding: chun\u212aed\r\n".encode(),
    }
    chunks = {
        "chunk-size-hex": b"0x2d\r\n" + HIDDEN + b"\r\n" + _EMPTY,
        "chunk-size-plus": b"+2d\r\n" + HIDDEN + b"\r\n" + _EMPTY,
        "chunk-size-minus": b"-1\r\n" + HIDDEN + _EMPTY,
        "chunk-size-space-before": b" 2d\r\n" + HIDDEN + b"\r\n" + _EMPTY,
        "chunk-size-empty": b"\r\n" + HIDDEN + _EMPTY,
        "chunk-size-letters": b"zz\r\n" + HIDDEN + _EMPTY,
        "chunk-size-overflow": b"1000000000000002d\r\n" + HIDDEN + b"\r\n" + _EMPTY,
        "chunk-size-underscore": b"2_d\r\n" + HIDDEN + b"\r\n" + _EMPTY,
        "chunk-size-bare-lf": b"2d\n" + HIDDEN + b"\r\n" + _EMPTY,
        "chunk-size-bare-cr": b"2d\r" + HIDDEN + b"\r\n" + _EMPTY,
        "chunk-size-cr-cr-lf": b"2d\r\r\n" + HIDDEN + b"\r\n" + _EMPTY,
        "chunk-longer-than-said": b"3\r\nabcdef\r\n" + _EMPTY,
        "chunk-without-end": b"3\r\nabc" + _EMPTY,
        "chunk-end-bare-lf": b"3\r\nabc\n" + _EMPTY,
        "chunk-end-bare-cr": b"3\r\nabc\r" + _EMPTY,
        "chunk-extension-lf": b"3;a=b\nc\r\nabc\r\n" + _EMPTY,
        "chunk-extension-cr": b"3;a=b\rc\r\nabc\r\n" + _EMPTY,
        "chunk-extension-nul": b"3;a\x00\r\nabc\r\n" + _EMPTY,
        "last-chunk-bare-lf": b"0\n\n",
        "trailer-folded": b"0\r\nX-A: 1\r\n 2\r\n\r\n",
        "trailer-without-colon": b"0\r\nGET /hidden HTTP/1.1\r\n\r\n",
        "trailer-length": b"2d\r\n" + HIDDEN + b"\r\n0\r\nContent-Length: 7\r\n\r\n",
        "trailer-coding": b"2d\r\n" + HIDDEN + b"\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "trailer-host": b"2d\r\n" + HIDDEN + b"\r\n0\r\nHost: evil.example\r\n\r\n",
        "trailer-bare-lf": b"0\r\nX-A: 1\nX-B: 2\r\n\r\n",
    }
    found = {f"cl-{name}": (framing, HIDDEN) for name, framing in lengths.items()}
    found |= {name: (framing, _chunks() + HIDDEN) for name, framing in codings.items()}
    return found | {name: (_CHUNKED, body) for name, body in chunks.items()}


def _refused_heads() -> dict[str, bytes]:
    """Whole requests that are refused for their first line or another header."""
    put = _put("x", _LENGTH, HIDDEN)
    return {
        "http-1-0-chunked": _put("x", _CHUNKED, _EMPTY + HIDDEN, version=b"HTTP/1.0"),
        "http-1-0-keep-alive-chunked": _put(
            "x", b"Connection: keep-alive\r\n" + _CHUNKED, _EMPTY + HIDDEN, version=b"HTTP/1.0"
        ),
        "http-1-2": _put("x", _LENGTH, HIDDEN, version=b"HTTP/1.2"),
        "http-2-0": _put("x", _LENGTH, HIDDEN, version=b"HTTP/2.0"),
        "http-2-preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN,
        "http-lower-case": _put("x", _LENGTH, HIDDEN, version=b"http/1.1"),
        "http-no-version": b"GET /\r\n" + HIDDEN,
        "http-version-lf": put.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\n", 1),
        "http-version-behind": put.replace(b"HTTP/1.1\r\n", b"HTTP/1.1 x\r\n", 1),
        "all-bare-lf": put.replace(b"\r\n", b"\n"),
        "all-bare-cr": put.replace(b"\r\n", b"\r"),
        "end-of-head-bare-lf": put.replace(b"45\r\n\r\n", b"45\r\n\n"),
        "end-of-head-cr-cr-lf": put.replace(b"45\r\n\r\n", b"45\r\n\r\r\n"),
        "absolute-form": put.replace(b"PUT /", b"PUT http://evil.example/", 1),
        "authority-form": b"CONNECT evil.example:443 HTTP/1.1\r\n" + ROUTING + b"\r\n" + HIDDEN,
        "no-slash": put.replace(b"PUT /", b"PUT ", 1),
        "space-in-target": put.replace(b"PUT /", b"PUT /a b/", 1),
        "tab-in-line": put.replace(b"PUT /", b"PUT\t/", 1),
        "nul-in-target": put.replace(b"PUT /", b"PUT /\x00/", 1),
        "two-hosts": put.replace(b"X-Request", b"Host: evil.example\r\nX-Request", 1),
        "no-host": put.replace(b"Host: node.example\r\n", b"", 1),
        "header-without-name": _put("x", b": 45\r\n" + _LENGTH, HIDDEN),
        "header-without-colon": _put("x", b"Content-Length 45\r\n", HIDDEN),
        "header-name-space": _put("x", b"X A: 1\r\n" + _LENGTH, HIDDEN),
        "header-name-latin": _put("x", b"X-\xe9: 1\r\n" + _LENGTH, HIDDEN),
        "first-header-folded": put.replace(b"Host:", b" Host:", 1),
        "connection-content-length": _put("x", b"Connection: Content-Length\r\n" + _LENGTH, HIDDEN),
        "connection-close-content-length": _put("x", b"Connection: close, content-length\r\n" + _LENGTH, HIDDEN),
        "connection-host": _put("x", b"Connection: host\r\n" + _LENGTH, HIDDEN),
        "method-odd": put.replace(b"PUT ", b"P\x7fT ", 1),
        "nothing-but-nul": b"\x00" * 20 + HIDDEN,
    }


_WEBSOCKET = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
_H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
_TRAILERS = b"Trailer: X-T\r\nTE: trailers\r\n"
_TE = b"Connection: TE, Transfer-Encoding\r\nTE: x\r\n"


def _meant() -> dict[str, tuple[str, bytes, bytes, bytes]]:
    """Method, framing lines, body as sent and as meant."""
    chunked = {
        "chunked": _chunks(HIDDEN),
        "chunked-pieces": _chunks(HIDDEN[:7], HIDDEN[7:20], HIDDEN[20:]),
        "chunked-extension": b"2d;a=b\r\n" + HIDDEN + b"\r\n" + _EMPTY,
        "chunked-extension-quoted": b'2d;a="b;c"\r\n' + HIDDEN + b"\r\n" + _EMPTY,
        "chunked-leading-zeros": b"0000002D\r\n" + HIDDEN + b"\r\n" + _EMPTY,
        "chunked-trailer": b"2d\r\n" + HIDDEN + b"\r\n0\r\nX-Trailer: 1\r\nX-Other: \r\n\r\n",
        "chunked-trailer-sender": b"2d\r\n" + HIDDEN + b"\r\n0\r\nOCPI-from-party-id: EVL\r\n\r\n",
        "chunked-many-zeros": b"2d\r\n" + HIDDEN + b"\r\n000000\r\n\r\n",
    }
    found = {name: ("PUT", _CHUNKED, body, HIDDEN) for name, body in chunked.items()}
    return found | {
        "length": ("PUT", _LENGTH, HIDDEN, HIDDEN),
        "length-spaced": ("PUT", b"Content-Length: \t 45 \t \r\n", HIDDEN, HIDDEN),
        "length-no-space": ("PUT", b"Content-Length:45\r\n", HIDDEN, HIDDEN),
        "length-leading-zeros": ("PUT", b"Content-Length: 00045\r\n", HIDDEN, HIDDEN),
        "length-upper-case": ("PUT", b"CONTENT-LENGTH: 45\r\n", HIDDEN, HIDDEN),
        "length-zero": ("PUT", b"Content-Length: 0\r\n", b"", b""),
        "length-none": ("POST", b"", b"", b""),
        "chunked-capital": ("PUT", b"transfer-encoding: Chunked\r\n", _chunks(HIDDEN), HIDDEN),
        "chunked-empty": ("PUT", _CHUNKED, _EMPTY, b""),
        "chunked-spaced": ("PUT", b"Transfer-Encoding: \t chunked\r\n", _chunks(HIDDEN), HIDDEN),
        "chunked-connection-te": ("PUT", _TE + _CHUNKED, _chunks(HIDDEN), HIDDEN),
        "underscore-te": ("PUT", b"Transfer_Encoding: chunked\r\n" + _LENGTH, HIDDEN, HIDDEN),
        "underscore-length": ("PUT", b"Content_Length: 3\r\n" + _LENGTH, HIDDEN, HIDDEN),
        "x-te": ("PUT", b"X-Transfer-Encoding: chunked\r\n" + _LENGTH, HIDDEN, HIDDEN),
        "get-with-length": ("GET", _LENGTH, HIDDEN, HIDDEN),
        "get-chunked": ("GET", _CHUNKED, _chunks(HIDDEN), HIDDEN),
        "delete-with-length": ("DELETE", _LENGTH, HIDDEN, HIDDEN),
        "post-chunked": ("POST", _CHUNKED, _chunks(HIDDEN), HIDDEN),
        "patch": ("PATCH", _LENGTH, HIDDEN, HIDDEN),
        "head-with-length": ("HEAD", _LENGTH, HIDDEN, HIDDEN),
        "options-with-length": ("OPTIONS", _LENGTH, HIDDEN, HIDDEN),
        "expect-with-body": ("PUT", b"Expect: 100-continue\r\n" + _LENGTH, HIDDEN, HIDDEN),
        "expect-chunked": ("PUT", b"Expect: 100-Continue\r\n" + _CHUNKED, _chunks(HIDDEN), HIDDEN),
        "expect-without-body": ("GET", b"Expect: 100-continue\r\n", b"", b""),
        "upgrade-websocket": ("GET", b"Connection: Upgrade\r\nUpgrade: websocket\r\n", b"", b""),
        "upgrade-websocket-body": ("PUT", _WEBSOCKET + _LENGTH, HIDDEN, HIDDEN),
        "upgrade-websocket-chunked": ("PUT", _WEBSOCKET + _CHUNKED, _chunks(HIDDEN), HIDDEN),
        "upgrade-h2c": ("PUT", _H2C + _LENGTH, HIDDEN, HIDDEN),
        "upgrade-tcp": ("GET", b"Connection: Upgrade\r\nUpgrade: tcp\r\n", b"", b""),
        "connection-keep-alive": ("PUT", b"Connection: keep-alive\r\n" + _LENGTH, HIDDEN, HIDDEN),
        "trailer-announced": ("PUT", _TRAILERS + _CHUNKED, _chunks(HIDDEN)[:-2] + b"X-T: 1\r\n\r\n", HIDDEN),
    }  # fmt: skip


def shapes() -> list[Shape]:
    """All of them, each under a name of its own that is part of its target."""
    assert len(HIDDEN) == 45
    found = [Shape(name, _put(name, framing, body)) for name, (framing, body) in _refused().items()]
    found += [Shape(name, sent) for name, sent in _refused_heads().items()]
    for name, (method, framing, body, meant) in _meant().items():
        said = Said(method, target_of(name), meant)
        last = b"Upgrade:" in framing
        found.append(Shape(name, _put(name, framing, body, method=method), (said,), last=last))
    five = [f"pipelined-{number}" for number in range(5)]
    found.append(
        Shape(
            "pipelined",
            b"".join(_put(name, _LENGTH, HIDDEN) for name in five),
            tuple(Said("PUT", target_of(name), HIDDEN) for name in five),
        )
    )
    found.append(
        Shape(
            "empty-lines-before",
            b"\r\n\r\n" + _put("lines", _LENGTH, HIDDEN),
            (Said("PUT", target_of("lines"), HIDDEN),),
        )
    )
    spaced = _put("spaced", _LENGTH, HIDDEN).replace(b"PUT ", b"PUT  ", 1).replace(b" HTTP/1.1", b"   HTTP/1.1", 1)
    found.append(Shape("spaces-in-line", spaced, (Said("PUT", target_of("spaced"), HIDDEN),)))
    return found
