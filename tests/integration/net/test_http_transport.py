"""Outgoing calls on real sockets: what is sent, what comes back as a value, and where no connection is ever made."""

import asyncio
import gzip
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ocn_permission_agent.net.answer import ANSWER_LIMIT_BYTES, Answer, NoAnswer, Sent
from ocn_permission_agent.net.client import HttpTransport
from ocn_permission_agent.net.guard import read_networks
from ocn_permission_agent.net.settings import NetworkSettings

LOOPBACK = NetworkSettings(allow_http=True, allow_addresses=read_networks(["127.0.0.0/8", "::1"]))
HEADERS = {"X-Request-ID": "r-1", "OCN-Signature": "00ff", "Content-Type": "application/json"}
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Peer:
    """Somebody else's server: counts connections, keeps requests, answers with bytes or by its own means."""

    answers: list[bytes] = field(default_factory=list)
    by_hand: Serve | None = None
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            if self.by_hand is not None:
                await self.by_hand(reader, writer)
            while self.by_hand is None:
                self.requests.append(await one_request(reader))
                writer.write(self.answers.pop(0))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, IndexError):
            pass
        finally:
            writer.close()


async def one_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return head + await reader.readexactly(length)


@asynccontextmanager
async def listening(peer: Peer) -> AsyncIterator[str]:
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{peer.port}"
    finally:
        server.close()
        await server.wait_closed()


