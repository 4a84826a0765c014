"""Every documented error form, by really causing it (ocn-protocol.md b.1; the number of the row is in the name)."""

from collections.abc import Mapping
from typing import Any

import pytest

from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.reply import Outcome, outcome_of, read_reply
from ocn_permission_agent.ocpi.route import InterfaceRole, Module
from ocn_permission_agent.sandbox.parties.behaviour import Behaviour
from ocn_permission_agent.sandbox.parties.client import Reply
from ocn_permission_agent.sandbox.parties.objects import a_cdr, a_session, a_start_session
from ocn_permission_agent.sandbox.parties.platform import Interface
from ocn_permission_agent.sandbox.parties.receiver import Emsp
from tests.sandbox_fixtures import CPO, MSP, STRANGER, Network

SESSION = "/ocpi/receiver/2.2/sessions/DE/CPO/s1"


def shape(reply: Reply) -> tuple[int, int | None, str | None]:
    return reply.http_status, reply.status_code, reply.status_message


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "X-Request-ID",
        "X-Correlation-ID",
        "OCPI-from-country-code",
        "OCPI-from-party-id",
        "OCPI-to-country-code",
        "OCPI-to-party-id",
    ],
)
async def test_row_1_header_missing(network: Network, name: str) -> None:
    cpo = await network.cpo(await network.node())
    reply = await cpo.send("PUT", SESSION, a_session(CPO, "s1"), to=MSP, headers={name: None})
    spelled = "authorization" if name == "Authorization" else name
    assert shape(reply) == (400, 2001, f"Missing request header '{spelled}' for method parameter of type String")


@pytest.mark.parametrize("body", [b"", b"{", b"no json", b"[]", b'"text"', b"{'a':1}"])
async def test_row_2_body_that_is_no_object(network: Network, body: bytes) -> None:
    cpo = await network.cpo(await network.node())
    reply = await cpo.send("PUT", SESSION, body, to=MSP)
    assert shape(reply)[:2] == (400, 2001)


async def test_row_2_command_without_response_url(network: Network) -> None:
    emsp = await network.emsp(await network.node())
    body = a_start_session(MSP, "http://x.example")
    del body["response_url"]
    assert shape(await emsp.command("START_SESSION", body, to=CPO))[:2] == (400, 2001)


async def test_row_3_parameter_missing(network: Network) -> None:
    emsp = await network.emsp(await network.node())
    reply = await emsp.send("GET", "/ocpi/2.2/receiver/chargingprofiles/s1", to=CPO, query="response_url=x")
    assert shape(reply) == (400, 2001, "Required int parameter 'duration' is not present")


async def test_row_4_parameter_of_a_wrong_type(network: Network) -> None:
    emsp = await network.emsp(await network.node())
    reply = await emsp.send("GET", "/ocpi/sender/2.2/sessions", to=CPO, query="limit=abc")
    assert (reply.http_status, reply.body) == (400, b"")


async def test_row_4_unknown_command(network: Network) -> None:
    node = await network.node()
    cpo, emsp = await network.cpo(node), await network.emsp(node)
    sent = await emsp.command("FLY", a_start_session(MSP, "http://x.example"), to=CPO)
    answered = await cpo.send("POST", "/ocpi/sender/2.2/commands/FLY/1", {"result": "ACCEPTED"}, to=MSP)
    assert (sent.http_status, sent.json["message"]) == (404, "No message available")
    assert (answered.http_status, answered.body) == (400, b"")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"OCPI-from-country-code": "DEU"}, 'Given country_code "DEU" not 2 characters'),
        ({"OCPI-from-party-id": "X"}, 'Given party-id "X" not 3 characters'),
        ({"OCPI-to-country-code": "N"}, 'Given country_code "N" not 2 characters'),
        ({"OCPI-to-party-id": "MSPX"}, 'Given party-id "MSPX" not 3 characters'),
    ],
)
async def test_row_5_party_of_a_wrong_length(network: Network, changed: Mapping[str, str], message: str) -> None:
    cpo = await network.cpo(await network.node())
    reply = await cpo.send("PUT", SESSION, a_session(CPO, "s1"), to=MSP, headers=changed)
    assert shape(reply) == (400, 2001, message)


