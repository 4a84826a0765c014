"""What the node sees and what the platform gets, with the proxy in between and without it."""

import asyncio
import gzip
from dataclasses import replace

import pytest

from tests.integration.proxy.differential import assert_same, exchanged
from tests.integration.proxy.house import SETTINGS, Consent, House, a_house, a_put
from tests.integration.proxy.wire import OK_BODY, RawNode, ask, line_to, listening, reply

NOBODY = Consent(entitlements=())


async def compare(house: House, request: bytes) -> None:
    """The same with and without the proxy, but for what proxy/differences.py allows.

    Twice: the first opens a connection to the node and takes the long way, the second may take the short one.
    """
    await exchanged(house.address, house.node, request)
    through = await exchanged(house.address, house.node, request)
    direct = await exchanged(("127.0.0.1", house.node.port), house.node, request)
    assert_same(through, direct)


@pytest.mark.parametrize("consent", [Consent(), NOBODY], ids=["copied", "streamed"])
@pytest.mark.parametrize(
    "request_bytes",
    [
        a_put(),
        a_put(b""),
        a_put(b'{"a": 1.50,  "b":"\xc3\xa4"}\n'),
        a_put(b"\xff\x00 no json at all", extra=b"X-Odd: caf\xe9 \xfc\r\n"),
        a_put(gzip.compress(b'{"id":"s1"}'), extra=b"Content-Encoding: gzip\r\n"),
        a_put(extra=b"X-Twice: one\r\nX-Twice: two\r\nx-TWICE: one\r\nAccept: */*\r\nUser-Agent: \r\n"),
        a_put(extra=b"Cookie: a=b\r\nAccept-Encoding: br, gzip\r\nReferer: x y z\r\n"),
        a_put(path="/ocpi/receiver/2.2/sessions/DE/CPO/a%2Db%20c+d%41?x=%C3%A4&y=a+b&&z"),
        a_put(path="/ocpi/receiver/2.2/sessions//DE/CPO/../CPO/%2e%2e/s1;v=1?q=/../"),
        a_put(path="/anything/else/%zz?#frag"),
        a_put(method="PATCH"),
        a_put(b"", method="GET", framing=b""),
        a_put(b"", method="DELETE", framing=b""),
        a_put(b"", method="OPTIONS", path="*", framing=b""),
        a_put(b"x" * 300_000),
    ],
)
async def test_node_sees_what_the_platform_sent(request_bytes: bytes, consent: Consent) -> None:
    async with a_house(consent=consent) as house:
        await compare(house, request_bytes)


async def test_order_of_repeated_headers_stays() -> None:
    async with a_house() as house:
        await ask(house.address, a_put(extra=b"X-A: 1\r\nX-B: 2\r\nX-A: 3\r\n"))
        assert house.node.seen[0].values(b"x-a") == [b"1", b"3"]


@pytest.mark.parametrize("consent", [Consent(), NOBODY], ids=["copied", "streamed"])
@pytest.mark.parametrize(
    "answer",
    [
        reply(),
        reply(b""),
        reply(b"", status="204 No Content").replace(b"Content-Length: 0\r\n", b""),
        reply(b'{"status_code":2001}', status="400 Sch\xe4dlich".replace("\xe4", "a")),
        reply(gzip.compress(OK_BODY), headers=b"Content-Encoding: gzip\r\n"),
        reply(headers=b'X-Odd: caf\xe9\r\nLink: <http://a/b>; rel="next"\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n'),
        reply(b"z" * 500_000, headers=b"X-Total-Count: 42\r\nx-limit: 1\r\n"),
        reply(b"", status="307 Temporary Redirect", headers=b"Location: /elsewhere\r\n"),
        reply(b"oops", status="500 Internal Server Error", headers=b"Server: Apache\r\n"),
    ],
)
async def test_platform_gets_what_the_node_answered(answer: bytes, consent: Consent) -> None:
    async with a_house(RawNode(script=lambda _: answer), consent=consent) as house:
        await compare(house, a_put())


