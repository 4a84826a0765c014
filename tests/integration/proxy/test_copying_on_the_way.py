"""What is recorded of the requests that pass, and when."""

import asyncio
import gzip
import json
import zlib
from dataclasses import dataclass, field, replace

import brotli
import pytest

from ocn_permission_agent.errors import StoreUnavailable
from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.route import Module
from ocn_permission_agent.outbox.model import CopyPlan
from ocn_permission_agent.proxy.settings import NodeSettings
from tests.integration.proxy.house import BILLING, SETTINGS, TOKEN, Consent, House, Outbox, a_house, a_put
from tests.integration.proxy.wire import OK_BODY, RawNode, ask, line_to, read_message, reply

pytestmark = pytest.mark.usefixtures("both_ways")


async def test_accepted_request_is_recorded_as_the_customer_said_it() -> None:
    async with a_house() as house:
        answer = await ask(
            house.address, a_put(b'{"kwh": 1.50}', path="/ocpi/receiver/2.2/sessions/DE/CPO/s%201?a=%41")
        )
        assert answer.body == OK_BODY
        [plan] = house.outbox.plans
        request = plan.envelope.request
        assert (request.method, request.module, request.body) == ("PUT", Module.SESSIONS, b'{"kwh": 1.50}')
        assert (request.url_path, request.query) == ("/DE/CPO/s 1", (("a", "A"),))
        assert (request.sender, request.receiver) == (Party("DE", "CPO"), Party("NL", "MSP"))
        assert (request.request_id, request.correlation_id) == ("r-1", "c-1")
        assert [delivery.provider for delivery in plan.deliveries] == [BILLING.provider]
        assert house.proxy.node_version_seen is NodeVersion.V1


@pytest.mark.parametrize("empty", [b"X-Request-ID: r-1", b"X-Correlation-ID: c-1"])
async def test_a_request_whose_id_is_empty_is_recorded_too(empty: bytes) -> None:
    async with a_house() as house:
        await ask(house.address, a_put().replace(empty, empty.partition(b" ")[0]))
        assert len(house.outbox.plans) == 1


async def test_customer_token_reaches_neither_outbox_nor_log() -> None:
    async with a_house() as house:
        await ask(house.address, a_put())
        assert TOKEN.decode() not in repr(house.outbox.plans)
        assert TOKEN.decode() not in "".join(house.log.lines)


async def test_copy_is_durable_before_the_customer_gets_its_answer() -> None:
    release = asyncio.Event()

    @dataclass
    class SlowOutbox(Outbox):
        reached: asyncio.Event = field(default_factory=asyncio.Event)

        async def record(self, plan: CopyPlan) -> int:
            self.reached.set()
            await release.wait()
            return await super().record(plan)

    outbox = SlowOutbox()
    async with a_house(outbox=outbox) as house, line_to(house.address) as line, asyncio.timeout(5):
        line.writer.write(a_put())
        await outbox.reached.wait()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await line.reader.read(1)
        release.set()
        assert (await read_message(line.reader)).body == OK_BODY
        assert len(outbox.plans) == 1


