import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from ocn_permission_agent.consent.address import address
from ocn_permission_agent.consent.index import ProviderRoute
from ocn_permission_agent.consent.verdict import Standing, Verdict
from ocn_permission_agent.net.answer import Answer, NoAnswer, Sent
from ocn_permission_agent.ocn.keys import OperatorKey, recover
from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.ocpi.request import OcpiRequest
from ocn_permission_agent.ocpi.route import Module
from ocn_permission_agent.outbox.after_attempt import Decision, Wait
from ocn_permission_agent.outbox.courier import Courier, Ready
from ocn_permission_agent.outbox.model import AttemptVerdict, DeliveryState
from tests.fakes import FakeClock
from tests.outbox_fixtures import BILLING, PROVIDERS, SameVersion, StatedView, a_delivery, command, session

KEY = OperatorKey(b"\x11" * 32)
ACCEPTED = Answer(status=200, body=b'{"status_code":1000,"timestamp":"2026-03-01T10:00:00Z"}')


@dataclass
class Post:
    url: str
    headers: Mapping[str, str]
    body: bytes
    timeout_seconds: float


@dataclass
class Recorder:
    """A transport that keeps what is posted, takes two seconds, and answers the same to all."""

    clock: FakeClock
    answer: Answer | NoAnswer = ACCEPTED
    posts: list[Post] = field(default_factory=list)

    async def post(
        self, *, url: str, headers: Mapping[str, str], body: bytes, timeout_seconds: float
    ) -> Answer | NoAnswer:
        self.posts.append(Post(url, headers, body, timeout_seconds))
        self.clock.step(2)
        return self.answer


class Setting:
    """A courier and all it touches."""

    def __init__(self, *, version: NodeVersion | None = NodeVersion.V1, answer: Answer | NoAnswer = ACCEPTED) -> None:
        self.clock = FakeClock()
        self.view = StatedView()
        self.own, self.remote = Recorder(self.clock, answer), Recorder(self.clock, answer)
        self.courier = Courier(
            view=self.view,
            versions=SameVersion(version),
            key=KEY,
            own_node_url="http://127.0.0.1:8081/ocn-v2",
            own_transport=self.own,
            remote_transport=self.remote,
            clock=self.clock,
            inert_url="https://node.example/ocn-agent/inert/x",
        )

    async def prepare(self, request: OcpiRequest) -> Ready | Decision:
        return await self.courier.prepare(a_delivery(request, at=self.clock.now()))

    async def ready(self, request: OcpiRequest) -> Ready:
        ready = await self.prepare(request)
        assert isinstance(ready, Ready)
        return ready

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


async def test_each_attempt_has_a_request_id_of_its_own_and_the_same_bytes() -> None:
    setting = Setting()
    first, second = await setting.ready(session()), await setting.ready(session())
    assert first.headers["X-Request-ID"] != second.headers["X-Request-ID"]
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