@pytest.mark.parametrize("consent", [Consent(), NOBODY], ids=["copied", "streamed"])
async def test_chunked_stays_chunked_both_ways(consent: Consent) -> None:
    chunked = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"sta\r\n11\r\ntus_code":1000}  \r\n0\r\n\r\n'
    sent = a_put(b"3\r\nabc\r\n4;ext=1\r\ndefg\r\n0\r\nTrailer: x\r\n\r\n", framing=b"Transfer-Encoding: chunked\r\n")
    async with a_house(RawNode(script=lambda _: chunked), consent=consent) as house:
        got = await ask(house.address, sent)
        seen = house.node.seen[0]
        assert (seen.body, seen.values(b"transfer-encoding"), seen.values(b"content-length")) == (
            b"abcdefg",
            [b"chunked"],
            [],
        )
        assert (got.body, got.values(b"transfer-encoding")) == (b'{"status_code":1000}  ', [b"chunked"])


async def test_a_reply_that_ends_with_the_connection_arrives_whole() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nall of it")
        await writer.drain()

    async with a_house(RawNode(on_connection=answer), consent=NOBODY) as house:
        got = await ask(house.address, a_put(b"", method="GET", framing=b""))
        assert (got.body, got.values(b"transfer-encoding")) == (b"all of it", [b"chunked"])


async def test_head_has_the_headers_and_no_body() -> None:
    script = b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nX-Total-Count: 7\r\n\r\n"
    async with a_house(RawNode(script=lambda _: script)) as house, line_to(house.address) as line:
        head = a_put(b"", method="HEAD", framing=b"")
        first = await line.ask(head, bodiless=True)
        second = await line.ask(head, bodiless=True)
        assert first.head == second.head == script
        assert house.node.connections == 1


async def test_hop_by_hop_headers_stay_on_their_hop() -> None:
    extra = b"Connection: keep-alive, TE\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\nProxy-Connection: x\r\n"
    answer = reply(headers=b"Connection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nX-End: 2\r\n")
    async with a_house(RawNode(script=lambda _: answer)) as house:
        got = await ask(house.address, a_put(extra=extra))
        names = {line.partition(b":")[0].lower() for line in house.node.seen[0].header_lines}
        assert not names & {b"connection", b"keep-alive", b"te", b"proxy-connection"}
        assert got.head == reply(headers=b"X-End: 2\r\n")[: len(got.head)]


async def test_forwarding_headers_of_a_proxy_in_front_are_kept_and_extended() -> None:
    extra = b"X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: public.example\r\n"
    async with a_house() as house:
        await ask(house.address, a_put(extra=extra))
        seen = house.node.seen[0]
        assert seen.values(b"x-forwarded-for") == [b"203.0.113.7, 127.0.0.1"]
        assert seen.values(b"x-forwarded-proto") == [b"https"]
        assert seen.values(b"x-forwarded-host") == [b"public.example"]


async def test_host_is_the_nodes_when_not_preserved() -> None:
    async with a_house(settings=replace(SETTINGS, preserve_host=False)) as house:
        await ask(house.address, a_put())
        assert house.node.seen[0].values(b"host") == [f"127.0.0.1:{house.node.port}".encode()]
        assert house.node.seen[0].values(b"x-forwarded-host") == [b"node.example"]


async def test_expect_continue_is_answered_before_the_body_is_sent() -> None:
    body = b'{"id":"s1"}'
    request = a_put(body, extra=b"Expect: 100-continue\r\n")
    head = request[: -len(body)]
    for consent in (Consent(), NOBODY):
        async with a_house(consent=consent) as house, line_to(house.address) as line, asyncio.timeout(5):
            interim = await line.ask(head, bodiless=True)
            assert interim.head == b"HTTP/1.1 100 Continue\r\n\r\n"
            assert (await line.ask(body)).body == OK_BODY
            assert house.node.seen[0].body == body