async def test_customer_that_leaves_while_the_node_works_is_still_copied() -> None:
    asked, release = asyncio.Event(), asyncio.Event()

    async def node(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_message(reader)
        asked.set()
        await release.wait()
        writer.write(reply())
        await writer.drain()

    async with a_house(RawNode(on_connection=node)) as house, asyncio.timeout(5):
        async with line_to(house.address) as line:
            line.writer.write(a_put())
            await asked.wait()
        await asyncio.sleep(0.05)
        release.set()
        await house.outbox.recorded.wait()
        assert len(house.outbox.plans) == 1


@pytest.mark.parametrize("failure", [StoreUnavailable("disk full"), ValueError("a fault of ours")])
async def test_customer_gets_its_answer_when_nothing_can_be_recorded(failure: Exception) -> None:
    async with a_house(outbox=Outbox(failure=failure)) as house:
        assert (await ask(house.address, a_put())).body == OK_BODY
        reason = "store_unavailable" if isinstance(failure, StoreUnavailable) else "internal_error"
        assert house.count("gaps", reason=reason) == 1
        assert any(line.startswith("warning copy.missed") and "c-1" in line for line in house.log.lines)


async def test_request_goes_on_when_consent_itself_fails() -> None:
    class Broken(Consent):
        @property
        def index(self) -> Consent:
            raise RuntimeError("a fault of ours")

    async with a_house(consent=Broken()) as house:
        assert (await ask(house.address, a_put())).body == OK_BODY
        assert house.count("gaps", reason="internal_error") == 1


async def test_body_in_a_coding_that_nobody_reads_is_a_gap() -> None:
    async with a_house() as house:
        await ask(house.address, a_put(b"zstd?", extra=b"Content-Encoding: zstd\r\n"))
        await ask(house.address, a_put(gzip.compress(b'{"id":1}'), extra=b"Content-Encoding: gzip\r\n"))
        assert house.count("gaps", reason="unreadable_body") == 1
        assert [plan.envelope.request.body for plan in house.outbox.plans] == [b'{"id":1}']


async def test_an_interface_that_nobody_asks_for_is_told_apart_from_having_no_agreement() -> None:
    async with a_house(consent=Consent(modules=frozenset({Module.CDRS}))) as house:
        assert (await ask(house.address, a_put())).body == OK_BODY
        await ask(house.address, a_put(b"", method="GET"))
        await ask(house.address, a_put(sender=("DE", "ABC")))
        assert house.outbox.plans == []
        assert house.count("not_copied", reason="not_covered") == 1


async def test_provider_that_takes_part_gets_no_copy() -> None:
    async with a_house() as house:
        await ask(house.address, a_put(receiver=("DE", "PAY")))
        assert house.outbox.plans == []
        assert house.count("not_copied", reason="provider_takes_part") == 1


REFUSALS_1 = [
    (400, 2001, "Missing request header 'X-Request-ID' for method parameter of type String"),
    (400, 2001, 'Given country_code "DEU" not 2 characters'),
    (400, 2001, "Invalid CREDENTIALS_TOKEN_C"),
    (400, 2001, "Could not find role on sending platform using OCPI-from-* headers"),
    (200, 4001, "Receiver not registered on Open Charging Network"),
    (400, 2000, "Message receiver not in sender's whitelist."),
    (400, 2001, "Missing OCN Signature"),
    (404, 2003, "Proxied resource not found"),
    (400, 2001, "Receiver does not support the requested module"),
    (200, 4003, "Connection refused"),
]
REFUSALS_2 = [
    (200, 2001, "Missing required header: X-Request-ID"),
    (400, 2001, "Invalid request body"),
    (200, 2001, "Missing required parameter: duration"),
    (200, 2001, "Invalid authorization token"),
    (200, 2001, "Could not find role on sending platform using OCPI-from-* headers"),
    (200, 4001, "Role DE-XXX not registered on OCN Registry"),
    (200, 2000, "Sender not whitelisted to request sessions from receiver."),
    (200, 2001, "Invalid signature: Request has been modified."),
    (200, 2003, "Proxied resource not found"),
    (200, 4003, "Connection refused"),
]


@pytest.mark.parametrize(("http", "code", "message"), REFUSALS_1 + REFUSALS_2)
async def test_what_the_node_refuses_is_not_copied(http: int, code: int, message: str) -> None:
    body = json.dumps({"status_code": code, "status_message": message, "timestamp": "t", "ocn_signature": "x"}).encode()
    async with a_house(RawNode(script=lambda _: reply(body, status=f"{http} X"))) as house:
        assert (await ask(house.address, a_put())).body == body
        assert house.outbox.plans == []
        assert house.count("not_copied", reason="receiver_refused") == 1


SPRING = b'{"timestamp":"t","status":500,"error":"Internal Server Error","message":"","path":"/ocpi"}'


@pytest.mark.parametrize(
    ("status", "body"),
    [
        ("200 OK", b'{"status_code":4002,"status_message":"Read timed out"}'),
        ("200 OK", b'{"status_code":3000,"status_message":"Failed to post OCN message: .."}'),
        ("200 OK", b'{"status_code":3000,"status_message":"Could not parse JSON response of forwarded OCPI request"}'),
        ("200 OK", b'{"status_code":4000,"status_message":"Could not parse JSON response"}'),
        ("500 Internal Server Error", SPRING),
        ("502 Bad Gateway", b"<html>nginx</html>"),
        ("200 OK", b""),
        ("200 OK", b"<html>"),
        ("200 OK", b'{"data":[]}'),
    ],
)
async def test_unknown_outcome_is_a_gap_and_never_a_copy(status: str, body: bytes) -> None:
    async with a_house(RawNode(script=lambda _: reply(body, status=status))) as house:
        assert (await ask(house.address, a_put())).body == body
        assert house.outbox.plans == []
        assert house.count("gaps", reason="unknown_outcome") == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        ("200 OK", b'{"status_code":1000}'),
        ("201 Created", b'{"status_code":1001,"data":{}}'),
        ("200 OK", b'{"status_code":3000,"status_message":"Unable to verify response signature: missing"}'),
    ],
)
async def test_every_form_of_acceptance_is_copied(status: str, body: bytes) -> None:
    async with a_house(RawNode(script=lambda _: reply(body, status=status))) as house:
        assert (await ask(house.address, a_put())).body == body
        assert len(house.outbox.plans) == 1


