"""What most nodes have switched off or nobody uses: custom modules, a node's own forwarding, its look at itself."""

import msgspec
import pytest

from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.sandbox.node.node import Node, NodeSettings
from ocn_permission_agent.sandbox.parties.client import HttpClient
from ocn_permission_agent.sandbox.parties.objects import a_session
from ocn_permission_agent.sandbox.serving import Answer, Incoming, LoopbackServer
from tests.sandbox_fixtures import BILLING, CPO, MSP, WALLETS, Network, a_network


async def test_custom_module_is_sought_at_the_receiver_under_its_own_name(network: Network) -> None:
    node = await network.node()
    cpo, _ = await network.cpo(node), await network.emsp(node)
    reply = await cpo.send("POST", "/ocpi/custom/receiver/weather/today", b'{"sun": true}', to=MSP)
    assert reply.status_message == "Receiver does not support the requested module"


async def test_custom_module_fails_in_2_x(chain_url: str) -> None:
    async with a_network(chain_url, version=NodeVersion.V2) as network:
        cpo = await network.cpo(await network.node())
        reply = await cpo.send("POST", "/ocpi/custom/receiver/weather/today", b'{"sun": true}', to=MSP)
    assert reply.http_status == 500


@pytest.mark.parametrize("billing_at", ["node A", "node B"])
async def test_forwarding_of_the_node_itself_goes_on_after_a_revoke(network: Network, billing_at: str) -> None:
    node = await network.node("node A", service_interface=True)
    cpo, emsp = await network.cpo(node), await network.emsp(node)
    billing = await network.service(node if billing_at == "node A" else await network.node(billing_at))
    provider = network.actor("DE*BIL")
    await provider.set_service("Billing", "https://billing.example", [6])
    await network.actor("DE*CPO").create_agreement(provider.address)

    await cpo.put_session(a_session(CPO, "s1"), to=MSP)
    agreed = len(billing.inbox)
    await network.actor("DE*CPO").revoke_agreement(provider.address)
    await cpo.put_session(a_session(CPO, "s1"), to=MSP)

    assert (agreed, len(billing.inbox), len(emsp.inbox)) == (1, 2, 2)
    assert billing.inbox.all()[0].headers["ocpi-to-party-id"] == "BIL"


async def test_forwarding_of_the_node_itself_sends_a_copy_for_each_agreement_ever_made(network: Network) -> None:
    node = await network.node("node A", service_interface=True)
    cpo, _ = await network.cpo(node), await network.emsp(node)
    billing = await network.service(node)
    provider, customer = network.actor("DE*BIL"), network.actor("DE*CPO")
    await provider.set_service("Billing", "https://billing.example", [0])
    await customer.create_agreement(provider.address)
    await customer.revoke_agreement(provider.address)
    await customer.create_agreement(provider.address)

    await cpo.put_session(a_session(CPO, "s1"), to=MSP)

    assert len(billing.inbox) == 2


async def test_forwarding_is_off_unless_told(network: Network) -> None:
    node = await network.node("node A")
    cpo, _ = await network.cpo(node), await network.emsp(node)
    billing = await network.service(node, BILLING)
    provider = network.actor("DE*BIL")
    await provider.set_service("Billing", "https://billing.example", [0])
    await network.actor("DE*CPO").create_agreement(provider.address)
    await cpo.put_session(a_session(CPO, "s1"), to=MSP)
    assert len(billing.inbox) == 0


async def test_node_that_looks_at_itself_starts_only_when_its_public_url_is_up(network: Network) -> None:
    asked: list[str] = []

    async def answer(incoming: Incoming) -> Answer:
        asked.append(incoming.raw_path)
        return Answer(body=b"OK", content_type="text/plain")

    front = LoopbackServer(answer)
    settings = NodeSettings(
        name="A",
        operator_key=WALLETS["node A"].key.hex(),
        rpc_url=network.chain.url,
        registry=network.contracts.registry,
        url=front.url,
        checks_own_health=True,
    )
    with pytest.raises(RuntimeError, match="cannot reach itself"):
        async with Node(settings, clock=network.clock):
            pass
    async with front, Node(settings, clock=network.clock):
        assert asked == ["/health"]


async def test_versions_of_a_platform_are_told_to_other_nodes_of_2_x_without_a_signature(chain_url: str) -> None:
    async with a_network(chain_url, version=NodeVersion.V2) as network, HttpClient() as client:
        node = await network.node()
        emsp = await network.emsp(node)
        text = msgspec.json.encode(
            {
                "module": "VERSIONS",
                "interface_role": "SENDER",
                "method": "GET",
                "headers": {
                    "Authorization": "",
                    "X-Request-ID": "1",
                    "X-Correlation-ID": "1",
                    "sender": {"party_id": "XXX", "country_code": "FR"},
                    "receiver": {"party_id": "MSP", "country_code": "NL"},
                },
            }
        )
        headers = {"X-Request-ID": "1", "OCN-Signature": "none"}
        reply = await client.call("POST", f"{node.public_url}/ocn/message", headers=headers, body=text)
    assert reply.json["data"][0]["url"] == f"{emsp.base_url}/ocpi/2.2"
