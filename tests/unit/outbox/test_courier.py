import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from ocn_permission_agent.consent.address import Address, address
from ocn_permission_agent.consent.index import ProviderRoute
from ocn_permission_agent.consent.verdict import Standing, Verdict
from ocn_permission_agent.errors import StoreUnavailable
from ocn_permission_agent.net.answer import Answer, NoAnswer, Sent
from ocn_permission_agent.ocn.keys import OperatorKey, recover
from ocn_permission_agent.ocn.message import read_message
from ocn_permission_agent.ocn.notary import sign, verify
from ocn_permission_agent.ocn.notary_rules import node_rules
from ocn_permission_agent.ocn.notary_wire import notary_header, parse_notary
from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.ocpi.request import OcpiRequest
from ocn_permission_agent.ocpi.route import Module
from ocn_permission_agent.outbox.after_attempt import Decision, Wait
from ocn_permission_agent.outbox.courier import Courier
from ocn_permission_agent.outbox.model import Attempt, AttemptVerdict, DeliveryState
from ocn_permission_agent.outbox.settings import (
    DeliverySettings,
    DirectRoute,
    NotaryUse,
    ServiceSettings,
    TokenStyle,
)
from ocn_permission_agent.outbox.writing import Ready
from tests.factories import a_request
from tests.fakes import FakeClock
from tests.outbox_fixtures import BILLING, PROVIDERS, SameVersion, StatedView, a_delivery, command, session

KEY = OperatorKey(b"\x11" * 32)
ACCEPTED = Answer(status=200, body=b'{"status_code":1000,"timestamp":"2026-03-01T10:00:00Z"}')


@dataclass
class Post:
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    timeout_seconds: float


@dataclass
class Recorder:
    """A transport that keeps what is sent, takes two seconds, and answers what `answer` says of it."""

    clock: FakeClock
    answer: Callable[[Post], Answer | NoAnswer]
    posts: list[Post] = field(default_factory=list)

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes, timeout_seconds: float
    ) -> Answer | NoAnswer:
        self.posts.append(Post(method, url, headers, body, timeout_seconds))
        self.clock.step(2)
        return self.answer(self.posts[-1])


def refusal(status: int, code: int, message: str) -> Answer:
    body = {"status_code": code, "status_message": message, "timestamp": "2026-03-01T10:00:00Z"}
    return Answer(status=status, body=json.dumps(body).encode())


def wanting_signatures(post: Post) -> Answer | NoAnswer:
    """A 1.x node with signatures=true."""
    return ACCEPTED if signature_of(post) else refusal(400, 2001, "Missing OCN Signature")


def reading_only(version: NodeVersion) -> Callable[[Post], Answer | NoAnswer]:
    """A node of that version: what the other's text brings."""

    def answer(post: Post) -> Answer | NoAnswer:
        written_for = NodeVersion.V2 if b"OCN-Verification-Status" in post.body else NodeVersion.V1
        if written_for is version:
            return ACCEPTED
        if version is NodeVersion.V1:
            return Answer(status=500, body=b'{"status":500,"error":"Internal Server Error"}')
        return refusal(200, 4003, "Could not verify OCN-Signature of request")

    return answer


def signature_of(post: Post) -> Any:
    return json.loads(post.body)["headers"].get("OCN-Signature")


@dataclass
class Memory:
    """What survives a restart."""

    kept: set[Address] = field(default_factory=set)
    away: bool = False

    async def wanting_signatures(self) -> frozenset[Address]:
        if self.away:
            raise StoreUnavailable("the disk is full")
        return frozenset(self.kept)

    async def remember_wanting_signatures(self, provider: Address) -> None:
        if self.away:
            raise StoreUnavailable("the disk is full")
        self.kept.add(provider)


