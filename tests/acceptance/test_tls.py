"""The whole agent with a certificate of its own, before a node behind https."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.sandbox.story.agent import AgentProcess
from tests.integration.proxy.house import a_put
from tests.integration.proxy.wire import OK_BODY, Line, RawNode, line_to, listening
from tests.lonely import address_of, lonely_agent


@dataclass(frozen=True)
class Place:
    agent: AgentProcess
    node: RawNode
    folder: Path

    @property
    def address(self) -> tuple[str, int]:
        return address_of(self.agent)


def show(ca: trustme.CA, folder: Path) -> None:
    """As renewing programs do: new files are written beside the old ones and take their names."""
    issued = ca.issue_cert("127.0.0.1")
    for name, content in (("key", issued.private_key_pem.bytes()), ("chain", issued.cert_chain_pems[0].bytes())):
        (folder / f"{name}.new").write_bytes(content)
        (folder / f"{name}.new").replace(folder / f"{name}.pem")


def trusting(ca: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


@pytest.fixture
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def place(ca: trustme.CA, tmp_path: Path) -> AsyncIterator[Place]:
    """There is no chain: the primary path does not need one."""
    show(ca, tmp_path)
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    async with listening(RawNode(tls=context)) as node:
        agent = lonely_agent(
            tmp_path,
            node.url,
            proxy={"tls_certificate_file": "chain.pem", "tls_key_file": "key.pem"},
            node={"ca_file": "ca.pem"},
        )
        await agent.start()
        try:
            yield Place(agent, node, tmp_path)
        finally:
            await agent.stop()


async def test_certificate_is_renewed_while_requests_go_on_and_the_end_is_clean(place: Place, ca: trustme.CA) -> None:
    other = trustme.CA()
    async with line_to(place.address, trusting(ca)) as old, asyncio.timeout(30):
        assert (await old.ask(a_put())).body == OK_BODY
        show(other, place.folder)
        while True:
            assert (await old.ask(a_put())).body == OK_BODY, "the old connection goes on"
            try:
                async with line_to(place.address, trusting(other)) as new:
                    assert (await new.ask(a_put())).body == OK_BODY
                break
            except ssl.SSLCertVerificationError:
                await SystemClock().sleep(0.1)
        assert (await old.ask(a_put())).body == OK_BODY
        await the_agent_ends(place, old)
    assert "certificate.renewed" in place.agent.last_words(4000)
    assert all(seen.values(b"x-forwarded-proto") == [b"https"] for seen in place.node.seen)


async def the_agent_ends(place: Place, idle: Line) -> None:
    """Also while a platform keeps its connection open."""
    async with asyncio.timeout(10):
        assert await place.agent.stop() == 0
        assert await idle.ended()
