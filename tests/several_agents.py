"""Several whole agents on one PostgreSQL, customers that speak to any of them, and services that keep what they get.

What a customer says about one object it says in order, waiting for each answer, and each time to an agent of its
choice: so the order that services see is the order over all agents.
"""

import asyncio
import json
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.sandbox.serving import Answer, Incoming, LoopbackServer
from ocn_permission_agent.sandbox.story.agent import AgentProcess
from ocn_permission_agent.sandbox.story.bare import bare_agents
from tests.under_load import ACCEPTED, CUSTOMER, DELIVERY

PUBLIC_URL = "http://agents.example"
_HEADERS = {
    "Authorization": "Token under-load",
    "OCPI-from-country-code": CUSTOMER.country_code,
    "OCPI-from-party-id": CUSTOMER.party_id,
    "OCPI-to-country-code": "NL",
    "OCPI-to-party-id": "MSP",
    "Content-Type": "application/json",
}
#: requests about one session: a PUT and then PATCHes, each with a charging period
STEPS = 8


class NodeAndServices:
    """A node that accepts all it is told; behind it services that append charging periods and know CDRs by their id."""

    def __init__(self) -> None:
        #: deliveries by (service, "sessions" or "cdrs")
        self.delivered: Counter[tuple[str, str]] = Counter()
        #: (service, CDR) as often as it came
        self.cdrs: Counter[tuple[str, str]] = Counter()
        #: (service, session): the steps that are in it, as they came
        self.steps: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        #: (service, session, step) that came after a later one
        self.breaks: list[tuple[str, str, int]] = []

    async def handle(self, incoming: Incoming) -> Answer:
        if incoming.raw_path == "/ocn/message":
            self._keep(json.loads(incoming.body))
        return Answer(body=ACCEPTED)

    def _keep(self, message: dict[str, Any]) -> None:
        body, service = message["body"], message["headers"]["receiver"]["party_id"]
        if message["module"] == "CDRS":
            self.delivered[service, "cdrs"] += 1
            self.cdrs[service, body["id"]] += 1
            return
        self.delivered[service, "sessions"] += 1
        name = message["url_path"].rpartition("/")[2]
        known, said = self.steps[service, name], [period["step"] for period in body["charging_periods"]]
        if message["method"] == "PUT":
            # A PUT is the session as a whole: it may say again what was said, and must not be without it.
            self.breaks += [(service, name, step) for step in set(known) - set(said)]
            known[:] = said
        else:
            self.breaks += [(service, name, step) for step in said if known and step < max(known)]
            known += said


@dataclass
class Said:
    """What customers said and was acknowledged."""

    correlation_ids: list[str] = field(default_factory=list)
    cdrs: list[str] = field(default_factory=list)
    #: session → steps
    steps: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    unanswered: int = 0