async def test_row_6_unknown_token(network: Network) -> None:
    cpo = await network.cpo(await network.node())
    reply = await cpo.send("PUT", SESSION, a_session(CPO, "s1"), to=MSP, headers={"Authorization": "Token guess"})
    assert shape(reply) == (400, 2001, "Invalid CREDENTIALS_TOKEN_C")


async def test_row_7_role_of_somebody_else(network: Network) -> None:
    cpo = await network.cpo(await network.node())
    reply = await cpo.send("PUT", SESSION, a_session(CPO, "s1"), to=MSP, headers={"OCPI-from-party-id": "CPX"})
    assert shape(reply) == (400, 2001, "Could not find role on sending platform using OCPI-from-* headers")


async def test_row_7_role_in_lower_case_is_the_same_role(network: Network) -> None:
    node = await network.node()
    cpo, _ = await network.cpo(node), await network.emsp(node)
    reply = await cpo.send("PUT", SESSION, a_session(CPO, "s1"), to=MSP, headers={"OCPI-from-party-id": "cpo"})
    assert reply.accepted


async def test_row_8_unknown_receiver(network: Network) -> None:
    cpo = await network.cpo(await network.node())
    reply = await cpo.put_session(a_session(CPO, "s1"), to=STRANGER)
    assert shape(reply) == (200, 4001, "Receiver not registered on Open Charging Network")


async def test_row_8_receiver_that_never_connected_to_its_node(network: Network) -> None:
    node, other = await network.node("node A"), await network.node("node B")
    cpo = await network.cpo(node)
    await network.actor("stranger").set_party("FR", "XXX", roles=[1], operator=other.operator_address)
    reply = await cpo.put_session(a_session(CPO, "s1"), to=STRANGER)
    assert shape(reply) == (200, 4001, "Recipient unknown to OCN Node entered in Registry")


async def test_row_11_unknown_number(network: Network) -> None:
    node = await network.node()
    cpo, _ = await network.cpo(node), await network.emsp(node)
    reply = await cpo.send("GET", "/ocpi/receiver/2.2/cdrs/99", to=MSP)
    assert shape(reply) == (404, 2003, "Proxied resource not found")


async def test_row_11_number_of_another_pair(network: Network) -> None:
    node = await network.node()
    cpo, emsp = await network.cpo(node), await network.emsp(node)
    other = await network.cpo(node, Party("DE", "CPX"))
    posted = await cpo.post_cdr(a_cdr(CPO, "c1"), to=emsp.party)
    reply = await other.send("GET", posted.headers["location"], to=emsp.party)
    assert shape(reply) == (404, 2003, "Proxied resource not found")


@pytest.mark.parametrize("emsp_at", ["node A", "node B"])
async def test_row_12_receiver_without_the_endpoint(network: Network, emsp_at: str) -> None:
    node = await network.node("node A")
    cpo = await network.cpo(node)
    only_cdrs = [Interface(module=Module.CDRS, role=InterfaceRole.RECEIVER)]
    emsp_node = node if emsp_at == "node A" else await network.node(emsp_at)
    await network.join(Emsp(MSP, clock=network.clock, interfaces=only_cdrs), emsp_node)
    reply = await cpo.put_session(a_session(CPO, "s1"), to=MSP)
    assert shape(reply) == (400, 2001, "Receiver does not support the requested module")


@pytest.mark.parametrize("emsp_at", ["node A", "node B"])
async def test_row_13_receiver_is_down(network: Network, emsp_at: str) -> None:
    node = await network.node("node A")
    cpo = await network.cpo(node)
    emsp = await network.emsp(node if emsp_at == "node A" else await network.node(emsp_at))
    await emsp.down()

    reply = await cpo.put_session(a_session(CPO, "s1"), to=MSP)
    await emsp.up()
    after = await cpo.put_session(a_session(CPO, "s1"), to=MSP)

    assert shape(reply)[:2] == (200, 4003)
    assert after.accepted


async def test_row_13_node_of_the_receiver_is_down(network: Network) -> None:
    cpo = await network.cpo(await network.node("node A"))
    other = await network.node("node B")
    await network.emsp(other)
    await other.down()
    assert shape(await cpo.put_session(a_session(CPO, "s1"), to=MSP))[:2] == (200, 4003)


