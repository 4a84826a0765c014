"""A request reaches its receiver, at the same node or at another, as a real node would hand it over."""

import uuid

import pytest

from ocn_permission_agent.ocpi.route import InterfaceRole, Module
from ocn_permission_agent.sandbox.parties.behaviour import Behaviour
from ocn_permission_agent.sandbox.parties.objects import (
    a_cdr,
    a_location,
    a_session,
    a_start_session,
    a_tariff,
    a_token,
)
from tests.sandbox_fixtures import CPO, MSP, Network


async def test_session_reaches_the_emsp_at_the_same_node(network: Network) -> None:
    node = await network.node()
    cpo, emsp = await network.cpo(node), await network.emsp(node)

    reply = await cpo.put_session(a_session(CPO, "s1"), to=MSP)

    assert (reply.http_status, reply.status_code) == (200, 1000)
    (received,) = emsp.inbox.all()
    assert (received.method, received.path) == ("PUT", "/ocpi/receiver/2.2/sessions/DE/CPO/s1")
    assert received.json == a_session(CPO, "s1")


async def test_session_reaches_the_emsp_at_another_node(network: Network) -> None:
    cpo = await network.cpo(await network.node("node A"))
    emsp = await network.emsp(await network.node("node B"))

    reply = await cpo.put_session(a_session(CPO, "s1"), to=MSP)

    assert (reply.http_status, reply.status_code) == (200, 1000)
    assert emsp.session(CPO, "s1") == a_session(CPO, "s1")


@pytest.mark.parametrize("emsp_at", ["node A", "node B"])
async def test_every_kind_of_push_arrives(network: Network, emsp_at: str) -> None:
    node = await network.node("node A")
    cpo = await network.cpo(node)
    emsp = await network.emsp(node if emsp_at == "node A" else await network.node(emsp_at))

    replies = [
        await cpo.put_location(a_location(CPO, "L1"), to=MSP),
        await cpo.put_tariff(a_tariff(CPO, "T1"), to=MSP),
        await cpo.put_session(a_session(CPO, "s1"), to=MSP),
        await cpo.patch_session("s1", {"kwh": 2.5}, to=MSP),
        await cpo.post_cdr(a_cdr(CPO, "c1"), to=MSP),
        await cpo.delete_tariff("T1", to=MSP),
        await emsp.put_token(a_token(MSP, "U1"), to=CPO),
    ]

    assert [reply.accepted for reply in replies] == [True] * 7
    assert [(received.method, received.module) for received in emsp.inbox.all()] == [
        ("PUT", Module.LOCATIONS),
        ("PUT", Module.TARIFFS),
        ("PUT", Module.SESSIONS),
        ("PATCH", Module.SESSIONS),
        ("POST", Module.CDRS),
        ("DELETE", Module.TARIFFS),
    ]
    (token,) = cpo.inbox.all()
    assert token.path == "/ocpi/receiver/2.2/tokens/NL/MSP/U1?type=RFID"


async def test_receiver_sees_a_new_request_id_and_the_same_correlation_id(network: Network) -> None:
    cpo = await network.cpo(await network.node("node A"))
    emsp = await network.emsp(await network.node("node B"))

    reply = await cpo.put_session(a_session(CPO, "s1"), to=MSP)

    (received,) = emsp.inbox.all()
    assert received.headers["x-correlation-id"] == reply.correlation_id
    assert uuid.UUID(received.headers["x-request-id"]) != uuid.UUID(reply.request_id)
    assert received.headers["ocpi-from-party-id"] == "CPO"
    assert received.headers["ocpi-to-party-id"] == "MSP"


@pytest.mark.parametrize("emsp_at", ["node A", "node B"])
async def test_location_of_a_cdr_is_a_number_of_the_senders_node(network: Network, emsp_at: str) -> None:
    node = await network.node("node A")
    cpo = await network.cpo(node)
    await network.emsp(node if emsp_at == "node A" else await network.node(emsp_at))

    posted = await cpo.post_cdr(a_cdr(CPO, "c1"), to=MSP)
    fetched = await cpo.send("GET", posted.headers["location"], to=MSP)

    assert posted.headers["location"] == f"{node.public_url}/ocpi/receiver/2.2/cdrs/1"
    assert fetched.json["data"] == a_cdr(CPO, "c1")