async def test_first_piece_reaches_the_node_before_the_last_is_sent() -> None:
    first = asyncio.Event()

    async def node(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(5)
        first.set()
        await reader.readexactly(5)
        writer.write(reply())
        await writer.drain()

    async with a_house(RawNode(on_connection=node), consent=NOBODY) as house, line_to(house.address) as line:
        request = a_put(b"0123456789")
        line.writer.write(request[:-5])
        async with asyncio.timeout(5):
            await first.wait()
            assert (await line.ask(request[-5:])).body == OK_BODY


async def test_first_piece_of_a_reply_arrives_before_its_last_is_sent() -> None:
    go_on = asyncio.Event()

    async def node(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234")
        await go_on.wait()
        writer.write(b"56789")
        await writer.drain()

    async with a_house(RawNode(on_connection=node), consent=NOBODY) as house, line_to(house.address) as line:
        line.writer.write(a_put())
        async with asyncio.timeout(5):
            await line.reader.readuntil(b"\r\n\r\n")
            assert await line.reader.readexactly(5) == b"01234"
            go_on.set()
            assert await line.reader.readexactly(5) == b"56789"


async def test_a_large_reply_arrives_whole_at_a_slow_reader() -> None:
    body = bytes(range(256)) * 40_000
    async with a_house(RawNode(script=lambda _: reply(body)), consent=NOBODY) as house:
        got = await ask(house.address, a_put())
        assert got.body == body


async def test_a_node_may_answer_before_it_has_read_the_body() -> None:
    async def node(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply(b"no", status="401 Unauthorized"))
        await writer.drain()
        await reader.read()

    async with a_house(RawNode(on_connection=node), consent=NOBODY) as house, line_to(house.address) as line:
        got = await line.ask(a_put(b"0123456789")[:-5])
        assert (got.body, got.values(b"connection")) == (b"no", [b"close"])
        assert await line.ended()


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with a_house(RawNode(script=lambda seen: reply(seen.body))) as house, line_to(house.address) as line:
        line.writer.write(a_put(b"one") + a_put(b"two") + a_put(b"three"))
        answers = [await line.ask(b"") for _ in range(3)]
        assert [each.body for each in answers] == [b"one", b"two", b"three"]
        assert house.node.connections == 1


async def test_many_platforms_at_once_each_get_their_own_answer() -> None:
    def said(number: int, turn: int) -> bytes:
        return b'{"status_code":1000,"data":"%d-%d"}' % (number, turn)

    async with a_house(RawNode(script=lambda seen: reply(seen.body))) as house:

        async def talk(number: int) -> list[bytes]:
            async with line_to(house.address) as line:
                return [(await line.ask(a_put(said(number, turn)))).body for turn in range(10)]

        async with asyncio.TaskGroup() as group:
            talks = [group.create_task(talk(number)) for number in range(40)]
        assert [each.result() for each in talks] == [[said(n, t) for t in range(10)] for n in range(40)]
        assert house.node.connections <= 40
        assert len(house.outbox.plans) == 400


@pytest.mark.parametrize("chunked", [False, True])
async def test_old_platform_gets_a_plain_body_and_the_end_of_its_connection(chunked: bool) -> None:
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    script = answer if chunked else reply(b"abc")
    async with a_house(RawNode(script=lambda _: script)) as house:
        got = await ask(house.address, b"GET /x HTTP/1.0\r\n\r\n")
        assert (got.body, got.values(b"connection"), got.values(b"transfer-encoding")) == (b"abc", [b"close"], [])
        assert house.node.seen[0].values(b"host") == [f"127.0.0.1:{house.node.port}".encode()]


@pytest.mark.parametrize("protocol", [b"websocket", b"h2c", b"tcp"])
async def test_wish_for_another_protocol_is_not_passed_on(protocol: bytes) -> None:
    async with a_house() as house, line_to(house.address) as line:
        extra = b"Connection: Upgrade\r\nUpgrade: %b\r\n" % protocol
        answer = await line.ask(a_put(b"", method="GET", extra=extra, framing=b""))
        assert answer.head.startswith(b"HTTP/1.1 200")
        # The parser may have lost what stands behind such a request, so nothing is read there.
        assert answer.values(b"connection") == [b"close"]
        assert await line.ended()
        assert house.node.seen[0].values(b"upgrade") == []


async def test_several_requests_share_a_connection_to_the_node() -> None:
    async with a_house() as house, line_to(house.address) as line:
        for _ in range(5):
            await line.ask(a_put())
        assert (len(house.node.seen), house.node.connections) == (5, 1)


async def test_the_recorder_itself_sees_bytes_as_sent() -> None:
    async with listening(RawNode()) as node:
        await ask(("127.0.0.1", node.port), a_put(extra=b"X-Odd: \xe9\r\n"))
        assert b"X-Odd: \xe9" in node.seen[0].header_lines
