"""The agent as the demo runs it: a process of its own, so that it can be killed for real."""

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from ocn_permission_agent.clock import Clock

#: until the proxy listens; generous, because machines are shared
READY_LIMIT_SECONDS = 60.0
STOP_LIMIT_SECONDS = 30.0
_POLL_SECONDS = 0.05


class AgentFailed(Exception):
    """The agent's process ended, or did not get ready; its last words are in the message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentFiles:
    """What the agent is started with and what it leaves behind, all in one folder."""

    folder: Path

    @property
    def config(self) -> Path:
        """``agent.toml``."""
        return self.folder / "agent.toml"

    @property
    def store(self) -> Path:
        """The SQLite file."""
        return self.folder / "agent.db"

    @property
    def log(self) -> Path:
        """Standard error of every run, one after the other."""
        return self.folder / "agent.log"

    @property
    def operator_key(self) -> Path:
        """Hex."""
        return self.folder / "operator.key"

    @property
    def admin_token(self) -> Path:
        """The bearer token of the admin listener."""
        return self.folder / "admin.token"


class AgentProcess:
    """``ocn-permission-agent run``, started, killed and started again on the same files.

    Args:
        files: with the configuration written.
        proxy_url: where it will proxy.
        admin_url: where its admin listener will be.
        clock: paces waiting.
    """

    def __init__(self, files: AgentFiles, *, proxy_url: str, admin_url: str, clock: Clock) -> None:
        self.files = files
        self.proxy_url = proxy_url
        self.admin_url = admin_url
        #: what is run; tests of faults run the agent with something broken
        self.module = "ocn_permission_agent"
        self._clock = clock
        self._process: asyncio.subprocess.Process | None = None

    @property
    def process_id(self) -> int | None:
        """Of the running process."""
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Start it and wait until the proxy listens.

        Raises:
            AgentFailed: it ended, or was not ready in time.
        """
        with self.files.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                self.module,
                "run",
                "--config",
                str(self.files.config),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={name: value for name, value in os.environ.items() if not name.startswith("OCN_AGENT_")},
            )
        deadline = self._clock.monotonic() + READY_LIMIT_SECONDS
        while not await self.ready():
            if self._process.returncode is not None:
                raise AgentFailed(f"the agent ended with {self._process.returncode}: {self.last_words()}")
            if self._clock.monotonic() > deadline:
                raise AgentFailed(f"the agent was not ready within {READY_LIMIT_SECONDS:.0f} s: {self.last_words()}")
            await self._clock.sleep(_POLL_SECONDS)

    async def kill(self) -> None:
        """SIGKILL: no farewell, no flush."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def ended(self) -> None:
        """Wait until it has ended, however that came about."""
        if self._process is not None:
            await self._process.wait()

    async def stop(self) -> int:
        """SIGTERM, and SIGKILL if that takes too long; the exit code."""
        process = self._process
        if process is None:
            return 0
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(STOP_LIMIT_SECONDS):
                    await process.wait()
            except TimeoutError:
                await self.kill()
        return process.returncode or 0

    async def status(self) -> dict[str, Any]:
        """What ``/api/v1/status`` says.

        Raises:
            aiohttp.ClientError: the agent does not answer.
        """
        token = self.files.admin_token.read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(f"{self.admin_url}/api/v1/status") as answer,
        ):
            answer.raise_for_status()
            found: dict[str, Any] = json.loads(await answer.read())
            return found

    async def status_if_open(self) -> dict[str, Any] | None:
        """As `status`; None right after a start, while the store is not open yet."""
        try:
            return await self.status()
        except aiohttp.ClientResponseError:
            return None

    async def ready(self) -> bool:
        """Whether ``/readyz`` says so."""
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{self.admin_url}/readyz") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    def last_words(self, most: int = 600) -> str:
        """The end of its log, at most so many characters."""
        return self.files.log.read_text(errors="replace")[-most:].strip()


def write_config(files: AgentFiles, values: dict[str, dict[str, Any]]) -> None:
    """Write ``agent.toml`` from sections of plain values (text, numbers, booleans, lists of text)."""
    lines: list[str] = []
    for section, keys in values.items():
        lines.append(f"[{section}]")
        lines += [f"{name} = {json.dumps(value)}" for name, value in keys.items()]
        lines.append("")
    files.config.write_text("\n".join(lines))
