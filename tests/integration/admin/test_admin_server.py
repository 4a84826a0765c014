"""The admin listener, asked over a real socket."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from ocn_permission_agent.admin.server import AdminServer
from ocn_permission_agent.admin.settings import AdminSettings
from ocn_permission_agent.admin.status import ChainStatus, EndpointStatus, Status
from ocn_permission_agent.consent.view import ConsentView
from ocn_permission_agent.errors import ConfigError, StoreUnavailable
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.outbox.gaps import GapSum
from ocn_permission_agent.outbox.model import DeliveryState
from ocn_permission_agent.outbox.store import Counts
from tests.consent_factories import OTHER_OPERATOR, a_history, address_of, an_index, transaction
from tests.desks import a_closed_desk
from tests.fakes import FakeClock

TOKEN = "a-token-of-enough-length"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
NOW = datetime(2026, 3, 1, 10, tzinfo=UTC)
STATUS = Status(
    version="0.1.0",
    chain=ChainStatus(
        head=12,
        head_time=datetime(2026, 3, 1, 10, tzinfo=UTC),
        fresh=True,
        age_seconds=1.25,
        endpoints=(EndpointStatus(name="rpc.example", head=12, reachable=True),),
    ),
    services=1,
    agreements=2,
    deliveries=Counts(by_state={DeliveryState.PENDING: 3, DeliveryState.DELIVERED: 4}, held=1),
    gaps=(
        GapSum(reason="first_sync", count=4, first_at=NOW, last_at=NOW),
        GapSum(reason="unknown_outcome", count=1, first_at=NOW, last_at=NOW),
    ),
    spool_bytes=0,
)


class Agent:
    """What the listener asks: whether we are ready, and how things stand."""

    def __init__(self) -> None:
        self.is_ready = True
        self.store_works = True
        self.metrics = Metrics()
        self.view = ConsentView(clock=FakeClock(), max_staleness_seconds=60, metrics=self.metrics)

    def ready(self) -> bool:
        return self.is_ready

    async def status(self) -> Status:
        if not self.store_works:
            raise StoreUnavailable("the store cannot be read: disk I/O error")
        return STATUS

    def server(self, **settings: object) -> AdminServer:
        chosen = AdminSettings(**{"listen_port": 0, "token": TOKEN, **settings})  # type: ignore[arg-type]
        return AdminServer(
            settings=chosen,
            ready=self.ready,
            status=self.status,
            consent=self.view,
            desk=a_closed_desk(),
            metrics=self.metrics,
        )


@pytest.fixture
def agent() -> Agent:
    return Agent()


@pytest.fixture
async def server(agent: Agent) -> AsyncIterator[AdminServer]:
    server = agent.server(allow_hosts=("agent.internal",))
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def client(server: AdminServer) -> AsyncIterator[aiohttp.ClientSession]:
    host, port = server.address
    async with aiohttp.ClientSession(f"http://{host}:{port}") as client:
        yield client


async def test_liveness_and_metrics_need_no_token(agent: Agent, client: aiohttp.ClientSession) -> None:
    agent.metrics.gaps.labels("unknown_outcome").inc()

    async with client.get("/livez") as live, client.get("/metrics") as metrics:
        assert (live.status, await live.text()) == (200, "alive\n")
        assert metrics.status == 200
        assert metrics.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert 'ocn_agent_gaps_total{reason="unknown_outcome"} 1.0' in await metrics.text()


async def test_readiness_ends_when_draining_begins(agent: Agent, client: aiohttp.ClientSession) -> None:
    async with client.get("/readyz") as before:
        assert before.status == 200

    agent.is_ready = False

    async with client.get("/readyz") as after, client.get("/livez") as alive:
        assert (after.status, alive.status) == (503, 200)


async def test_the_status_is_told_to_whoever_has_the_token(client: aiohttp.ClientSession) -> None:
    async with client.get("/api/v1/status", headers=BEARER) as answer:
        assert answer.status == 200
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        document = await answer.json()

    assert document["chain"] == {
        "head": 12,
        "head_time": "2026-03-01T10:00:00+00:00",
        "fresh": True,
        "age_seconds": 1.25,
        "held": None,
        "endpoints": [{"name": "rpc.example", "head": 12, "reachable": True, "followed": True, "complaint": None}],
    }
    assert (document["services"], document["agreements"], document["gaps"]) == (1, 2, 5)
    assert document["gaps_by_reason"]["first_sync"] == {
        "count": 4,
        "first_at": "2026-03-01T10:00:00+00:00",
        "last_at": "2026-03-01T10:00:00+00:00",
    }
    assert document["spool_bytes"] == 0
    assert document["deliveries"] == {
        "pending": 3, "held": 1, "paused": 0, "delivered": 4, "unconfirmed": 0, "refused": 0,
        "superseded": 0, "withdrawn": 0, "expired": 0, "parked": 0,
    }  # fmt: skip


@pytest.mark.parametrize("path", ["/api/v1/status", "/", "/api/v1/nothing", "/livez/", "/metrics/x"])
@pytest.mark.parametrize("authorization", [None, "Bearer wrong", f"Token {TOKEN}", TOKEN, "Bearer \xfc"])
async def test_all_else_is_refused_without_the_token(
    client: aiohttp.ClientSession, path: str, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}

    async with client.get(path, headers=headers) as answer:
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_without_a_configured_token_nobody_gets_in(agent: Agent) -> None:
    server = agent.server(token=None)
    await server.start()
    host, port = server.address
    async with aiohttp.ClientSession(f"http://{host}:{port}") as client:
        async with client.get("/api/v1/status", headers={"Authorization": "Bearer "}) as answer:
            assert answer.status == 401
        async with client.get("/livez") as live:
            assert live.status == 200
    await server.stop()


async def test_unknown_paths_and_methods_are_answered_as_json(client: aiohttp.ClientSession) -> None:
    async with client.get("/api/v1/nothing", headers=BEARER) as unknown:
        assert (unknown.status, await unknown.json()) == (404, {"error": "Not Found"})
    async with client.post("/api/v1/status", headers=BEARER) as wrong:
        assert (wrong.status, wrong.headers["Allow"]) == (405, "GET,HEAD")


async def test_trouble_with_the_store_is_told_with_503(agent: Agent, client: aiohttp.ClientSession) -> None:
    agent.store_works = False

    async with client.get("/api/v1/status", headers=BEARER) as answer:
        assert (answer.status, await answer.json()) == (503, {"error": "the store cannot be read: disk I/O error"})


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:9090", 200),
        ("127.0.0.1", 200),
        ("[::1]:9090", 200),
        ("10.1.2.3:9090", 200),
        ("Agent.Internal:9090", 200),
        ("attacker.example", 421),
        ("127.0.0.1.attacker.example:9090", 421),
        ("", 421),
    ],
)
async def test_only_known_host_names_are_served(client: aiohttp.ClientSession, host: str, status: int) -> None:
    async with client.get("/livez", headers={"Host": host}) as answer:
        assert answer.status == status


async def test_a_port_in_use_is_told_in_one_sentence(agent: Agent, server: AdminServer) -> None:
    host, port = server.address

    with pytest.raises(ConfigError) as refused:
        await agent.server(listen_port=port).start()

    assert refused.value.problems == [f"admin.listen: {host}:{port} is in use by another program."]


async def test_stopping_twice_is_fine(agent: Agent) -> None:
    server = agent.server()
    await server.start()

    await server.stop()
    await server.stop()


# --- what the index says ----------------------------------------------------------------------------------------------

AGREEMENTS = [("DE*CPO", "NL*BIL", {6, 8}), ("DE*CPO", "DE*ANA", {0})]


async def asked(client: aiohttp.ClientSession, path: str) -> tuple[int, dict[str, Any]]:
    async with client.get(f"/api/v1/{path}", headers=BEARER) as answer:
        return answer.status, await answer.json()


async def test_services_are_listed_with_what_they_ask_for(agent: Agent, client: aiohttp.ClientSession) -> None:
    agent.view.publish(an_index(AGREEMENTS))

    status, document = await asked(client, "services")

    assert (status, document["block"], document["fresh"]) == (200, 9, True)
    assert [(each["party"], each["permissions"], each["listed"]) for each in document["services"]] == [
        ("DE*ANA", [0], True),
        ("NL*BIL", [6, 8], True),
    ]


async def test_agreements_are_listed_with_the_reason_of_their_verdict(
    agent: Agent, client: aiohttp.ClientSession
) -> None:
    history = a_history(AGREEMENTS)
    history.toggle(address_of("DE*CPO"), address_of("NL*BIL"))
    agent.view.publish(history.index())

    _, document = await asked(client, "agreements")
    _, closed = await asked(client, "agreements?standing=closed&customer=de*cpo")

    assert [(each["provider"], each["standing"], each["rule"]) for each in document["agreements"]] == [
        ("DE*ANA", "open", "C2"),
        ("NL*BIL", "closed", "C2"),
    ]
    (revoked,) = closed["agreements"]
    assert revoked["reason"] == "the customer revoked the agreement"
    assert (revoked["block"], revoked["transaction"]) == (10, transaction(10_000))
    assert revoked["agreed_in"] == {"block": 6, "transaction": transaction(6000)}


async def test_an_agreement_is_shown_interface_by_interface(agent: Agent, client: aiohttp.ClientSession) -> None:
    history = a_history([("DE*CPO", "NL*BIL", {6, 8})])
    history.service(address_of("NL*BIL"), {6, 10})
    agent.view.publish(history.index())

    _, document = await asked(client, f"agreements/DE*CPO/{address_of('NL*BIL')}")

    (agreement,) = document["agreements"]
    assert [(each["module"], each["standing"], each["rule"]) for each in agreement["interfaces"]] == [
        ("cdrs", "closed", "C3"),
        ("sessions", "open", "C2"),
        ("tariffs", "closed", "C3"),
    ]


async def test_a_party_is_shown_with_everybody_who_is_spelled_alike(
    agent: Agent, client: aiohttp.ClientSession
) -> None:
    history = a_history(AGREEMENTS)
    history.party(Party("de", "CPO"), operator=OTHER_OPERATOR)
    agent.view.publish(history.index())

    _, document = await asked(client, "parties/DE*CPO")

    assert [(each["party"], each["own_node"]) for each in document["parties"]] == [("DE*CPO", True), ("de*CPO", False)]
    assert {each["rule"] for each in document["as_customer"]} == {"C1"}
    assert document["as_provider"] == []


async def test_before_the_first_sync_lists_are_empty_and_not_fresh(client: aiohttp.ClientSession) -> None:
    status, document = await asked(client, "agreements")

    assert (status, document["block"], document["fresh"], document["agreements"]) == (200, None, False, [])


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("parties/DE*XXX", 404, "No party DE*XXX is registered. One that left can be shown by its address."),
        ("services/DE*CPO", 404, "DE*CPO never listed a service."),
        ("agreements/NL*BIL/DE*CPO", 404, "There never was an agreement of NL*BIL with DE*CPO."),
        ("parties/DECPO", 400, "party: 'DECPO' is not a party: write country code, '*' and party id, as in DE*CPO."),
        ("agreements?standing=ajar", 400, "standing: must be open, held or closed."),
        ("agreements/DE*CPO/0x12", 400, "provider: '0x12' is not an address: 0x and 40 hexadecimal digits are needed."),
    ],
)
async def test_what_cannot_be_answered_is_told(
    agent: Agent, client: aiohttp.ClientSession, path: str, status: int, error: str
) -> None:
    agent.view.publish(an_index(AGREEMENTS))

    assert await asked(client, path) == (status, {"error": error})


@pytest.mark.parametrize("path", ["services", "agreements", "parties/DE*CPO", "services/NL*BIL"])
async def test_lists_need_the_token(client: aiohttp.ClientSession, path: str) -> None:
    async with client.get(f"/api/v1/{path}") as answer:
        assert answer.status == 401
