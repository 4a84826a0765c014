"""Requests that nobody would write, from a seed, so that a failure can be repeated.

Each begins as an honest request of a party of the sandbox and is then damaged in up to three places: its target, its
headers, its body, its framing. Its correlation id is left alone, so that what became of it can be looked up.
"""

import gzip
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ocn_permission_agent.ocpi.party import Party
from tests.peers.jackson.documents import documents

Header = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Platform:
    """Who may send: a party and its Authorization."""

    party: Party
    authorization: str


@dataclass
class Draft:
    """A request before it is written down."""

    method: str
    path: str
    query: str
    headers: list[Header]
    body: bytes
    chunked: bool = False
    framing: list[Header] = field(default_factory=list)

    def written(self, chance: random.Random) -> bytes:
        target = self.path + (f"?{self.query}" if self.query else "")
        framing = list(self.framing)
        body = self.body
        if not framing:
            framing = [(b"Transfer-Encoding", b"chunked")] if self.chunked else [(b"Content-Length", b"%d" % len(body))]
            body = _in_chunks(body, chance) if self.chunked else body
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in (*self.headers, *framing))
        return f"{self.method} {target} HTTP/1.1\r\n".encode("utf-8", "surrogateescape") + lines + b"\r\n" + body


def _in_chunks(body: bytes, chance: random.Random) -> bytes:
    pieces, rest = [], body
    while rest:
        size = min(len(rest), chance.choice((1, 7, 100, 5000, 70_000)))
        pieces.append(b"%x\r\n%b\r\n" % (size, rest[:size]))
        rest = rest[size:]
    return b"".join(pieces) + b"0\r\n\r\n"


#: method and what follows version and role; P stands for country and party of the sender
_ROUTES = (
    ("PUT", "receiver/{v}/sessions/{p}/{id}"), ("PATCH", "receiver/{v}/sessions/{p}/{id}"),
    ("PUT", "receiver/{v}/locations/{p}/{id}"), ("PATCH", "receiver/{v}/locations/{p}/{id}/E1/C1"),
    ("PUT", "receiver/{v}/locations/{p}/{id}/E1"), ("PUT", "receiver/{v}/tariffs/{p}/{id}"),
    ("DELETE", "receiver/{v}/tariffs/{p}/{id}"), ("POST", "receiver/{v}/cdrs"), ("PUT", "receiver/{v}/tokens/{p}/{id}"),
    ("PATCH", "receiver/{v}/tokens/{p}/{id}"), ("POST", "receiver/{v}/commands/START_SESSION"),
    ("POST", "sender/{v}/tokens/{id}/authorize"), ("PUT", "sender/{v}/sessions/{id}/charging_preferences"),
    ("PUT", "{v}/receiver/chargingprofiles/{id}"), ("GET", "receiver/{v}/sessions/{p}/{id}"),
    ("GET", "sender/{v}/sessions"), ("POST", "sender/{v}/commands/START_SESSION/{id}"), ("GET", "versions"),
    ("GET", "sender/{v}/locations/page/7"), ("PUT", "receiver/{v}/unknown/{p}/{id}"),
)  # fmt: skip
#: in place of an id: what servers decode, split, trim or take for something else
_ODD_IDS = (
    "a%2fb", "a%2Fb", "..", ".", "%2e%2e", "%2e", "a%00b", "a;x=1", "a;b/c", "a%3fb", "a%23b", "a%25b", "a%5cb",
    "a\\b", "%c3%a4", "%ff", "%", "%zz", "a%20b", "a+b", "", "a//b", "a/../b", "a/./b", "%61", "A", "a'b", "a\"b",
    "a|b", "a`b", "a{b}", "a<b>", "%0a", "%0d%0aX: 1", "a%3bb", "%u0061", "x" * 300, "\udce4", "\udcff\udcfe", "a,b",
    "~", "a:b", "a@b", "a&b", "a=b", "page", "authorize", "result", "%ef%bc%8f", "%e2%80%8b", "a%2f..%2fb", "a/",
)  # fmt: skip
_QUERIES = (
    "", "", "a=b", "limit=1&limit=2", "type=RFID", "type=%00", "%", "=", "&&&", "a=%ff", "a=b#c", "a=b?c=d", "a[]=1",
    "date_from=x", "offset=-1", "limit=99999999999999999999", "a=" + "x" * 3000, "\udce4=1", "type=%u0041", "a=b;c=d",
)  # fmt: skip
_ODD_VALUES = (
    b"", b" ", b"\t", b"x" * 5000, b"\xe4\xff", b"a, b", b"a;b", b'"', b"\\", b"%00", b"${jndi:ldap://127.0.0.1/a}",
    b"0", b"-1", b"null", b"application/json", b"\xc3\xa4", b"\x7f", b"{}", b"close", b"1" * 400,
)  # fmt: skip
_ROUTING = (b"OCPI-from-country-code", b"OCPI-from-party-id", b"OCPI-to-country-code", b"OCPI-to-party-id")
_ODD_HEADERS = (
    b"Content-Type", b"Accept", b"Content-Encoding", b"OCN-Signature", b"X-Forwarded-For", b"X-Real-IP", b"Forwarded",
    b"Cookie", b"Host", b"Connection", b"Expect", b"TE", b"Trailer", b"Upgrade", b"Range", b"X-HTTP-Method-Override",
    b"X-Original-URL", b"X-Rewrite-URL", b"Via", b"Max-Forwards", b"X-Request-ID", b"Authorization", b"Date", b"x",
)  # fmt: skip


