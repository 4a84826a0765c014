"""The command as an operator calls it: a process of its own."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

TOKEN = "a-token-of-enough-length"
CONFIG = """
[proxy]
listen = "127.0.0.1:0"
public_url = "https://node.example"
[node]
url = "http://127.0.0.1:8081"
[admin]
listen = "127.0.0.1:{admin_port}"
token_file = "token"
[operator]
key_file = "operator.key"
[chain]
network = "volta"
rpc_urls = ["http://127.0.0.1:1"]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    code: int
    out: str
    err: str


Calling = Callable[..., Awaitable[Finished]]


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    """A good configuration; nothing listens at its admin port."""
    file = tmp_path / "agent.toml"
    file.write_text(CONFIG.format(admin_port=1))
    (tmp_path / "operator.key").write_text("1f" * 32)
    (tmp_path / "operator.key").chmod(0o600)
    (tmp_path / "token").write_text(TOKEN)
    return file


@pytest.fixture
def calling(tmp_path: Path) -> Calling:
    async def call(*arguments: str | Path, stdout: int = asyncio.subprocess.PIPE, **environ: str) -> Finished:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "ocn_permission_agent",
            *map(str, arguments),
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[3]), "COLUMNS": "100"} | environ,
            stdout=stdout,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), timeout=30)
        assert process.returncode is not None
        encoding = environ.get("PYTHONIOENCODING", "utf-8")
        return Finished(code=process.returncode, out=(out or b"").decode(encoding), err=err.decode(encoding))

    return call
