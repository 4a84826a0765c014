"""Requests that the proxy refuses in its own name: OCPI bodies, and nothing of them reaches the node or a log."""

import asyncio
import json
from dataclasses import replace

import pytest

from ocn_permission_agent.errors import Refusal
from tests.integration.proxy.house import SETTINGS, TOKEN, Consent, House, a_house, a_put
from tests.integration.proxy.wire import Seen, ask, line_to


def causes(house: House) -> dict[Refusal, float]:
    """What was refused, by cause."""
    counted = {cause: house.count("refusals", cause=cause.label) for cause in Refusal}
    return {cause: count for cause, count in counted.items() if count}


REST = b"Host: node.example\r\nAuthorization: Token " + TOKEN + b"\r\n"


def ocpi_status(answer: Seen) -> tuple[int, int]:
    body = json.loads(answer.body)
    assert set(body) == {"status_code", "status_message", "timestamp"}
    assert body["timestamp"].endswith("Z")
    return int(answer.head.split()[1]), body["status_code"]


@pytest.mark.parametrize(
    "request_bytes",
    [
        a_put(extra=b"Transfer-Encoding: chunked\r\n"),
        a_put(framing=b"Content-Length: 3\r\nContent-Length: 21\r\n"),
        a_put(framing=b"Content-Length: 21\r\nContent-Length: 21\r\n"),
        a_put(framing=b"Content-Length: +21\r\n"),
        a_put(framing=b"Content-Length: 0x15\r\n"),
        a_put(framing=b"Content-Length: 21, 21\r\n"),
        a_put(framing=b"Content-Length: -1\r\n"),
        a_put(b"0\r\n\r\n", framing=b"Transfer-Encoding: gzip, chunked\r\n"),
        a_put(b"0\r\n\r\n", framing=b"Transfer-Encoding: chunked, identity\r\n"),
        a_put(b"0\r\n\r\n", framing=b"Transfer-Encoding: xchunked\r\n"),
        a_put(b"0\r\n\r\n", framing=b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        a_put(b"0\r\n\r\n", framing=b"Transfer-Encoding : chunked\r\n"),
        a_put(b"0\r\n\r\n", framing=b"Transfer-Encoding: chunked\r\n").replace(b"HTTP/1.1", b"HTTP/1.0"),
        a_put(extra=b"X-Folded: one\r\n two\r\n"),
        a_put(extra=b"X-Bare: one\ntwo: 2\r\n"),
        a_put(extra=b"X-Nul: a\x00b\r\n"),
        a_put(extra=b"No colon here\r\n"),
        a_put(extra=b"X Space: 1\r\n"),
        a_put().replace(b"\r\n", b"\n"),
        a_put(path="http://other.example/ocpi/receiver/2.2/sessions/DE/CPO/s1"),
        a_put(path="other.example:443", method="CONNECT", framing=b""),
        a_put(path="*"),
        a_put().replace(b"Host: node.example\r\n", b""),
        a_put(extra=b"Host: second.example\r\n"),
        a_put().replace(b"HTTP/1.1", b"HTTP/3.7"),
        a_put().replace(b"PUT ", b"P U T "),
        a_put(extra=b"OCPI-from-party-id: EVL\r\n"),
        a_put(extra=b"ocpi-FROM-country-code: NL\r\n"),
        a_put(extra=b"OCPI-to-party-id: XXX\r\n"),
        a_put(extra=b"OCPI-to-country-code:\r\n"),
        a_put(extra=b"Authorization: Token other\r\n"),
        a_put(extra=b"OCPI_from_party_id: EVL\r\n"),
        a_put(extra=b"OCPI-from_party-id: CPO\r\n"),
        a_put(extra=b"ocpi_to_country_code: NL\r\n"),
        a_put(extra=b"AUTHORIZATION_: x\r\n".replace(b"AUTHORIZATION_", b"OCPI_TO-PARTY-ID")),
        a_put(extra=b"Connection: close, Authorization\r\n"),
        a_put(extra=b"Connection: ocpi-from-party-id\r\n"),
        a_put(extra=b"Connection: x-request-id\r\n"),
        a_put(extra=b"Connection: Content-Length\r\n"),
        a_put(extra=b"X-Mine: 1\r\nConnection: x-mine\r\n"),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + TOKEN + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + REST + b"Content-Length: 99999999999999999999999\r\n\r\n",
    ],
)
async def test_malformed_request_is_refused_and_ends_the_connection(request_bytes: bytes) -> None:
    async with a_house() as house, line_to(house.address) as line:
        answer = await line.ask(request_bytes)
        assert ocpi_status(answer) == (400, 2001)
        assert answer.values(b"connection") == [b"close"]
        assert await line.ended()
        assert house.node.seen == []
        assert sum(causes(house).values()) == 1
        assert TOKEN not in answer.body
        assert not any(TOKEN.decode() in text for text in house.log.lines)


@pytest.mark.parametrize(
    ("request_bytes", "cause"),
    [
        (b"\x16\x03\x01\r\n\r\n", Refusal.MALFORMED),
        (a_put(b"0\r\n\r\n", framing=b"Transfer-Encoding: gzip, chunked\r\n"), Refusal.FRAMING),
        (a_put(b"zz\r\n", framing=b"Transfer-Encoding: chunked\r\n"), Refusal.MALFORMED),
        (a_put(path="http://other.example/"), Refusal.TARGET),
        (a_put(extra=b"OCPI-from-party-id: EVL\r\n"), Refusal.TWO_VALUES),
        (a_put(extra=b"OCPI_from_party_id: EVL\r\n"), Refusal.UNDERSCORE),
        (a_put(extra=b"Connection: x-request-id\r\n"), Refusal.CONNECTION),
        (a_put(framing=b"Content-Length: 8388609\r\n"), Refusal.BODY_SIZE),
        (a_put(path="/" + "u" * 9000), Refusal.URL_SIZE),
        (a_put(extra=b"X-Long: " + b"v" * 17_000 + b"\r\n"), Refusal.HEADER_SIZE),
        (a_put(extra=b"X-Many: 1\r\n" * 100), Refusal.HEADER_COUNT),
    ],
)
async def test_every_refusal_is_counted_by_its_cause_and_told(request_bytes: bytes, cause: Refusal) -> None:
    async with a_house() as house:
        assert ocpi_status(await ask(house.address, request_bytes)) == (cause.http_status, cause.ocpi_status)
        assert causes(house) == {cause: 1}
        (line,) = (line for line in house.log.lines if "request.refused" in line)
        assert line == f"info request.refused {{'cause': '{cause.label}', 'status': {cause.http_status}, 'count': 1}}"


async def test_same_routing_header_twice_with_one_value_passes() -> None:
    async with a_house() as house:
        answer = await ask(house.address, a_put(extra=b"OCPI-from-party-id: CPO\r\n"))
        assert answer.head.startswith(b"HTTP/1.1 200")
        assert house.node.seen[0].values(b"ocpi-from-party-id") == [b"CPO", b"CPO"]


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (a_put(path="/" + "u" * 9000), 414),
        (a_put(extra=b"X-Long: " + b"v" * 17_000 + b"\r\n"), 431),
        (a_put(extra=b"X-" + b"n" * 17_000 + b": 1\r\n"), 431),
        (a_put(extra=b"X-Many: 1\r\n" * 100), 431),
        (a_put(extra=b"a:\r\n" * 300), 431),
        (a_put(extra=b"a:\r\n" * 5_000), 400),
        (a_put(framing=b"Content-Length: 8388609\r\n"), 413),
    ],
)
async def test_what_is_over_a_limit_is_refused(request_bytes: bytes, status: int) -> None:
    async with a_house() as house:
        assert ocpi_status(await ask(house.address, request_bytes)) == (status, 2001)
        assert house.node.seen == []
        counted = [
            house.count("requests", module="other", interface_role="none", method=method, code=str(status))
            for method in ("PUT", "other")
        ]
        assert sum(counted) == 1


