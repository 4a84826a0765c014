"""Revokes under load: whether any attempt starts after a revoke was processed, and how soon the last one starts.

    python -m benchmarks.revoke [--customers 100] [--rate 100] [--seconds 12] [--anvil]

A chain that mines every second, the agent and a node that answers everything are processes of their own. The sandbox's
chain is slower than eight revokes a second; anvil, from its npm package, is not. Each customer
has an agreement with one service; requests of all of them come in at a steady rate while one customer after the other
revokes. The agent's own log tells when a block was processed, its store when each attempt started.
"""

import argparse
import asyncio
import itertools
import json
import secrets
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.load import load
from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.sandbox.chain.actors import ETHER, Actor, Contracts, deploy
from ocn_permission_agent.sandbox.chain.client import ChainClient
from ocn_permission_agent.sandbox.chain.server import ChainServer
from ocn_permission_agent.sandbox.chain.wallet import Wallet
from ocn_permission_agent.sandbox.story.agent import AgentFiles, AgentProcess
from ocn_permission_agent.sandbox.story.world import CHAIN_ID, agent_process
from tests.anvil import running_anvil

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_READ_LIMIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoked:
    """One customer's end: when its revoke's block was mined, when processed, its last attempt; Unix seconds."""

    mined: float
    processed: float
    attempts: int
    last_started: float | None
    started_late: int

    @property
    def until_last_seconds(self) -> float:
        """From the block to the start of the last attempt; 0 when that was before."""
        return 0.0 if self.last_started is None else max(0.0, self.last_started - self.mined)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """All customers, and what became of the copies."""

    revoked: tuple[Revoked, ...]
    failures: int
    states: dict[str, int]
    #: by the agent's own `ocn_agent_revoke_to_stop_seconds`: how often, and how long together
    stops: int
    stop_seconds: float

    @property
    def started_late(self) -> int:
        """Attempts that were started after the revoke's block was processed: must be 0."""
        return sum(each.started_late for each in self.revoked)

    def quantile(self, values: list[float], share: float) -> float:
        """The value that `share` of them stay below."""
        return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def _parties(count: int) -> list[Party]:
    ids = ("".join(digits) for digits in itertools.product(_DIGITS, repeat=2))
    return [Party("DE", f"C{name}") for name in itertools.islice(ids, count)]


