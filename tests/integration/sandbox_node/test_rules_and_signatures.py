"""White- and blacklists, and what message signing changes, in both versions."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from ocn_permission_agent.ocn.keys import OperatorKey
from ocn_permission_agent.ocn.notary import verify
from ocn_permission_agent.ocn.notary_wire import parse_notary
from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.sandbox.parties.client import Reply
from ocn_permission_agent.sandbox.parties.objects import a_cdr, a_session, a_start_session
from ocn_permission_agent.sandbox.parties.platform import OcpiParty
from tests.sandbox_fixtures import BILLING, CPO, MSP, STRANGER, WALLETS, Network, a_network


@pytest.fixture(params=list(NodeVersion), ids=["v1", "v2"])
async def network(chain_url: str, request: Any) -> AsyncIterator[Network]:
    async with a_network(chain_url, version=request.param) as network:
        yield network


def shape(reply: Reply) -> tuple[int, int | None, str | None]:
    return reply.http_status, reply.status_code, reply.status_message


def fault(network: Network) -> int:
    return 400 if network.version is NodeVersion.V1 else 200


def rules_path(party: OcpiParty) -> str:
    return f"/ocpi/receiver/{party.connection.version}/ocnrules"


def signs(party: OcpiParty) -> None:
    party.sign_with(OperatorKey.load(WALLETS[str(party.party)].key.hex()))


@pytest.mark.parametrize("cpo_at", ["node A", "node B"])
async def test_blacklisted_sender_is_refused(network: Network, cpo_at: str) -> None:
    node = await network.node("node A")
    emsp = await network.emsp(node)
    cpo = await network.cpo(node if cpo_at == "node A" else await network.node(cpo_at))
    entry = {"party_id": "cpo", "country_code": "de", "modules": ["sessions"]}
    await emsp.send("POST", f"{rules_path(emsp)}/blacklist", entry, to=MSP)

    session = await cpo.put_session(a_session(CPO, "s1"), to=MSP)
    cdr = await cpo.post_cdr(a_cdr(CPO, "c1"), to=MSP)
    await emsp.send("DELETE", f"{rules_path(emsp)}/blacklist/DE/CPO", to=MSP)
    after = await cpo.put_session(a_session(CPO, "s1"), to=MSP)

    assert shape(session) == (fault(network), 2000, "Sender not whitelisted to request sessions from receiver.")
    assert shape(cdr) == (fault(network), 2000, "Message receiver not in sender's whitelist.")
    assert after.accepted


async def test_block_all_lets_nobody_in_but_the_whitelist(network: Network) -> None:
    node = await network.node()
    cpo, emsp = await network.cpo(node), await network.emsp(node)
    await emsp.send("PUT", f"{rules_path(emsp)}/block-all", to=MSP)
    blocked = await cpo.put_session(a_session(CPO, "s1"), to=MSP)
    await emsp.send("POST", f"{rules_path(emsp)}/whitelist", {"party_id": "CPO", "country_code": "DE"}, to=MSP)
    allowed = await cpo.put_session(a_session(CPO, "s1"), to=MSP)
    shown = await emsp.send("GET", rules_path(emsp), to=MSP)

    assert blocked.status_code == 2000
    assert allowed.accepted
    assert shown.json["data"]["whitelist"]["active"] is True


async def test_own_whitelist_without_the_receiver_is_said_so(network: Network) -> None:
    node = await network.node()
    cpo, _ = await network.cpo(node), await network.emsp(node)
    await cpo.send("PUT", f"{rules_path(cpo)}/block-all", to=CPO)
    reply = await cpo.put_session(a_session(CPO, "s1"), to=MSP)
    assert shape(reply) == (fault(network), 2000, "Message receiver not in sender's whitelist.")


async def test_signed_session_goes_through_and_the_answer_verifies(network: Network) -> None:
    node = await network.node("node A", signatures=True)
    cpo = await network.cpo(node)
    emsp = await network.emsp(await network.node("node B", signatures=True))
    signs(cpo)
    signs(emsp)

    reply = await cpo.put_session(a_session(CPO, "s1", kwh=15.25), to=MSP)

    assert reply.accepted
    body = reply.json
    notary = parse_notary(body.pop("ocn_signature"))
    verify(notary, {"body": body})
    assert notary.signatory == WALLETS["NL*MSP"].address


async def test_missing_signature_is_refused_by_1_x_only(network: Network) -> None:
    node = await network.node(signatures=True)
    cpo, _ = await network.cpo(node), await network.emsp(node)
    reply = await cpo.put_session(a_session(CPO, "s1"), to=MSP)
    if network.version is NodeVersion.V1:
        assert shape(reply) == (400, 2001, "Missing OCN Signature")
    else:
        assert reply.accepted


async def test_rule_of_the_receiver_alone_wants_signatures_in_1_x(network: Network) -> None:
    node = await network.node()
    cpo, billing = await network.cpo(node), await network.service(node)
    await billing.send("PUT", f"{rules_path(billing)}/signatures", to=BILLING)
    reply = await cpo.put_session(a_session(CPO, "s1"), to=BILLING)
    if network.version is NodeVersion.V1:
        assert shape(reply) == (400, 2001, "Missing OCN Signature")
    else:
        assert reply.accepted


async def test_signature_of_a_stranger_is_refused(network: Network) -> None:
    node = await network.node(signatures=True)
    cpo, _ = await network.cpo(node), await network.emsp(node)
    cpo.sign_with(OperatorKey.load(WALLETS["stranger"].key.hex()))
    reply = await cpo.put_session(a_session(CPO, "s1", kwh=15.25), to=MSP)
    assert shape(reply)[:2] == (fault(network), 2001)
    assert (reply.status_message or "").startswith(f"Actual signatory {WALLETS['stranger'].address} differs from ")


async def test_changed_request_is_refused(network: Network) -> None:
    node = await network.node(signatures=True)
    cpo, _ = await network.cpo(node), await network.emsp(node)
    signs(cpo)
    reply = await cpo.send(
        "PATCH",
        f"/ocpi/receiver/{cpo.connection.version}/sessions/DE/CPO/s1",
        {"kwh": 1.25},
        to=MSP,
        headers={"X-Correlation-ID": "another"},
    )
    assert shape(reply) == (fault(network), 2001, "Invalid signature: Request has been modified.")


async def test_undecodable_signature(network: Network) -> None:
    node = await network.node(signatures=True)
    cpo, _ = await network.cpo(node), await network.emsp(node)
    reply = await cpo.send(
        "PATCH",
        f"/ocpi/receiver/{cpo.connection.version}/sessions/DE/CPO/s1",
        {"kwh": 1.25},
        to=MSP,
        headers={"OCN-Signature": "nonsense"},
    )
    if network.version is NodeVersion.V1:
        assert reply.http_status == 500
    else:
        assert shape(reply)[:2] == (200, 2001)


async def test_unsigned_answer_to_a_signed_request_is_told_although_the_receiver_has_acted(network: Network) -> None:
    node = await network.node(signatures=True)
    cpo, emsp = await network.cpo(node), await network.emsp(node)
    signs(cpo)
    reply = await cpo.put_session(a_session(CPO, "s1", kwh=15.25), to=MSP)
    assert shape(reply)[:2] == (200, 3000)
    assert (reply.status_message or "").startswith("Unable to verify response signature: ")
    assert len(emsp.inbox) == 1


async def test_rewritten_location_is_signed_anew_over_the_receivers_signature(network: Network) -> None:
    node = await network.node(signatures=True)
    cpo, emsp = await network.cpo(node), await network.emsp(node)
    signs(cpo)
    signs(emsp)

    reply = await cpo.post_cdr(a_cdr(CPO, "c1"), to=MSP)

    body = reply.json
    notary = parse_notary(body.pop("ocn_signature"))
    assert body.pop("ocn_verification_status", None) == ("VERIFIED" if network.version is NodeVersion.V2 else None)
    verify(notary, {"headers": {"location": reply.headers["location"]}, "body": body})
    assert notary.signatory.lower() == node.operator_address
    ((path, location),) = notary.rewrites[0].rewritten_fields
    assert (path, location) == (
        "$['headers']['location']",
        f"{emsp.base_url}/ocpi/receiver/{emsp.connection.version}/cdrs/DE/CPO/c1",
    )


async def test_rewritten_response_url_is_signed_anew(network: Network) -> None:
    node = await network.node(signatures=True)
    cpo, emsp = await network.cpo(node), await network.emsp(node)
    signs(cpo)
    signs(emsp)

    reply = await emsp.command("START_SESSION", a_start_session(MSP, emsp.response_url), to=CPO)

    assert reply.accepted
    (command,) = cpo.inbox.all()
    notary = parse_notary(command.headers["ocn-signature"])
    assert notary.signatory.lower() == node.operator_address
    assert notary.rewrites[0].signatory == WALLETS["NL*MSP"].address
    assert notary.rewrites[0].rewritten_fields == (("$['body']['response_url']", emsp.response_url),)


async def test_error_of_the_node_is_signed_by_its_operator_always_in_1_x_else_only_when_signing(
    network: Network,
) -> None:
    node = await network.node()
    cpo = await network.cpo(node)
    reply = await cpo.put_session(a_session(CPO, "s1"), to=STRANGER)
    body = reply.json
    signature = body.pop("ocn_signature", None)
    if network.version is NodeVersion.V2:
        assert signature is None
        return
    notary = parse_notary(signature)
    verify(notary, {"body": body})
    assert notary.signatory.lower() == node.operator_address
    assert list(body) == ["status_code", "status_message", "timestamp"]


async def test_lower_case_sender_slips_by_the_lists(network: Network) -> None:
    node = await network.node()
    cpo, emsp = await network.cpo(node), await network.emsp(node)
    await emsp.send("POST", f"{rules_path(emsp)}/blacklist", {"party_id": "CPO", "country_code": "DE"}, to=MSP)
    reply = await cpo.send(
        "PUT",
        f"/ocpi/receiver/{cpo.connection.version}/sessions/DE/CPO/s1",
        a_session(Party("DE", "CPO"), "s1"),
        to=MSP,
        headers={"OCPI-from-party-id": "cpo"},
    )
    assert reply.accepted
