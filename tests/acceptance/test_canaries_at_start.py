"""A canary in the place of every secret, and a start that goes wrong because of it, or because nobody answers."""

import asyncio
import json
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from eth_account import Account

from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.sandbox.chain.actors import Contracts
from ocn_permission_agent.sandbox.story.agent import AgentFiles, AgentProcess
from ocn_permission_agent.sandbox.story.world import agent_process
from tests.acceptance.test_canaries import spelled

KEY = secrets.token_hex(32)
KEYSTORE_PASSWORD = "canary of the keystore/" + secrets.token_hex(8)
NO_KEY = "canary-no-key-" + secrets.token_hex(8)
TLS_KEY = "canary-tls-key-" + secrets.token_hex(8)
DATABASE_PASSWORD = "canary-database-" + secrets.token_hex(8)
NODE_PASSWORD = "canary-node-" + secrets.token_hex(8)
RPC_PASSWORD, RPC_PATH = "canary-rpc-" + secrets.token_hex(8), "canary-rpc-path-" + secrets.token_hex(8)
CANARIES = (KEY, KEYSTORE_PASSWORD, NO_KEY, TLS_KEY, DATABASE_PASSWORD, NODE_PASSWORD, RPC_PASSWORD, RPC_PATH)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What is wrong, by the environment, and what is said about it."""

    environment: dict[str, str]
    says: tuple[str, ...]

    def is_told(self, said: bytes) -> bool:
        return all(each.encode() in said for each in self.says)


@asynccontextmanager
async def hanging() -> AsyncIterator[tuple[int, list[bytes]]]:
    """A port where everybody is let in and nobody gets an answer, and what was said there."""
    heard: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(65_536):
            heard.append(piece)
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], heard


def file_of(folder: Path, name: str, content: str) -> str:
    path = folder / name
    path.write_text(content)
    return str(path)


def starts(folder: Path, port: int) -> dict[str, Start]:
    """Each with what can be wrong at one time; whoever should answer at the port never does."""
    keystore = json.dumps(Account.encrypt(bytes.fromhex(KEY), KEYSTORE_PASSWORD, kdf="pbkdf2", iterations=2))
    certificate = file_of(folder, "certificate.pem", f"-----BEGIN CERTIFICATE-----\n{TLS_KEY}")
    database = f"postgresql://agent:{DATABASE_PASSWORD}@127.0.0.1"
    spool = {"OCN_AGENT_STORE_SPOOL_FOLDER": str(folder)}
    rpc = f"http://agent:{RPC_PASSWORD}@127.0.0.1:{port}/{RPC_PATH}"
    return {
        "a database that never answers": Start(
            environment={"OCN_AGENT_STORE_URL": f"{database}:{port}/agent", **spool},
            says=("PostgreSQL did not answer in time", "agent.started"),
        ),
        "an RPC endpoint that never answers": Start(
            environment={"OCN_AGENT_CHAIN_RPC_URLS": rpc},
            says=('"reason":"no answer in time"', "agent.started"),
        ),
        "keys and URLs that are none": Start(
            environment={
                "OCN_AGENT_OPERATOR_KEY_FILE": file_of(folder, "no.key", NO_KEY),
                "OCN_AGENT_NODE_URL": f"http://agent:{NODE_PASSWORD}@127.0.0.1",
                "OCN_AGENT_CHAIN_RPC_URLS": f"http://agent:{RPC_PASSWORD}@[/{RPC_PATH}",
                "OCN_AGENT_STORE_URL": f"postgresql://agent:{DATABASE_PASSWORD}@127.0.0.1",
            },
            says=("operator.key", "node.url", "chain.rpc_urls", "must name a database"),
        ),
        "a keystore with another password": Start(
            environment={
                "OCN_AGENT_OPERATOR_KEY_FILE": file_of(folder, "keystore", keystore),
                "OCN_AGENT_OPERATOR_PASSWORD": KEYSTORE_PASSWORD + "x",
            },
            says=("wrong password",),
        ),
        "a TLS key that is none": Start(
            environment={
                "OCN_AGENT_PROXY_TLS_CERTIFICATE_FILE": certificate,
                "OCN_AGENT_PROXY_TLS_KEY_FILE": file_of(folder, "key.pem", f"-----BEGIN PRIVATE KEY-----\n{TLS_KEY}"),
            },
            says=("no certificate and key in PEM form",),
        ),
        "a TLS key that cannot be read": Start(
            environment={
                "OCN_AGENT_PROXY_TLS_CERTIFICATE_FILE": certificate,
                "OCN_AGENT_PROXY_TLS_KEY_FILE": str(folder),
            },
            says=("cannot be read",),
        ),
        "a database port that is none": Start(
            environment={"OCN_AGENT_STORE_URL": f"{database}:{DATABASE_PASSWORD}/agent", **spool},
            says=("store.url cannot be used",),
        ),
    }


def left_by(folder: Path) -> dict[str, bytes]:
    """The files beside the stores of all agents."""
    return {str(path): path.read_bytes() for path in folder.glob("agent-*/agent.*") if path.suffix != ".toml"}


def an_agent(folder: Path) -> AgentProcess:
    """Not started; in a folder of its own."""
    folder.mkdir()
    return agent_process(
        AgentFiles(folder=folder),
        contracts=Contracts(registry="0x" + "11" * 20, permissions="0x" + "22" * 20, chain_id=246, block_number=0),
        rpc_url="http://127.0.0.1:1",
        node_url="http://127.0.0.1:1",
        operator_key=KEY,
        admin_token="a-token-of-sixteen",
        changed={"log": {"format": "json", "level": "debug"}},
        clock=SystemClock(),
    )


async def said_by(agent: AgentProcess, start: Start, turn: asyncio.Semaphore) -> bytes:
    """All that it says until it has ended by itself, or has said what is wrong and was told to end."""
    async with turn:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ocn_permission_agent", "run", "--config", str(agent.files.config)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ | start.environment,
        )
        assert process.stdout is not None
        said = b""
        async for line in process.stdout:
            said += line
            if start.is_told(said) and b"agent.started" in said and process.returncode is None:
                process.terminate()
        await process.wait()
    return said


async def test_no_secret_is_shown_by_a_start_that_goes_wrong(tmp_path: Path) -> None:
    turn = asyncio.Semaphore(5)  # the first two do nothing but wait
    async with hanging() as (port, heard), asyncio.TaskGroup() as group:
        wrong = starts(tmp_path, port)
        running = {
            name: group.create_task(said_by(an_agent(tmp_path / f"agent-{number}"), start, turn))
            for number, (name, start) in enumerate(wrong.items())
        }
    said = {name: task.result() for name, task in running.items()}
    for name, start in wrong.items():
        assert start.is_told(said[name]), f"{name}: {said[name].decode()}"
        assert b"Traceback" not in said[name], f"{name}: {said[name].decode()}"
    assert any(b"POST /" in piece for piece in heard), "the RPC endpoint was never asked"
    left = left_by(tmp_path)
    assert left
    found = [
        (canary, where) for canary in CANARIES for form in spelled(canary) for where, text in (said | left).items()
        if form in text
    ]  # fmt: skip
    assert not found, "\n".join(map(str, found))
