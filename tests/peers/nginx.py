"""nginx as operators run it, as one process of its own, with its configuration and all its files in a folder."""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.peers.presence import missing

_START_SECONDS = 10.0
_FRAME = """
daemon off;
master_process off;
error_log {folder}/error.log;
pid {folder}/nginx.pid;
events {{ worker_connections 2048; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
{content}
}}
"""


@asynccontextmanager
async def nginx(folder: Path, content: str, *, port: int) -> AsyncIterator[None]:
    """Run it.

    Args:
        folder: must not exist.
        content: of its ``http`` block.
        port: on which it listens, to know when it is there.
    """
    binary = find()
    configuration = _configured(folder, content)
    command = [binary, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(configuration)]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    try:
        async with asyncio.timeout(_START_SECONDS):
            while not _listens(port):
                assert process.returncode is None, _last_words(folder)
                await asyncio.sleep(0.02)
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def _configured(folder: Path, content: str) -> Path:
    folder.mkdir()
    configuration = folder / "nginx.conf"
    configuration.write_text(_FRAME.format(folder=folder, content=content))
    return configuration


def _last_words(folder: Path) -> str:
    return (folder / "error.log").read_text()


def find() -> str:
    """Its path; Debian puts it where ordinary people's PATH does not lead."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    return found or missing("nginx is not on this machine")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