async def test_what_is_just_within_the_limits_passes() -> None:
    request = a_put(path="/" + "u" * 8000, extra=b"X-Long: " + b"v" * 16_000 + b"\r\n" + b"X-Many: 1\r\n" * 80)
    async with a_house() as house:
        assert (await ask(house.address, request)).head.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("consent", [Consent(), Consent(entitlements=())], ids=["copied", "streamed"])
async def test_a_chunked_body_that_grows_over_the_limit_is_refused(consent: Consent) -> None:
    settings = replace(SETTINGS, body_limit_bytes=1000)
    async with a_house(settings=settings, consent=consent) as house, line_to(house.address) as line:
        request = a_put(b"1f4\r\n" + b"x" * 500 + b"\r\n", framing=b"Transfer-Encoding: chunked\r\n")
        line.writer.write(request)
        await line.writer.drain()
        answer = await line.ask(b"1f5\r\n" + b"x" * 501 + b"\r\n")
        assert ocpi_status(answer) == (413, 2001)
        assert house.node.seen == []


@pytest.mark.parametrize("consent", [Consent(), Consent(entitlements=())], ids=["copied", "streamed"])
async def test_broken_chunks_are_refused_and_never_completed_towards_the_node(consent: Consent) -> None:
    async with a_house(consent=consent) as house, line_to(house.address) as line:
        line.writer.write(a_put(b"3\r\nabc\r\n", framing=b"Transfer-Encoding: chunked\r\n"))
        await line.writer.drain()
        await asyncio.sleep(0.05)
        answer = await line.ask(b"zz\r\n")
        assert ocpi_status(answer) == (400, 2001)
        assert house.node.seen == []


@pytest.mark.parametrize("consent", [Consent(), Consent(entitlements=())], ids=["copied", "streamed"])
async def test_a_body_that_stops_arriving_is_cut(consent: Consent) -> None:
    settings = replace(SETTINGS, body_idle_timeout_seconds=0.1)
    async with a_house(settings=settings, consent=consent) as house, line_to(house.address) as line:
        answer = await line.ask(a_put(b"0123456789")[:-3])
        assert ocpi_status(answer) == (408, 2001)
        assert house.node.seen == []


async def test_a_head_that_stops_arriving_is_cut() -> None:
    settings = replace(SETTINGS, headers_timeout_seconds=0.1)
    async with a_house(settings=settings) as house, line_to(house.address) as line:
        line.writer.write(a_put()[:40])
        assert await line.ended()


async def test_refused_head_requests_get_no_body() -> None:
    async with a_house() as house, line_to(house.address) as line:
        head = a_put(b"", method="HEAD", framing=b"", extra=b"OCPI-from-party-id: EVL\r\n")
        line.writer.write(head)
        whole = await line.reader.read()
        assert whole.startswith(b"HTTP/1.1 400")
        assert whole.endswith(b"\r\n\r\n")
