"""What the real 1.1.2 and 2.x were seen to do where their sources left it open (docs/reference/nodes.md)."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
import pytest

from ocn_permission_agent.ocn.keys import OperatorKey, checksummed
from ocn_permission_agent.ocn.message import copy_message
from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.reply import Outcome, outcome_of, read_reply
from ocn_permission_agent.ocpi.route import InterfaceRole, Module
from ocn_permission_agent.sandbox.node.node import Node
from ocn_permission_agent.sandbox.parties.behaviour import Behaviour
from ocn_permission_agent.sandbox.parties.client import HttpClient, Reply
from ocn_permission_agent.sandbox.parties.inbox import Received
from ocn_permission_agent.sandbox.parties.objects import a_cdr, a_session
from ocn_permission_agent.sandbox.parties.platform import OcpiParty
from ocn_permission_agent.sandbox.parties.receiver import Service
from ocn_permission_agent.sandbox.serving import Answer, Incoming, LoopbackServer
from tests.factories import a_request
from tests.sandbox_fixtures import BILLING, CPO, MSP, PREFIX, WALLETS, Network, a_network

V1, V2 = NodeVersion.V1, NodeVersion.V2


@pytest.fixture(params=list(NodeVersion), ids=["v1", "v2"])
async def network(chain_url: str, request: Any) -> AsyncIterator[Network]:
    async with a_network(chain_url, version=request.param) as network:
        yield network


def shape(reply: Reply) -> tuple[int, int | None, str | None]:
    return reply.http_status, reply.status_code, reply.status_message


def signs(party: OcpiParty) -> None:
    party.sign_with(OperatorKey.load(WALLETS[str(party.party)].key.hex()))


def session_path(party: OcpiParty, session_id: str = "s1") -> str:
    return party.path(Module.SESSIONS, InterfaceRole.RECEIVER, "DE", "CPO", session_id)


async def message(
    node: Node, *, path: str = "/ocpi/receiver/2.2/sessions/DE/CPO/s1", receiver: Party = BILLING, raw_path: str = ""
) -> Reply:
    """A copy posted as the operator of `node A`; with `raw_path` that is what the message says in `url_path`."""
    version = node.settings.version
    request = a_request(path=path, body=msgspec.json.encode(a_session(CPO, "s1")))
    text = copy_message(request, sender=CPO, receiver=receiver, version=version)
    if raw_path:
        text = text.replace(b'"/DE/CPO/s1"', msgspec.json.encode(raw_path))
    headers = {
        "X-Request-ID": "any",
        "OCN-Signature": OperatorKey.load(WALLETS["node A"].key.hex()).sign(text),
        "Content-Type": "text/plain",
    }
    async with HttpClient() as client:
        return await client.call("POST", f"{node.public_url}/ocn/message", headers=headers, body=text)


@pytest.mark.parametrize("content_type", ["text/plain;charset=UTF-8", "application/octet-stream", "application/xml"])
async def test_a_body_that_is_not_called_json_is_not_read(network: Network, content_type: str) -> None:
    cpo = await network.cpo(await network.node())
    headers = {"Content-Type": content_type}
    reply = await cpo.send("PUT", session_path(cpo), a_session(CPO, "s1"), to=MSP, headers=headers)
    assert reply.http_status == 415
    if network.version is V1:
        assert reply.body == b""
    else:
        assert reply.json["error"] == f"Content-Type '{content_type}' is not supported."


async def test_json_by_any_name_is_read(network: Network) -> None:
    node = await network.node()
    cpo, _ = await network.cpo(node), await network.emsp(node)
    for content_type in ("application/json; charset=utf-8", "application/vnd.x+json", "Application/JSON"):
        headers = {"Content-Type": content_type}
        reply = await cpo.send("PUT", session_path(cpo), a_session(CPO, "s1"), to=MSP, headers=headers)
        assert reply.accepted


async def test_pages_of_the_framework(network: Network) -> None:
    cpo = await network.cpo(await network.node())
    session = a_session(CPO, "s1")
    unknown = await cpo.send("PUT", "/ocpi/nope", session, to=MSP)
    wrong = await cpo.send("DELETE", session_path(cpo), to=MSP)
    assert (unknown.http_status, wrong.http_status, wrong.headers["allow"]) == (404, 405, "GET,PUT,PATCH")
    if network.version is V1:
        assert list(unknown.json) == ["timestamp", "status", "error", "message", "path"]
        assert wrong.body == b""
    else:
        path = f"/{PREFIX}/ocpi/nope"
        assert unknown.json == {"status": 404, "error": f"No static resource {path[1:]}.", "path": path}
        assert wrong.json["error"] == "Method 'DELETE' is not supported."


async def test_a_slash_at_the_end_and_path_parameters(network: Network) -> None:
    node = await network.node()
    cpo, emsp = await network.cpo(node), await network.emsp(node)
    slash = await cpo.send("PUT", session_path(cpo) + "/", a_session(CPO, "s1"), to=MSP)
    parameter = await cpo.send("PUT", session_path(cpo) + ";x=1", a_session(CPO, "s1"), to=MSP)
    encoded = await cpo.send("PUT", session_path(cpo, "s%2F1"), a_session(CPO, "s1"), to=MSP)
    assert slash.http_status == (200 if network.version is V1 else 404)
    assert parameter.accepted
    assert (encoded.http_status, encoded.body[:15]) == (400, b"<!doctype html>")
    assert {received.path for received in emsp.inbox.all()} == {session_path(emsp)}


async def test_a_receiver_that_closes_without_an_answer(network: Network) -> None:
    node, other = await network.node("node A"), await network.node("node B")
    cpo, emsp, billing = await network.cpo(node), await network.emsp(node), await network.service(other)
    emsp.behave(Behaviour.CLOSES)
    billing.behave(Behaviour.CLOSES)

    local = await cpo.put_session(a_session(CPO, "s1"), to=MSP)
    remote = await cpo.put_session(a_session(CPO, "s1"), to=BILLING)
    copied = await message(other)

    if network.version is V1:
        assert local.json["message"] == "Unexpected end of file from server"
        assert (local.http_status, remote.http_status, copied.http_status) == (500, 500, 500)
    else:
        assert (local.http_status, local.body, local.headers.get("content-type")) == (200, b"", None)
        assert (copied.http_status, copied.body) == (200, b"")
        assert shape(remote)[:2] == (200, 3000)
    for reply in (local, remote, copied):
        assert outcome_of(read_reply(reply.http_status, reply.body)) is Outcome.UNKNOWN


async def test_a_node_that_closes_without_an_answer(network: Network) -> None:
    async def close(_: Incoming) -> Answer:
        return Answer(cut=True)

    cpo = await network.cpo(await network.node("node A"))
    await network.emsp(await network.node("node B"))
    async with LoopbackServer(close) as closing:
        await network.actor("node B").set_node(closing.url)
        reply = await cpo.put_session(a_session(CPO, "s1"), to=MSP)
    if network.version is V1:
        assert reply.http_status == 500
    else:
        assert shape(reply) == (
            200,
            3000,
            "Failed to post OCN message: Failed to parse HTTP response: the server prematurely closed the connection",
        )


async def test_a_page_of_somebody_else_at_the_registered_domain(network: Network) -> None:
    async def greet(_: Incoming) -> Answer:
        return Answer(body=b"<html>hello</html>", content_type="text/html")

    cpo = await network.cpo(await network.node("node A"))
    await network.emsp(await network.node("node B"))
    async with LoopbackServer(greet) as page:
        await network.actor("node B").set_node(page.url)
        reply = await cpo.put_session(a_session(CPO, "s1"), to=MSP)
    if network.version is V1:
        assert reply.http_status == 500
    else:
        assert (reply.status_message or "").startswith(
            f"Failed to forward OCN message to {page.url}/ocn/message: Non-OCPI response received"
        )


async def test_the_other_nodes_crash_page(network: Network) -> None:
    async def crash(_: Incoming) -> Answer:
        return Answer(http_status=500, body=b'{"status":500,"error":"","path":"/ocn/message"}')

    cpo = await network.cpo(await network.node("node A"))
    await network.emsp(await network.node("node B"))
    async with LoopbackServer(crash) as crashing:
        await network.actor("node B").set_node(crashing.url)
        reply = await cpo.put_session(a_session(CPO, "s1"), to=MSP)
    assert reply.http_status == 500
    assert reply.status_code == (None if network.version is V1 else 0)


class Redirecting(Service):
    """A service that sends everybody elsewhere."""

    status, elsewhere = 0, ""

    async def respond(self, received: Received) -> Answer:
        return Answer(http_status=self.status, headers={"Location": self.elsewhere})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_followed_with_token_and_body_by_1_x_and_for_get_only_by_2_x(
    network: Network, status: int
) -> None:
    seen: list[Incoming] = []

    async def keep(incoming: Incoming) -> Answer:
        seen.append(incoming)
        return Answer(body=b'{"status_code":1000,"timestamp":"2026-03-01T10:00:00Z"}')

    node = await network.node()
    cpo, service = await network.cpo(node), await network.join(Redirecting(BILLING, clock=network.clock), node)
    async with LoopbackServer(keep) as elsewhere:
        service.status, service.elsewhere = status, f"{elsewhere.url}/x"
        put = await cpo.put_session(a_session(CPO, "s1"), to=BILLING)
        got = await cpo.send("GET", session_path(cpo), to=BILLING)

    expected = ["PUT", "GET"] if network.version is V1 else ["GET"]
    assert [incoming.method for incoming in seen] == expected
    assert all("authorization" in incoming.headers for incoming in seen)
    assert bool(seen[0].body) is (network.version is V1)
    assert shape(put)[:2] == ((200, 1000) if network.version is V1 else (200, 3000))
    assert got.accepted


async def test_node_info_spells_the_operator_its_own_way(network: Network) -> None:
    node = await network.node()
    async with HttpClient() as client:
        info = (await client.call("GET", f"{node.public_url}/ocn/registry/node-info", headers={})).json
    address = node.operator_address if network.version is V1 else checksummed(node.operator_address)
    assert info == {"url": node.public_url, "address": address}


async def test_health(network: Network) -> None:
    node = await network.node()
    async with HttpClient() as client:
        own = await client.call("GET", f"{node.public_url}/health", headers={})
        bare = await client.call("GET", f"{node.listen_url}/health", headers={})
    assert own.body == b"OK"
    assert bare.body == (b"OK" if network.version is V1 else b'{"status":"UP"}')


@pytest.mark.parametrize(
    ("url_path", "at_1_x", "at_2_x"),
    [
        ("/DE/CPO/s1/", "/DE/CPO/s1", "/DE/CPO/s1"),
        ("/DE/CPO/a%20b", "/DE/CPO/a%2520b", "/DE/CPO/a%20b"),
        ("/DE/CPO/a b", "/DE/CPO/a%20b", None),
        ("/DE/CPO/ä", "/DE/CPO/%C3%A4", None),
        ("/DE/CPO/s1?x=1", "/DE/CPO/s1?x=1", "/DE/CPO/s1?x=1"),
        ("/DE/CPO/s1#x", "/DE/CPO/s1", "/DE/CPO/s1"),
    ],
)
async def test_url_path_is_encoded_by_1_x_and_goes_raw_into_the_request_line_of_2_x(
    network: Network, url_path: str, at_1_x: str, at_2_x: str | None
) -> None:
    node = await network.node("node A")
    await network.cpo(node)
    billing = await network.service(node)
    reply = await message(node, raw_path=url_path)
    wanted = at_1_x if network.version is V1 else at_2_x
    if wanted is not None:
        endpoint = billing.path(Module.SESSIONS, InterfaceRole.RECEIVER)
        assert [received.path for received in billing.inbox.all()] == [endpoint + wanted]
    else:
        assert shape(reply)[:2] == (200, 4000)  # the service's server cannot read its request line


@pytest.mark.parametrize("segment", ["a%20b", "%C3%A4", "a+b&c=d:e@f", "a,b~c"])
async def test_a_copy_reaches_the_service_under_the_customers_own_path(network: Network, segment: str) -> None:
    node = await network.node("node A")
    await network.cpo(node)
    billing = await network.service(node)
    assert (await message(node, path=f"/ocpi/receiver/2.2/sessions/DE/CPO/{segment}")).accepted
    (received,) = billing.inbox.all()
    assert received.raw_path.endswith(f"/DE/CPO/{segment}")


async def test_a_signed_answer_nobody_asked_for_goes_on_with_1_x_and_loses_its_signature_with_2_x(
    network: Network,
) -> None:
    node = await network.node()
    cpo, emsp = await network.cpo(node), await network.emsp(node)
    signs(emsp)
    body = (await cpo.put_session(a_session(CPO, "s1"), to=MSP)).json
    assert ("ocn_signature" in body) is (network.version is V1)
    assert "ocn_verification_status" not in body


async def test_an_unsigned_answer_to_a_signed_request_is_withheld_though_it_was_acted_upon(network: Network) -> None:
    node = await network.node(signatures=True)
    cpo, emsp = await network.cpo(node), await network.emsp(node)
    signs(cpo)
    for behaviour in (Behaviour.PROPER, Behaviour.REFUSES):
        emsp.behave(behaviour)
        reply = await cpo.put_session(a_session(CPO, "s1"), to=MSP)
        assert shape(reply) == (200, 3000, "Unable to verify response signature: Missing OCN Signature")
    assert len(emsp.inbox) == 2


async def test_a_signed_list_never_verifies_with_2_x_which_signs_over_its_own_brackets(network: Network) -> None:
    node = await network.node(signatures=True)
    cpo, emsp = await network.cpo(node), await network.emsp(node)
    signs(cpo)
    signs(emsp)
    reply = await emsp.send("GET", emsp.path(Module.SESSIONS, InterfaceRole.SENDER), to=CPO)
    if network.version is V1:
        assert reply.accepted
    else:
        assert shape(reply) == (
            200,
            3000,
            "Unable to verify response signature: Invalid signature: Request has been modified.",
        )


async def test_the_location_of_a_cdr_does_not_come_back_through_another_node_of_2_x(network: Network) -> None:
    node, other = await network.node("node A"), await network.node("node B")
    cpo, _ = await network.cpo(node), await network.emsp(other)
    reply = await cpo.post_cdr(a_cdr(CPO, "c1"), to=MSP)
    assert ("location" in reply.headers) is (network.version is V1)


async def test_messages_are_declared_as_each_version_declares_them(network: Network) -> None:
    seen: list[Mapping[str, str]] = []

    async def keep(incoming: Incoming) -> Answer:
        seen.append(incoming.headers)
        return Answer(body=b'{"status_code":1000,"timestamp":"2026-03-01T10:00:00Z"}')

    cpo = await network.cpo(await network.node("node A"))
    await network.emsp(await network.node("node B"))
    async with LoopbackServer(keep) as keeping:
        await network.actor("node B").set_node(keeping.url)
        assert (await cpo.put_session(a_session(CPO, "s1"), to=MSP)).accepted
    assert seen[0]["content-type"] == ("text/plain" if network.version is V1 else "application/json")


async def test_words_for_those_who_are_no_operator_or_are_in_already(network: Network) -> None:
    node = await network.node()
    url, body = f"{node.admin_url}/admin/generate-registration-token", b'[{"party_id":"CPO","country_code":"DE"}]'
    good = {"Authorization": f"Token {node.settings.api_key}"}
    async with HttpClient() as client:
        stranger = await client.call("POST", url, headers={"Authorization": "Token guess"}, body=body)
        await client.call("POST", url, headers=good, body=body)
        again = await client.call("POST", url, headers=good, body=body)
    assert (stranger.http_status, again.http_status) == (401, 400)
    if network.version is V1:
        assert stranger.body == b"Unauthorized"
        assert again.body == b"Role BasicRole(id=CPO, country=DE) already exists"
    else:
        assert stranger.body == b"Invalid admin / api key"
        assert again.body == b"Role DE-CPO already exists"