class Setting:
    """A courier and all it touches."""

    def __init__(
        self,
        *,
        version: NodeVersion | None = NodeVersion.V1,
        then: NodeVersion | None = None,
        answer: Answer | NoAnswer | Callable[[Post], Answer | NoAnswer] = ACCEPTED,
        service: ServiceSettings | None = None,
        memory: Memory | None = None,
    ) -> None:
        self.clock = FakeClock()
        self.view = StatedView()
        self.memory = memory or Memory()
        answers = answer if callable(answer) else lambda _: answer
        self.own, self.remote = Recorder(self.clock, answers), Recorder(self.clock, answers)
        self.courier = Courier(
            view=self.view,
            versions=SameVersion(version, then=then),
            key=KEY,
            own_node_url="http://127.0.0.1:8081/ocn-v2",
            own_transport=self.own,
            remote_transport=self.remote,
            clock=self.clock,
            settings=DeliverySettings(services={BILLING: service} if service else {}),
            memory=self.memory,
            inert_url="https://node.example/ocn-agent/inert/x",
        )

    async def prepare(self, request: OcpiRequest) -> Ready | Decision:
        return await self.courier.prepare(a_delivery(request, at=self.clock.now()))

    async def ready(self, request: OcpiRequest) -> Ready:
        ready = await self.prepare(request)
        assert isinstance(ready, Ready)
        return ready

    async def attempt(self, request: OcpiRequest) -> Attempt:
        return await self.courier.send(await self.ready(request))

    async def refused(self, request: OcpiRequest) -> Decision:
        decision = await self.prepare(request)
        assert isinstance(decision, Decision)
        return decision

    def route(self, domain: str, *, own: bool = False) -> None:
        self.view.index.routes[PROVIDERS[BILLING]] = ProviderRoute(
            provider=BILLING, operator=address("0x" + "0f" * 20), domain=domain, own=own
        )


async def test_a_copy_is_addressed_to_the_provider_and_signed_by_the_operator() -> None:
    setting = Setting()
    ready = await setting.ready(session(body=b'{ "kwh": 15.00, "id": "s1" }'))
    message = json.loads(ready.body)
    assert message["headers"]["sender"] == {"party_id": "CPO", "country_code": "DE"}
    assert message["headers"]["receiver"] == {"party_id": "PAY", "country_code": "DE"}
    assert message["headers"]["X-Correlation-ID"] == "corr-1"
    assert message["headers"]["Authorization"] == ""
    assert ready.body.endswith(b'"body":{"kwh":15.0,"id":"s1"}}')
    assert recover(ready.body, ready.headers["OCN-Signature"]) == KEY.address
    assert ready.headers["Content-Type"] == "application/json"


async def test_what_has_to_be_waited_for_is_not_prepared_at_once() -> None:
    small, large = session(), session(body=b'{"id":"s1","x":"' + b"x" * 9_000 + b'"}')

    def at_once(setting: Setting, request: OcpiRequest) -> Ready | Decision | None:
        (found,) = setting.courier.prepare_together([a_delivery(request, at=setting.clock.now())])
        return found

    setting = Setting()
    assert at_once(setting, small) is None, "nobody knows yet whether the provider wants signatures"
    ready = await setting.ready(small)
    found = at_once(setting, small)
    assert isinstance(found, Ready)
    assert (found.body, found.url) == (ready.body, ready.url)
    assert at_once(setting, large) is None, "it takes too long to be written"
    setting.view.fresh = False
    assert isinstance(at_once(setting, small), Decision)
    unclear = Setting(version=None)
    await unclear.prepare(small)
    assert at_once(unclear, small) is None, "the node has to be asked"


async def test_what_is_prepared_together_is_what_is_prepared_alone() -> None:
    setting = Setting()
    bodies = [b'{"id":"s%d"}' % number for number in range(6)]
    alone = [await setting.ready(session(body=body)) for body in bodies]
    unreadable = session(body=b"[5.]")
    asked = [session(body=body) for body in bodies] + [unreadable, session(body=b'{"x":"' + b"x" * 9_000 + b'"}')]
    *together, parked, large = setting.courier.prepare_together(
        [a_delivery(request, at=setting.clock.now()) for request in asked]
    )
    assert [each.body for each in together if isinstance(each, Ready)] == [each.body for each in alone]
    for each, single in zip(together, alone, strict=True):
        assert isinstance(each, Ready)
        assert (each.url, each.node) == (single.url, single.node)
        assert recover(each.body, each.headers["OCN-Signature"]) == KEY.address
    assert isinstance(parked, Decision)
    assert parked.state is DeliveryState.PARKED
    assert large is None, "it takes too long to be written"


async def test_each_attempt_has_a_request_id_of_its_own_and_the_same_bytes() -> None:
    setting = Setting()
    first, second = await setting.ready(session()), await setting.ready(session())
    assert first.headers["X-Request-ID"] != second.headers["X-Request-ID"]
    assert {uuid.UUID(each.headers["X-Request-ID"]).version for each in (first, second)} == {4}
    assert first.body == second.body