class Customers:
    """Each says a session, step by step, and its CDR, and begins the next; no answer ends a story early."""

    def __init__(self, urls: Sequence[str], *, rate: float, count: int, chance: random.Random) -> None:
        self.said = Said()
        self.up = set(urls)
        self._chance = chance
        self._count = count
        self._pause_seconds = count / rate
        self._stopping = False
        self._number = 0
        self._answered = asyncio.Event()

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(headers=_HEADERS) as http, asyncio.TaskGroup() as group:
            http._retry_connection = False  # nothing is said twice behind our back
            for _ in range(self._count):
                group.create_task(self._send_on(http))
            try:
                yield
            finally:
                self._stopping = True

    async def go_on(self, requests: int) -> None:
        """Wait until so many more were acknowledged."""
        wanted = len(self.said.correlation_ids) + requests
        while len(self.said.correlation_ids) < wanted:
            self._answered.clear()
            await self._answered.wait()

    async def _send_on(self, http: aiohttp.ClientSession) -> None:
        while not self._stopping:
            self._number += 1
            name = f"s{self._number}"
            path = f"/ocpi/receiver/2.2/sessions/DE/CPO/{name}"
            for step in range(STEPS):
                body: dict[str, Any] = {"charging_periods": [{"step": step}]}
                if step == 0:
                    body["id"] = name
                if not await self._ask(http, "PATCH" if step else "PUT", path, body, f"{name}-{step}"):
                    break
                self.said.steps[name].append(step)
            else:
                cdr = {"id": f"cdr-{name}", "session_id": name}
                if await self._ask(http, "POST", "/ocpi/receiver/2.2/cdrs", cdr, f"cdr-{name}"):
                    self.said.cdrs.append(cdr["id"])

    async def _ask(
        self, http: aiohttp.ClientSession, method: str, path: str, body: Mapping[str, Any], correlation_id: str
    ) -> bool:
        url = self._chance.choice(sorted(self.up))
        headers = {"X-Request-ID": correlation_id, "X-Correlation-ID": correlation_id}
        try:
            async with http.request(
                method, url + path, json=body, headers=headers, timeout=aiohttp.ClientTimeout(30)
            ) as answer:
                await answer.read()
                accepted = answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            self.said.unanswered += 1
            accepted = False
        if accepted:
            self.said.correlation_ids.append(correlation_id)
            self._answered.set()
        await asyncio.sleep(self._pause_seconds * self._chance.uniform(0.5, 1.5))
        return accepted


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the store holds in the end."""

    correlation_ids: frozenset[str]
    gaps: frozenset[str]
    #: (service, CDR): attempts whose end nobody saw
    unknown_attempts: Counter[tuple[str, str]]
    waiting: int


async def recorded(url: str) -> Recorded:
    connection = await asyncpg.connect(url)
    try:
        known = await connection.fetch(
            "SELECT correlation_id FROM envelopes UNION SELECT correlation_id FROM duplicates"
        )
        gaps = await connection.fetch("SELECT correlation_id FROM gaps WHERE correlation_id <> ''")
        unknown = await connection.fetch(
            "SELECT s.provider, l.object_id, count(*) AS n FROM attempts a JOIN deliveries d ON d.id = a.delivery_id "
            "JOIN lanes l ON l.id = d.lane_id JOIN scopes s ON s.id = d.scope_id "
            "WHERE a.verdict IS DISTINCT FROM 'accepted' GROUP BY 1, 2"
        )
        waiting = await connection.fetchval("SELECT count(*) FROM gathered")
    finally:
        await connection.close()
    return Recorded(
        correlation_ids=frozenset(row["correlation_id"] for row in known),
        gaps=frozenset(row["correlation_id"] for row in gaps),
        unknown_attempts=Counter({(row["provider"].partition("*")[2], row["object_id"]): row["n"] for row in unknown}),
        waiting=waiting,
    )


@dataclass
class Fleet:
    """Agents under load."""

    agents: tuple[AgentProcess, ...]
    node: NodeAndServices
    customers: Customers
    services: int

    async def kill(self, agent: AgentProcess) -> None:
        """SIGKILL, while customers still speak to it; another one must be left."""
        await agent.kill()
        self.customers.up.discard(agent.proxy_url)

    async def start(self, agent: AgentProcess) -> None:
        await agent.start()
        self.customers.up.add(agent.proxy_url)

    async def until_settled(self, *, seconds: float = 120, agents: Sequence[AgentProcess] = ()) -> None:
        """Wait until nothing is owed and nothing waits anywhere, at some agents or all."""
        await self.until(_settled, seconds=seconds, agents=agents)

    async def until(
        self, holds: Callable[[dict[str, Any]], bool], *, seconds: float = 60, agents: Sequence[AgentProcess] = ()
    ) -> None:
        """Wait until the status of every agent, or of some, is such."""
        async with asyncio.timeout(seconds):
            while True:
                found = [await agent.status_if_open() for agent in agents or self.agents]
                if all(status is not None and holds(status) for status in found):
                    return
                await asyncio.sleep(0.1)


def _settled(status: dict[str, Any]) -> bool:
    return bool(status["deliveries"]["pending"] == 0 and status["spool_bytes"] == 0 and status["gathered"] == 0)


@asynccontextmanager
async def a_fleet(
    folder: Path,
    store_url: str,
    *,
    rate: float,
    customers: int = 12,
    agents: int = 3,
    services: int = 1,
    seed: int = 4711,
) -> AsyncIterator[Fleet]:
    node, folders = NodeAndServices(), [folder / f"agent{number}" for number in range(agents)]
    for each in folders:
        each.mkdir()
    async with (
        LoopbackServer(node.handle) as server,
        bare_agents(
            folders=folders,
            node_url=server.url,
            customer=CUSTOMER,
            clock=SystemClock(),
            public_url=PUBLIC_URL,
            changed={"delivery": DELIVERY},
            store_url=store_url,
            services=services,
        ) as started,
    ):
        urls = [agent.proxy_url for agent in started]
        chance = random.Random(seed)  # noqa: S311  a dice
        yield Fleet(started, node, Customers(urls, rate=rate, count=customers, chance=chance), services)


def judge(fleet: Fleet, kept: Recorded) -> int:
    """Nothing lost, nothing twice without a reason, nothing out of order; how many copies were delivered."""
    said, node = fleet.customers.said, fleet.node
    lost = set(said.correlation_ids) - kept.correlation_ids
    assert not lost, f"{len(lost)} acknowledged requests were not recorded: {sorted(lost)[:5]}"
    assert kept.waiting == 0
    assert not node.breaks, f"{len(node.breaks)} copies came after a later one: {node.breaks[:5]}"

    services = sorted({service for service, _ in node.delivered})
    assert len(services) == fleet.services
    for service in services:
        missing = [cdr for cdr in said.cdrs if not node.cdrs[service, cdr]]
        assert not missing, f"{service} never got {missing[:5]}"
        for name, steps in said.steps.items():
            arrived = node.steps[service, name]
            assert not set(steps) - set(arrived), f"{service} lacks steps of {name}: {arrived}"
            assert len(arrived) == len(set(arrived)), f"{service} got steps of {name} twice: {arrived}"
    again = {key: count - 1 for key, count in node.cdrs.items() if count > 1}
    unexplained = {key: count for key, count in again.items() if kept.unknown_attempts[key] < count}
    assert not unexplained, f"came again without an attempt of which nobody saw the end: {unexplained}"
    return sum(node.delivered.values())