@pytest.mark.parametrize(
    ("coding", "coded"),
    [
        (b"gzip", gzip.compress(OK_BODY, mtime=0)),
        (b"deflate", zlib.compress(OK_BODY)),
        (b"deflate", zlib.compress(OK_BODY)[2:-4]),
        (b"br", brotli.compress(OK_BODY)),
        (b"identity", OK_BODY),
    ],
)
async def test_coded_reply_is_understood_and_passed_on_unchanged(coding: bytes, coded: bytes) -> None:
    node = RawNode(script=lambda _: reply(coded, headers=b"Content-Encoding: " + coding + b"\r\n"))
    async with a_house(node) as house:
        answer = await ask(house.address, a_put())
        assert (answer.body, answer.values(b"content-encoding")) == (coded, [coding])
        assert len(house.outbox.plans) == 1


async def test_request_to_the_nodes_own_party_is_never_copied() -> None:
    own = NodeSettings(url="", own_party=Party("DE", "HUB"))
    async with a_house(node_settings=own) as house:
        for receiver in (("DE", "HUB"), ("de", "Hub")):
            await ask(house.address, a_put(path="/ocpi/receiver/2.2/locations/DE/CPO/l1", receiver=receiver))
        assert house.outbox.plans == []
        assert house.count("not_copied", reason="own_party") == 2


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/ocn/message"),
        ("POST", "/ocpi/2.2/credentials"),
        ("GET", "/ocpi/versions"),
        ("GET", "/ocpi/2.2/hubclientinfo"),
        ("PUT", "/ocpi/receiver/2.2/ocnrules/signatures"),
        ("POST", "/ocpi/custom/receiver/sessions/x"),
        ("PUT", "/admin/anything"),
        ("GET", "/ocpi/sender/2.2/sessions"),
        ("GET", "/ocpi/sender/2.2/sessions/page/7"),
        ("GET", "/ocpi/receiver/2.2/sessions/DE/CPO/s1"),
        ("PUT", "/ocpi/receiver/2.2/tokens"),
    ],
)
async def test_what_is_no_message_to_share_streams_past(method: str, path: str) -> None:
    async with a_house() as house:
        assert (await ask(house.address, a_put(method=method, path=path))).body == OK_BODY
        assert house.outbox.plans == []


async def test_reads_are_copied_when_the_operator_says_so_but_never_pages() -> None:
    async with a_house(settings=replace(SETTINGS, copy_reads=True)) as house:
        for path in ("/ocpi/sender/2.2/sessions", "/ocpi/sender/2.2/sessions/page/7"):
            await ask(house.address, a_put(b"", method="GET", path=path, framing=b""))
        assert [plan.envelope.request.method for plan in house.outbox.plans] == ["GET"]


async def test_sender_in_another_letter_case_is_the_same_customer() -> None:
    async with a_house() as house:
        await ask(house.address, a_put(sender=("de", "cPo")))
        assert house.outbox.plans[0].envelope.customer == Party("DE", "CPO")


