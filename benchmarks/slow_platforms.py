"""What thousands of platforms that keep the agent waiting do to the others: with and without them, in one run.

    python -m benchmarks.slow_platforms [--sockets 2000] [--rate 100] [--seconds 8] [--rounds 3]

The agent, a node that answers at once and the attackers are processes of their own. Rounds alternate; medians count.
In the end the attackers stay until each kind was cut, and go: then the agent's open files are counted.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.beside_nginx import CUSTOMER, put_session
from benchmarks.load import Measured, load
from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.sandbox.story.agent import AgentProcess
from ocn_permission_agent.sandbox.story.bare import a_bare_agent

#: until all have connected and the deaf have let the buffers fill: what is measured is their waiting, not their coming
_SETTLE_SECONDS = 20.0
_PATIENCE_SECONDS = 100.0


@asynccontextmanager
async def attackers(url: str, count: int) -> AsyncIterator[asyncio.StreamReader]:
    """So many of them; their counts, line by line."""
    parts = urlsplit(url)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "benchmarks.attackers", str(parts.hostname), str(parts.port), str(count)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("no pipes")
    try:
        yield process.stdout
    finally:
        process.stdin.close()
        await process.wait()


async def _counts(lines: asyncio.StreamReader) -> dict[str, Any]:
    """The newest ones."""
    found: dict[str, Any] = json.loads(await lines.readline())
    return found


def open_files(agent: AgentProcess) -> int:
    """Of its process (Linux)."""
    return len(list(Path(f"/proc/{agent.process_id}/fd").iterdir()))


async def _until_all_kinds_are_cut(lines: asyncio.StreamReader, count: int) -> dict[str, Any]:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while True:
            found = await _counts(lines)
            if len(found["cut"]) == 4 and min(found["cut"].values()) >= count // 8:
                return found


async def _until_closed(agent: AgentProcess, before: int, clock: SystemClock) -> float:
    began = clock.monotonic()
    while open_files(agent) > before + 10 and clock.monotonic() - began < _PATIENCE_SECONDS:
        await clock.sleep(0.5)
    return clock.monotonic() - began


async def _main(sockets: int, rate: float, seconds: float, rounds: int) -> None:
    clock = SystemClock()
    node = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.fixed_node"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    if node.stdout is None or node.stdin is None:
        raise RuntimeError("no pipes")
    node_url = node.stdout.readline().strip()
    found: dict[str, list[Measured]] = {"without": [], "with": []}
    count, round_number, most_files = int(rate * seconds), 0, 0

    with tempfile.TemporaryDirectory() as folder:
        async with a_bare_agent(folder=Path(folder), node_url=node_url, customer=CUSTOMER, clock=clock) as agent:
            before = open_files(agent)

            async def measure(name: str, *, counts: bool) -> None:
                nonlocal round_number
                round_number += 1
                requests = [put_session(round_number, number) for number in range(count)]
                measured = await load(agent.proxy_url, requests=requests, rate=rate)
                if counts:
                    found[name].append(measured)

            await measure("without", counts=False)
            for _ in range(rounds):
                await measure("without", counts=True)
                async with attackers(agent.proxy_url, sockets) as lines:
                    await clock.sleep(_SETTLE_SECONDS)
                    await measure("with", counts=True)
                    most_files = max(most_files, open_files(agent))
            async with attackers(agent.proxy_url, sockets) as lines:
                cut = await _until_all_kinds_are_cut(lines, sockets)
                most_files = max(most_files, open_files(agent))
            closed_after = await _until_closed(agent, before, clock)
            after = open_files(agent)
    node.stdin.close()
    node.wait(10)
    print(f"{sockets} slow sockets; {rate:.0f} requests/s for {seconds:.0f} s, {rounds} alternating rounds, medians")
    print(f"{'':24}{'p50 ms':>10}{'p99 ms':>10}{'failed':>8}")
    quantiles = {}
    for name, measurements in found.items():
        p50, p99 = (statistics.median(each.quantile(share) for each in measurements) for share in (0.5, 0.99))
        quantiles[name] = (p50, p99)
        print(f"{name + ' them':24}{p50:10.3f}{p99:10.3f}{sum(each.failures for each in measurements):8}")
    ratios = [with_ / without for with_, without in zip(quantiles["with"], quantiles["without"], strict=True)]
    print(f"{'ratio':24}{ratios[0]:10.2f}{ratios[1]:10.2f}")
    print(f"cut, by kind: {cut['cut']}")
    print(
        f"open files: {before} before, {most_files} at most, {after} at the end, {closed_after:.1f} s after they left"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sockets", type=int, default=2000)
    parser.add_argument("--rate", type=float, default=100.0)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    asyncio.run(_main(given.sockets, given.rate, given.seconds, given.rounds))
