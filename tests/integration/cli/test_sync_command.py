"""`sync` as a process of its own: what it tells, and that a kill costs it one range."""

import asyncio
import json
import os
import pty
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.sandbox.story.agent import AgentFiles
from ocn_permission_agent.sandbox.story.world import agent_process
from tests.chain_fixtures import WALLETS, Deployment, chain_client, deployed, sandbox_chain  # noqa: F401
from tests.faulty_rpc import Faults, faulty_rpc

BLOCKS = 450


@dataclass(frozen=True, kw_only=True)
class Place:
    files: AgentFiles
    faults: Faults

    async def start(self, *, stderr: int = asyncio.subprocess.PIPE) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "ocn_permission_agent",
            "sync",
            "--config",
            str(self.files.config),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
        )


@pytest.fixture
async def place(deployed: Deployment, tmp_path: Path) -> AsyncIterator[Place]:  # noqa: F811
    async with faulty_rpc(deployed.url) as rpc:
        agent = agent_process(
            AgentFiles(folder=tmp_path),
            contracts=deployed.contracts,
            rpc_url=rpc.url,
            node_url="http://127.0.0.1:9",
            operator_key=WALLETS["operator"].key.hex(),
            admin_token="a-token-of-sixteen",
            changed={},
            clock=SystemClock(),
        )
        await deployed.actor("operator").set_node(agent.proxy_url)
        await deployed.client.mine(BLOCKS)
        rpc.faults.widest = 30
        yield Place(files=agent.files, faults=rpc.faults)


def committed(line: bytes) -> dict[str, Any] | None:
    """The fields of a line that tells of a range."""
    fields: dict[str, Any] = json.loads(line) if line.startswith(b"{") else {}
    return fields if fields.get("event") == "range.committed" else None


async def test_a_kill_in_the_middle_costs_one_range_and_the_rest_is_read_by_the_next_run(place: Place) -> None:
    place.faults.slow_seconds = 0.1
    killed = await place.start()
    assert killed.stderr is not None
    seen: list[int] = []
    async with asyncio.timeout(60):
        while len(seen) < 2:
            line = await killed.stderr.readline()
            assert line, "it ended by itself"
            told = committed(line)
            if told is not None:
                seen.append(told["scanned_to"])
    killed.kill()
    await killed.communicate()
    assert seen[-1] < BLOCKS - 256, "it was killed before it came to the newest blocks"

    place.faults.slow_seconds = 0.0
    again = await place.start()
    out, err = await asyncio.wait_for(again.communicate(), timeout=60)
    assert again.returncode == 0, err
    ranges = [told for line in err.splitlines() if (told := committed(line)) is not None]
    assert ranges[0]["scanned_to"] > seen[-1]
    assert ranges[-1]["scanned_to"] == ranges[-1]["until"] >= BLOCKS
    assert b"The chain is read" in out


async def test_a_terminal_gets_a_bar_and_no_lines(place: Place) -> None:
    ours, its = pty.openpty()
    try:
        process = await place.start(stderr=its)
        out, _ = await asyncio.wait_for(process.communicate(), timeout=60)
    finally:
        os.close(its)
    shown = os.read(ours, 65_536).decode(errors="replace")
    os.close(ours)
    assert process.returncode == 0, shown
    assert "blocks" in shown
    assert "range.committed" not in shown
    assert b"The chain is read" in out