async def test_the_own_node_is_reached_behind_the_proxy() -> None:
    setting = Setting()
    attempt = await setting.courier.send(await setting.ready(session()))
    (post,) = setting.own.posts
    assert (post.url, post.timeout_seconds) == ("http://127.0.0.1:8081/ocn-v2/ocn/message", 45.0)
    assert setting.remote.posts == []
    assert attempt.verdict is AttemptVerdict.ACCEPTED
    assert (attempt.ended_at - attempt.started_at).total_seconds() == 2


@pytest.mark.parametrize("domain", ["https://b.example/ocn-v2", "https://b.example/ocn-v2/"])
async def test_another_node_is_reached_at_its_registered_domain(domain: str) -> None:
    setting = Setting()
    setting.route(domain)
    await setting.courier.send(await setting.ready(session()))
    assert [post.url for post in setting.remote.posts] == ["https://b.example/ocn-v2/ocn/message"]
    assert setting.own.posts == []


async def test_own_is_decided_by_the_operator_and_not_by_the_url() -> None:
    setting = Setting()
    setting.route("https://anything.example", own=True)
    assert (await setting.ready(session())).url == "http://127.0.0.1:8081/ocn-v2/ocn/message"


async def test_the_text_is_that_of_the_receiving_nodes_version() -> None:
    setting = Setting(version=NodeVersion.V2)
    assert b'"OCN-Verification-Status":"NOT_PRESENTED"' in (await setting.ready(session())).body


async def test_a_service_cannot_answer_a_command_in_the_receivers_place() -> None:
    body = (await Setting().ready(command())).body
    assert b"https://node.example/ocn-agent/inert/x" in body
    assert b"cpo.example" not in body


async def test_consent_that_has_ended_withdraws() -> None:
    setting = Setting()
    setting.view.index.close(BILLING)
    decision = await setting.refused(session())
    assert (decision.state, decision.reason) == (DeliveryState.WITHDRAWN, "C2: revoked")


async def test_a_stale_view_holds() -> None:
    setting = Setting()
    setting.view.fresh = False
    decision = await setting.refused(session())
    assert (decision.state, decision.wait, decision.reason) == (
        DeliveryState.PENDING,
        Wait.HELD,
        "C8: the view is stale",
    )


async def test_an_unknown_way_or_version_holds() -> None:
    nowhere, unregistered, unclear = Setting(), Setting(), Setting(version=None)
    nowhere.route("")
    unregistered.view.index.routes[PROVIDERS[BILLING]] = None
    for setting in (nowhere, unregistered, unclear):
        assert (await setting.refused(session())).wait is Wait.HELD


async def test_consent_goes_before_the_way() -> None:
    setting = Setting(version=None)
    setting.route("")
    setting.view.index.standings[PROVIDERS[BILLING], Module.SESSIONS] = Verdict(
        standing=Standing.CLOSED, rule="C11", reason="it left the registry"
    )
    assert (await setting.refused(session())).state is DeliveryState.WITHDRAWN


async def test_a_body_that_no_node_could_read_waits_for_a_person() -> None:
    decision = await Setting().refused(session(body=b'{"kwh": NaN}'))
    assert decision.state is DeliveryState.PARKED
    assert decision.reason is not None
    assert "NaN" not in decision.reason


async def test_no_connection_is_an_attempt_that_met_nobody() -> None:
    setting = Setting(answer=NoAnswer(sent=Sent.NO, detail="no connection: Connection refused"))
    attempt = await setting.courier.send(await setting.ready(session()))
    assert (attempt.verdict, attempt.unreachable, attempt.http_status) == (AttemptVerdict.NOT_PROCESSED, True, None)


# --- OCN-Signature ----------------------------------------------------------------------------------------------------

CUSTOMERS_KEY = OperatorKey(b"\x22" * 32)


def signed_session(*, kwh: str = "15.00", signed_kwh: float = 15) -> OcpiRequest:
    """A session whose customer signs in JavaScript, which writes 15.00 as 15."""
    headers = {
        "x-correlation-id": "corr-1",
        "ocpi-from-country-code": "DE",
        "ocpi-from-party-id": "CPO",
        "ocpi-to-country-code": "NL",
        "ocpi-to-party-id": "MSP",
    }
    notary = sign({"headers": dict(headers), "body": {"id": "s1", "kwh": signed_kwh}}, CUSTOMERS_KEY)
    return a_request(
        "PUT",
        body=b'{"id":"s1","kwh":%s}' % kwh.encode(),
        x_correlation_id="corr-1",
        ocn_signature=notary_header(notary, NodeVersion.V1),
    )


