"""The 2.x dialect: its prefix, its Base64 tokens, its HTTP 200 for faults, its messages and its odd headers."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from ocn_permission_agent.ocn.keys import OperatorKey
from ocn_permission_agent.ocn.message import copy_message
from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.route import InterfaceRole, Module
from ocn_permission_agent.sandbox.parties.behaviour import Behaviour
from ocn_permission_agent.sandbox.parties.client import HttpClient, Reply
from ocn_permission_agent.sandbox.parties.objects import a_cdr, a_location, a_session, a_start_session
from tests.factories import a_request
from tests.sandbox_fixtures import BILLING, CPO, MSP, PREFIX, STRANGER, WALLETS, Network, a_network

SESSION = "/ocpi/receiver/2.2.1/sessions/DE/CPO/s1"


@pytest.fixture
async def network(chain_url: str) -> AsyncIterator[Network]:
    async with a_network(chain_url, version=NodeVersion.V2) as network:
        yield network


def shape(reply: Reply) -> tuple[int, int | None, str | None]:
    return reply.http_status, reply.status_code, reply.status_message


@pytest.mark.parametrize("emsp_at", ["node A", "node B"])
async def test_session_reaches_the_emsp(network: Network, emsp_at: str) -> None:
    node = await network.node("node A")
    cpo = await network.cpo(node)
    emsp = await network.emsp(node if emsp_at == "node A" else await network.node(emsp_at))

    reply = await cpo.put_session(a_session(CPO, "s1"), to=MSP)

    assert cpo.connection.node_url == f"{node.listen_url}/{PREFIX}"
    assert reply.accepted
    (received,) = emsp.inbox.all()
    assert received.path == SESSION
    assert received.headers["ocn-verification-status"] == "NOT_PRESENTED"


@pytest.mark.parametrize("emsp_at", ["node A", "node B"])
async def test_result_of_a_command_finds_its_way_back(network: Network, emsp_at: str) -> None:
    node = await network.node("node A")
    cpo = await network.cpo(node)
    emsp = await network.emsp(node if emsp_at == "node A" else await network.node(emsp_at))

    await emsp.command("START_SESSION", a_start_session(MSP, emsp.response_url), to=CPO)
    (command,) = cpo.inbox.all()
    answered = await cpo.answer_command(command, to=MSP)

    assert answered.accepted
    assert len(emsp.inbox) == 1


async def test_counts_come_in_brackets_and_links_still_work(network: Network) -> None:
    node = await network.node()
    cpo, emsp = await network.cpo(node), await network.emsp(node)
    for number in range(3):
        await cpo.put_session(a_session(CPO, f"s{number}"), to=MSP)

    first = await emsp.send("GET", emsp.path(Module.SESSIONS, InterfaceRole.SENDER), to=CPO, query="limit=2")
    link = first.headers["link"].partition("<")[2].partition(">")[0]
    second = await emsp.send("GET", link, to=CPO)

    assert first.headers["x-total-count"] == "[3]"
    assert link.startswith(f"{node.public_url}/ocpi/sender/2.2.1/sessions/page/")
    assert [entry["id"] for entry in second.json["data"]] == ["s2"]


async def test_location_of_a_cdr_is_a_number_of_the_node(network: Network) -> None:
    node = await network.node()
    cpo, _ = await network.cpo(node), await network.emsp(node)
    posted = await cpo.post_cdr(a_cdr(CPO, "c1"), to=MSP)
    fetched = await cpo.send("GET", posted.headers["location"], to=MSP)
    assert posted.headers["location"] == f"{node.public_url}/ocpi/receiver/2.2.1/cdrs/1"
    assert fetched.json["data"] == a_cdr(CPO, "c1")


async def test_faults_of_the_client_come_with_http_200(network: Network) -> None:
    node = await network.node()
    cpo, emsp = await network.cpo(node), await network.emsp(node)
    session = a_session(CPO, "s1")

    assert shape(await cpo.send("PUT", SESSION, session, to=MSP, headers={"X-Request-ID": None})) == (
        200,
        2001,
        "Missing required header: X-Request-ID",
    )
    assert shape(await cpo.send("PUT", SESSION, b"{", to=MSP)) == (400, 2001, "Invalid request body")
    assert shape(await emsp.send("GET", "/ocpi/sender/2.2.1/sessions", to=CPO, query="limit=abc")) == (
        200,
        2001,
        "Invalid parameter value: limit",
    )
    assert shape(await cpo.send("PUT", SESSION, session, to=MSP, headers={"OCPI-from-party-id": "CPX"})) == (
        200,
        2001,
        "Could not find role on sending platform using OCPI-from-* headers",
    )
    assert shape(await cpo.put_session(session, to=STRANGER)) == (
        200,
        4001,
        "Role FR-XXX not registered on OCN Registry",
    )
    assert shape(await cpo.send("GET", "/ocpi/receiver/2.2.1/cdrs/99", to=MSP)) == (
        200,
        2003,
        "Proxied resource not found",
    )


async def test_receiver_is_looked_up_in_its_exact_spelling(network: Network) -> None:
    node = await network.node()
    cpo, _ = await network.cpo(node), await network.emsp(node)
    reply = await cpo.put_session(a_session(CPO, "s1"), to=Party("nl", "msp"))
    assert shape(reply) == (200, 4001, "Role nl-msp not registered on OCN Registry")


async def test_plain_token_makes_the_node_stumble(network: Network) -> None:
    node = await network.node()
    cpo = await network.cpo(node)
    plain = {"Authorization": f"Token {cpo.connection.token_c}"}
    ocpi = await cpo.send("PUT", SESSION, a_session(CPO, "s1"), to=MSP, headers=plain)
    other = await cpo.send("GET", "/ocpi/2.2.1/credentials", to=MSP, headers=plain)
    unknown = await cpo.send("PUT", SESSION, a_session(CPO, "s1"), to=MSP, headers={"Authorization": "Token Z3Vlc3M="})
    assert shape(ocpi)[:2] == (200, 3000)
    assert other.http_status == 500
    assert shape(unknown) == (200, 2001, "Invalid authorization token")


@pytest.mark.parametrize(
    ("behaviour", "local", "remote"),
    [
        (Behaviour.TALKS_HTML, (200, 4000), (200, 4000)),
        (Behaviour.SAYS_NOTHING, (200, 3000), (500, 0)),
        (Behaviour.TALKS_A_LIST, (200, 3000), (500, 0)),
        (Behaviour.ADDS_A_MEMBER, (200, 1000), (200, 1000)),
        (Behaviour.HANGS, (200, 3000), (500, 0)),
    ],
)
async def test_bad_answers_of_a_receiver(
    network: Network, behaviour: Behaviour, local: tuple[int, int], remote: tuple[int, int]
) -> None:
    node = await network.node("node A", receiver_timeout_seconds=1.0)
    other = await network.node("node B", receiver_timeout_seconds=0.2)
    cpo, emsp, billing = await network.cpo(node), await network.emsp(node), await network.service(other)
    emsp.behave(behaviour)
    billing.behave(behaviour)
    assert shape(await cpo.put_session(a_session(CPO, "s1"), to=MSP))[:2] == local
    assert shape(await cpo.put_session(a_session(CPO, "s1"), to=BILLING))[:2] == remote


async def test_other_node_that_is_down_is_a_3000(network: Network) -> None:
    node, other = await network.node("node A"), await network.node("node B")
    cpo, _ = await network.cpo(node), await network.emsp(other)
    await other.down()
    reply = await cpo.put_session(a_session(CPO, "s1"), to=MSP)
    assert shape(reply)[:2] == (200, 3000)
    assert (reply.status_message or "").startswith("Failed to post OCN message: ")


async def test_message_of_the_right_version_is_taken_and_of_the_other_refused(network: Network) -> None:
    node = await network.node("node A")
    await network.cpo(node)
    billing = await network.service(node)
    key = OperatorKey.load(WALLETS["node A"].key.hex())
    request = a_request(path=SESSION, body=msgspec.json.encode(a_session(CPO, "s1")))
    replies = {}
    async with HttpClient() as client:
        for version in NodeVersion:
            text = copy_message(request, sender=CPO, receiver=BILLING, version=version)
            headers = {"X-Request-ID": "any", "OCN-Signature": key.sign(text)}
            replies[version] = await client.call("POST", f"{node.public_url}/ocn/message", headers=headers, body=text)

    assert replies[NodeVersion.V2].accepted
    assert shape(replies[NodeVersion.V1]) == (200, 4003, "Could not verify OCN-Signature of request")
    assert len(billing.inbox) == 1


async def test_what_is_for_the_node_itself_is_answered_without_looking_at_the_token(network: Network) -> None:
    node = await network.node()
    cpo = await network.cpo(node)
    reply = await cpo.send(
        "PUT",
        "/ocpi/receiver/2.2.1/locations/DE/CPO/L1",
        a_location(CPO, "L1"),
        to=Party("CH", "OCN"),
        headers={"Authorization": "Token whatever"},
    )
    assert shape(reply)[:2] == (200, 1000)


async def test_only_2_x_lists_all_nodes(network: Network, chain_url: str) -> None:
    node = await network.node()
    async with a_network(chain_url) as older, HttpClient() as client:
        old_node = await older.node()
        listed = await client.call("GET", f"{node.public_url}/ocn/registry/nodes", headers={})
        unknown = await client.call("GET", f"{old_node.public_url}/ocn/registry/nodes", headers={})
    assert listed.json == [{"url": node.public_url, "address": node.operator_address}]
    assert unknown.http_status == 404
