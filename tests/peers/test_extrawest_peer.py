"""Two platforms made of extrawest-ocpi, registered with a 2.x node: the same with and without the agent before it.

They shake hands with the node, push locations, tariffs, sessions, CDRs and tokens to each other and page through lists.
What each has in the end, and every answer, must be what it is without the agent; only URLs and times may differ.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.sandbox.network import enrol, list_node
from ocn_permission_agent.sandbox.node.node import Node, NodeSettings
from ocn_permission_agent.sandbox.parties.client import invite
from ocn_permission_agent.sandbox.parties.objects import (
    a_cdr,
    a_charging_period,
    a_location,
    a_session,
    a_tariff,
    a_token,
)
from ocn_permission_agent.sandbox.parties.receiver import Service
from ocn_permission_agent.sandbox.story.agent import AgentFiles, AgentProcess
from ocn_permission_agent.sandbox.story.world import agent_process
from tests.chain_fixtures import WALLETS, Deployment, chain_client, deployed, sandbox_chain  # noqa: F401
from tests.peers.extrawest.venv import ExtrawestMissing, ExtrawestParty, extrawest_parties, install
from tests.peers.presence import missing
from tests.under_load import until_settled

CPO, EMSP, BILLING = Party("DE", "CPO"), Party("NL", "MSP"), Party("DE", "BIL")
#: of a reply's headers, those that mean something in OCPI
MEANT = ("link", "location", "x-total-count", "x-limit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """One 2.x node with its parties; `agent` stands before it, or nobody does."""

    node: Node
    cpo: ExtrawestParty
    emsp: ExtrawestParty
    billing: Service
    agent: AgentProcess | None
    greetings: tuple[dict[str, Any], ...]


@asynccontextmanager
async def a_network(
    chain: Deployment, folder: Path, cpo: ExtrawestParty, emsp: ExtrawestParty, *, with_agent: bool
) -> AsyncIterator[Network]:
    clock, operator = SystemClock(), chain.actor("operator")
    async with AsyncExitStack() as opened:
        settings = NodeSettings(
            name="A",
            operator_key=WALLETS["operator"].key.hex(),
            rpc_url=chain.url,
            registry=chain.contracts.registry,
            version=NodeVersion.V2,
            api_prefix="ocn-v2",
        )
        node = await opened.enter_async_context(Node(settings, clock=clock))
        agent = None
        if with_agent:
            agent = agent_process(
                AgentFiles(folder=folder),
                contracts=chain.contracts,
                rpc_url=chain.url,
                node_url=node.listen_url,
                operator_key=settings.operator_key,
                admin_token="a-token-of-sixteen",
                changed={"node": {"version": "2", "api_prefix": "ocn-v2", "own_party": "CH*OCN"}},
                clock=clock,
            )
            node.publish_at(agent.proxy_url)
        await list_node(node, operator)
        if agent is not None:
            opened.push_async_callback(agent.stop)
            await agent.start()
        greetings = []
        for party, name, number in ((cpo, "cpo", 0), (emsp, "emsp", 1)):
            await party.forget()
            country_code, party_id = party.party.country_code, party.party.party_id
            actor = chain.actor(name)
            await actor.set_party(country_code, party_id, roles=[number], operator=operator.address)
            invitation = await invite(node.admin_url, settings.api_key, party.party)
            greetings.append(unnamed(await party.register(invitation), node))
        billing = await opened.enter_async_context(Service(BILLING, clock=clock))
        await enrol(billing, node=node, actor=chain.actor("billing"))
        if agent is not None:
            await chain.actor("billing").set_service("Billing", "https://billing.example", [0])
            await chain.actor("cpo").create_agreement(WALLETS["billing"].address)
            await chain.client.set_mining("interval", 0.25)
            await until_agreed(agent)
        yield Network(node=node, cpo=cpo, emsp=emsp, billing=billing, agent=agent, greetings=tuple(greetings))
        await chain.client.set_mining("auto")


async def until_agreed(agent: AgentProcess) -> None:
    head: int | None = None
    async with asyncio.timeout(30):
        while True:
            status = await agent.status_if_open()
            if status is not None and status["agreements"]:
                head = head or status["chain"]["head"]
                if status["chain"]["head"] >= head + 3:
                    return
            await SystemClock().sleep(0.1)


def unnamed(told: Any, node: Node) -> Any:
    """Without what differs from run to run: where the node is, its own numbers, times of its answers."""
    text = json.dumps(told).replace(node.public_url, "NODE")
    text = re.sub(r'"timestamp": "[^"]*"', '"timestamp": "NOW"', text)
    text = re.sub(r"(/(?:page|cdrs)/)[0-9a-f-]{36}", r"\1NUMBER", text)
    return json.loads(re.sub(r"127\.0\.0\.1:\d+", "PLATFORM", text))


class Telling:
    """Sends, and keeps what came back."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.told: list[Any] = []

    async def __call__(
        self, sender: ExtrawestParty, method: str, module: str, path: str, *, to: Party, **more: Any
    ) -> dict[str, Any]:
        reply = await sender.send(method, module, path, to=to, **more)
        assert (reply["status"], reply["body"]["status_code"]) == (200, 1000), (method, module, path, reply)
        headers = {name: reply["headers"][name] for name in MEANT if name in reply["headers"]}
        self.told.append([method, module, path, unnamed([reply["status"], reply["body"], headers], self._node)])
        return reply


