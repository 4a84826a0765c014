"""`/ocn/message`: the node verifies over its own text, in the documented order, and delivers to its own platforms."""

import json
from typing import Any

import msgspec
import pytest

from ocn_permission_agent.ocn.keys import OperatorKey
from ocn_permission_agent.ocn.message import copy_message
from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.sandbox.node.node import Node
from ocn_permission_agent.sandbox.parties.behaviour import Behaviour
from ocn_permission_agent.sandbox.parties.client import HttpClient, Reply
from ocn_permission_agent.sandbox.parties.objects import a_cdr
from tests.factories import a_request
from tests.sandbox_fixtures import BILLING, CPO, MSP, STRANGER, WALLETS, Network

OPERATOR_A = OperatorKey.load(WALLETS["node A"].key.hex())
OPERATOR_B = OperatorKey.load(WALLETS["node B"].key.hex())


def a_message(*, receiver: Party = BILLING, sender: Party = CPO, **request: Any) -> bytes:
    return copy_message(a_request(**request), sender=sender, receiver=receiver, version=NodeVersion.V1)


async def post(node: Node, text: bytes, *, key: OperatorKey = OPERATOR_A, **headers: str | None) -> Reply:
    all_headers = {"X-Request-ID": "anything", "OCN-Signature": key.sign(text)} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    async with HttpClient() as client:
        shown = {name: value for name, value in all_headers.items() if value is not None}
        return await client.call("POST", f"{node.public_url}/ocn/message", headers=shown, body=text)


def shape(reply: Reply) -> tuple[int, int | None, str | None]:
    return reply.http_status, reply.status_code, reply.status_message


async def test_copy_for_a_service_at_the_customers_own_node_is_delivered(network: Network) -> None:
    node = await network.node("node A")
    await network.cpo(node)
    billing = await network.service(node)

    reply = await post(node, a_message())

    assert shape(reply)[:2] == (200, 1000)
    (received,) = billing.inbox.all()
    assert received.path == "/ocpi/receiver/2.2/sessions/DE/CPO/s1"
    assert received.headers["x-correlation-id"] == "c0ffee00-0000-4000-8000-000000000001"
    assert received.headers["x-request-id"] not in {"anything", "0a0a0a0a-0000-4000-8000-000000000001"}
    assert received.headers["ocpi-to-party-id"] == "BIL"
    assert received.body == b'{"country_code":"DE","party_id":"CPO","id":"s1","kwh":1.5}'


async def test_copy_for_a_service_at_another_node_is_delivered_there(network: Network) -> None:
    await network.cpo(await network.node("node A"))
    node = await network.node("node B")
    billing = await network.service(node)

    assert (await post(node, a_message())).accepted
    assert len(billing.inbox) == 1


async def test_sender_need_not_be_connected(network: Network) -> None:
    node = await network.node("node A")
    await network.actor("DE*CPO").set_party("DE", "CPO", roles=[0], operator=node.operator_address)
    await network.service(node)
    assert (await post(node, a_message())).accepted


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: json.dumps(json.loads(text)).encode(),
        lambda text: text.replace(b'"kwh":1.5', b'"kwh":1.50'),
        lambda text: text.replace(b'"id":"s1"', b'"id":"\\u0073\\u0031"'),
        lambda text: text.replace(b'"DE"', b'"D\\u0045"'),
    ],
    ids=["white space", "trailing zero", "escapes", "escape in a header"],
)
async def test_signature_over_text_that_the_node_would_not_write_is_refused(network: Network, spoil: Any) -> None:
    node = await network.node("node A")
    await network.cpo(node)
    billing = await network.service(node)

    spoilt = spoil(a_message())

    assert spoilt != a_message()
    assert shape(await post(node, spoilt)) == (200, 4003, "Could not verify OCN-Signature of request")
    assert len(billing.inbox) == 0


async def test_text_may_differ_from_what_is_signed_when_the_node_would_write_the_signed_text(network: Network) -> None:
    node = await network.node("node A")
    await network.cpo(node)
    await network.service(node)
    text = a_message()
    reply = await post(node, text.replace(b":", b" : "), OCN_Signature=OPERATOR_A.sign(text))
    # Only colons between members may have blanks around them; times have none in this message.
    assert reply.accepted


async def test_only_the_operator_of_the_sender_may_sign(network: Network) -> None:
    node = await network.node("node A")
    await network.cpo(node)
    await network.service(node)
    reply = await post(node, a_message(), key=OPERATOR_B)
    assert shape(reply) == (200, 4003, "Could not verify OCN-Signature of request")