def an_answer(body: bytes = b"ok", *, status: str = "200 OK", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


async def post(transport: HttpTransport, url: str, *, timeout_seconds: float = 5.0) -> Answer | NoAnswer:
    return await transport.request("POST", url, headers=HEADERS, body=b'{"a":1}', timeout_seconds=timeout_seconds)


async def test_exactly_what_was_given_is_sent() -> None:
    peer = Peer([an_answer(headers="Retry-After: 7\r\nX-Other: 1\r\n")])
    async with listening(peer) as url, HttpTransport(LOOPBACK) as transport:
        answer = await post(transport, url + "/ocn/message")
        assert answer == Answer(status=200, headers={"retry-after": "7"}, body=b"ok")
        head, _, body = peer.requests[0].partition(b"\r\n\r\n")
        assert sorted(head.split(b"\r\n")) == sorted(
            [
                b"POST /ocn/message HTTP/1.1",
                b"Host: 127.0.0.1:%d" % peer.port,
                b"X-Request-ID: r-1",
                b"OCN-Signature: 00ff",
                b"Content-Type: application/json",
                b"Content-Length: 7",
            ]
        )
        assert body == b'{"a":1}'


async def test_connection_is_kept_for_the_next_call() -> None:
    peer = Peer([an_answer(), an_answer()])
    async with listening(peer) as url, HttpTransport(LOOPBACK) as transport:
        await post(transport, url)
        await post(transport, url)
        assert (len(peer.requests), peer.connections) == (2, 1)


async def test_any_status_is_an_answer() -> None:
    peer = Peer([an_answer(b"no", status="503 Service Unavailable")])
    async with listening(peer) as url, HttpTransport(LOOPBACK) as transport:
        assert await post(transport, url) == Answer(status=503, body=b"no")


async def test_coded_answer_is_read_plain() -> None:
    peer = Peer([an_answer(gzip.compress(b"plain"), headers="Content-Encoding: gzip\r\n")])
    async with listening(peer) as url, HttpTransport(LOOPBACK) as transport:
        answer = await post(transport, url)
        assert isinstance(answer, Answer)
        assert answer.body == b"plain"


@pytest.mark.parametrize("coded", [False, True])
async def test_long_answer_is_cut(coded: bool) -> None:
    body = b"x" * 5_000_000
    sent = an_answer(gzip.compress(body), headers="Content-Encoding: gzip\r\n") if coded else an_answer(body)
    async with listening(Peer([sent])) as url, HttpTransport(LOOPBACK) as transport:
        answer = await post(transport, url)
        assert isinstance(answer, Answer)
        assert (len(answer.body), answer.cut) == (ANSWER_LIMIT_BYTES, True)


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await one_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while not reader.at_eof():
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await one_request(reader)
    await reader.read()


async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await one_request(reader)


async def cutting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await one_request(reader)
    writer.write(an_answer(b"0123456789")[:-5])


async def no_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await one_request(reader)
    writer.write(b"220 mail.example ESMTP\r\n")


@pytest.mark.parametrize("by_hand", [endless, silent, closing, cutting, no_http])
async def test_no_whole_answer_after_sending_leaves_the_outcome_open(by_hand: Serve) -> None:
    peer = Peer(by_hand=by_hand)
    async with listening(peer) as url, HttpTransport(LOOPBACK) as transport:
        answer = await post(transport, url, timeout_seconds=0.3)
        assert isinstance(answer, NoAnswer)
        assert answer.sent is Sent.MAYBE
        assert peer.connections == 1


async def test_nothing_is_sent_where_nobody_listens() -> None:
    async with listening(Peer()) as url:
        pass
    async with HttpTransport(LOOPBACK) as transport:
        answer = await post(transport, url)
    assert isinstance(answer, NoAnswer)
    assert answer.sent is Sent.NO
    assert answer.detail.startswith("no connection")


async def test_nothing_is_sent_when_the_name_or_tls_fails() -> None:
    peer = Peer(by_hand=lambda reader, _: reader.read(1))  # type: ignore[arg-type,return-value]
    async with listening(peer) as url, HttpTransport(LOOPBACK) as transport:
        for target in ("http://no-such-host.invalid/", url.replace("http:", "https:")):
            answer = await post(transport, target)
            assert isinstance(answer, NoAnswer)
            assert answer.sent is Sent.NO


async def test_unverified_peer_is_never_talked_to(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    making = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *subject]
    await asyncio.to_thread(
        subprocess.run, [*making, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    peer = Peer([an_answer()])
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    async with HttpTransport(LOOPBACK) as transport:
        assert await post(transport, f"https://127.0.0.1:{port}/") == NoAnswer(
            sent=Sent.NO, detail="no connection: bad TLS certificate"
        )
    server.close()
    await server.wait_closed()
    assert peer.requests == []


async def test_connection_that_does_not_come_about_in_time_has_sent_nothing() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        clog = [socket.socket() for _ in range(3)]
        for each in clog:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        async with HttpTransport(LOOPBACK) as transport:
            answer = await post(transport, f"http://127.0.0.1:{full.getsockname()[1]}/", timeout_seconds=0.3)
        for each in clog:
            each.close()
    assert isinstance(answer, NoAnswer)
    assert answer.sent is Sent.NO


FORMS = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "017700000001",
    "127.0.0.1.",
    "localhost",
    "0.0.0.0",
    "0",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:7f00:0001]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "127.255.255.254",
    "127.0.0.2",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "%31%32%37.0.0.1",
]


@pytest.mark.parametrize("host", FORMS)
async def test_no_form_of_a_forbidden_address_is_connected_to(host: str) -> None:
    peer = Peer([an_answer()])
    async with listening(peer) as _, HttpTransport(NetworkSettings(allow_http=True)) as transport:
        answer = await post(transport, f"http://{host}:{peer.port}/ocn/message", timeout_seconds=3)
        assert isinstance(answer, NoAnswer)
        assert answer.sent is Sent.NO
        assert peer.connections == 0


@pytest.mark.parametrize(
    "url",
    [
        "http://1.1.1.1/",
        "ftp://1.1.1.1/",
        "https://user:pw@1.1.1.1/",
        "https:///x",
        "//1.1.1.1",
        "",
        "https://[zz]/",
        "\0",
    ],
)
async def test_url_of_a_form_that_is_never_called(url: str) -> None:
    async with HttpTransport(NetworkSettings()) as transport:
        answer = await post(transport, url)
        assert isinstance(answer, NoAnswer)
        assert answer.sent is Sent.NO
        assert "pw" not in answer.detail


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy, peer = Peer([an_answer(b"proxy")]), Peer([an_answer(b"peer")])
    async with listening(proxy) as proxy_url, listening(peer) as url, HttpTransport(LOOPBACK) as transport:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"):
            monkeypatch.setenv(name, proxy_url)
        answer = await post(transport, url)
        assert isinstance(answer, Answer)
        assert (answer.body, proxy.connections) == (b"peer", 0)


@pytest.mark.parametrize("status", ["307 Temporary Redirect", "308 Permanent Redirect"])
@pytest.mark.parametrize(("path", "location"), [("/ocn/message", "/ocn/message/"), ("/ocn/message/", "message/../")])
async def test_redirect_that_only_moves_a_slash_is_followed_once(status: str, path: str, location: str) -> None:
    location = path[:-1] if path.endswith("/") else location
    moved = an_answer(b"", status=status, headers=f"Location: {location}\r\n")
    peer = Peer([moved, an_answer(b"there")])
    async with listening(peer) as url, HttpTransport(LOOPBACK) as transport:
        answer = await post(transport, url + path)
        assert isinstance(answer, Answer)
        assert answer.body == b"there"
        assert len(peer.requests) == 2


@pytest.mark.parametrize(
    ("status", "location"),
    [
        ("302 Found", "/ocn/message/"),
        ("303 See Other", "/ocn/message/"),
        ("307 Temporary Redirect", "/elsewhere"),
        ("307 Temporary Redirect", "http://localhost:1/ocn/message/"),
        ("307 Temporary Redirect", "//169.254.169.254/ocn/message/"),
        ("307 Temporary Redirect", "/ocn/message/?x=1"),
        ("307 Temporary Redirect", "/ocn/message"),
        ("307 Temporary Redirect", "http://[/"),
        ("307 Temporary Redirect", ""),
    ],
)
async def test_other_redirects_are_answers(status: str, location: str) -> None:
    peer = Peer([an_answer(b"", status=status, headers=f"Location: {location}\r\n")])
    async with listening(peer) as url, HttpTransport(LOOPBACK) as transport:
        answer = await post(transport, url + "/ocn/message")
        assert isinstance(answer, Answer)
        assert answer.status == int(status[:3])
        assert len(peer.requests) == 1


async def test_redirects_do_not_run_in_circles() -> None:
    moved = [an_answer(b"", status="307 X", headers=f"Location: /a{slash}\r\n") for slash in ("/", "", "/")]
    peer = Peer(moved)
    async with listening(peer) as url, HttpTransport(LOOPBACK) as transport:
        answer = await post(transport, url + "/a")
        assert isinstance(answer, Answer)
        assert (answer.status, len(peer.requests)) == (307, 2)


async def test_call_on_a_connection_that_just_closed_is_not_repeated() -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await one_request(reader)
        writer.write(an_answer())
        await one_request(reader)
        peer.requests.append(b"second")

    peer = Peer(by_hand=once)
    async with listening(peer) as url, HttpTransport(LOOPBACK) as transport:
        await post(transport, url)
        answer = await post(transport, url)
        assert isinstance(answer, NoAnswer)
        assert answer.sent is Sent.MAYBE
        assert (len(peer.requests), peer.connections) == (1, 1)


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "POST"])
async def test_nothing_is_sent_twice_when_the_connection_is_closed_without_an_answer(method: str) -> None:
    peer = Peer()

    async def take_and_close(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        peer.requests.append(await reader.readuntil(b"\r\n\r\n"))

    peer.by_hand = take_and_close
    async with listening(peer) as url, HttpTransport(LOOPBACK) as transport:
        answer = await transport.request(method, url, headers={}, body=b"", timeout_seconds=5)
        assert isinstance(answer, NoAnswer)
        assert answer.sent is Sent.MAYBE
        assert [request.split()[0].decode() for request in peer.requests] == [method]
