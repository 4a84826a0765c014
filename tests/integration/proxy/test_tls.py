"""TLS of the listener and towards the node, with certificates made for the occasion."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.errors import ConfigError
from ocn_permission_agent.net.answer import Answer, NoAnswer, Sent
from ocn_permission_agent.net.own import OwnNode
from ocn_permission_agent.proxy.settings import NodeSettings, TlsFiles
from ocn_permission_agent.proxy.tls import node_context, server_context
from tests.integration.proxy.house import SETTINGS, House, a_house, a_put
from tests.integration.proxy.wire import OK_BODY, Line, RawNode, ask, line_to, listening

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Papers:
    """A CA with the certificate files that it issued."""

    ca: trustme.CA
    files: TlsFiles

    def show(self, *names: str, ca: trustme.CA | None = None) -> None:
        """Write a certificate of `ca`, by default our own CA, over the files."""
        issued = (ca or self.ca).issue_cert(*(names or (LOOPBACK, "node.example")))
        self.files.key.write_bytes(issued.private_key_pem.bytes())
        self.files.certificate.write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    made = Papers(trustme.CA(), TlsFiles(certificate=tmp_path / "chain.pem", key=tmp_path / "key.pem"))
    made.show()
    return made


def trusting(ca: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ca.configure_trust(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


@asynccontextmanager
async def a_tls_house(papers: Papers) -> AsyncIterator[House]:
    async with a_house(settings=replace(SETTINGS, tls=papers.files)) as house:
        yield house


def spoken(line: Line) -> ssl.SSLObject:
    found = line.writer.get_extra_info("ssl_object")
    assert isinstance(found, ssl.SSLObject)
    return found


# --- the listener -----------------------------------------------------------------------------------------------------


async def test_platform_over_tls_is_served_and_the_node_is_told(papers: Papers) -> None:
    async with a_tls_house(papers) as house, line_to(house.address, trusting(papers.ca)) as line:
        answer = await line.ask(a_put())
        assert answer.body == OK_BODY
        assert house.node.seen[0].values(b"x-forwarded-proto") == [b"https"]
        assert spoken(line).selected_alpn_protocol() == "http/1.1"
        assert spoken(line).version() == "TLSv1.3"
        assert len(house.outbox.plans) == 1


@contextmanager
def refused() -> Iterator[None]:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        yield


@pytest.mark.parametrize("old", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_old_tls_is_refused(papers: Papers, old: ssl.TLSVersion) -> None:
    client = trusting(papers.ca)
    client.set_ciphers("ALL:@SECLEVEL=0")
    client.minimum_version = client.maximum_version = old
    async with a_tls_house(papers) as house:
        with refused():
            async with line_to(house.address, client) as line:
                await line.ask(a_put())
        assert house.node.seen == []


@pytest.mark.parametrize("cipher", ["ECDHE-RSA-AES128-SHA", "ECDHE-ECDSA-AES128-SHA256", "AES128-GCM-SHA256"])
async def test_weak_ciphers_are_refused(papers: Papers, cipher: str) -> None:
    client = trusting(papers.ca)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers(cipher)
    async with a_tls_house(papers) as house:
        with refused():
            async with line_to(house.address, client) as line:
                await line.ask(a_put())


async def test_tls_1_2_with_forward_secrecy_is_served(papers: Papers) -> None:
    client = trusting(papers.ca)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    async with a_tls_house(papers) as house, line_to(house.address, client) as line:
        assert (await line.ask(a_put())).body == OK_BODY
        name, _, _ = spoken(line).cipher() or ("", "", 0)
        assert name.startswith("ECDHE-")


async def test_plain_http_at_a_tls_listener_reaches_nobody(papers: Papers) -> None:
    async with a_tls_house(papers) as house:
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await ask(house.address, a_put())
        assert house.node.seen == []


async def look(house: House) -> None:
    certificate = house.proxy._certificate
    assert certificate is not None
    await certificate.look()


def refusing(house: House) -> float | None:
    return house.metrics.registry.get_sample_value("ocn_agent_certificate_refused")


@pytest.mark.parametrize("by_name", [True, False])
async def test_new_certificate_counts_for_new_connections_and_ends_no_old_one(papers: Papers, by_name: bool) -> None:
    """With a server name in the handshake, and without one, as when an address is called."""
    other = trustme.CA()
    async with a_tls_house(papers) as house, line_to(house.address, trusting(papers.ca)) as old:
        before = await old.ask(a_put())
        papers.show(ca=other)
        await look(house)
        client = trusting(other)
        name = "node.example" if by_name else LOOPBACK
        reader, writer = await asyncio.open_connection(*house.address, ssl=client, server_hostname=name)
        new = Line(reader, writer)
        assert (await new.ask(a_put())).body == OK_BODY
        assert spoken(new).selected_alpn_protocol() == "http/1.1"
        writer.close()
        with refused():
            async with line_to(house.address, trusting(papers.ca)):
                pass
        after = await old.ask(a_put())
        assert after.head == before.head
        assert refusing(house) == 0
        assert sum("certificate.renewed" in line for line in house.log.lines) == 1


def other_key(papers: Papers) -> None:
    papers.files.key.write_bytes(trustme.CA().issue_cert("x.example").private_key_pem.bytes())


def encrypted_key(papers: Papers) -> None:
    key = load_pem_private_key(papers.files.key.read_bytes(), password=None)
    papers.files.key.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"a-password"))
    )


BROKEN: dict[str, Callable[[Papers], object]] = {
    "mismatched": other_key,
    "missing": lambda papers: papers.files.certificate.unlink(),
    "empty": lambda papers: papers.files.key.write_bytes(b""),
    "half written": lambda papers: papers.files.certificate.write_bytes(papers.files.certificate.read_bytes()[:200]),
    "no pem": lambda papers: papers.files.certificate.write_bytes(b"\x00\xff" * 50),
    "encrypted": encrypted_key,
}


@pytest.mark.parametrize("kind", BROKEN)
async def test_broken_files_keep_the_old_certificate_with_one_alarm(papers: Papers, kind: str) -> None:
    async with a_tls_house(papers) as house:
        BROKEN[kind](papers)
        for _ in range(3):
            await look(house)
        async with line_to(house.address, trusting(papers.ca)) as line:
            assert (await line.ask(a_put())).body == OK_BODY
        alarms = [line for line in house.log.lines if line.startswith("error certificate.refused")]
        assert len(alarms) == 1
        assert "PRIVATE KEY" not in alarms[0]
        assert refusing(house) == 1

        papers.show(ca=(other := trustme.CA()))
        await look(house)
        async with line_to(house.address, trusting(other)) as line:
            assert (await line.ask(a_put())).body == OK_BODY
        assert refusing(house) == 0


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_files_are_told_in_one_sentence_at_the_start(papers: Papers, kind: str) -> None:
    BROKEN[kind](papers)
    with pytest.raises(ConfigError, match=r"^proxy\.tls_(certificate|key)_file.*\.$"):
        server_context(papers.files)


# --- the node ---------------------------------------------------------------------------------------------------------


def a_tls_node(ca: trustme.CA, *names: str, not_after: datetime | None = None) -> RawNode:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*(names or (LOOPBACK,)), not_after=not_after).configure_cert(context)
    return RawNode(tls=context)


@pytest.fixture
def ca_file(papers: Papers, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    papers.ca.cert_pem.write_to_path(str(path))
    return path


async def test_node_behind_https_is_reached_by_the_ca_of_the_operator(papers: Papers, ca_file: Path) -> None:
    node = a_tls_node(papers.ca)
    async with a_house(node, node_settings=NodeSettings(url="", ca_file=ca_file)) as house:
        assert (await ask(house.address, a_put())).body == OK_BODY
        assert len(node.seen) == 1


@pytest.mark.parametrize("wrong", ["another CA", "the system's CAs", "another name", "expired", "old TLS"])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_node_that_cannot_be_verified_is_never_spoken_to(papers: Papers, ca_file: Path, wrong: str) -> None:
    node = {
        "another CA": lambda: a_tls_node(trustme.CA()),
        "the system's CAs": lambda: a_tls_node(papers.ca),
        "another name": lambda: a_tls_node(papers.ca, "other.example"),
        "expired": lambda: a_tls_node(papers.ca, not_after=datetime(2020, 1, 1, tzinfo=UTC)),
        "old TLS": lambda: a_tls_node(papers.ca),
    }[wrong]()
    if wrong == "old TLS":
        assert node.tls is not None
        node.tls.set_ciphers("ALL:@SECLEVEL=0")
        node.tls.minimum_version = ssl.TLSVersion.TLSv1
        node.tls.maximum_version = ssl.TLSVersion.TLSv1_1
    settings = NodeSettings(url="", ca_file=None if wrong == "the system's CAs" else ca_file)
    async with a_house(node, node_settings=settings) as house:
        answer = await ask(house.address, a_put())
        assert answer.head.startswith(b"HTTP/1.1 502 ")
        assert b"4003" in answer.body
        assert node.seen == []
        assert house.outbox.plans == []


@pytest.mark.parametrize("content", [b"", b"no certificate"])
def test_useless_ca_file_is_told_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ca.pem"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"^node\.ca_file: .* holds no certificate"):
        node_context(path)
    path.unlink()
    with pytest.raises(ConfigError, match=r"^node\.ca_file: .* cannot be read"):
        node_context(path)


async def test_copies_reach_the_own_node_by_the_same_ca(papers: Papers, ca_file: Path) -> None:
    async with listening(a_tls_node(papers.ca)) as node:
        url = f"{node.url}/ocn/message"
        async with OwnNode(url=node.url, tls=node_context(ca_file), clock=SystemClock()) as transport:
            answer = await transport.request("POST", url, headers={}, body=b"{}", timeout_seconds=5)
            assert isinstance(answer, Answer)
            assert answer.status == 200
        async with OwnNode(url=node.url, tls=node_context(None), clock=SystemClock()) as transport:
            nothing = await transport.request("POST", url, headers={}, body=b"{}", timeout_seconds=5)
            assert isinstance(nothing, NoAnswer)
            assert nothing.sent is Sent.NO
        assert len(node.seen) == 1
