"""extrawest-ocpi in a virtual environment of its own, since its pins fit nobody else's, and platforms made of it.

Installed once, by the committed lock, into .cache/venv/extrawest, which git ignores. Nothing of it is committed.
"""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.sandbox.parties.client import Invitation
from ocn_permission_agent.sandbox.serving import free_ports
from tests.npm_cache import alone_in

FOLDER = Path(__file__).parent
CACHE = FOLDER.parents[2] / ".cache" / "venv" / "extrawest"
_LIMIT_SECONDS = 90
_START_SECONDS = 30.0
_NEWEST_PYTHON = (3, 12)


class ExtrawestMissing(Exception):
    """It cannot be had on this machine."""


def install() -> Path:
    """Install it unless it is there; returns its interpreter.

    Raises:
        ExtrawestMissing: uv is not here, or it cannot be had for this Python.
    """
    if sys.version_info[:2] > _NEWEST_PYTHON:
        raise ExtrawestMissing("extrawest-ocpi brings a pydantic that Python 3.13 and later cannot run")
    lock = FOLDER / "requirements.txt"
    python, installed = CACHE / "env" / "bin" / "python", CACHE / "installed.txt"
    with alone_in(CACHE):
        if installed.exists() and installed.read_bytes() == lock.read_bytes():
            return python
        uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
        if uv is None:
            raise ExtrawestMissing("uv is not on this machine")
        made = [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(CACHE / "env")]
        filled = [uv, "pip", "install", "--quiet", "--python", str(python), "--require-hashes", "-r", str(lock)]
        try:
            for command in (made, filled):
                subprocess.run(command, check=True, capture_output=True, timeout=_LIMIT_SECONDS)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            raise ExtrawestMissing("uv cannot install extrawest-ocpi") from error
        shutil.copy(lock, installed)
    return python


class ExtrawestParty:
    """A running platform; what it is told to do goes to its ``/control``."""

    def __init__(self, party: Party, url: str, http: aiohttp.ClientSession) -> None:
        self.party = party
        self._url = url
        self._http = http

    async def register(self, invitation: Invitation) -> dict[str, Any]:
        """Go through the handshake; the endpoints and roles that the node told."""
        return await self._post("register", versions_url=invitation.versions_url, token_a=invitation.token_a)

    async def forget(self) -> None:
        """Have nothing and be registered nowhere."""
        await self._post("forget")

    async def keep(self, module: str, value: dict[str, Any]) -> None:
        """Have an object of its own."""
        await self._post("keep", module=module, object=value)

    async def send(self, method: str, module: str, path: str, *, to: Party, **more: Any) -> dict[str, Any]:
        """Send through the node; `object` is a body, `interface` the receiver's, `url` one that the node has given."""
        asked = {"interface": "RECEIVER", "correlation_id": f"{method}-{module}{path}", **more}
        return await self._post(
            "send", method=method, module=module, path=path, to=[to.country_code, to.party_id], **asked
        )

    async def kept(self) -> dict[str, Any]:
        """All objects by module and id."""
        async with self._http.get(f"{self._url}/control/kept") as answer:
            found: dict[str, Any] = await answer.json()
            return found

    async def _post(self, name: str, **asked: Any) -> dict[str, Any]:
        async with self._http.post(f"{self._url}/control/{name}", json=asked) as answer:
            assert answer.status == 200, (name, asked, await answer.text())
            told: dict[str, Any] = await answer.json() or {}
            return told

    async def until_up(self) -> None:
        """Wait until it listens."""
        async with asyncio.timeout(_START_SECONDS):
            while True:
                try:
                    await self.kept()
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.1)
                else:
                    return


@asynccontextmanager
async def extrawest_parties(roles: Mapping[Party, str]) -> AsyncIterator[tuple[ExtrawestParty, ...]]:
    """Run one for each party, of the role ``CPO`` or ``EMSP``."""
    python = await asyncio.to_thread(install)
    ports = free_ports(len(roles))
    processes = []
    try:
        for (party, role), port in zip(roles.items(), ports, strict=True):
            who = {"COUNTRY_CODE": party.country_code, "PARTY_ID": party.party_id, "PORT": str(port), "ROLE": role}
            command = (str(python), str(FOLDER / "party.py"))
            processes.append(await asyncio.create_subprocess_exec(*command, env=os.environ | who))
        async with aiohttp.ClientSession() as http:
            urls = (f"http://127.0.0.1:{port}" for port in ports)
            found = tuple(ExtrawestParty(party, url, http) for party, url in zip(roles, urls, strict=True))
            for platform in found:
                await platform.until_up()
            yield found
    finally:
        for process in processes:
            if process.returncode is None:
                process.terminate()
            await process.wait()
