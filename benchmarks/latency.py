"""What the agent adds to a request that it copies: through the agent against straight to the node, in one run.

    python -m benchmarks.latency [--rate 200] [--seconds 10] [--rounds 3]

A chain, the agent and a node that answers everything at once are processes of their own. Every request is recorded on
disk before it is answered, and its copy is signed and delivered meanwhile. Rounds alternate; the medians count.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from benchmarks.load import Measured, load
from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.sandbox.parties.objects import a_session
from ocn_permission_agent.sandbox.story.bare import a_bare_agent

CPO = Party("DE", "CPO")


def put_session(number: int) -> bytes:
    """A session PUT of about 1.5 kB, each another session."""
    session = a_session(CPO, f"s{number}", padding="x" * 700)
    body = msgspec.json.encode(session)
    head = (
        f"PUT /ocpi/receiver/2.2/sessions/DE/CPO/s{number} HTTP/1.1\r\nHost: node.example\r\n"
        f"Authorization: Token 00000000-0000-4000-8000-000000000000\r\nX-Request-ID: r{number}\r\n"
        f"X-Correlation-ID: c{number}\r\nOCPI-from-country-code: DE\r\nOCPI-from-party-id: CPO\r\n"
        "OCPI-to-country-code: NL\r\nOCPI-to-party-id: MSP\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _main(rate: float, seconds: float, rounds: int) -> None:
    node = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.fixed_node"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    if node.stdout is None or node.stdin is None:
        raise RuntimeError("no pipes")
    node_url = node.stdout.readline().strip()
    found: dict[str, list[Measured]] = {"straight to the node": [], "through the agent": []}
    count, number = int(rate * seconds), 0
    with tempfile.TemporaryDirectory() as folder:
        async with a_bare_agent(folder=Path(folder), node_url=node_url, customer=CPO, clock=SystemClock()) as agent:
            for round_number in range(-1, rounds):
                for name, url in (("straight to the node", node_url), ("through the agent", agent.proxy_url)):
                    requests = [put_session(number + offset) for offset in range(count)]
                    number += count
                    measured = await load(url, requests=requests, rate=rate)
                    if round_number >= 0:
                        found[name].append(measured)
            status = await agent.status()
    node.stdin.close()
    node.wait(10)
    print(f"{rate:.0f} requests/s for {seconds:.0f} s, {rounds} alternating rounds, medians, every request copied")
    print(f"{'':24}{'p50 ms':>10}{'p99 ms':>10}{'failed':>8}")
    quantiles: dict[str, tuple[float, float]] = {}
    for name, measurements in found.items():
        p50, p99 = (statistics.median(each.quantile(share) for each in measurements) for share in (0.5, 0.99))
        quantiles[name] = (p50, p99)
        print(f"{name:24}{p50:10.3f}{p99:10.3f}{sum(each.failures for each in measurements):8}")
    (direct50, direct99), (agent50, agent99) = quantiles["straight to the node"], quantiles["through the agent"]
    print(f"{'added':24}{agent50 - direct50:10.3f}{agent99 - direct99:10.3f}")
    print(f"{'ratio':24}{agent50 / direct50:10.2f}{agent99 / direct99:10.2f}")
    deliveries = status["deliveries"]
    print(f"copies delivered {deliveries['delivered']}, pending {deliveries['pending']}, gaps {status['gaps']}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    asyncio.run(_main(given.rate, given.seconds, given.rounds))
