"""The whole agent beside nginx: throughput, latency, memory, and how long it takes to start.

nginx with a fixed reply is the node; another nginx, one worker, is what the agent is compared with. Rounds alternate.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.figures import Figure
from benchmarks.load import load
from benchmarks.nginx import a_fixed_node, a_front
from benchmarks.wrk import burst
from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.compiled import is_compiled
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.sandbox.parties.objects import a_session
from ocn_permission_agent.sandbox.story.agent import AgentProcess
from ocn_permission_agent.sandbox.story.bare import a_bare_agent

CUSTOMER = Party("DE", "CPO")
STRANGER = Party("DE", "OTH")
RATE = 1_000.0
#: of all requests, in the rounds with some copied
ONE_IN = 10
#: rounds through the agent, and what each is compared with
THROUGHPUTS = {"pass": "nginx", "some": "mirror", "all": "mirror"}
#: all kinds of rounds in their order: every how-many-eth request is the customer's, 0 for none
_KINDS = {"direct": 0, "nginx": 0, "pass": 0, "mirror": 0, "some": ONE_IN, "all": 1}
_DRAIN_SECONDS = 60.0
_STARTS = 3
#: no limit of the service's stands in the way, the chain is asked as rarely as in production
CHANGED = {
    "delivery": {"max_rate": 10_000, "max_in_flight": 256},
    "chain": {"poll_seconds": 5, "max_staleness_seconds": 120},
}


@dataclass(slots=True)
class _Place:
    """What is running, and what was found so far."""

    folder: Path
    node_url: str
    nginx_url: str
    mirror_url: str
    agent: AgentProcess
    found: dict[str, list[float]] = field(default_factory=dict)
    rounds_begun: int = 0

    def note(self, name: str, value: float) -> None:
        self.found.setdefault(name, []).append(value)

    def of(self, name: str) -> tuple[float, ...]:
        return tuple(self.found.get(name, ()))


async def measure(*, rounds: int, seconds: float, only: Collection[str] = ()) -> list[Figure]:
    """All figures that need the agent as a whole, or those of some `THROUGHPUTS` alone.

    Args:
        rounds: of each kind; the medians count.
        seconds: of one round.
        only: names out of `THROUGHPUTS`; none for everything.
    """
    async with _place() as place:
        place.note("idle MiB", resident_mib(place.agent))
        kinds = [name for name in _KINDS if not only or name in only or name in {THROUGHPUTS[each] for each in only}]
        for round_number in range(-1, rounds):
            await _throughput(place, kinds, seconds if round_number >= 0 else 1.0, kept=round_number >= 0)
        if only:
            return _figures(place)
        for round_number in range(-1, rounds):
            await _latency(place, seconds if round_number >= 0 else 1.0, kept=round_number >= 0)
        status = await place.agent.status()
        if status["gaps"]:
            raise RuntimeError(f"copies were lost: {status['gaps']}")
        await _starts(place)
        return _figures(place)


def _figures(place: _Place) -> list[Figure]:
    """Those of which there are rounds."""
    of = place.of
    nginx, mirror = of("nginx"), of("mirror")
    figures = [
        Figure(name="straight to the node", unit="requests/s", rounds=of("direct")),
        Figure(
            name="passed through ÷ nginx proxy_pass", unit="requests/s", rounds=of("pass"), others=nginx, bar=0.25,
            at_least=True,
        ),
        Figure(
            name="one in ten copied, delivered ÷ nginx mirror of all", unit="requests/s", rounds=of("some"),
            others=mirror, bar=0.7, at_least=True,
        ),
        Figure(
            name="all copied, delivered ÷ nginx mirror of all", unit="requests/s", rounds=of("all"), others=mirror,
            bar=0.3, at_least=True,
        ),
        Figure(name="  still to deliver when the load ends: one in ten", unit="copies", rounds=of("some left")),
        Figure(name="  still to deliver when the load ends: all", unit="copies", rounds=of("all left")),
        Figure(name="CPU per request passed through", unit="µs", rounds=of("pass µs")),
        Figure(name="CPU per request copied and delivered", unit="µs", rounds=of("all µs")),
        Figure(name="  of it: the event loop's thread", unit="µs", rounds=of("all loop µs")),
        Figure(
            name="1,000 requests/s, one in ten copied: p50 ÷ nginx proxy_pass", unit="ms", rounds=of("agent p50"),
            others=of("nginx p50"), bar=2.0,
        ),
        Figure(
            name="1,000 requests/s, one in ten copied: p99 ÷ nginx proxy_pass", unit="ms", rounds=of("agent p99"),
            others=of("nginx p99"), bar=3.5,
        ),
        Figure(name="resident memory, idle", unit="MiB", rounds=of("idle MiB"), bar=96.0),
        Figure(name="resident memory, at 1,000 requests/s", unit="MiB", rounds=of("busy MiB"), bar=192.0),
        Figure(name="start to ready", unit="s", rounds=of("start s"), bar=2.0),
    ]  # fmt: skip
    return [each for each in figures if each.rounds]


@asynccontextmanager
async def _place() -> AsyncIterator[_Place]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "agent").mkdir()
        with a_fixed_node(folder) as node_url, a_front(folder, node_url) as (nginx_url, mirror_url):
            async with a_bare_agent(
                folder=folder / "agent", node_url=node_url, customer=CUSTOMER, clock=SystemClock(), changed=CHANGED
            ) as agent:
                _refuse_another_build(agent)
                yield _Place(folder, node_url, nginx_url, mirror_url, agent)


def _refuse_another_build(agent: AgentProcess) -> None:
    """What is measured must be what the machine's line says, not what another folder has."""
    lines = agent.files.log.read_bytes().splitlines()
    compiled = next(msgspec.json.decode(line)["compiled"] for line in lines if b'"agent.started"' in line)
    if compiled != is_compiled():
        raise RuntimeError(f"the agent is {'' if compiled else 'not '}compiled, and the benchmark is otherwise")


