"""A node that is away, slow or broken: an OCPI answer for the platform, and never a second try."""

import asyncio
import json
from dataclasses import replace

import pytest

from ocn_permission_agent.proxy.settings import NodeSettings
from tests.integration.proxy.house import SETTINGS, Consent, a_house, a_put
from tests.integration.proxy.wire import RawNode, Seen, ask, line_to, read_message, reply

BOTH = pytest.mark.parametrize("consent", [Consent(), Consent(entitlements=())], ids=["copied", "streamed"])


def ocpi_status(answer: Seen) -> tuple[int, int]:
    return int(answer.head.split()[1]), json.loads(answer.body)["status_code"]


@BOTH
async def test_node_that_is_not_up_gives_502_and_the_connection_goes_on(consent: Consent) -> None:
    async with a_house(consent=consent, node_settings=NodeSettings(url="http://127.0.0.1:9")) as house:
        async with line_to(house.address) as line:
            assert ocpi_status(await line.ask(a_put())) == (502, 4003)
            assert ocpi_status(await line.ask(a_put())) == (502, 4003)
        assert house.count("gaps", reason="unknown_outcome") == 0
        assert house.outbox.plans == []
        (told,) = [line for line in house.log.lines if "node_unreachable" in line]
        assert told.startswith("warning request.refused"), "once a second, not for every request"


@BOTH
async def test_node_that_does_not_answer_gives_504_and_a_gap(consent: Consent) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    settings = replace(SETTINGS, node_answer_timeout_seconds=0.1)
    async with a_house(RawNode(on_connection=silent), consent=consent, settings=settings) as house:
        assert ocpi_status(await ask(house.address, a_put())) == (504, 4002)
        assert house.count("gaps", reason="unknown_outcome") == len(consent.entitlements)
        assert house.outbox.plans == []


@BOTH
async def test_node_that_closes_without_an_answer_gives_502_and_a_gap(consent: Consent) -> None:
    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_message(reader)
        writer.close()

    async with a_house(RawNode(on_connection=closing), consent=consent) as house:
        assert ocpi_status(await ask(house.address, a_put())) == (502, 4003)
        assert house.count("gaps", reason="unknown_outcome") == len(consent.entitlements)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
async def test_request_on_a_connection_that_the_node_just_closed_is_not_sent_again(method: str) -> None:
    requests: list[Seen] = []

    async def one_answer_per_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await read_message(reader))
        writer.write(reply())
        requests.append(await read_message(reader))
        writer.close()

    path = "/ocpi/receiver/2.2/tariffs/DE/CPO/t1"
    async with a_house(RawNode(on_connection=one_answer_per_connection)) as house:
        await ask(house.address, a_put(method=method, path=path))
        assert ocpi_status(await ask(house.address, a_put(method=method, path=path))) == (502, 4003)
        assert (len(requests), house.node.connections) == (2, 1)


async def test_idle_connection_that_the_node_closed_is_not_used() -> None:
    closed = asyncio.Event()

    async def closing_later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_message(reader)
        writer.write(reply())
        await writer.drain()
        writer.close()
        closed.set()

    async with a_house(RawNode(on_connection=closing_later)) as house:
        for _ in range(3):
            assert (await ask(house.address, a_put())).head.startswith(b"HTTP/1.1 200")
            await closed.wait()
            await asyncio.sleep(0.01)
        assert house.node.connections == 3


async def test_connection_is_not_reused_after_the_node_said_close() -> None:
    async with a_house(RawNode(script=lambda _: reply(headers=b"Connection: close\r\n"))) as house:
        async with line_to(house.address) as line:
            first = await line.ask(a_put())
            await line.ask(a_put())
        assert first.values(b"connection") == []
        assert house.node.connections == 2


async def cut_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_message(reader)
    writer.write(reply()[:-5])
    await writer.drain()


async def test_streamed_reply_that_is_cut_is_never_made_complete() -> None:
    node = RawNode(on_connection=cut_off)
    async with a_house(node, consent=Consent(entitlements=())) as house, line_to(house.address) as line:
        line.writer.write(a_put())
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await read_message(line.reader)


async def test_held_reply_that_is_cut_gives_502_and_a_gap() -> None:
    async with a_house(RawNode(on_connection=cut_off)) as house:
        assert ocpi_status(await ask(house.address, a_put())) == (502, 4003)
        assert house.count("gaps", reason="unknown_outcome") == 1
        assert house.outbox.plans == []


async def test_what_is_no_http_gives_502() -> None:
    async with a_house(RawNode(script=lambda _: b"220 mail.example ESMTP\r\n\r\n")) as house:
        assert ocpi_status(await ask(house.address, a_put())) == (502, 4003)


async def test_interim_answers_of_the_node_are_waited_out() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
    async with a_house(RawNode(script=lambda _: early + reply(b"done"))) as house:
        assert (await ask(house.address, a_put())).body == b"done"


async def test_platform_that_leaves_in_the_middle_of_its_body_leaves_no_complete_request() -> None:
    got = asyncio.get_running_loop().create_future()

    async def node(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            got.set_result(await reader.read())
        except ConnectionError:
            got.set_result(b"")
        writer.close()

    async with a_house(RawNode(on_connection=node), consent=Consent(entitlements=())) as house:
        async with line_to(house.address) as line:
            request = a_put(b"3\r\nabc\r\n", framing=b"Transfer-Encoding: chunked\r\n")
            line.writer.write(request)
            await line.writer.drain()
            await asyncio.sleep(0.05)
        async with asyncio.timeout(5):
            assert not (await got).endswith(b"0\r\n\r\n")


async def test_node_that_does_not_read_is_given_up() -> None:
    over = asyncio.Event()

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await over.wait()

    settings = replace(SETTINGS, node_answer_timeout_seconds=0.2)
    node = RawNode(on_connection=deaf)
    async with a_house(node, consent=Consent(entitlements=()), settings=settings) as house:
        async with line_to(house.address) as line:
            line.writer.write(a_put(b"x" * 8_000_000))
            assert ocpi_status(await read_message(line.reader)) == (504, 4002)
        over.set()


async def test_platform_that_does_not_read_is_cut() -> None:
    settings = replace(SETTINGS, body_idle_timeout_seconds=0.2)
    node = RawNode(script=lambda _: reply(b"x" * 30_000_000))
    streaming = a_house(node, consent=Consent(entitlements=()), settings=settings)
    async with asyncio.timeout(5), streaming as house, line_to(house.address) as line:
        line.writer.write(a_put())
        await node.asked.wait()
        # the node's connection ends because its answer can go nowhere
        await node.idle.wait()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await read_message(line.reader)


async def test_head_that_would_break_apart_is_not_passed_on() -> None:
    split = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-A: a\rSet-Cookie: b=c\r\n\r\n"
    async with a_house(RawNode(script=lambda _: split)) as house:
        assert ocpi_status(await ask(house.address, a_put())) == (502, 4003)