def _put_session(customer: Party, number: int) -> bytes:
    body = f'{{"country_code":"DE","party_id":"{customer.party_id}","id":"s{number}","kwh":1.5}}'.encode()
    return (
        f"PUT /ocpi/receiver/2.2/sessions/DE/{customer.party_id}/s{number} HTTP/1.1\r\nHost: node.example\r\n"
        f"Authorization: Token abc\r\nX-Request-ID: r{number}\r\nX-Correlation-ID: c{number}\r\n"
        f"OCPI-from-country-code: DE\r\nOCPI-from-party-id: {customer.party_id}\r\n"
        "OCPI-to-country-code: NL\r\nOCPI-to-party-id: MSP\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    agent: AgentProcess
    chain: ChainClient
    customers: dict[Party, Actor]
    provider: str


@asynccontextmanager
async def _a_chain(wallets: list[Wallet], *, anvil: bool) -> AsyncIterator[ChainClient]:
    """Mines a block per transaction; everybody is rich."""
    async with AsyncExitStack() as opened:
        if not anvil:
            funded = {wallet.address: 1000 * ETHER for wallet in wallets}
            server = ChainServer(chain_id=CHAIN_ID, accounts=funded, mining="auto")
            rpc_url = await asyncio.to_thread(server.start_process)
            opened.callback(server.stop)
            yield await opened.enter_async_context(ChainClient(rpc_url))
            return
        rpc_url = opened.enter_context(running_anvil(CHAIN_ID))
        chain = await opened.enter_async_context(ChainClient(rpc_url))
        for wallet in wallets:
            await chain.request("anvil_setBalance", wallet.address, hex(1000 * ETHER))
        yield chain


async def _mine_every_second(chain: ChainClient, *, anvil: bool) -> None:
    if anvil:
        await chain.request("evm_setIntervalMining", 1)
    else:
        await chain.set_mining("interval", 1.0)


@asynccontextmanager
async def _a_place(folder: Path, node_url: str, parties: list[Party], *, anvil: bool) -> AsyncIterator[_Place]:
    wallets = {name: Wallet.from_seed(f"revoke {name}") for name in ("deployer", "operator", "service")}
    owners = {party: Wallet.from_seed(f"revoke {party}") for party in parties}
    async with AsyncExitStack() as opened:
        everybody = [*wallets.values(), *owners.values()]
        chain = await opened.enter_async_context(_a_chain(everybody, anvil=anvil))
        contracts = await deploy(chain, wallets["deployer"])
        agent = agent_process(
            AgentFiles(folder=folder),
            contracts=contracts,
            rpc_url=chain.url,
            node_url=node_url,
            operator_key=wallets["operator"].key.hex(),
            admin_token=secrets.token_urlsafe(16),
            changed={"delivery": {"max_rate": 10_000, "max_in_flight": 64}},
            clock=SystemClock(),
        )
        provider = await _furnish(chain, contracts, agent.proxy_url, wallets, owners)
        await _mine_every_second(chain, anvil=anvil)
        opened.push_async_callback(agent.stop)
        await agent.start()
        await _until_agreed(agent, len(parties))
        customers = {party: Actor(chain, contracts, wallet) for party, wallet in owners.items()}
        yield _Place(agent=agent, chain=chain, customers=customers, provider=provider)


async def _furnish(
    chain: ChainClient, contracts: Contracts, proxy_url: str, wallets: dict[str, Wallet], owners: dict[Party, Wallet]
) -> str:
    operator, service = (Actor(chain, contracts, wallets[name]) for name in ("operator", "service"))
    await operator.set_node(proxy_url)
    await service.set_party("DE", "SVC", roles=[6], operator=operator.address)
    await service.set_service("Everything", "https://service.example", [0])
    for party, wallet in owners.items():
        customer = Actor(chain, contracts, wallet)
        await customer.set_party(party.country_code, party.party_id, roles=[0], operator=operator.address)
        await customer.create_agreement(service.address)
    return service.address


async def _until_agreed(agent: AgentProcess, count: int) -> None:
    deadline = time.monotonic() + _READ_LIMIT_SECONDS
    while time.monotonic() < deadline:
        status = await agent.status_if_open()
        if status is not None and status["agreements"] == count:
            return
        await asyncio.sleep(0.1)
    raise TimeoutError(f"the agent did not read the agreements: {agent.last_words()}")


async def measure(*, customers: int, rate: float, seconds: float, anvil: bool = False) -> Outcome:
    """Run it once; every customer revokes, evenly spread over the middle of the time."""
    parties = _parties(customers)
    with (
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.fixed_node"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as node,
        tempfile.TemporaryDirectory() as folder,
    ):
        if node.stdout is None or node.stdin is None:
            raise RuntimeError("no pipes")
        node_url = node.stdout.readline().strip()
        async with _a_place(Path(folder), node_url, parties, anvil=anvil) as place:
            requests = [_put_session(parties[n % customers], n) for n in range(int(rate * seconds))]
            mined: dict[int, float] = {}
            async with asyncio.TaskGroup() as group:
                loading = group.create_task(load(place.agent.proxy_url, requests=requests, rate=rate))
                mining = group.create_task(_watch_blocks(place.chain, mined))
                revoking = group.create_task(_revoke_all(place, seconds=seconds * 0.7))
                blocks_of = await revoking
                failures = (await loading).failures
                await asyncio.sleep(2.0)
                mining.cancel()
            status = await place.agent.status()
            stops = await _told_by_metrics(place.agent)
            owners = {party: actor.address.lower() for party, actor in place.customers.items()}
        revoked = _evaluate(AgentFiles(folder=Path(folder)), owners, blocks_of, mined)
        node.stdin.close()
        node.wait(10)
    return Outcome(
        revoked=revoked, failures=failures, states=status["deliveries"], stops=int(stops[0]), stop_seconds=stops[1]
    )


async def _told_by_metrics(agent: AgentProcess) -> tuple[float, float]:
    """Count and sum of the agent's own histogram."""
    async with aiohttp.ClientSession() as session, session.get(f"{agent.admin_url}/metrics") as answer:
        text = await answer.text()
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    count, total = (float(values[f"ocn_agent_revoke_to_stop_seconds_{what}"]) for what in ("count", "sum"))
    return count, total


async def _watch_blocks(chain: ChainClient, mined: dict[int, float]) -> None:
    """Note when each block was first seen, in Unix seconds."""
    while True:
        number = await chain.block_number()
        mined.setdefault(number, time.time())
        await asyncio.sleep(0.005)


async def _revoke_all(place: _Place, *, seconds: float) -> dict[Party, int]:
    """Block of each customer's revoke."""
    pause = seconds / len(place.customers)
    blocks: dict[Party, int] = {}

    async def one(party: Party, actor: Actor) -> None:
        blocks[party] = (await actor.revoke_agreement(place.provider)).block_number

    await asyncio.sleep(1.0)
    async with asyncio.TaskGroup() as group:
        for party, actor in place.customers.items():
            group.create_task(one(party, actor))
            await asyncio.sleep(pause)
    return blocks


def _evaluate(
    files: AgentFiles, owners: dict[Party, str], blocks_of: dict[Party, int], mined: dict[int, float]
) -> tuple[Revoked, ...]:
    processed = list(_processed(files.log))
    starts: dict[str, list[float]] = {}
    with closing(sqlite3.connect(files.store)) as connection:
        rows = connection.execute(
            "SELECT customer_address, started_at_us FROM attempts JOIN deliveries ON deliveries.id = delivery_id "
            "JOIN envelopes ON envelopes.id = envelope_id"
        )
        for address, started_at_us in rows:
            starts.setdefault(address, []).append(started_at_us / 1e6)
    revoked = []
    for party, block in blocks_of.items():
        seen = next(when for head, when in processed if head >= block)
        own = starts.get(owners[party], [])
        revoked.append(
            Revoked(
                mined=mined.get(block, seen),
                processed=seen,
                attempts=len(own),
                last_started=max(own, default=None),
                started_late=sum(start > seen for start in own),
            )
        )
    return tuple(revoked)


def _processed(log: Path) -> Iterator[tuple[int, float]]:
    """(head, Unix seconds) of each poll that brought events, as the agent told it."""
    for line in log.read_text().splitlines():
        fields: dict[str, Any] = json.loads(line) if line.startswith("{") else {}
        if fields.get("event") == "head.advanced":
            yield fields["head"], datetime.fromisoformat(fields["time"]).timestamp()


async def _main(customers: int, rate: float, seconds: float, *, anvil: bool) -> None:
    outcome = await measure(customers=customers, rate=rate, seconds=seconds, anvil=anvil)
    after = [max(0.0, (each.last_started or 0.0) - each.processed) for each in outcome.revoked]
    to_process = [each.processed - each.mined for each in outcome.revoked]
    to_last = [each.until_last_seconds for each in outcome.revoked]
    print(f"{customers} revokes, {rate:.0f} requests/s for {seconds:.0f} s, a block every second, polls every 0.25 s")
    print(
        f"attempts {sum(each.attempts for each in outcome.revoked)}, of these started after their revoke's block was "
        f"processed: {outcome.started_late}"
    )
    for what, values in (
        ("block mined → processed", to_process),
        ("block mined → last attempt started", to_last),
        ("block processed → last attempt started", after),
    ):
        p50, p99 = outcome.quantile(values, 0.5), outcome.quantile(values, 0.99)
        print(f"{what:40} p50 {p50 * 1000:7.1f} ms   p99 {p99 * 1000:7.1f} ms")
    if outcome.stops:
        mean = outcome.stop_seconds / outcome.stops * 1000
        print(
            f"block seen → nothing of it goes on, by the agent's own metric: {outcome.stops} times, mean {mean:.1f} ms"
        )
    print(f"requests that failed: {outcome.failures}; deliveries: {outcome.states}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=100)
    parser.add_argument("--rate", type=float, default=100.0)
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--anvil", action="store_true")
    given = parser.parse_args()
    asyncio.run(_main(given.customers, given.rate, given.seconds, anvil=given.anvil))
