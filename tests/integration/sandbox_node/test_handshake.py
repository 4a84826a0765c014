"""A platform gets in with TOKEN_A, talks with TOKEN_C, is called with TOKEN_B, and leaves."""

import pytest

from ocn_permission_agent.sandbox.parties.client import HttpClient, Invitation, invite
from ocn_permission_agent.sandbox.parties.cpo import Cpo
from ocn_permission_agent.sandbox.parties.objects import a_session
from tests.sandbox_fixtures import CPO, MSP, OTHER_CPO, Network


async def test_handshake_connects_the_platform(network: Network) -> None:
    node = await network.node()
    await network.cpo(node)

    async with HttpClient() as client:
        status = await client.call(
            "GET",
            f"{node.admin_url}/admin/connection-status/DE/CPO",
            headers={"Authorization": f"Token {node.settings.api_key}"},
        )

    assert (status.http_status, status.body) == (200, b"CONNECTED")


async def test_token_a_is_good_for_one_handshake(network: Network) -> None:
    node = await network.node()
    await network.actor("DE*CPO").set_party("DE", "CPO", roles=[0], operator=node.operator_address)
    async with Cpo(CPO, clock=network.clock) as cpo:
        invitation = await invite(node.admin_url, node.settings.api_key, CPO)
        await cpo.register(invitation)
        with pytest.raises(RuntimeError, match="Invalid CREDENTIALS_TOKEN_A"):
            await cpo.register(invitation)


async def test_wrong_token_a_is_refused(network: Network) -> None:
    node = await network.node()
    async with Cpo(CPO, clock=network.clock) as cpo:
        with pytest.raises(RuntimeError, match=r"400 .*2001.*Invalid CREDENTIALS_TOKEN_A"):
            await cpo.register(Invitation(token_a="guess", versions_url=f"{node.public_url}/ocpi/versions"))


@pytest.mark.parametrize("fault", ["not on the chain", "another operator", "another domain"])
async def test_party_that_the_registry_does_not_give_this_node_is_refused(network: Network, fault: str) -> None:
    node = await network.node("node A")
    if fault == "another operator":
        other = await network.node("node B")
        await network.actor("DE*CPO").set_party("DE", "CPO", roles=[0], operator=other.operator_address)
    if fault == "another domain":
        await network.actor("DE*CPO").set_party("DE", "CPO", roles=[0], operator=node.operator_address)
        await network.actor("node A").set_node(node.public_url + "/")
    async with Cpo(CPO, clock=network.clock) as cpo:
        invitation = await invite(node.admin_url, node.settings.api_key, CPO)
        with pytest.raises(RuntimeError, match="not listed in OCN Registry with my node info"):
            await cpo.register(invitation)


async def test_party_is_invited_once(network: Network) -> None:
    node = await network.node()
    await network.cpo(node)
    with pytest.raises(RuntimeError, match=r"400 .*already exists"):
        await invite(node.admin_url, node.settings.api_key, CPO)


async def test_admin_wants_its_key(network: Network) -> None:
    node = await network.node()
    with pytest.raises(RuntimeError, match="401 Unauthorized"):
        await invite(node.admin_url, "guess", CPO)


async def test_platform_without_a_usable_versions_url_is_told_so(network: Network) -> None:
    node = await network.node()
    await network.actor("DE*CPO").set_party("DE", "CPO", roles=[0], operator=node.operator_address)
    async with Cpo(CPO, clock=network.clock) as cpo:
        await cpo.down()
        with pytest.raises(RuntimeError, match=r"200 .*3001"):
            await cpo.register(await invite(node.admin_url, node.settings.api_key, CPO))


async def test_renewed_credentials_replace_the_tokens_of_both_sides(network: Network) -> None:
    node = await network.node()
    cpo, emsp = await network.cpo(node), await network.emsp(node)
    before = cpo.connection

    await cpo.renew()
    await emsp.renew()
    with_old = await cpo.send(
        "PUT",
        "/ocpi/receiver/2.2/sessions/DE/CPO/s1",
        a_session(CPO, "s1"),
        to=MSP,
        headers={"Authorization": before.authorization},
    )
    with_new = await cpo.put_session(a_session(CPO, "s1"), to=MSP)

    assert with_old.status_message == "Invalid CREDENTIALS_TOKEN_C"
    assert with_new.accepted


async def test_platform_that_left_is_unknown(network: Network) -> None:
    node = await network.node()
    cpo, emsp = await network.cpo(node), await network.emsp(node)

    assert (await emsp.leave()).accepted
    reply = await cpo.put_session(a_session(CPO, "s1"), to=MSP)
    own = await emsp.send("GET", "/ocpi/2.2/hubclientinfo", to=CPO)

    assert not reply.accepted
    assert own.status_message == "Invalid CREDENTIALS_TOKEN_C"


async def test_node_tells_who_it_is_and_who_hosts_whom(network: Network) -> None:
    node = await network.node("node A")
    other = await network.node("node B")
    cpo = await network.cpo(node)
    await network.emsp(other)

    async with HttpClient() as client:

        async def get(path: str) -> bytes:
            return (await client.call("GET", node.public_url + path, headers={})).body

        assert await get("/health") == b"OK"
        assert f'"{node.operator_address}"'.encode() in await get("/ocn/registry/node-info")
        assert other.public_url.encode() in await get("/ocn/registry/node/NL/MSP")
        assert await get("/ocn/registry/node/FR/XXX") == b"Party not registered on OCN"

    clients = await cpo.send("GET", "/ocpi/2.2/hubclientinfo", to=MSP)
    assert [entry["party_id"] for entry in clients.json["data"]] == ["CPO"]
    assert clients.headers["x-total-count"] == "1"


async def test_charging_profiles_are_advertised_where_they_are_not_served(network: Network) -> None:
    node = await network.node()
    cpo = await network.cpo(node, OTHER_CPO)

    details = await cpo.send("GET", "/ocpi/2.2", to=MSP)
    advertised = next(e["url"] for e in details.json["data"]["endpoints"] if e["identifier"] == "chargingprofiles")
    reply = await cpo.send("PUT", f"{advertised}/s1", {"response_url": "http://x.example"}, to=MSP)

    assert advertised == f"{node.public_url}/ocpi/sender/2.2/chargingprofiles"
    assert reply.http_status == 404
