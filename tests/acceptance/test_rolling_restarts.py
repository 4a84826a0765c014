"""Two agents behind nginx, as docs/howto/put-it-before-your-node.md sets them up, restarted in turn under load.

nginx repeats nothing by itself here, so a request that meets an agent on its way out would be seen to fail.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import pytest

from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.sandbox.serving import LoopbackServer, free_ports
from ocn_permission_agent.sandbox.story.agent import AgentProcess
from ocn_permission_agent.sandbox.story.bare import bare_agents
from tests.peers.nginx import nginx
from tests.under_load import CUSTOMER, Customers, NodeAndService, recorded, until_settled

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "put-it-before-your-node.md"
LOOK_SECONDS = 0.1
#: longer than a look and than nginx keeps an idle connection, as the page asks for, also where looks come late
DRAIN_SECONDS = 3.0


def configuration(port: int, agents: Sequence[AgentProcess], folder: Path) -> str:
    """The page's own, with this test's ports and folders, and shorter times."""
    text = re.findall(r"```nginx\n(.*?)```", PAGE.read_text(), re.DOTALL)[0]
    one, other = (agent.proxy_url.removeprefix("http://") for agent in agents)
    for written, wanted in (
        ("listen 443 ssl;", f"listen 127.0.0.1:{port};"),
        ("127.0.0.1:8080", one),
        ("127.0.0.1:8082", other),
        ("/run/ocn-agents", str(folder)),
        ("keepalive_timeout 5s;", "keepalive_timeout 500ms;"),
        ("proxy_next_upstream error timeout;", "proxy_next_upstream off;"),
    ):
        assert written in text, written
        text = text.replace(written, wanted)
    return "\n".join(line for line in text.splitlines() if "ssl_certificate" not in line)


def look(name: str, ready: bool, folder: Path) -> None:
    """A file for each agent that is ready; nginx looks whether it is there."""
    path = folder / f"{name}.ready"
    if ready:
        path.touch()
    else:
        path.unlink(missing_ok=True)


@asynccontextmanager
async def followed(agents: Sequence[AgentProcess], folder: Path) -> AsyncIterator[None]:
    """What the page's small script does, only more often."""

    async def follow() -> None:
        while True:
            for name, agent in zip("ab", agents, strict=True):
                look(name, await agent.ready(), folder)
            await SystemClock().sleep(LOOK_SECONDS)

    async with asyncio.TaskGroup() as group:
        following = group.create_task(follow())
        yield
        following.cancel()


@dataclass
class Pair:
    agents: tuple[AgentProcess, ...]
    node: NodeAndService
    customers: Customers
    folder: Path

    def restarts(self, count: int) -> Iterator[AgentProcess]:
        return islice(cycle(self.agents), count)

    async def until_followed(self) -> None:
        """Both are back."""
        async with asyncio.timeout(20):
            while len(list(self.folder.glob("*.ready"))) < len(self.agents):
                await SystemClock().sleep(LOOK_SECONDS)


@asynccontextmanager
async def a_pair(folder: Path, *, rate: float) -> AsyncIterator[Pair]:
    node = NodeAndService()
    folders = [folder / name for name in ("a", "b", "ready")]
    for each in folders:
        each.mkdir()
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    async with (
        LoopbackServer(node.handle) as server,
        bare_agents(
            folders=folders[:2],
            node_url=server.url,
            customer=CUSTOMER,
            clock=SystemClock(),
            public_url=url,
            changed={"proxy": {"drain_seconds": DRAIN_SECONDS}},
        ) as agents,
        followed(agents, folders[2]),
        nginx(folder / "nginx", configuration(port, agents, folders[2]), port=port),
    ):
        pair = Pair(agents, node, Customers(url, rate=rate, count=16), folders[2])
        await pair.until_followed()
        yield pair


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("restarts", [4, pytest.param(100, marks=pytest.mark.nightly)])
async def test_no_request_fails_while_agents_are_restarted_in_turn(
    restarts: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    async with a_pair(tmp_path, rate=60) as pair:
        said = pair.customers.said
        async with pair.customers.sending():
            for agent in pair.restarts(restarts):
                before = len(said.acknowledged)
                assert await agent.stop() == 0
                assert len(said.acknowledged) > before, "requests went on meanwhile"
                await agent.start()
                await pair.until_followed()
        assert (said.refused, said.unanswered) == ([], [])
        assert len(said.acknowledged) > 20 * restarts

        for agent in pair.agents:
            assert (await until_settled(agent))["gaps"] == 0
        stores = [recorded(agent.files.store) for agent in pair.agents]
        assert all(store.correlation_ids for store in stores), "both had their part"
        assert set().union(*(store.correlation_ids for store in stores)) == set(said.acknowledged)
        assert set(said.cdrs) == set(pair.node.cdrs)
        record_property("requests", len(said.acknowledged))