async def test_created_cdr_is_relayed_as_201_without_location(network: Network) -> None:
    node = await network.node()
    cpo, emsp = await network.cpo(node), await network.emsp(node)
    emsp.behave(Behaviour.CREATES)

    reply = await cpo.post_cdr(a_cdr(CPO, "c1"), to=MSP)

    assert (reply.http_status, reply.status_code) == (201, 1000)
    assert "location" not in reply.headers


@pytest.mark.parametrize("emsp_at", ["node A", "node B"])
async def test_pages_are_linked_through_the_node_and_fetched_once(network: Network, emsp_at: str) -> None:
    node = await network.node("node A")
    cpo = await network.cpo(node)
    emsp_node = node if emsp_at == "node A" else await network.node(emsp_at)
    emsp = await network.emsp(emsp_node)
    for number in range(3):
        await cpo.put_session(a_session(CPO, f"s{number}"), to=MSP)

    first = await emsp.send("GET", emsp.path(Module.SESSIONS, InterfaceRole.SENDER), to=CPO, query="limit=2")
    link = first.headers["link"].partition("<")[2].partition(">")[0]
    second = await emsp.send("GET", link, to=CPO)
    again = await emsp.send("GET", link, to=CPO)

    assert (first.headers["x-total-count"], first.headers["x-limit"]) == ("3", "2")
    assert link.startswith(f"{emsp_node.public_url}/ocpi/sender/2.2/sessions/page/")
    assert [entry["id"] for entry in second.json["data"]] == ["s2"]
    assert (again.http_status, again.status_message) == (404, "Proxied resource not found")


@pytest.mark.parametrize("emsp_at", ["node A", "node B"])
async def test_result_of_a_command_finds_its_way_back(network: Network, emsp_at: str) -> None:
    node = await network.node("node A")
    cpo = await network.cpo(node)
    emsp = await network.emsp(node if emsp_at == "node A" else await network.node(emsp_at))

    started = await emsp.command("START_SESSION", a_start_session(MSP, emsp.response_url), to=CPO)
    (command,) = cpo.inbox.all()
    answered = await cpo.answer_command(command, to=MSP)

    assert started.json["data"] == {"result": "ACCEPTED", "timeout": 30}
    assert isinstance(command.json, dict)
    assert command.json["response_url"].startswith(f"{node.public_url}/ocpi/sender/2.2/commands/START_SESSION/")
    assert answered.accepted
    (result,) = emsp.inbox.all()
    assert f"{emsp.base_url}{result.raw_path}" == emsp.response_url
    assert result.json == {"result": "ACCEPTED"}


async def test_urls_are_built_from_the_public_url_that_the_node_was_told(network: Network) -> None:
    node = await network.node(public_host="localhost")
    cpo, _ = await network.cpo(node), await network.emsp(node)

    reply = await cpo.post_cdr(a_cdr(CPO, "c1"), to=MSP)

    assert cpo.connection.node_url == f"http://localhost:{node.listen_url.rpartition(':')[2]}"
    assert reply.headers["location"] == f"{cpo.connection.node_url}/ocpi/receiver/2.2/cdrs/1"


async def test_typed_node_binds_what_its_platforms_send_but_not_patches(network: Network) -> None:
    node = await network.node(typed_bodies=True)
    cpo, emsp = await network.cpo(node), await network.emsp(node)

    put = await cpo.put_session(a_session(CPO, "s1", kwh=15, mood="fine"), to=MSP)
    patched = await cpo.patch_session("s1", {"kwh": 15, "mood": "fine"}, to=MSP)
    incomplete = await cpo.put_session({"id": "s1"}, to=MSP)

    assert put.accepted
    assert patched.accepted
    assert (incomplete.http_status, incomplete.status_code) == (400, 2001)
    first, second = emsp.inbox.all()
    assert b'"kwh":15.0,' in first.body
    assert b"mood" not in first.body
    assert second.body == b'{"kwh":15,"mood":"fine"}'