def nested(depth: int) -> Iterator[bytes]:
    yield b'{"a":' + b"[" * depth + b"]" * depth + b"}"
    yield b'{"a":' * depth + b"1" + b"}" * depth
    yield b'{"a":' + b"[" * depth
    yield b'{"id":"x","a":' + b'{"b":[' * (depth // 2) + b"]}" * (depth // 2) + b"}"


def many_keys(count: int) -> bytes:
    return b'{"id":"x",' + b",".join(b'"%x":0' % number for number in range(count)) + b"}"


def odd_documents(largest: int) -> list[bytes]:
    """JSON that readers stumble over; objects have up to `largest` members."""
    fixed = [
        b"NaN", b'{"kwh":NaN}', b'{"kwh":Infinity,"x":-Infinity}', b'{"kwh":1e400}', b'{"kwh":-0.0}', b'{"kwh":1E-400}',
        b'{"id":"a","id":"b"}', b'{"id":"a","ID":"b","\\u0069d":"c"}', b'{"":1,"":2}', b'{"a":"\\ud800"}',
        b'{"a":"\\udc00\\ud800"}', b'{"\\ud83d":1}', b'{"a":"\xed\xa0\x80"}', b'{"a":"\xff"}', b"\xef\xbb\xbf{}",
        b'{"a":' + b"9" * 5000 + b"}", b'{"a":0.' + b"9" * 5000 + b"}", b'{"a":1e' + b"9" * 500 + b"}", b"{}", b"[]",
        b'{"a":18446744073709551616}', b'{"a":-9223372036854775809}', b'{"a":1.0,"b":1.00,"c":1e0}', b"", b"null",
        b'""',
        b"{", b"}", b'{"a":1}{"b":2}', b'{"a":1} x', b"{'a':1}", b'{"a":1,}', b'{"a":01}', b'{"a":+1}', b'{"a":.5}',
        b'{"a":"\n"}', b'{"a":"\\x41"}', b"/*x*/{}", b'{"a":tru}', b'{"__proto__":{"x":1}}', b'{"id":{"id":"x"}}',
        b'{"a":"' + b"\\u0041" * 20_000 + b'"}', b'{"a":"' + b"x" * 200_000 + b'"}', b'{"' + b"k" * 60_000 + b'":1}',
        b'{"response_url":"http://127.0.0.1:1/x"}', b'{"response_url":7}', b'{"response_url":"\\u0000"}',
        '{"id":"a"}'.encode("utf-16"), '{"id":"a"}'.encode("utf-32"), b"\x00" * 100, gzip.compress(b'{"id":"x"}'),
        b'{"a":[' + b",".join(b"12345678.%d" % number for number in range(largest // 20)) + b"]}",
    ]  # fmt: skip
    return [*fixed, *nested(100), *nested(1_001), *nested(10_000), many_keys(1_000), many_keys(largest)]


class Fuzz:
    """Draws requests.

    Args:
        seed: of everything.
        platforms: who sends; to each other.
        version: OCPI's in the paths, ``2.2`` or ``2.2.1``.
        prefix: what stands before ``/ocpi``.
        largest: members of the largest object.
    """

    def __init__(
        self, *, seed: int, platforms: list[Platform], version: str, prefix: str = "", largest: int = 50_000
    ) -> None:
        self._chance = random.Random(seed)  # noqa: S311  repeatable, not secret
        self._platforms = platforms
        self._version = version
        self._prefix = f"/{prefix}" if prefix else ""
        self._odd = odd_documents(largest)
        self._documents = [text.encode("utf-8", "surrogatepass") for text in documents(seed, 300)]
        self._number = 0
        self._damages: tuple[Callable[[Draft], None], ...] = (
            self._target, self._target, self._odd_body, self._odd_body, self._any_body, self._query, self._value,
            self._header, self._routing, self._method, self._coding, self._chunk, self._type, self._framing, self._many,
        )  # fmt: skip

    def next(self) -> tuple[str, bytes]:
        """Correlation id, and the request as bytes."""
        self._number += 1
        name = f"fuzz-{self._number}"
        draft = self._honest(name)
        for _ in range(self._chance.choice((0, 0, 1, 1, 1, 2, 3))):
            self._chance.choice(self._damages)(draft)
        return name, draft.written(self._chance)

    def _honest(self, name: str) -> Draft:
        sender, receiver = self._chance.sample(self._platforms, 2)
        method, path = self._chance.choice(_ROUTES)
        party = f"{sender.party.country_code}/{sender.party.party_id}"
        body = {"id": name, "kwh": 1.5, "response_url": "http://127.0.0.1:9/x", "last_updated": "2026-03-01T12:00:00Z"}
        return Draft(
            method=method,
            path=f"{self._prefix}/ocpi/" + path.format(v=self._version, p=party, id=f"o{self._number % 50}"),
            query="",
            headers=[
                (b"Host", b"node.example"),
                (b"Authorization", sender.authorization.encode()),
                (b"X-Request-ID", f"r-{name}".encode()),
                (b"X-Correlation-ID", name.encode()),
                (b"OCPI-from-country-code", sender.party.country_code.encode()),
                (b"OCPI-from-party-id", sender.party.party_id.encode()),
                (b"OCPI-to-country-code", receiver.party.country_code.encode()),
                (b"OCPI-to-party-id", receiver.party.party_id.encode()),
                (b"Content-Type", b"application/json"),
            ],
            body=b"" if method == "GET" else json.dumps(body).encode(),
        )

    # --- damages --------------------------------------------------------------------------------------------------

    def _target(self, draft: Draft) -> None:
        before, _, _ = draft.path.rpartition("/")
        if len(draft.path) < 2:
            return
        match self._chance.randrange(6):
            case 0 | 1 | 2:
                draft.path = f"{before}/{self._chance.choice(_ODD_IDS)}"
            case 3:
                place = self._chance.randrange(1, len(draft.path))
                draft.path = draft.path[:place] + self._chance.choice(
                    ("/", "%2f", ";a=b", "/.", "%", ".", "\\", "?", " ")
                )
                draft.path += "/x" if self._chance.random() < 0.5 else ""
            case 4:
                place = self._chance.randrange(1, len(draft.path))
                letter = draft.path[place]
                encoded = f"%{ord(letter):02x}" if letter.isascii() else letter
                draft.path = draft.path[:place] + encoded + draft.path[place + 1 :]
            case _:
                draft.path = self._chance.choice(
                    (draft.path.upper(), draft.path + "/", "/" + draft.path, draft.path.swapcase(), "/", "*", "")
                )

    def _odd_body(self, draft: Draft) -> None:
        draft.body = self._chance.choice(self._odd)

    def _any_body(self, draft: Draft) -> None:
        draft.body = self._chance.choice(self._documents)

    def _query(self, draft: Draft) -> None:
        draft.query = self._chance.choice(_QUERIES)

    def _value(self, draft: Draft) -> None:
        """Another value for a header that is there; never for the correlation id."""
        place = self._chance.choice([place for place, (name, _) in enumerate(draft.headers) if b"Corr" not in name])
        draft.headers[place] = (draft.headers[place][0], self._chance.choice(_ODD_VALUES))

    def _header(self, draft: Draft) -> None:
        draft.headers.append((self._chance.choice(_ODD_HEADERS), self._chance.choice(_ODD_VALUES)))

    def _routing(self, draft: Draft) -> None:
        """A routing header again, in another spelling or with another value."""
        name, value = (
            self._chance.choice(_ROUTING),
            self._chance.choice((b"DE", b"CPO", b"MSP", b"BIL", b"de", b"XX", b"")),
        )
        spelled = self._chance.choice(
            (name, name.upper(), name.replace(b"-", b"_"), name.replace(b"-", b"_", 1), name + b" ")
        )
        place = self._chance.randrange(len(draft.headers) + 1)
        draft.headers.insert(place, (spelled, value))

    def _method(self, draft: Draft) -> None:
        draft.method = self._chance.choice(
            ("GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "FOO", "put")
        )

    def _coding(self, draft: Draft) -> None:
        coding = self._chance.choice((b"gzip", b"identity", b"br", b"gzip, gzip", b"deflate", b"x", b"gzip," * 50))
        draft.headers.append((b"Content-Encoding", coding))
        if self._chance.random() < 0.5:
            draft.body = gzip.compress(draft.body)

    def _chunk(self, draft: Draft) -> None:
        draft.chunked = True

    def _type(self, draft: Draft) -> None:
        kinds = (
            b"text/plain",
            b"application/json; charset=utf-16",
            b"application/JSON",
            b"multipart/form-data",
            b"x/y",
            b"",
        )
        draft.headers = [line for line in draft.headers if line[0] != b"Content-Type"]
        draft.headers.append((b"Content-Type", self._chance.choice(kinds)))

    def _framing(self, draft: Draft) -> None:
        size = len(draft.body)
        draft.framing = self._chance.choice(
            [
                [(b"Content-Length", b"%d" % size), (b"Transfer-Encoding", b"chunked")],
                [(b"Content-Length", b"%d" % size), (b"Content-Length", b"%d" % (size + 1))],
                [(b"Transfer-Encoding", b"gzip, chunked")],
                [(b"Content-Length", b"x")],
                [(b"Transfer-Encoding", b"chunked")],
            ]
        )

    def _many(self, draft: Draft) -> None:
        draft.headers += [(b"X-Many", b"1")] * self._chance.choice((50, 90, 100, 300))
