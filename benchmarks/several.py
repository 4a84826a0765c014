"""Agents on one PostgreSQL, every request copied: how many a second one agent does, and how many two do together.

    python -m benchmarks.several [--rounds 3] [--seconds 5] [--folder /var/tmp]

Everything runs on this machine: the agents, the database, nginx as the node and as what they are compared with (its
`mirror`, as in beside_nginx.py), and wrk, with 64 connections to each agent. Rounds alternate, and last until nothing
is owed any more. With few cores two agents take from each other what the database and the load need as well: what they
would do on machines of their own is not measured here, but what a copy costs is.
"""

import argparse
import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from benchmarks import figures
from benchmarks.beside_nginx import CHANGED, CUSTOMER, cpu_seconds, delivered, loop_seconds
from benchmarks.figures import Figure
from benchmarks.nginx import a_fixed_node, a_front
from benchmarks.store import SERVER
from benchmarks.store_places import server_cpu_seconds
from benchmarks.wrk import burst
from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.sandbox.story.agent import AgentProcess
from ocn_permission_agent.sandbox.story.bare import bare_agents
from tests.postgres_server import PostgresServer, postgres_server

_COUNTS = (1, 2)
_PUBLIC_URL = "http://agents.example"


@dataclass(frozen=True, slots=True)
class _Set:
    """Agents that share a database, the server that it is on, and what was found."""

    agents: Sequence[AgentProcess]
    server: PostgresServer
    rates: list[float] = field(default_factory=list)
    agent_us: list[float] = field(default_factory=list)
    loop_us: list[float] = field(default_factory=list)
    server_us: list[float] = field(default_factory=list)

    def cpu(self) -> tuple[float, float, float]:
        """Seconds so far: of the agents, of their event loops, of the server."""
        loops = sum(loop_seconds(agent) for agent in self.agents)
        return sum(cpu_seconds(agent) for agent in self.agents), loops, server_cpu_seconds(self.server)


async def _measure(folder: Path, rounds: int, seconds: float) -> list[Figure]:
    mirrored: list[float] = []
    (folder / "nginx").mkdir()
    with a_fixed_node(folder / "nginx") as node_url, a_front(folder / "nginx", node_url) as (_, mirror_url):
        sets = {}
        for count in _COUNTS:
            async with _agents(folder, node_url, count) as these:
                sets[count] = these
                for number in range(-1, rounds):
                    run, kept = f"{count}-{number + 1}", number >= 0
                    done = await asyncio.to_thread(
                        burst, mirror_url, folder=folder, run=f"m{run}", copied_of=1, seconds=seconds
                    )
                    if kept:
                        mirrored.append(done.requests / done.seconds)
                    await _round(these, folder, run, seconds, kept=kept)
    return [each for count in _COUNTS for each in _figures(count, sets[count], tuple(mirrored))]


@asynccontextmanager
async def _agents(folder: Path, node_url: str, count: int) -> AsyncIterator[_Set]:
    folders = [folder / f"{count}-{number}" for number in range(count)]
    for each in folders:
        each.mkdir()
    with postgres_server(disk=str(folder), **SERVER) as server:
        agents = bare_agents(
            folders=folders,
            node_url=node_url,
            customer=CUSTOMER,
            clock=SystemClock(),
            public_url=_PUBLIC_URL,
            changed=CHANGED,
            store_url=server.new_database(),
        )
        async with agents as these:
            yield _Set(these, server)


async def _round(these: _Set, folder: Path, run: str, seconds: float, *, kept: bool) -> None:
    before = these.cpu()
    bursts = await asyncio.gather(
        *(
            asyncio.to_thread(burst, each.proxy_url, folder=folder, run=f"a{run}-{place}", copied_of=1, seconds=seconds)
            for place, each in enumerate(these.agents)
        )
    )
    if failures := sum(each.failures for each in bursts):
        raise RuntimeError(f"{failures} requests failed")
    after_seconds, _ = await delivered(these.agents[0])
    if not kept:
        return
    count = sum(each.requests for each in bursts)
    these.rates.append(count / (max(each.seconds for each in bursts) + after_seconds))
    spent = [(now - then) / count * 1e6 for now, then in zip(these.cpu(), before, strict=True)]
    these.agent_us.append(spent[0])
    these.loop_us.append(spent[1])
    these.server_us.append(spent[2])


def _figures(count: int, these: _Set, mirrored: tuple[float, ...]) -> list[Figure]:
    who = "one agent" if count == 1 else f"{count} agents"
    return [
        Figure(
            name=f"{who}: all copied, delivered ÷ nginx mirror of all",
            unit="requests/s",
            rounds=tuple(these.rates),
            others=mirrored,
        ),
        Figure(name="  CPU of the agents per copied request", unit="µs", rounds=tuple(these.agent_us)),
        Figure(name="    of it: their event loops", unit="µs", rounds=tuple(these.loop_us)),
        Figure(name="  CPU of PostgreSQL per copied request", unit="µs", rounds=tuple(these.server_us)),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of one round")
    parser.add_argument("--folder", help="on the disk that the database shall be on")
    asked = parser.parse_args()
    machine_line = figures.machine()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        Path(folder).chmod(0o755)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            found = runner.run(_measure(Path(folder), asked.rounds, asked.seconds))
    print(machine_line)
    print(figures.table(found))


if __name__ == "__main__":
    main()
