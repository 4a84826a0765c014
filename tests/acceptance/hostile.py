"""The whole agent before a stand-in node, three customers that agreed to everything, and strangers that write bytes."""

import asyncio
import json
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.sandbox.parties.inbox import Received
from ocn_permission_agent.sandbox.story.world import CONFIRMATIONS, World, a_world

PREFIX = "ocn-v2"
OWN_PARTY = Party("CH", "OCN")
_PATIENCE_SECONDS = 90.0


@asynccontextmanager
async def a_watched_world(folder: Path, version: NodeVersion, **proxy: Any) -> AsyncIterator[World]:
    """DE*CPO, DE*CP2 and NL*MSP on node A agreed to everything with DE*BIL; the agent's loop has a heartbeat."""
    prefix = PREFIX if version is NodeVersion.V2 else ""
    node: dict[str, Any] = {"version": version.value}
    if version is NodeVersion.V2:
        node |= {"api_prefix": prefix, "own_party": str(OWN_PARTY)}
    changed = {
        "node": node,
        "proxy": proxy,
        "consent": {"copy_commands": ["DE*BIL"]},
        "delivery": {"max_rate": 10_000, "max_in_flight": 16, "keep_payload_hours": 24},
    }
    os.environ["HEARTBEAT_FILE"] = str(folder / "heartbeat")
    async with a_world(
        folder=folder,
        clock=SystemClock(),
        changed=changed,
        node_settings={name: {"version": version, "api_prefix": prefix} for name in ("A", "B")},
        emsp_at="A",
    ) as world:
        world.agent.module = "tests.watched_agent"
        await world.chain.set_mining("auto")
        await world.actor(world.billing).set_service("DE*BIL", "https://service.example", (0,))
        for customer in (world.cpo, world.other_cpo, world.emsp):
            receipt = await world.actor(customer).create_agreement(world.actor(world.billing).address)
        await world.chain.set_mining("interval", 0.5)
        await world.agent.stop()
        await world.agent.start()
        await until_status(world, lambda status: (status["chain"]["head"] or 0) >= receipt.block_number + CONFIRMATIONS)
        yield world


async def until_status(world: World, enough: Any) -> dict[str, Any]:
    deadline = world.clock.monotonic() + _PATIENCE_SECONDS
    while True:
        status = await world.agent.status_if_open()
        if status is not None and enough(status):
            return status
        assert world.clock.monotonic() < deadline, f"{status}\n{world.agent.last_words(3000)}"
        await world.clock.sleep(0.1)


async def until_settled(world: World) -> dict[str, Any]:
    return await until_status(world, lambda status: status["deliveries"]["pending"] == 0)


def heartbeat(folder: Path) -> dict[str, list[float]]:
    """After the agent has ended: the longest stretches without a beat, in milliseconds, longest first."""
    found: dict[str, list[float]] = json.loads((folder / "heartbeat").read_text())
    return found


async def metric(world: World, name: str) -> dict[str, float]:
    """Values of a counter by its labels as text."""
    async with aiohttp.ClientSession() as session, session.get(f"{world.agent.admin_url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    found = {}
    for line in lines:
        if line.startswith((f"ocn_agent_{name}{{", f"ocn_agent_{name} ")):
            labels, _, value = line.removeprefix(f"ocn_agent_{name}").rpartition(" ")
            found[labels] = float(value)
    return found


def routed(*inboxes: tuple[Received, ...]) -> dict[str, Received]:
    """What a node handed to the parties themselves, by correlation id."""
    return {each.headers["x-correlation-id"]: each for inbox in inboxes for each in inbox}


def envelopes(store: Path) -> dict[str, sqlite3.Row]:
    """What the agent recorded, by correlation id."""
    with closing(sqlite3.connect(store)) as connection:
        connection.row_factory = sqlite3.Row
        rows = connection.execute("SELECT * FROM envelopes").fetchall()
        duplicates = connection.execute("SELECT * FROM duplicates").fetchall()
    assert len({row["correlation_id"] for row in rows}) == len(rows)
    return {row["correlation_id"]: row for row in (*rows, *duplicates)}


def gaps(store: Path) -> set[str]:
    """Correlation ids of what was due, or may have been, and could not be copied."""
    with closing(sqlite3.connect(store)) as connection:
        return {name for (name,) in connection.execute("SELECT correlation_id FROM gaps")}


def unnamed_gaps(store: Path) -> int:
    """How many gaps are counted only, beyond the thousand of an hour and cause that are told one by one."""
    with closing(sqlite3.connect(store)) as connection:
        (count,) = connection.execute("SELECT coalesce(sum(count), 0) FROM gaps WHERE detailed = 0").fetchone()
    return int(count)


@dataclass
class Speaker:
    """Writes requests on a connection, and opens another whenever that one is closed."""

    address: tuple[str, int]
    reader: asyncio.StreamReader | None = None
    writer: asyncio.StreamWriter | None = None
    #: by correlation id
    statuses: dict[str, int] = field(default_factory=dict)
    lines: dict[str, bytes] = field(default_factory=dict)

    async def say(self, name: str, data: bytes) -> int:
        """The HTTP status of the answer; 0 where the connection ended without one."""
        try:
            async with asyncio.timeout(60):
                status, goes_on = await self._exchange(data)
        except (OSError, asyncio.IncompleteReadError):
            status, goes_on = 0, False
        if not goes_on:
            await self.close()
        self.statuses[name] = status
        self.lines[name] = data.partition(b"\r\n")[0]
        return status

    async def _exchange(self, data: bytes) -> tuple[int, bool]:
        if self.reader is None or self.writer is None:
            self.reader, self.writer = await asyncio.open_connection(*self.address)
        # The answer may come, and the connection end, before all is written.
        self.writer.write(data)
        head = await self.reader.readuntil(b"\r\n\r\n")
        while head.startswith(b"HTTP/1.1 100 "):
            head = await self.reader.readuntil(b"\r\n\r\n")
        status, lower = int(head.split()[1]), head.lower()
        bodiless = data.startswith(b"HEAD ") or status in (204, 304)
        if not bodiless and b"\r\ncontent-length: " in lower:
            await self.reader.readexactly(int(lower.partition(b"\r\ncontent-length: ")[2].split(b"\r\n")[0]))
        elif not bodiless:
            await self.reader.readuntil(b"0\r\n\r\n")
        return status, b"\r\nconnection: close" not in lower

    async def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None


def proxy_address(world: World) -> tuple[str, int]:
    parts = urlsplit(world.agent.proxy_url)
    return str(parts.hostname), int(parts.port or 0)