async def everything(network: Network) -> list[Any]:
    """What platforms say to each other on a day; every answer."""
    cpo, emsp, send = network.cpo, network.emsp, Telling(network.node)
    session = a_session(CPO, "S1", charging_periods=[a_charging_period(1.5)], kwh=1.5)
    for module, value in (
        ("locations", a_location(CPO, "L1")),
        ("tariffs", a_tariff(CPO, "T1")),
        ("sessions", session),
    ):
        await send(cpo, "PUT", module, f"/DE/CPO/{value['id']}", to=EMSP, object=value)
    ended = {"status": "COMPLETED", "kwh": 15.25, "last_updated": "2026-03-01T12:00:00Z"}
    await send(cpo, "PATCH", "sessions", "/DE/CPO/S1", to=EMSP, object=ended)
    await send(cpo, "GET", "sessions", "/DE/CPO/S1", to=EMSP)
    await send(emsp, "PUT", "tokens", "/NL/MSP/U1", to=CPO, object=a_token(EMSP, "U1"))
    posted = await send(cpo, "POST", "cdrs", "", to=EMSP, object=a_cdr(CPO, "C1"))
    assert posted["headers"]["location"].startswith(network.node.public_url)

    for number in range(3):
        await cpo.keep("locations", a_location(CPO, f"M{number}"))
    page = await send(emsp, "GET", "locations", "?limit=2&offset=0", to=CPO, interface="SENDER")
    following = re.findall(r"<([^>]+)>", page["headers"]["link"])[0]
    assert following.startswith(network.node.public_url)
    return send.told


@pytest.mark.timeout(180)
async def test_both_platforms_have_and_hear_the_same_with_and_without_the_agent(
    deployed: Deployment,  # noqa: F811
    tmp_path: Path,
) -> None:
    try:
        await asyncio.to_thread(install)
    except ExtrawestMissing as error:
        missing(str(error))
    found = []
    async with extrawest_parties({CPO: "CPO", EMSP: "EMSP"}) as (cpo, emsp):
        for with_agent in (False, True):
            async with a_network(deployed, tmp_path, cpo, emsp, with_agent=with_agent) as network:
                told = await everything(network)
                found.append((network.greetings, told, await cpo.kept(), await emsp.kept()))
                if network.agent is not None:
                    status = await until_settled(network.agent)
                    copied = sorted((each.method, each.path.split("/")[4]) for each in network.billing.inbox.all())
    assert found[1] == found[0]
    assert copied == [
        ("PATCH", "sessions"),
        ("POST", "cdrs"),
        ("PUT", "locations"),
        ("PUT", "sessions"),
        ("PUT", "tariffs"),
    ]
    assert status["gaps"] == 0
    assert set(found[0][3]) == {"cdrs C1", "locations L1", "sessions S1", "tariffs T1"}