async def test_without_a_match_the_body_is_not_even_looked_at() -> None:
    garbage = b"\xff{[" * 1_000_000
    async with a_house(settings=replace(SETTINGS, buffer_total_bytes=0)) as house:
        await ask(house.address, a_put(garbage, sender=("DE", "EVL")))
        assert house.node.seen[0].body == garbage
        assert house.outbox.plans == []
        assert house.count("gaps", reason="buffer_full") == 0


async def test_interface_that_no_service_may_hear_streams_past() -> None:
    async with a_house(consent=Consent(modules=frozenset({Module.CDRS}))) as house:
        await ask(house.address, a_put())
        assert house.outbox.plans == []


@pytest.mark.parametrize(
    "path",
    [
        "/ocpi/receiver/2.2/sessions//CPO/s1",
        "/ocpi/receiver/2.2/sessions/DE/CPO/a%2fb",
        "/ocpi/./receiver/2.2/sessions",
    ],
)
async def test_unclear_path_of_a_customer_passes_and_is_counted(path: str) -> None:
    async with a_house() as house:
        await ask(house.address, a_put(path=path))
        await ask(house.address, a_put(path=path, sender=("DE", "EVL")))
        assert house.node.seen[0].request_line == f"PUT {path} HTTP/1.1".encode()
        assert house.outbox.plans == []
        assert house.count("not_copied", reason="unclear_path") == 1


@pytest.mark.parametrize("framing", [None, b"Transfer-Encoding: chunked\r\n"])
async def test_without_room_to_hold_a_body_it_streams_and_the_copy_is_a_gap(framing: bytes | None) -> None:
    body = b"x" * 2_000_000
    sent = body if framing is None else b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    async with a_house(settings=replace(SETTINGS, buffer_total_bytes=200_000)) as house:
        assert (await ask(house.address, a_put(sent, framing=framing))).body == OK_BODY
        assert house.node.seen[0].body == body
        assert house.outbox.plans == []
        assert house.count("gaps", reason="buffer_full") == 1
        await ask(house.address, a_put())
        assert len(house.outbox.plans) == 1


async def test_reply_too_large_to_hold_passes_whole_and_is_a_gap() -> None:
    answer = b'{"status_code":1000,"data":"' + b"d" * 5000 + b'"}'
    async with a_house(RawNode(script=lambda _: reply(answer)), settings=replace(SETTINGS, body_limit_bytes=4000)) as h:
        assert (await ask(h.address, a_put())).body == answer
        assert h.outbox.plans == []
        assert h.count("gaps", reason="unknown_outcome") == 1


async def test_what_passes_before_the_first_sync_is_a_gap() -> None:
    async with a_house(consent=Consent(entitlements=(), block_number=0)) as house:
        await ask(house.address, a_put())
        await ask(house.address, a_put(b"", method="GET", path="/ocpi/versions", framing=b""))
        assert house.count("gaps", reason="first_sync") == 1


async def test_layout_of_a_2x_node_is_understood() -> None:
    async with a_house(node_settings=NodeSettings(url="", api_prefix="ocn-v2")) as house:
        await ask(house.address, a_put(path="/ocn-v2/ocpi/receiver/2.2.1/sessions/DE/CPO/s1"))
        await ask(house.address, a_put(path="/ocn-v2/ocpi/2.2.1/sender/chargingprofiles/s1"))
        assert [plan.envelope.request.version for plan in house.outbox.plans] == ["2.2.1", "2.2.1"]
        assert house.proxy.node_version_seen is NodeVersion.V2


def observed(house: House) -> float:
    return house.metrics.registry.get_sample_value("ocn_agent_proxy_overhead_seconds_count") or 0.0


async def test_requests_are_counted_and_the_copied_one_is_told() -> None:
    async with a_house() as house:
        before = observed(house)
        await ask(house.address, a_put())
        await ask(house.address, a_put(sender=("DE", "EVL")))
        labels = {"module": "sessions", "interface_role": "receiver", "method": "PUT", "code": "200"}
        assert house.count("requests", **labels) == 2
        assert observed(house) == before + 2
        told = [line.split(" {")[0] for line in house.log.lines]
        assert told == ["info request.proxied", "debug request.proxied"]
