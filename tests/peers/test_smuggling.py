"""No request has two ends: what the agent lets pass is the same request to a strict reader, to Tomcat and to nginx."""

import asyncio
import contextlib
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocn_permission_agent.proxy.settings import NodeSettings
from tests.integration.proxy.house import SETTINGS, Consent, House, a_house
from tests.integration.proxy.wire import RawNode, Seen, line_to, read_message, reply
from tests.peers.nginx_node import an_nginx_node
from tests.peers.tomcat.server import a_tomcat
from tests.smuggling import Said, Shape, canary, shapes

SHAPES = shapes()
CONSENTS = {"copied": Consent(), "streamed": Consent(entitlements=())}
_REFUSALS = re.compile(rb"HTTP/1\.1 4\d\d ")


def test_the_set_is_as_large_as_it_is_said_to_be() -> None:
    assert len({shape.name for shape in SHAPES}) == len(SHAPES)
    assert sum(not shape.means for shape in SHAPES) >= 100
    assert sum(bool(shape.means) for shape in SHAPES) >= 30


async def say(house: House, shape: Shape, pieces: Iterator[bytes]) -> None:
    """Send a shape with a canary behind it, and check that each request gets its own answer, or is refused."""
    expected = shape.expected
    async with line_to(house.address) as line, asyncio.timeout(10):
        try:
            for piece in pieces:
                line.writer.write(piece)
                await line.writer.drain()
        except ConnectionError:
            assert not expected, "refused before it was all sent"
        for said in expected:
            answer = await read_message(line.reader, bodiless=said.method == "HEAD")
            while answer.head.startswith(b"HTTP/1.1 100 "):
                answer = await read_message(line.reader, bodiless=said.method == "HEAD")
            assert answer.head.startswith(b"HTTP/1.1 200 "), (said, answer)
            assert answer.values(b"x-seen") == [said.target.encode()]
        if not expected:
            answer = await read_message(line.reader)
            assert _REFUSALS.match(answer.head), answer
            assert answer.values(b"connection") == [b"close"]
            with contextlib.suppress(ConnectionError):
                assert await line.reader.read() == b""
        elif shape.last:
            assert answer.values(b"connection") == [b"close"]


def whole(shape: Shape) -> Iterator[bytes]:
    yield shape.sent + canary(shape.name)[0]


def split(shape: Shape, chance: random.Random) -> Iterator[bytes]:
    """Cut anywhere, so that no reader can rely on what comes together."""
    data = shape.sent + canary(shape.name)[0]
    cuts = sorted(chance.sample(range(1, len(data)), 4))
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        yield data[start:end]


async def say_all(house: House, seed: int) -> list[Said]:
    """Everything, whole and in pieces; what must have been read behind the agent."""
    chance = random.Random(seed)  # noqa: S311  repeatable, not secret
    meant: list[Said] = []
    for shape in SHAPES:
        for pieces in (whole(shape), split(shape, chance)):
            try:
                await say(house, shape, pieces)
            except (AssertionError, TimeoutError, asyncio.IncompleteReadError) as error:
                raise AssertionError(f"shape {shape.name}, seed {seed}: {error!r}") from error
            meant += shape.expected
    return meant


def echo(seen: Seen) -> bytes:
    answer = reply(headers=b"X-Seen: %b\r\n" % seen.request_line.split()[1])
    return answer.partition(b"{")[0] if seen.request_line.startswith(b"HEAD") else answer


def read_by(node: RawNode) -> list[Said]:
    lines = ((seen, seen.request_line.decode("latin-1").split()) for seen in node.seen)
    return [Said(words[0], words[1], seen.body) for seen, words in lines]


@pytest.mark.parametrize("consent", CONSENTS.values(), ids=CONSENTS)
async def test_the_agent_alone_sees_one_meaning_or_refuses(consent: Consent) -> None:
    node = RawNode(script=echo)
    async with a_house(node, consent=consent, settings=SETTINGS) as house:
        meant = await say_all(house, seed=1)
        assert read_by(node) == meant
        for seen in node.seen:
            assert len(seen.values(b"content-length")) + len(seen.values(b"transfer-encoding")) <= 1
            assert not any(b"hidden" in line for line in (seen.request_line, *seen.header_lines))


@pytest.mark.parametrize("consent", CONSENTS.values(), ids=CONSENTS)
async def test_tomcat_reads_the_same_requests(consent: Consent, tmp_path: Path) -> None:
    async with a_tomcat(tmp_path) as tomcat:
        node = NodeSettings(url=f"http://127.0.0.1:{tomcat.port}")
        async with a_house(consent=consent, node_settings=node) as house:
            meant = await say_all(house, seed=2)
    assert tomcat.read == meant


@pytest.mark.parametrize("consent", CONSENTS.values(), ids=CONSENTS)
async def test_nginx_reads_the_same_requests(consent: Consent, tmp_path: Path) -> None:
    async with an_nginx_node(tmp_path / "nginx") as nginx:
        node = NodeSettings(url=f"http://127.0.0.1:{nginx.port}")
        async with a_house(consent=consent, node_settings=node) as house:
            meant = await say_all(house, seed=3)
    assert nginx.read == meant