def verified(post: Post) -> tuple[str, list[str]]:
    """The signatory of what the node would verify in a message, and those below it."""
    message = read_message(post.body, version=NodeVersion.V1)
    assert message.ocn_signature is not None
    notary = parse_notary(message.ocn_signature)
    headers = {
        "x-correlation-id": message.correlation_id,
        "ocpi-from-country-code": message.sender.country_code,
        "ocpi-from-party-id": message.sender.party_id,
        "ocpi-to-country-code": message.receiver.country_code,
        "ocpi-to-party-id": message.receiver.party_id,
    }
    body = json.loads(message.body or b"null")
    verify(notary, {"headers": dict(headers), "body": body}, rules=node_rules(NodeVersion.V1))
    return notary.signatory.lower(), [rewrite.signatory.lower() for rewrite in notary.rewrites]


async def test_a_node_that_wants_signatures_gets_one_in_the_same_attempt_and_ever_after() -> None:
    setting = Setting(answer=wanting_signatures)
    attempt = await setting.attempt(session())
    assert (attempt.verdict, attempt.detail) == (AttemptVerdict.ACCEPTED, "")
    await setting.attempt(session())
    assert [signature_of(post) is not None for post in setting.own.posts] == [False, True, True]
    assert [post.timeout_seconds for post in setting.own.posts] == [45.0, 43.0, 45.0]
    assert verified(setting.own.posts[1]) == (KEY.address, [])


async def test_what_was_learnt_about_signatures_survives_a_restart() -> None:
    first = Setting(answer=wanting_signatures)
    await first.attempt(session())
    second = Setting(answer=wanting_signatures, memory=first.memory)
    await second.attempt(session())
    assert [signature_of(post) is not None for post in second.own.posts] == [True]


async def test_without_a_store_it_is_learnt_all_the_same() -> None:
    setting = Setting(answer=wanting_signatures, memory=Memory(away=True))
    for _ in range(2):
        assert (await setting.attempt(session())).verdict is AttemptVerdict.ACCEPTED
    assert [signature_of(post) is not None for post in setting.own.posts] == [False, True, True]


async def test_a_customers_signature_is_carried_over_and_its_numbers_are_spelled_as_it_signed_them() -> None:
    setting = Setting(service=ServiceSettings(notary=NotaryUse.ALWAYS))
    assert (await setting.attempt(signed_session())).detail == ""
    (post,) = setting.own.posts
    assert post.body.endswith(b'"body":{"id":"s1","kwh":15}}')
    assert verified(post) == (KEY.address, [CUSTOMERS_KEY.address])
    assert recover(post.body, post.headers["OCN-Signature"]) == KEY.address


async def test_two_services_each_get_the_customers_own_signature_below_one_of_the_operators() -> None:
    setting = Setting(service=ServiceSettings(notary=NotaryUse.ALWAYS))
    request = signed_session()
    for _ in range(2):
        await setting.attempt(request)
    assert [verified(post) for post in setting.own.posts] == [(KEY.address, [CUSTOMERS_KEY.address])] * 2


async def test_a_signature_that_cannot_be_carried_over_is_left_out_and_that_is_noted() -> None:
    setting = Setting(service=ServiceSettings(notary=NotaryUse.ALWAYS))
    attempt = await setting.attempt(signed_session(signed_kwh=16))
    assert attempt.verdict is AttemptVerdict.ACCEPTED
    assert attempt.detail.startswith("sent without OCN-Signature, the customer's signature cannot be carried over")
    assert signature_of(setting.own.posts[0]) is None


async def test_a_node_that_demands_the_signature_we_had_to_leave_out_refuses_this_message_and_not_the_service() -> None:
    setting = Setting(answer=wanting_signatures)
    attempt = await setting.attempt(signed_session(signed_kwh=16))
    assert attempt.verdict is AttemptVerdict.REFUSED
    assert "Missing OCN Signature" in attempt.detail
    assert len(setting.own.posts) == 2


async def test_never_means_never() -> None:
    setting = Setting(answer=wanting_signatures, service=ServiceSettings(notary=NotaryUse.NEVER))
    assert (await setting.attempt(signed_session())).verdict is AttemptVerdict.SETUP
    assert [signature_of(post) for post in setting.own.posts] == [None]
    assert setting.memory.kept == set()


