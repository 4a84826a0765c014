"""The parties keep what they receive, in order, and answer as OCPI says, or misbehave when told to."""

import msgspec
import pytest

from ocn_permission_agent.ocpi.route import InterfaceRole, Module
from ocn_permission_agent.sandbox.parties.behaviour import Behaviour
from ocn_permission_agent.sandbox.parties.client import HttpClient
from ocn_permission_agent.sandbox.parties.objects import (
    a_cdr,
    a_charging_period,
    a_location,
    a_session,
    a_tariff,
)
from tests.fakes import FakeClock
from tests.sandbox_fixtures import ANALYTICS, BILLING, CPO, MSP, OTHER_CPO, Network, a_network


async def test_network_of_the_demo_comes_up_and_everybody_hears_what_is_meant_for_it(network: Network) -> None:
    node_a, node_b = await network.node("node A"), await network.node("node B")
    cpo, other = await network.cpo(node_a), await network.cpo(node_a, OTHER_CPO)
    emsp = await network.emsp(node_b)
    billing, analytics = await network.service(node_b, BILLING), await network.service(node_a, ANALYTICS)

    await cpo.put_session(a_session(CPO, "s1"), to=MSP)
    await other.put_session(a_session(OTHER_CPO, "s1"), to=BILLING)
    await cpo.post_cdr(a_cdr(CPO, "c1"), to=ANALYTICS)

    assert [received.path for received in emsp.inbox.all()] == ["/ocpi/receiver/2.2/sessions/DE/CPO/s1"]
    assert [received.path for received in billing.inbox.all()] == ["/ocpi/receiver/2.2/sessions/DE/CPX/s1"]
    assert [received.path for received in analytics.inbox.all()] == ["/ocpi/receiver/2.2/cdrs"]


async def test_received_url_lists_what_came_without_the_token(chain_url: str) -> None:
    async with a_network(chain_url, clock=FakeClock()) as network:
        node = await network.node()
        cpo, emsp = await network.cpo(node), await network.emsp(node)
        await cpo.put_session(a_session(CPO, "s1"), to=MSP)
        async with HttpClient() as client:
            (listed,) = (await client.call("GET", emsp.received_url, headers={})).json

    assert (listed["method"], listed["path"]) == ("PUT", "/ocpi/receiver/2.2/sessions/DE/CPO/s1")
    assert listed["headers"]["authorization"] == "Token ***"
    assert listed["headers"]["ocpi-from-party-id"] == "CPO"
    assert listed["body"] == a_session(CPO, "s1")
    assert msgspec.json.decode(listed["body_text"]) == a_session(CPO, "s1")
    assert listed["time"] == "2026-03-01T10:00:00Z"


async def test_stranger_without_the_token_is_refused_and_not_recorded(network: Network) -> None:
    emsp = await network.emsp(await network.node())
    async with HttpClient() as client:
        url = f"{emsp.base_url}/ocpi/receiver/2.2/sessions/DE/CPO/s1"
        reply = await client.call("PUT", url, headers={"Authorization": "Token guess"}, body=b"{}")
    assert (reply.http_status, len(emsp.inbox)) == (401, 0)


async def test_put_replaces_and_patch_appends_charging_periods(network: Network) -> None:
    node = await network.node()
    cpo, billing = await network.cpo(node), await network.service(node)

    await cpo.put_session(a_session(CPO, "s1", charging_periods=[a_charging_period(1)]), to=BILLING)
    await cpo.patch_session("s1", {"kwh": 2.0, "charging_periods": [a_charging_period(2)]}, to=BILLING)
    await cpo.patch_session("s1", {"status": "COMPLETED"}, to=BILLING)

    session = billing.session(CPO, "s1")
    assert session == a_session(
        CPO, "s1", kwh=2.0, status="COMPLETED", charging_periods=[a_charging_period(1), a_charging_period(2)]
    )
    await cpo.put_session(a_session(CPO, "s1"), to=BILLING)
    assert billing.session(CPO, "s1") == a_session(CPO, "s1")


async def test_cdr_that_comes_again_is_kept_once_and_counted(network: Network) -> None:
    node = await network.node()
    cpo, billing = await network.cpo(node), await network.service(node)

    await cpo.post_cdr(a_cdr(CPO, "c1"), to=BILLING)
    await cpo.post_cdr(a_cdr(CPO, "c2"), to=BILLING)
    again = await cpo.post_cdr(a_cdr(CPO, "c1"), to=BILLING)

    assert again.accepted
    assert [cdr["id"] for cdr in billing.cdrs()] == ["c1", "c2"]
    assert billing.kept.repeated_cdrs == 1
    assert len(billing.inbox) == 3


async def test_deleted_tariff_is_gone(network: Network) -> None:
    node = await network.node()
    cpo, _ = await network.cpo(node), await network.emsp(node)
    path = cpo.path(Module.TARIFFS, InterfaceRole.RECEIVER, "DE", "CPO", "T1")

    await cpo.put_tariff(a_tariff(CPO, "T1"), to=MSP)
    before = await cpo.send("GET", path, to=MSP)
    await cpo.delete_tariff("T1", to=MSP)
    after = await cpo.send("GET", path, to=MSP)

    assert before.json["data"] == a_tariff(CPO, "T1")
    assert after.status_code == 2003


async def test_cpo_lists_what_it_pushed(network: Network) -> None:
    node = await network.node()
    cpo, emsp = await network.cpo(node), await network.emsp(node)
    await cpo.put_location(a_location(CPO, "L1"), to=MSP)

    listed = await emsp.send("GET", "/ocpi/sender/2.2/locations", to=CPO)
    one = await emsp.send("GET", "/ocpi/sender/2.2/locations/L1", to=CPO)

    assert listed.json["data"] == [one.json["data"]] == [a_location(CPO, "L1")]
    assert listed.headers["x-total-count"] == "1"
    assert "link" not in listed.headers


async def test_party_that_went_down_comes_back_on_the_same_port_with_its_memory(network: Network) -> None:
    node = await network.node()
    cpo, billing = await network.cpo(node), await network.service(node)
    await cpo.put_session(a_session(CPO, "s1"), to=BILLING)
    url = billing.base_url

    await billing.down()
    missed = await cpo.patch_session("s1", {"kwh": 2.0}, to=BILLING)
    await billing.up()
    taken = await cpo.patch_session("s1", {"kwh": 3.0}, to=BILLING)

    assert (missed.status_code, taken.status_code) == (4003, 1000)
    assert billing.base_url == url
    session = billing.session(CPO, "s1")
    assert session is not None
    assert session["kwh"] == 3.0


async def test_misbehaving_party_still_keeps_what_it_received(network: Network) -> None:
    node = await network.node(receiver_timeout_seconds=0.2)
    cpo, billing = await network.cpo(node), await network.service(node)
    for behaviour in Behaviour:
        billing.behave(behaviour)
        await cpo.put_session(a_session(CPO, behaviour.value), to=BILLING)
    assert [received.path.rpartition("/")[2] for received in billing.inbox.all()] == [b.value for b in Behaviour]


async def test_waiting_for_more_than_comes_ends_in_a_timeout(network: Network) -> None:
    billing = await network.service(await network.node())
    with pytest.raises(TimeoutError):
        await billing.inbox.until_count(1, within_seconds=0.05)
