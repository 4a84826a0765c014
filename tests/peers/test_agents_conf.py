"""What nginx does with `deploy/compose/agents.conf` when one of two agents is not there, or does not answer."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import aiohttp
import pytest

from ocn_permission_agent.sandbox.serving import Answer, Incoming, LoopbackServer, free_ports
from tests.peers.nginx import nginx

FILE = Path(__file__).parents[2] / "deploy" / "compose" / "agents.conf"
#: shorter than in the file, in its order
SHORTER = (
    ("proxy_next_upstream_timeout 5s;", "proxy_next_upstream_timeout 1500ms;"),
    ("proxy_connect_timeout 1s;", "proxy_connect_timeout 500ms;"),
    ("proxy_read_timeout 75s;", "proxy_read_timeout 2s;"),
)
#: so many that the hash sends some to each agent
CUSTOMERS = tuple(f"C{number:02}" for number in range(40))


class Agent:
    """Notes whose requests it gets, and answers, unless it is to be silent."""

    def __init__(self) -> None:
        self.heard: Counter[str] = Counter()
        self.silent = False

    async def handle(self, incoming: Incoming) -> Answer:
        self.heard[incoming.headers["ocpi-from-party-id"]] += 1
        if self.silent:
            await asyncio.Event().wait()
        return Answer()


@contextmanager
def a_machine_that_is_gone() -> Iterator[int]:
    """A port whose connections are never made: what arrives is dropped, nothing is refused."""
    with ExitStack() as opened:
        full = opened.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        for _ in range(4):  # one more than its queue takes, and some to spare
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        yield address[1]


@asynccontextmanager
async def balanced(folder: Path, *agents: int) -> AsyncIterator[str]:
    """nginx before agents at these ports; its URL."""
    content, (port,) = FILE.read_text(), free_ports(1)
    ports = tuple((f"server agent-{number}:8080", f"server 127.0.0.1:{at}") for number, at in enumerate(agents, 1))
    for written, wanted in (("listen 8080", f"listen 127.0.0.1:{port}"), *ports, *SHORTER):
        assert written in content, written
        content = content.replace(written, wanted)
    async with nginx(folder / "nginx", content, port=port):
        yield f"http://127.0.0.1:{port}"


async def sent(url: str, method: str, customer: str) -> int:
    """Say something as a customer; the status of the answer."""
    headers = {"OCPI-from-country-code": "DE", "OCPI-from-party-id": customer}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.request(method, f"{url}/ocpi/receiver/2.2/cdrs", data=b"{}") as answer,
    ):
        return answer.status


async def all_sent(url: str, method: str) -> list[int]:
    """The same of all customers at a time."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(sent(url, method, customer)) for customer in CUSTOMERS]
    return [task.result() for task in tasks]


@pytest.mark.parametrize("method", ["PUT", "POST"])
async def test_an_agent_whose_machine_is_gone_costs_no_request(tmp_path: Path, method: str) -> None:
    agent = Agent()
    with a_machine_that_is_gone() as gone:
        async with LoopbackServer(agent.handle) as there, balanced(tmp_path, gone, there.port) as url:
            answers = await all_sent(url, method)
    assert (answers, agent.heard) == ([200] * len(CUSTOMERS), Counter(CUSTOMERS))
    assert "timed out" in (tmp_path / "nginx" / "error.log").read_text()


@pytest.mark.parametrize("method", ["PUT", "POST"])
async def test_an_agent_that_refuses_connections_costs_no_request(tmp_path: Path, method: str) -> None:
    agent = Agent()
    async with LoopbackServer(agent.handle) as there, LoopbackServer(agent.handle) as other:
        await other.down()
        async with balanced(tmp_path, other.port, there.port) as url:
            answers = [await sent(url, method, customer) for customer in CUSTOMERS]
    assert (answers, agent.heard) == ([200] * len(CUSTOMERS), Counter(CUSTOMERS))
    assert "refused" in (tmp_path / "nginx" / "error.log").read_text()


async def test_one_connection_that_fails_does_not_take_the_last_agent_away(tmp_path: Path) -> None:
    agent = Agent()
    async with LoopbackServer(agent.handle) as last, LoopbackServer(agent.handle) as other:
        await other.down()
        async with balanced(tmp_path, last.port, other.port) as url:
            assert await all_sent(url, "PUT") == [200] * len(CUSTOMERS)
            await last.down()
            assert await sent(url, "PUT", CUSTOMERS[0]) == 502
            await last.up()
            assert await all_sent(url, "PUT") == [200] * len(CUSTOMERS)


async def test_what_an_agent_does_not_answer_is_not_said_to_the_other(tmp_path: Path) -> None:
    agents = Agent(), Agent()
    for agent in agents:
        agent.silent = True
    async with (
        LoopbackServer(agents[0].handle) as one,
        LoopbackServer(agents[1].handle) as other,
        balanced(tmp_path, one.port, other.port) as url,
    ):
        answers = await all_sent(url, "PUT")
    assert answers == [504] * len(CUSTOMERS)
    assert agents[0].heard + agents[1].heard == Counter(CUSTOMERS)
    assert all(agent.heard for agent in agents)