@pytest.mark.parametrize("emsp_at", ["node A", "node B"])
async def test_row_14_receiver_is_too_slow(network: Network, emsp_at: str) -> None:
    node = await network.node("node A", receiver_timeout_seconds=0.2)
    cpo = await network.cpo(node)
    emsp = await network.emsp(node if emsp_at == "node A" else await network.node(emsp_at))
    emsp.behave(Behaviour.HANGS)

    reply = await cpo.put_session(a_session(CPO, "s1"), to=MSP)

    assert shape(reply) == (200, 4002, "Read timed out")
    assert len(emsp.inbox) == 1


async def test_row_15_unknown_host(network: Network) -> None:
    cpo = await network.cpo(await network.node("node A"))
    await network.emsp(await network.node("node B"))
    await network.actor("node B").set_node("http://nowhere.invalid")
    assert_crash(await cpo.put_session(a_session(CPO, "s1"), to=MSP))


async def test_row_16_local_receiver_answers_no_json(network: Network) -> None:
    reply = await _answered(network, Behaviour.TALKS_HTML)
    assert shape(reply)[:2] == (200, 3000)
    assert (reply.status_message or "").startswith("Could not parse JSON response of forwarded OCPI request: ")


@pytest.mark.parametrize(
    "behaviour", [Behaviour.SAYS_NOTHING, Behaviour.TALKS_A_LIST, Behaviour.ADDS_A_MEMBER, Behaviour.CLOSES]
)
async def test_row_17_local_receiver_answers_what_the_node_did_not_foresee(
    network: Network, behaviour: Behaviour
) -> None:
    assert_crash(await _answered(network, behaviour))


async def test_row_18_node_of_the_receiver_crashes(network: Network) -> None:
    assert_crash(await _answered(network, Behaviour.ADDS_A_MEMBER, emsp_at="node B"))


async def test_receivers_own_refusal_is_relayed(network: Network) -> None:
    reply = await _answered(network, Behaviour.REFUSES, emsp_at="node B")
    assert shape(reply) == (200, 2001, "not wanted")


async def test_unknown_path_and_wrong_method(network: Network) -> None:
    cpo = await network.cpo(await network.node())
    unknown = await cpo.send("PUT", "/ocpi/receiver/2.2/nothing/DE/CPO/s1", a_session(CPO, "s1"), to=MSP)
    other_version = await cpo.send("PUT", SESSION.replace("2.2", "2.2.1"), a_session(CPO, "s1"), to=MSP)
    wrong_method = await cpo.send("POST", SESSION, a_session(CPO, "s1"), to=MSP)
    assert (unknown.http_status, other_version.http_status) == (404, 404)
    assert unknown.json["message"] == "No message available"
    assert (wrong_method.http_status, wrong_method.body) == (405, b"")
    assert wrong_method.headers["allow"] == "GET,PUT,PATCH"


async def test_no_refusal_reads_as_accepted(network: Network) -> None:
    node = await network.node(receiver_timeout_seconds=0.2)
    cpo, emsp = await network.cpo(node), await network.emsp(node)
    for behaviour in Behaviour:
        if behaviour in {Behaviour.PROPER, Behaviour.CREATES}:
            continue
        emsp.behave(behaviour)
        reply = await cpo.put_session(a_session(CPO, "s1"), to=MSP)
        assert outcome_of(read_reply(reply.http_status, reply.body)) is not Outcome.ACCEPTED


async def _answered(network: Network, behaviour: Behaviour, *, emsp_at: str = "node A") -> Reply:
    node = await network.node("node A")
    cpo = await network.cpo(node)
    emsp = await network.emsp(node if emsp_at == "node A" else await network.node(emsp_at))
    emsp.behave(behaviour)
    return await cpo.put_session(a_session(CPO, "s1"), to=MSP)


def assert_crash(reply: Reply) -> None:
    crash: dict[str, Any] = reply.json
    assert reply.http_status == 500
    assert list(crash) == ["timestamp", "status", "error", "message", "path"]