async def test_unregistered_sender_is_refused_before_anything_else_is_looked_at(network: Network) -> None:
    node = await network.node("node A")
    reply = await post(node, a_message(sender=STRANGER, receiver=STRANGER), OCN_Signature="nonsense")
    assert shape(reply) == (200, 4001, "Sending party not registered on Open Charging Network")


async def test_receiver_of_another_node_is_refused_before_the_signature_is_looked_at(network: Network) -> None:
    node = await network.node("node A")
    await network.cpo(node)
    await network.service(await network.node("node B"))
    reply = await post(node, a_message(), OCN_Signature="nonsense")
    assert shape(reply) == (200, 4001, "Recipient unknown to OCN Node entered in Registry")


@pytest.mark.parametrize("name", ["X-Request-ID", "OCN-Signature"])
async def test_missing_header_is_refused(network: Network, name: str) -> None:
    node = await network.node("node A")
    missing: dict[str, Any] = {name.replace("-", "_"): None}
    reply = await post(node, a_message(), **missing)
    assert shape(reply) == (400, 2001, f"Missing request header '{name}' for method parameter of type String")


async def test_missing_body_is_refused(network: Network) -> None:
    assert shape(await post(await network.node("node A"), b""))[:2] == (400, 2001)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda members: members | {"mood": "fine"},
        lambda members: members | {"method": "put"},
        lambda members: members | {"module": "sessions"},
        lambda members: {name: value for name, value in members.items() if name != "headers"},
        lambda members: [members],
    ],
    ids=["unknown member", "lower-case method", "lower-case module", "no headers", "a list"],
)
async def test_message_that_the_node_cannot_bind_crashes_it(network: Network, spoil: Any) -> None:
    node = await network.node("node A")
    reply = await post(node, msgspec.json.encode(spoil(msgspec.json.decode(a_message()))))
    assert (reply.http_status, reply.json["status"], reply.json["path"]) == (500, 500, "/ocn/message")


@pytest.mark.parametrize("signature", ["nonsense", "00" * 65, "ab" * 64 + "1b" + "00"])
async def test_malformed_signature_crashes_the_node(network: Network, signature: str) -> None:
    node = await network.node("node A")
    await network.cpo(node)
    await network.service(node)
    assert (await post(node, a_message(), OCN_Signature=signature)).http_status == 500


async def test_party_of_a_wrong_length_is_refused(network: Network) -> None:
    node = await network.node("node A")
    reply = await post(node, a_message(receiver=Party("DEU", "BIL")))
    assert shape(reply) == (400, 2001, 'Given country_code "DEU" not 2 characters')


async def test_location_of_a_cdr_is_handed_on_as_the_service_gave_it(network: Network) -> None:
    node = await network.node("node A")
    await network.cpo(node)
    billing = await network.service(node)
    text = a_message(method="POST", path="/ocpi/receiver/2.2/cdrs", body=msgspec.json.encode(a_cdr(CPO, "c1")))

    reply = await post(node, text)

    assert reply.headers["location"] == f"{billing.base_url}/ocpi/receiver/2.2/cdrs/DE/CPO/c1"
    assert billing.cdrs() == (a_cdr(CPO, "c1"),)


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        (Behaviour.REFUSES, (200, 2001)),
        (Behaviour.CREATES, (201, 1000)),
        (Behaviour.TALKS_HTML, (200, 3000)),
        (Behaviour.FAILS, (200, 3000)),
        (Behaviour.HANGS, (200, 4002)),
        (Behaviour.SAYS_NOTHING, (500, None)),
    ],
)
async def test_answer_of_the_service_is_told_to_the_sender(
    network: Network, behaviour: Behaviour, expected: tuple[int, int | None]
) -> None:
    node = await network.node("node A", receiver_timeout_seconds=0.2)
    await network.cpo(node)
    billing = await network.service(node)
    billing.behave(behaviour)
    assert shape(await post(node, a_message()))[:2] == expected


async def test_service_that_is_down_is_told_to_the_sender(network: Network) -> None:
    node = await network.node("node A")
    await network.cpo(node)
    billing = await network.service(node)
    await billing.down()
    assert shape(await post(node, a_message()))[:2] == (200, 4003)
    await billing.up()
    assert (await post(node, a_message())).accepted


async def test_delete_loses_its_parameters_on_the_way(network: Network) -> None:
    node = await network.node("node A")
    await network.emsp(node)
    cpo = await network.cpo(node)
    text = copy_message(
        a_request(
            "DELETE", "/ocpi/2.2/receiver/chargingprofiles/s1", query="response_url=http%3A%2F%2Fx.example", body=b""
        ),
        sender=MSP,
        receiver=CPO,
        version=NodeVersion.V1,
    )
    assert (await post(node, text)).accepted
    (received,) = cpo.inbox.all()
    assert received.path == "/ocpi/2.2/receiver/chargingprofiles/s1"