async def test_consent_that_ends_between_the_two_posts_stops_the_second() -> None:
    def revoked_meanwhile(post: Post) -> Answer | NoAnswer:
        setting.view.index.close(BILLING)
        return wanting_signatures(post)

    setting = Setting(answer=revoked_meanwhile)
    assert (await setting.attempt(session())).verdict is AttemptVerdict.NOT_PROCESSED
    assert len(setting.own.posts) == 1


async def test_a_node_that_spends_the_whole_attempt_is_not_asked_twice() -> None:
    def slow(post: Post) -> Answer | NoAnswer:
        setting.clock.step(45)
        return wanting_signatures(post)

    setting = Setting(answer=slow)
    assert (await setting.attempt(session())).verdict is AttemptVerdict.SETUP
    assert len(setting.own.posts) == 1
    assert setting.memory.kept == {PROVIDERS[BILLING]}


# --- another version than was thought ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("thought", "spoken"), [(NodeVersion.V1, NodeVersion.V2), (NodeVersion.V2, NodeVersion.V1)], ids=["up", "down"]
)
async def test_a_node_of_another_version_than_thought_gets_its_own_text_in_the_same_attempt(
    thought: NodeVersion, spoken: NodeVersion
) -> None:
    setting = Setting(version=thought, then=spoken, answer=reading_only(spoken))
    attempt = await setting.attempt(session())
    assert (attempt.verdict, attempt.signature_refused) == (AttemptVerdict.ACCEPTED, False)
    assert len(setting.own.posts) == 2


async def test_version_and_signature_may_both_be_learnt_in_one_attempt() -> None:
    def answer(post: Post) -> Answer | NoAnswer:
        known = reading_only(NodeVersion.V1)(post)
        return wanting_signatures(post) if known is ACCEPTED else known

    setting = Setting(version=NodeVersion.V2, then=NodeVersion.V1, answer=answer)
    assert (await setting.attempt(session())).verdict is AttemptVerdict.ACCEPTED
    assert [signature_of(post) is not None for post in setting.own.posts] == [False, False, True]


async def test_a_node_that_does_not_accept_our_signature_whatever_its_version_is_told_apart() -> None:
    setting = Setting(answer=refusal(200, 4003, "Could not verify OCN-Signature of request"))
    attempt = await setting.attempt(session())
    assert (attempt.verdict, attempt.signature_refused) == (AttemptVerdict.SETUP, True)
    assert len(setting.own.posts) == 1


async def test_a_crash_of_the_version_we_wrote_for_may_have_come_after_the_service_so_nothing_is_repeated() -> None:
    crashed = Answer(status=500, body=b'{"status":500,"error":"Internal Server Error"}')
    for thought, then in ((NodeVersion.V1, None), (NodeVersion.V1, NodeVersion.V2), (NodeVersion.V2, None)):
        setting = Setting(version=thought, then=then, answer=crashed)
        attempt = await setting.attempt(session())
        assert (attempt.verdict, attempt.signature_refused) == (AttemptVerdict.UNKNOWN, False)
        assert len(setting.own.posts) == 1


# --- a service without a node -----------------------------------------------------------------------------------------

DIRECT = DirectRoute(url="https://pay.example/ocpi/2.2", token="t0ken")


def directly(**changed: Any) -> Setting:
    setting = Setting(version=None, service=ServiceSettings(direct=DIRECT), **changed)
    setting.route("")
    return setting


async def test_a_direct_route_takes_a_plain_ocpi_request_with_the_services_token() -> None:
    setting = directly()
    assert (await setting.attempt(session(body=b'{ "kwh": 15.00 }'))).verdict is AttemptVerdict.ACCEPTED
    (post,) = setting.remote.posts
    assert setting.own.posts == []
    assert (post.method, post.url) == ("PUT", "https://pay.example/ocpi/2.2/sessions/DE/CPO/s1")
    assert post.body == b'{"kwh":15.0}'
    own = {name: post.headers[name] for name in ("X-Request-ID", "OCN-Copy-Id", "OCN-Agreement-Tx")}
    assert own["OCN-Agreement-Tx"] == "0x" + "ab" * 32
    assert own["X-Request-ID"] != a_request().request_id
    assert {name: value for name, value in post.headers.items() if name not in own} == {
        "Authorization": "Token t0ken",
        "X-Correlation-ID": "corr-1",
        "OCPI-from-country-code": "DE",
        "OCPI-from-party-id": "CPO",
        "OCPI-to-country-code": "DE",
        "OCPI-to-party-id": "PAY",
        "Content-Type": "application/json",
    }