async def _throughput(place: _Place, kinds: Sequence[str], seconds: float, *, kept: bool) -> None:
    """One round of each kind. Rounds with copies last until the last copy is delivered."""
    agent = place.agent
    others = {"direct": place.node_url, "nginx": place.nginx_url, "mirror": place.mirror_url}
    for name in kinds:
        url, copied_of = others.get(name, agent.proxy_url), _KINDS[name]
        place.rounds_begun += 1
        cpu, of_loop = cpu_seconds(agent), loop_seconds(agent)
        done = await asyncio.to_thread(
            burst, url, folder=place.folder, run=f"r{place.rounds_begun}", copied_of=copied_of, seconds=seconds
        )
        if done.failures:
            raise RuntimeError(f"{name}: {done.failures} requests failed")
        after_seconds, left = await delivered(agent) if copied_of else (0.0, 0)
        if not kept:
            continue
        place.note(name, done.requests / (done.seconds + after_seconds))
        place.note(f"{name} µs", (cpu_seconds(agent) - cpu) / done.requests * 1e6)
        place.note(f"{name} loop µs", (loop_seconds(agent) - of_loop) / done.requests * 1e6)
        if copied_of:
            place.note(f"{name} left", left)


async def delivered(agent: AgentProcess) -> tuple[float, int]:
    """Wait until nothing is owed any more; how long that took, and how much was owed at first."""
    began = time.monotonic()
    left: int | None = None
    while time.monotonic() - began < _DRAIN_SECONDS:
        pending = (await agent.status())["deliveries"]["pending"]
        left = pending if left is None else left
        if not pending:
            return (time.monotonic() - began if left else 0.0), left
        await asyncio.sleep(0.02)
    raise RuntimeError(f"copies are not delivered {_DRAIN_SECONDS:.0f} s after the load has ended")


async def _latency(place: _Place, seconds: float, *, kept: bool) -> None:
    """One round at a fixed rate through nginx, one through the agent, which copies one in ten."""
    count = int(RATE * seconds)
    for name, url in (("nginx", place.nginx_url), ("agent", place.agent.proxy_url)):
        place.rounds_begun += 1
        requests = [put_session(place.rounds_begun, number) for number in range(count)]
        measured = await load(url, requests=requests, rate=RATE)
        if measured.failures:
            raise RuntimeError(f"{name}: {measured.failures} requests failed")
        if not kept:
            continue
        place.note(f"{name} p50", measured.quantile(0.5))
        place.note(f"{name} p99", measured.quantile(0.99))
        if name == "agent":
            place.note("busy MiB", resident_mib(place.agent))
    await delivered(place.agent)


async def _starts(place: _Place) -> None:
    """Start it again on its store, a few times."""
    for _ in range(_STARTS):
        await place.agent.stop()
        began = time.monotonic()
        await place.agent.start()
        place.note("start s", time.monotonic() - began)


def put_session(round_number: int, number: int) -> bytes:
    """A session PUT of about 1.5 kB, each another session; one in ten is the customer's."""
    party = CUSTOMER if number % ONE_IN == 0 else STRANGER
    session_id = f"l{round_number}-{number}"
    body = msgspec.json.encode(a_session(party, session_id, padding="x" * 700))
    head = (
        f"PUT /ocpi/receiver/2.2/sessions/{party.country_code}/{party.party_id}/{session_id} HTTP/1.1\r\n"
        "Host: node.example\r\nAuthorization: Token 00000000-0000-4000-8000-000000000000\r\n"
        f"X-Request-ID: r{session_id}\r\nX-Correlation-ID: c{session_id}\r\n"
        f"OCPI-from-country-code: {party.country_code}\r\nOCPI-from-party-id: {party.party_id}\r\n"
        "OCPI-to-country-code: NL\r\nOCPI-to-party-id: MSP\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def resident_mib(agent: AgentProcess) -> float:
    """What the agent's process holds."""
    return _status_of(agent, "VmRSS") / 1024


def _status_of(agent: AgentProcess, name: str) -> int:
    for line in Path(f"/proc/{agent.process_id}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    raise RuntimeError(f"no {name}")


def cpu_seconds(agent: AgentProcess) -> float:
    """Of all its threads, kernel included."""
    return _cpu_seconds_in(Path(f"/proc/{agent.process_id}/stat"))


def loop_seconds(agent: AgentProcess) -> float:
    """Of the thread with the event loop, kernel included; most of the rest is the store's thread."""
    return _cpu_seconds_in(Path(f"/proc/{agent.process_id}/task/{agent.process_id}/stat"))


def _cpu_seconds_in(stat: Path) -> float:
    fields: list[Any] = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
