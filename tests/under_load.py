"""Customers that never stop, a node that takes everything, and a service behind it that keeps what it gets."""

import asyncio
import json
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.sandbox.serving import Answer, Incoming, LoopbackServer
from ocn_permission_agent.sandbox.story.agent import AgentProcess
from ocn_permission_agent.sandbox.story.bare import a_bare_agent

CUSTOMER = Party("DE", "CPO")
ACCEPTED = b'{"status_code":1000,"timestamp":"2026-03-01T10:00:00Z"}'
DELIVERY = {"attempt_timeout_seconds": 2, "max_rate": 10_000, "max_in_flight": 32}
_HEADERS = {
    "Authorization": "Token under-load",
    "OCPI-from-country-code": CUSTOMER.country_code,
    "OCPI-from-party-id": CUSTOMER.party_id,
    "OCPI-to-country-code": "NL",
    "OCPI-to-party-id": "MSP",
    "Content-Type": "application/json",
}


def put_session(number: int) -> bytes:
    """A whole request of DE*CPO, for `benchmarks.load`."""
    body = b'{"id":"s%d"}' % number
    return (
        f"PUT /ocpi/receiver/2.2/sessions/DE/CPO/s{number} HTTP/1.1\r\nHost: node.example\r\n"
        f"Authorization: Token abc\r\nX-Request-ID: r{number}\r\nX-Correlation-ID: c{number}\r\n"
        "OCPI-from-country-code: DE\r\nOCPI-from-party-id: CPO\r\n"
        "OCPI-to-country-code: NL\r\nOCPI-to-party-id: MSP\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


class NodeAndService:
    """A node that accepts all it is told, and a service that appends charging periods and knows CDRs by their id."""

    def __init__(self) -> None:
        #: correlation ids of the customers' requests that were processed
        self.processed: list[str] = []
        #: (module, object id, body) as often as it was delivered
        self.delivered: Counter[tuple[str, str]] = Counter()
        self.cdrs: Counter[str] = Counter()
        self.sessions: dict[str, dict[str, Any]] = {}
        #: nobody is behind the node that takes messages
        self.away = False

    async def handle(self, incoming: Incoming) -> Answer:
        if incoming.raw_path == "/ocn/message":
            if self.away:
                return Answer(http_status=503)
            self._keep(json.loads(incoming.body))
        else:
            self.processed.append(incoming.headers["x-correlation-id"])
        return Answer(body=ACCEPTED)

    def _keep(self, message: dict[str, Any]) -> None:
        body = message["body"]
        if message["module"] == "CDRS":
            self.delivered["cdrs", body["id"]] += 1
            self.cdrs[body["id"]] += 1
            return
        name = message["url_path"].rpartition("/")[2]
        self.delivered["sessions", name] += 1
        if message["method"] == "PUT":
            self.sessions[name] = body
        else:
            session = self.sessions.setdefault(name, {"charging_periods": []})
            session["charging_periods"] = [*session["charging_periods"], *body["charging_periods"]]

    def periods(self, name: str) -> list[str]:
        return [period["start_date_time"] for period in self.sessions.get(name, {}).get("charging_periods", ())]


@dataclass
class Said:
    """What customers said and how it was answered."""

    #: correlation ids
    acknowledged: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    cdrs: list[str] = field(default_factory=list)
    #: session → starts of the periods that were acknowledged
    periods: dict[str, list[str]] = field(default_factory=dict)


class Customers:
    """Each sends a session of three requests and a CDR, and begins the next; a lost connection ends a story early."""

    def __init__(self, url: str, *, rate: float, count: int = 8) -> None:
        self.said = Said()
        #: set with each answer
        self.answered = asyncio.Event()
        self._url = url
        self._pause_seconds = count / rate
        self._count = count
        self._up = asyncio.Event()
        self._up.set()
        self._stopping = False
        self._number = 0

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(headers=_HEADERS) as http, asyncio.TaskGroup() as group:
            # by itself it would send again what found its connection closed, and hide that from us
            http._retry_connection = False
            for _ in range(self._count):
                group.create_task(self._send_on(http))
            try:
                yield
            finally:
                self._stopping = True
                self._up.set()

    def wait(self) -> None:
        """The agent is down: nobody needs to try."""
        self._up.clear()

    def go_on(self) -> None:
        self._up.set()

    async def _send_on(self, http: aiohttp.ClientSession) -> None:
        while not self._stopping:
            self._number += 1
            name = f"s{self._number}"
            path = f"/ocpi/receiver/2.2/sessions/DE/CPO/{name}"
            starts = [f"2026-03-01T{hour:02}:00:00Z" for hour in (10, 11, 12)]
            for number, start in enumerate(starts):
                method, body = "PATCH", dict[str, Any](charging_periods=[{"start_date_time": start}])
                if number == 0:
                    method, body = "PUT", {"id": name, **body}
                if not await self._ask(http, method, path, body, f"{name}-{number}"):
                    break
                self.said.periods.setdefault(name, []).append(start)
            else:
                cdr = {"id": f"cdr-{name}", "session_id": name}
                if await self._ask(http, "POST", "/ocpi/receiver/2.2/cdrs", cdr, f"cdr-{name}"):
                    self.said.cdrs.append(cdr["id"])

    async def _ask(
        self, http: aiohttp.ClientSession, method: str, path: str, body: Mapping[str, Any], correlation_id: str
    ) -> bool:
        await self._up.wait()
        headers = {"X-Request-ID": correlation_id, "X-Correlation-ID": correlation_id}
        try:
            async with http.request(
                method, self._url + path, json=body, headers=headers, timeout=aiohttp.ClientTimeout(30)
            ) as answer:
                await answer.read()
                accepted = answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            self.said.unanswered.append(correlation_id)
            await asyncio.sleep(self._pause_seconds)
            return False
        (self.said.acknowledged if accepted else self.said.refused).append(correlation_id)
        self.answered.set()
        await asyncio.sleep(self._pause_seconds)
        return accepted


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the store holds in the end."""

    correlation_ids: frozenset[str]
    #: of the ledger: (module, object id, correlation id, outcome) as often as it was entered
    entered: Counter[tuple[str, str, str, str]]
    #: of the ledger: gaps by correlation id
    gaps_entered: Counter[str]
    #: of the ledger: attempts by (module, object id), those of superseded copies left out: they were taken over
    attempts: Counter[tuple[str, str]]
    gaps: frozenset[str]
    gap_count: int
    #: by (module, object id): attempts whose end nobody saw
    unknown_attempts: Counter[tuple[str, str]]
    integrity: str


def recorded(store: Path) -> Recorded:
    with closing(sqlite3.connect(store)) as connection:

        def texts(sql: str) -> frozenset[str]:
            return frozenset(text for (text,) in connection.execute(sql))

        unknown: Counter[tuple[str, str]] = Counter()
        for module, name, count in connection.execute(
            "SELECT e.module, l.object_id, count(*) FROM attempts a JOIN deliveries d ON d.id = a.delivery_id "
            "JOIN envelopes e ON e.id = d.envelope_id JOIN lanes l ON l.id = d.lane_id "
            "WHERE a.verdict IS NOT 'accepted' GROUP BY 1, 2"
        ):
            unknown[module, name] = count
        entered: Counter[tuple[str, str, str, str]] = Counter()
        attempts: Counter[tuple[str, str]] = Counter()
        gaps_entered: Counter[str] = Counter()
        for (text,) in connection.execute("SELECT entry FROM ledger_entries"):
            entry = json.loads(text)
            if entry["outcome"].startswith("gap:"):
                gaps_entered[entry["correlation_id"]] += 1
                continue
            entered[entry["module"], entry["object_id"], entry["correlation_id"], entry["outcome"]] += 1
            if entry["outcome"] != "superseded":
                attempts[entry["module"], entry["object_id"]] += entry["attempts"]
        rows = texts("SELECT correlation_id FROM envelopes UNION SELECT correlation_id FROM duplicates")
        return Recorded(
            correlation_ids=rows | {correlation_id for _, _, correlation_id, _ in entered},
            entered=entered,
            gaps_entered=gaps_entered,
            attempts=attempts,
            gaps=texts("SELECT correlation_id FROM gaps WHERE correlation_id <> ''"),
            gap_count=connection.execute("SELECT coalesce(sum(count), 0) FROM gaps").fetchone()[0],
            unknown_attempts=unknown,
            integrity=connection.execute("PRAGMA integrity_check").fetchone()[0],
        )


@dataclass
class Field:
    """An agent under load."""

    agent: AgentProcess
    node: NodeAndService
    customers: Customers


@asynccontextmanager
async def a_field(
    folder: Path, *, rate: float, changed: Mapping[str, Mapping[str, Any]] | None = None
) -> AsyncIterator[Field]:
    node = NodeAndService()
    settings = {"delivery": DELIVERY}
    async with (
        LoopbackServer(node.handle) as server,
        a_bare_agent(
            folder=folder,
            node_url=server.url,
            customer=CUSTOMER,
            clock=SystemClock(),
            changed=settings | dict(changed or {}),
        ) as agent,
    ):
        yield Field(agent, node, Customers(agent.proxy_url, rate=rate))


@asynccontextmanager
async def locked(store: Path) -> AsyncIterator[None]:
    """Another program has begun to write and does not end."""
    with closing(sqlite3.connect(store, isolation_level=None, timeout=20, check_same_thread=False)) as other:
        await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def until_settled(agent: AgentProcess, *, seconds: float = 60) -> dict[str, Any]:
    """Wait until nothing is owed; the status then."""
    async with asyncio.timeout(seconds):
        while True:
            status = await agent.status_if_open()
            if status is not None and status["deliveries"]["pending"] == 0 and status["spool_bytes"] == 0:
                return status
            await asyncio.sleep(0.2)
