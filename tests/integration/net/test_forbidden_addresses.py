"""Strangers write URLs into the registry: whatever they write, no connection is ever made to a forbidden address.

On every address of this machine but one something listens that counts connections; that one is allowed. The names of
``*.test`` come from a resolver of our own, everything else from the system's.
"""

import asyncio
import contextlib
import ipaddress
import itertools
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult

from ocn_permission_agent.net.answer import Answer, NoAnswer, Sent
from ocn_permission_agent.net.client import HttpTransport
from ocn_permission_agent.net.guard import read_networks
from ocn_permission_agent.net.settings import NetworkSettings

ALLOWED = "127.0.0.9"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
FORBIDDEN = ("127.0.0.1", "127.0.0.2", "127.1.2.3", "127.255.255.254", "0.0.0.0")
SETTINGS = NetworkSettings(allow_http=True, allow_addresses=read_networks([f"{ALLOWED}/32"]))


@dataclass
class Names(AbstractResolver):
    """What ``*.test`` resolves to: a list of answers, each a list of addresses; the last one stays."""

    known: dict[str, list[list[str]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        self.asked.append(host)
        if not host.rstrip(".").endswith(".test"):
            return await ThreadedResolver().resolve(host, port, family)
        answers = self.known.get(host.rstrip("."))
        if answers is None:
            raise OSError(f"no such name: {host}")
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        pass


@dataclass
class Place:
    """This machine: where connections must not come, and where they may."""

    port: int
    transport: HttpTransport
    names: Names
    forbidden: list[str] = field(default_factory=list)
    allowed: list[bytes] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)

    async def ask(self, url: str) -> Answer | NoAnswer:
        return await self.transport.request(
            "POST", url.format(port=self.port), headers={}, body=b"{}", timeout_seconds=5
        )


@asynccontextmanager
async def a_place() -> AsyncIterator[Place]:
    async with AsyncExitStack() as opened:
        names = Names()
        busy, idle = list[asyncio.StreamWriter](), asyncio.Event()
        transport = await opened.enter_async_context(HttpTransport(SETTINGS, resolver=names))
        place = Place(0, transport, names)

        async def caught(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            place.forbidden.append(str(writer.get_extra_info("sockname")))
            writer.close()

        async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            busy.append(writer)
            try:
                while head := await reader.readuntil(b"\r\n\r\n"):
                    place.allowed.append(head + await reader.readexactly(2))
                    writer.write(place.answers.pop(0) if place.answers else OK)
            except (asyncio.IncompleteReadError, ConnectionError):
                pass
            finally:
                writer.close()
                busy.remove(writer)
                idle.set()

        # All addresses first: a port that is free at one of them may be taken at another.
        others = await asyncio.start_server(caught, ["0.0.0.0"], 0, reuse_port=True)
        place.port = others.sockets[0].getsockname()[1]
        one = await asyncio.start_server(served, ALLOWED, place.port, reuse_port=True)
        servers = [one, others]
        if socket.has_ipv6:
            # Where the kernel has IPv6 switched off, such addresses lead nowhere.
            with contextlib.suppress(OSError):
                servers.append(await asyncio.start_server(caught, ["::"], place.port, reuse_port=True))
        yield place
        await transport.close()
        while busy:
            idle.clear()
            await idle.wait()
        for server in servers:
            server.close()
            await server.wait_closed()


# --- literals -----------------------------------------------------------------------------------------------------


def numbers(address: str) -> Iterator[str]:
    """Every notation that `inet_aton` reads, parts joined and in mixed bases."""
    octets = [int(part) for part in address.split(".")]
    joined = [
        octets,
        [octets[0], octets[1], octets[2] * 256 + octets[3]],
        [octets[0], (octets[1] * 256 + octets[2]) * 256 + octets[3]],
        [int(ipaddress.IPv4Address(address))],
    ]
    bases = ("{}", "0x{:x}", "0X{:X}", "0{:o}", "0x{:08x}", "000{:o}")
    for parts, base in itertools.product(joined, bases):
        yield ".".join(base.format(part) for part in parts)
    for parts in joined[:-1]:
        yield ".".join(base.format(part) for base, part in zip(itertools.cycle(bases), parts, strict=False))


def six(address: str) -> Iterator[str]:
    """IPv6 addresses that carry an IPv4 address inside, in several spellings."""
    value = int(ipaddress.IPv4Address(address))
    high, low = value >> 16, value & 0xFFFF
    yield from (f"[::ffff:{address}]", f"[::FFFF:{high:x}:{low:x}]", f"[0:0:0:0:0:ffff:{high:04x}:{low:04x}]")
    yield from (f"[::{address}]", f"[::{high:x}:{low:x}]", f"[::ffff:0:{address}]")
    yield from (f"[64:ff9b::{address}]", f"[64:ff9b::{high:x}:{low:x}]", f"[64:ff9b:1::{address}]")
    yield from (f"[2002:{high:x}:{low:x}::]", f"[2002:{high:x}:{low:x}::1]", f"[2001:0:{high:x}:{low:x}::1]")
    yield f"[::ffff:{address}%25lo]"


def dressed(address: str) -> Iterator[str]:
    """Letters and dots that IDNA, URL libraries or people take for others."""
    yield address.translate({ord(digit): 0xFF10 + int(digit) for digit in "0123456789"})
    circled = {ord(str(digit)): 0x245F + digit if digit else 0x24EA for digit in range(10)}
    yield address.translate(circled)
    for dot in ("\u3002", "\uff0e", "\uff61", "%2e", "%E3%80%82"):
        yield address.replace(".", dot)
    yield from (address + ".", address + "..", address + "%00", address + "%20", address + "%00.allowed.test")
    yield "".join(f"%{ord(char):02x}" for char in address)
    yield from (f"[{address}]", f"[::ffff:{address}].", f"0{address}", address.replace(".", "\uff0e", 1))


LITERALS = [
    *(form for address in FORBIDDEN for form in numbers(address)),
    *(form for address in FORBIDDEN for form in six(address)),
    *(form for address in FORBIDDEN[:2] for form in dressed(address)),
    *("[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[0000:0000:0000:0000:0000:0000:0000:0001]", "[::1%25lo]", "[::1%lo]"),
    *("localhost", "LOCALHOST", "localhost.", "LocalHost.", "\uff4c\uff4fcalhost", "loc\u00adalhost", "%6cocalhost"),
    *("[fe80::1%25lo]", "[fe80::1]", "[fc00::1]", "[ff02::1]", "[fec0::1]", "0", "00", "0x0", "0.0", "0.0.0", "127.0"),
]
URLS = [f"http://{host}:{{port}}/ocn/message" for host in dict.fromkeys(LITERALS)]
#: what two readers of URLs may take for two hosts
TRICKS = [
    f"http://{ALLOWED}:{{port}}@127.0.0.1:{{port}}/",
    f"http://{ALLOWED}@127.0.0.1:{{port}}/",
    f"http://{ALLOWED}%40127.0.0.1:{{port}}/",
    f"http://user:{ALLOWED}@127.0.0.1:{{port}}/",
    f"http://127.0.0.1:{{port}}#@{ALLOWED}/",
    f"http://127.0.0.1:{{port}}?@{ALLOWED}/",
    f"http://127.0.0.1:{{port}}/@{ALLOWED}/",
    f"http://127.0.0.1:{{port}}\\@{ALLOWED}:{{port}}/",
    f"http://{ALLOWED}\\@127.0.0.1:{{port}}/",
    f"http://127.0.0.1:{{port}}%23@{ALLOWED}/",
    f"http://127.0.0.1:{{port}};@{ALLOWED}/",
    f"http://127.0.0.1:{{port}} @{ALLOWED}:{{port}}/",
    f"http://127.0.0.1:{{port}}\t@{ALLOWED}:{{port}}/",
    "http://127.0.0.1\t:{port}/",
    "http://127.0.\n0.1:{port}/",
    "http:\\\\127.0.0.1:{port}/",
    "http:/\\127.0.0.1:{port}/",
    "http:////127.0.0.1:{port}/",
    "http:127.0.0.1:{port}/",
    "HTTP://127.0.0.1:{port}/",
    "\x00http://127.0.0.1:{port}/",
    " http://127.0.0.1:{port}/",
    "http://127.0.0.1:0{port}/",
    "http://127.0.0.1:{port}:80/",
    "http://[::1]:{port}@127.0.0.1:{port}/",
    "http://[::1:{port}/",
    "gopher://127.0.0.1:{port}/",
    "file://127.0.0.1:{port}/etc/hosts",
    "ws://127.0.0.1:{port}/",
    "unix://127.0.0.1:{port}/",
    "http+unix://127.0.0.1:{port}/",
    "//127.0.0.1:{port}/",
    "jar:http://127.0.0.1:{port}/!/",
    "https://127.0.0.1:{port}/",
    "https://[::ffff:127.0.0.1]:{port}/",
    "https://localhost:{port}/",
]


def test_the_set_is_as_large_as_it_is_said_to_be() -> None:
    assert len(set(URLS + TRICKS)) >= 200


async def test_no_notation_of_a_forbidden_address_is_connected_to() -> None:
    async with a_place() as place:
        own = {row[4][0] for row in socket.getaddrinfo(socket.gethostname(), 0, socket.AF_INET)}
        mine = [f"http://{address}:{{port}}/" for address in own if ipaddress.ip_address(address).is_private]
        for url in [*URLS, *TRICKS, *mine]:
            answer = await place.ask(url)
            assert isinstance(answer, NoAnswer), url
            assert answer.sent is Sent.NO, url
            assert place.forbidden == [], url
        assert place.allowed == []
        # None of this is because nothing works.
        assert (await place.ask(f"http://{ALLOWED}:{{port}}/")) == Answer(status=200, body=b"ok")
        assert len(place.allowed) == 1


# --- names --------------------------------------------------------------------------------------------------------

ADDRESSES = [
    *FORBIDDEN,
    *("10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "169.254.169.254", "192.0.0.1", "198.18.0.1", "224.0.0.1"),
    *("240.0.0.1", "255.255.255.255", "192.0.2.1", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "2001:db8::1"),
    *("::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::127.0.0.1"),
]


@pytest.mark.parametrize("address", ADDRESSES)
async def test_name_of_a_forbidden_address_is_not_connected_to(address: str) -> None:
    async with a_place() as place:
        place.names.known["evil.test"] = [[address]]
        for host in ("evil.test", "evil.test.", "EVIL.test", "evil\u3002test"):
            answer = await place.ask(f"http://{host}:{{port}}/")
            assert isinstance(answer, NoAnswer), host
            assert answer.sent is Sent.NO
        assert (place.forbidden, place.allowed) == ([], [])
        assert place.names.asked.count("evil.test") >= 3


@pytest.mark.parametrize("answers", [[["127.0.0.1", ALLOWED]], [[ALLOWED, "127.0.0.1"]], [["::1", ALLOWED, "0.0.0.0"]]])
async def test_of_several_addresses_only_the_allowed_one_is_used(answers: list[list[str]]) -> None:
    async with a_place() as place:
        place.names.known["mixed.test"] = answers
        for _ in range(3):
            assert isinstance(await place.ask("http://mixed.test:{port}/"), Answer)
        assert (place.forbidden, len(place.allowed)) == ([], 3)


async def test_name_that_changes_between_looks_is_checked_at_each() -> None:
    closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
    async with a_place() as place:
        place.names.known["turning.test"] = [[ALLOWED], ["127.0.0.1"], [ALLOWED], ["::ffff:127.0.0.1"], ["::1"]]
        place.answers = [closing] * 5
        served = [isinstance(await place.ask("http://turning.test:{port}/"), Answer) for _ in range(5)]
        assert served == [True, False, True, False, False]
        assert place.forbidden == []


async def test_connection_that_is_kept_leads_where_it_was_checked() -> None:
    async with a_place() as place:
        place.names.known["kept.test"] = [[ALLOWED], ["127.0.0.1"]]
        for _ in range(5):
            assert isinstance(await place.ask("http://kept.test:{port}/"), Answer)
        assert place.names.asked == ["kept.test"]
        assert (place.forbidden, len(place.allowed)) == ([], 5)
        # Not to another port or scheme, and not to the same address under another name.
        for url in ("https://kept.test:{port}/", "http://kept.test:1{port}/", "http://127.0.0.1:{port}/"):
            assert isinstance(await place.ask(url), NoAnswer)
        assert place.forbidden == []


# --- redirects and proxies ----------------------------------------------------------------------------------------

STATUSES = ("300 X", "301 X", "302 X", "303 X", "304 X", "305 X", "306 X", "307 X", "308 X", "201 X")
LOCATIONS = [
    "http://127.0.0.1:{port}/ocn/message/",
    "//127.0.0.1:{port}/ocn/message/",
    "http://localhost:{port}/ocn/message/",
    "http://[::1]:{port}/ocn/message/",
    f"http://{ALLOWED}@127.0.0.1:{{port}}/ocn/message/",
    f"http://127.0.0.1:{{port}}\\@{ALLOWED}/ocn/message/",
    "http://2130706433:{port}/ocn/message/",
    "\\\\127.0.0.1:{port}/ocn/message/",
    "/\\127.0.0.1:{port}/ocn/message/",
    "https://127.0.0.1:{port}/ocn/message/",
    "http://evil.test:{port}/ocn/message/",
]


@pytest.mark.parametrize("status", STATUSES)
async def test_no_redirect_leads_to_a_forbidden_address(status: str) -> None:
    async with a_place() as place:
        place.names.known["evil.test"] = [["127.0.0.1"]]
        for location in LOCATIONS:
            head = f"HTTP/1.1 {status}\r\nLocation: {location.format(port=place.port)}\r\n"
            more = f"Refresh: 0; url=http://127.0.0.1:{place.port}/\r\nContent-Length: 0\r\n\r\n"
            place.answers = [(head + more).encode()]
            answer = await place.ask(f"http://{ALLOWED}:{{port}}/ocn/message")
            assert isinstance(answer, Answer)
            assert answer.status == int(status[:3])
        assert place.forbidden == []
        assert len(place.allowed) == len(LOCATIONS)


async def test_redirect_over_a_slash_is_checked_like_any_other_call() -> None:
    moved = b"HTTP/1.1 308 X\r\nConnection: close\r\nLocation: /ocn/message/\r\nContent-Length: 0\r\n\r\n"
    async with a_place() as place:
        place.names.known["turning.test"] = [[ALLOWED], ["127.0.0.1"]]
        place.answers = [moved]
        answer = await place.ask("http://turning.test:{port}/ocn/message")
        assert isinstance(answer, NoAnswer)
        assert (place.forbidden, len(place.allowed)) == ([], 1)


@pytest.mark.parametrize("no_proxy", ["", "*", "127.0.0.9"])
async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch, no_proxy: str) -> None:
    async with a_place() as place:
        for name in ("http_proxy", "https_proxy", "all_proxy", "ftp_proxy", "socks_proxy"):
            for spelled in (name, name.upper()):
                monkeypatch.setenv(spelled, f"http://127.0.0.1:{place.port}")
        monkeypatch.setenv("no_proxy", no_proxy)
        assert isinstance(await place.ask(f"http://{ALLOWED}:{{port}}/"), Answer)
        assert isinstance(await place.ask("http://127.0.0.1:{port}/"), NoAnswer)
        assert place.forbidden == []