async def test_the_id_of_a_copy_is_the_same_in_every_attempt_and_the_request_id_is_not() -> None:
    setting = directly()
    delivery = a_delivery(session(), at=setting.clock.now())
    readies = [await setting.courier.prepare(delivery) for _ in range(2)]
    first, second = (ready.headers for ready in readies if isinstance(ready, Ready))
    assert first["OCN-Copy-Id"] == second["OCN-Copy-Id"]
    assert first["X-Request-ID"] != second["X-Request-ID"]


@pytest.mark.parametrize(
    ("request_", "method", "path", "body"),
    [
        (a_request("POST", "/ocpi/receiver/2.2/cdrs", body=b'{"id":"c1"}'), "POST", "/cdrs", b'{"id":"c1"}'),
        (
            a_request("DELETE", "/ocpi/receiver/2.2/tariffs/DE/CPO/T%201", body=b""),
            "DELETE",
            "/tariffs/DE/CPO/T%201",
            b"",
        ),
        (
            a_request("PUT", "/ocpi/receiver/2.2/tokens/NL/MSP/u1", query="type=APP_USER", body=b"{}"),
            "PUT",
            "/tokens/NL/MSP/u1?type=APP_USER",
            b"{}",
        ),
        (
            command(),
            "POST",
            "/commands/START_SESSION",
            b'{"response_url":"https://node.example/ocn-agent/inert/x","token":{"uid":"u"}}',
        ),
        (
            a_request(
                "DELETE", "/ocpi/2.2/receiver/chargingprofiles/s1", query="response_url=https%3A%2F%2Fa", body=b""
            ),
            "DELETE",
            "/chargingprofiles/s1?response_url=https%3A%2F%2Fnode.example%2Focn-agent%2Finert%2Fx",
            b"",
        ),
    ],
    ids=["cdr", "tariff", "token", "command", "profile"],
)
async def test_the_path_of_a_direct_copy_is_base_module_and_object(
    request_: OcpiRequest, method: str, path: str, body: bytes
) -> None:
    setting = directly()
    await setting.attempt(request_)
    (post,) = setting.remote.posts
    assert (post.method, post.url, post.body) == (method, DIRECT.url + path, body)
    assert ("Content-Type" in post.headers) is bool(body)


def test_a_token_is_written_plain_or_in_base64_and_shown_nowhere() -> None:
    encoded = DirectRoute(url=DIRECT.url, token="t0ken", token_style=TokenStyle.BASE64)
    assert encoded.authorization == "Token dDBrZW4="
    assert "t0ken" not in repr(DIRECT)


async def test_a_prepared_copy_shows_no_token() -> None:
    assert "t0ken" not in repr(await directly().ready(session()))


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (Answer(status=404, body=b"not found"), AttemptVerdict.REFUSED),
        (Answer(status=401, body=b""), AttemptVerdict.SETUP),
        (Answer(status=500, body=b"oops"), AttemptVerdict.UNKNOWN),
        (refusal(200, 2001, "Missing OCN Signature"), AttemptVerdict.REFUSED),
        (refusal(200, 4003, "Could not verify OCN-Signature"), AttemptVerdict.UNKNOWN),
        (refusal(200, 1000, "Success"), AttemptVerdict.ACCEPTED),
    ],
)
async def test_what_a_service_itself_says_is_not_taken_for_a_nodes_word(
    answer: Answer, verdict: AttemptVerdict
) -> None:
    setting = directly(answer=answer)
    attempt = await setting.attempt(session())
    assert (attempt.verdict, attempt.signature_refused) == (verdict, False)
    assert len(setting.remote.posts) == 1


async def test_consent_is_asked_for_on_a_direct_route_too() -> None:
    setting = directly()
    setting.view.index.close(BILLING)
    assert (await setting.refused(session())).state is DeliveryState.WITHDRAWN


async def test_a_body_that_nobody_could_read_is_not_sent_directly_either() -> None:
    assert (await directly().refused(session(body=b'{"kwh": NaN}'))).state is DeliveryState.PARKED
