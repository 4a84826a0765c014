"""How the agent starts when something is wrong: one clear sentence and exit 2, or a proxy that still works."""

import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.sandbox.chain.actors import Contracts
from ocn_permission_agent.sandbox.serving import Answer, Incoming, LoopbackServer
from ocn_permission_agent.sandbox.story.agent import AgentFiles, AgentProcess
from ocn_permission_agent.sandbox.story.world import agent_process
from tests.chain_fixtures import WALLETS, Deployment, chain_client, deployed, sandbox_chain  # noqa: F401

ACCEPTED = b'{"status_code":1000,"timestamp":"2026-03-01T10:00:00Z"}'
HEADERS = {
    "Authorization": "Token abc",
    "X-Request-ID": "1",
    "X-Correlation-ID": "1",
    "OCPI-from-country-code": "DE",
    "OCPI-from-party-id": "CPO",
    "OCPI-to-country-code": "NL",
    "OCPI-to-party-id": "MSP",
}


def an_agent(
    folder: Path, contracts: Contracts, rpc_url: str, node_url: str, **changed: dict[str, Any]
) -> AgentProcess:
    return agent_process(
        AgentFiles(folder=folder),
        contracts=contracts,
        rpc_url=rpc_url,
        node_url=node_url,
        operator_key=WALLETS["operator"].key.hex(),
        admin_token="a-token-of-sixteen",
        changed=changed,
        clock=SystemClock(),
    )


def ended(agent: AgentProcess) -> tuple[int, str, str]:
    """Exit code, standard error without log lines, and the log lines."""
    command = [sys.executable, "-m", "ocn_permission_agent", "run", "--config", str(agent.files.config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    lines = done.stderr.splitlines()
    logged = [line for line in lines if line.startswith("{")]
    return done.returncode, "\n".join(line for line in lines if line not in logged), "\n".join(logged)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A chain with contracts, and a node that accepts everything."""

    folder: Path
    deployment: Deployment
    node_url: str

    def agent(self, **changed: dict[str, Any]) -> AgentProcess:
        deployment = self.deployment
        return an_agent(self.folder, deployment.contracts, deployment.url, self.node_url, **changed)


@pytest.fixture
async def place(deployed: Deployment, tmp_path: Path) -> AsyncIterator[Place]:  # noqa: F811
    async def accept(_: Incoming) -> Answer:
        return Answer(body=ACCEPTED)

    async with LoopbackServer(accept) as node:
        yield Place(folder=tmp_path, deployment=deployed, node_url=node.url)


async def put_session(agent: AgentProcess) -> tuple[int, dict[str, Any]]:
    url = f"{agent.proxy_url}/ocpi/receiver/2.2/sessions/DE/CPO/s1"
    async with aiohttp.ClientSession() as session, session.put(url, headers=HEADERS, data=b"{}") as answer:
        return answer.status, json.loads(await answer.read())


@pytest.mark.parametrize(
    ("chain", "sentence"),
    [
        ({"chain_id": 73799}, "serves chain 246, not 73799"),
        ({"registry": "0x" + "11" * 20}, "there is no contract at 0x" + "11" * 20),
        ({"permissions": "0x" + "22" * 20}, "there is no contract at 0x" + "22" * 20),
    ],
)
async def test_another_chain_or_contract_is_refused_on_an_empty_store(
    place: Place, chain: dict[str, Any], sentence: str
) -> None:
    code, said, logged = ended(place.agent(chain=chain))
    assert code == 2
    assert sentence in said
    assert said.count("\n") == 0
    assert "Traceback" not in said + logged


async def test_an_operator_that_the_registry_does_not_know_is_refused_on_an_empty_store(place: Place) -> None:
    code, said, _ = ended(place.agent())
    assert (code, "is not a registered node operator" in said) == (2, True)


async def test_a_port_in_use_is_told_in_one_sentence(place: Place) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        agent = place.agent(proxy={"listen": listen, "public_url": f"http://{listen}"})
        await place.deployment.actor("operator").set_node(f"http://{listen}")
        code, said, logged = ended(agent)
    assert code == 2
    assert listen in said
    assert "in use" in said
    assert "Traceback" not in said + logged


async def test_an_unreadable_key_is_told_without_showing_it(place: Place) -> None:
    agent = place.agent()
    agent.files.operator_key.write_text("not-a-key-but-secret")
    code, said, logged = ended(agent)
    assert code == 2
    assert "operator" in said
    assert "not-a-key-but-secret" not in said + logged


async def test_without_an_rpc_endpoint_requests_pass_and_it_is_said(place: Place) -> None:
    agent = place.agent(chain={"rpc_urls": ["http://127.0.0.1:9"]})
    await agent.start()
    try:
        assert await put_session(agent) == (200, json.loads(ACCEPTED))
        status = None
        while status is None:
            status = await agent.status_if_open()
        assert status["chain"]["fresh"] is False
        assert status["gaps"] == 1  # nobody is known yet: whether a copy was due cannot be told
    finally:
        assert await agent.stop() == 0
    assert "chain.unavailable" in agent.last_words(4000)


async def test_without_a_node_the_proxy_answers_in_ocpi(place: Place) -> None:
    agent = place.agent(node={"url": "http://127.0.0.1:9"})
    await place.deployment.actor("operator").set_node(agent.proxy_url)
    await agent.start()
    try:
        status, body = await put_session(agent)
        assert (status, body["status_code"]) == (502, 4003)
    finally:
        assert await agent.stop() == 0


async def test_a_1x_node_may_forward_by_itself_and_every_start_says_so(place: Place) -> None:
    agent = place.agent(node={"service_interface_disabled": False})
    await place.deployment.actor("operator").set_node(agent.proxy_url)
    await agent.start()
    assert await agent.stop() == 0
    assert "serviceInterfaceEnabled=false" in agent.last_words(4000)
    quiet = place.agent()
    await place.deployment.actor("operator").set_node(quiet.proxy_url)
    quiet.files.log.unlink()
    await quiet.start()
    assert await quiet.stop() == 0
    assert "serviceInterfaceEnabled" not in quiet.last_words(4000)


async def test_a_store_made_for_other_contracts_is_refused(place: Place) -> None:
    agent = place.agent()
    await place.deployment.actor("operator").set_node(agent.proxy_url)
    await agent.start()
    status = None
    while status is None or status["chain"]["fresh"] is not True:
        status = await agent.status_if_open()
    assert await agent.stop() == 0
    code, said, _ = ended(place.agent(chain={"registry": "0x" + "33" * 20}))
    assert code == 2
    assert "the store was made for registry" in said


async def test_a_second_agent_on_the_same_store_is_kept_out(place: Place) -> None:
    agent = place.agent()
    await place.deployment.actor("operator").set_node(agent.proxy_url)
    await agent.start()
    while await agent.status_if_open() is None:
        pass
    try:
        other = place.agent()
        await other.start()
        await other.stop()
    finally:
        await agent.stop()
    assert "in use by another agent" in other.last_words(6000)
