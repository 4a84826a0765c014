"""A canary in the place of every secret, every kind of trouble we can make, and then a look everywhere."""

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from eth_account import Account

from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.sandbox.parties.behaviour import Behaviour
from ocn_permission_agent.sandbox.parties.client import Reply
from ocn_permission_agent.sandbox.parties.objects import a_cdr, a_session
from ocn_permission_agent.sandbox.serving import Answer, Incoming, LoopbackServer
from ocn_permission_agent.sandbox.story.world import CONFIRMATIONS, World, a_world
from tests.acceptance.hostile import Speaker, proxy_address, until_status

SERVICE_TOKEN = "canary-of-the-service-" + secrets.token_hex(8)
PASSWORD = "canary of the keystore/" + secrets.token_hex(8)
RPC_USER, RPC_PASSWORD = "canary-rpc-user", "canary-rpc-password-" + secrets.token_hex(8)
RPC_PATH, RPC_QUERY = "canary-rpc-path-" + secrets.token_hex(8), "canary-rpc-query-" + secrets.token_hex(8)
DATABASE_PASSWORD = "canary-database-" + secrets.token_hex(8)
STRANGERS_TOKEN = "canary-stranger-" + secrets.token_hex(8)
SIGNATURE = "canary-signature-" + secrets.token_hex(30)


@dataclass
class Echo:
    """A service, and an RPC endpoint, that repeat in their answers all that they were sent."""

    asked: int = 0
    #: nobody gets an answer until it is set
    answers: asyncio.Event = field(default_factory=asyncio.Event)

    async def service(self, incoming: Incoming) -> Answer:
        self.asked += 1
        await self.answers.wait()
        return Answer(http_status=500, body=self._said(incoming, status_code=2001))

    async def endpoint(self, incoming: Incoming) -> Answer:
        self.asked += 1
        calls = json.loads(incoming.body)
        error = {"code": -32000, "message": self._said(incoming).decode()}
        return Answer(
            body=json.dumps([{"jsonrpc": "2.0", "id": call["id"], "error": error} for call in calls]).encode()
        )

    def _said(self, incoming: Incoming, **members: object) -> bytes:
        said = f"{incoming.headers.get('authorization')} at {incoming.raw_path}?{incoming.raw_query}"
        return json.dumps({**members, "status_message": f"who are you, {said}?"}).encode()


def spelled(secret: str) -> set[bytes]:
    """A secret in every form in which it travels."""
    encoded = b64encode(secret.encode()).decode().rstrip("=")
    return {text.encode() for text in (secret, encoded, quote(secret, safe=""), secret.upper(), secret.encode().hex())}


def with_canaries(world: World, echo_url: str) -> None:
    """The configuration, with a keystore, and RPC endpoints that are reached with secrets."""
    files = world.agent.files
    key = files.operator_key.read_text().strip().removeprefix("0x")
    files.operator_key.write_text(json.dumps(Account.encrypt(bytes.fromhex(key), PASSWORD, kdf="pbkdf2", iterations=2)))
    password = files.folder / "keystore.password"
    password.write_text(PASSWORD)
    known = f"{RPC_USER}:{RPC_PASSWORD}@"
    rest = f"/{RPC_PATH}?key={RPC_QUERY}"
    urls = [
        world.rpc_url.replace("http://", f"http://{known}") + rest,
        echo_url.replace("http://", f"http://{known}") + rest,
    ]
    lines = []
    for line in files.config.read_text().splitlines():
        if line.startswith("key_file"):
            lines += [line, f"password_file = {json.dumps(str(password))}"]
        else:
            lines.append(f"rpc_urls = {json.dumps(urls)}" if line.startswith("rpc_urls") else line)
    files.config.write_text("\n".join(lines))


@pytest.mark.timeout(600)
async def test_no_secret_is_found_anywhere(tmp_path: Path) -> None:
    (tmp_path / "service.token").write_text(SERVICE_TOKEN)
    echo = Echo()
    async with LoopbackServer(echo.service) as service, LoopbackServer(echo.endpoint) as endpoint:
        keys = {"url": f"{service.url}/ocpi", "token_file": "service.token", "token_style": "base64"}
        changed: dict[str, Mapping[str, Any]] = {
            'delivery.services."DE*BIL"': keys,
            "log": {"format": "json", "level": "debug"},
            "proxy": {"body_limit_bytes": 4096, "buffer_total_bytes": 4096},
        }
        async with a_world(folder=tmp_path, clock=SystemClock(), changed=changed, emsp_at="A") as world:
            await _agree(world)
            canaries = _canaries(world)
            (tmp_path / "leaks").write_text("\n".join(_leaks(canaries)))
            with_canaries(world, endpoint.url)
            await world.agent.stop()
            os.environ["LEAKS"] = str(tmp_path / "leaks")
            world.agent.module = "tests.leaky_agent"
            await world.agent.start()
            shown = await _trouble(world, echo)
            (tmp_path / "leaks").unlink()
            assert await world.agent.stop() == 0
    assert echo.asked > 10
    shown |= left_behind(tmp_path)
    assert {"agent.log", "agent.db", "agent.db.intents"} <= shown.keys()
    assert b"[redacted]" in shown["agent.log"], "the secrets were there to be redacted"
    found = [
        (name, where, content[max(0, content.find(form) - 60) :][:60])
        for name, secret in canaries.items()
        for form in spelled(secret)
        for where, content in shown.items()
        if form in content
    ]
    assert not found, "\n".join(map(str, found))


def left_behind(folder: Path) -> dict[str, bytes]:
    """Log, database, spool and notes."""
    return {path.name: path.read_bytes() for path in folder.glob("agent.*") if path.suffix != ".toml"}


async def _agree(world: World) -> None:
    await world.chain.set_mining("auto")
    await world.actor(world.billing).set_service("DE*BIL", "https://service.example", (0,))
    receipt = await world.actor(world.cpo).create_agreement(world.actor(world.billing).address)
    await world.chain.set_mining("interval", 0.5)
    await until_status(world, lambda status: (status["chain"]["head"] or 0) >= receipt.block_number + CONFIRMATIONS)


def _canaries(world: World) -> dict[str, str]:
    return {
        "operator key": world.agent.files.operator_key.read_text().strip().removeprefix("0x"),
        "keystore password": PASSWORD,
        "customer's token": world.cpo.connection.token_c,
        "another platform's token": world.emsp.connection.token_c,
        "token of nobody": STRANGERS_TOKEN,
        "service's token": SERVICE_TOKEN,
        "admin token": world.agent.files.admin_token.read_text().strip(),
        "rpc password": RPC_PASSWORD,
        "rpc user and password": f"{RPC_USER}:{RPC_PASSWORD}",
        "rpc key in the path": RPC_PATH,
        "rpc key in the query": RPC_QUERY,
        "database password": DATABASE_PASSWORD,
        "signature": SIGNATURE,
    }


def _leaks(canaries: dict[str, str]) -> list[str]:
    """What a careless library or a bug might say: secrets of ours in any words, those of others in their headers."""
    ours = [secret for name, secret in canaries.items() if "token of nobody" not in name and "platform" not in name]
    unknown = {canaries["customer's token"], SIGNATURE, DATABASE_PASSWORD}
    lines = [f"got {form.decode()} here" for secret in ours if secret not in unknown for form in spelled(secret)
             if form not in (secret.encode().hex().encode(),)]  # fmt: skip
    for token in (canaries["customer's token"], STRANGERS_TOKEN, b64encode(STRANGERS_TOKEN.encode()).decode()):
        lines += [
            f"Authorization: Token {token}",
            f"{{'Authorization': 'Token {token}'}}",
            f"b'authorization: token {token}'",
        ]
    return [*lines, f"postgresql://agent:{DATABASE_PASSWORD}@db/agent refused"]


# --- trouble ------------------------------------------------------------------------------------------------------


async def _trouble(world: World, echo: Echo) -> dict[str, bytes]:
    """All the ways to go wrong while it runs; what was shown to people and programs meanwhile."""
    cpo, emsp = world.cpo, world.emsp.party
    speaker = Speaker(proxy_address(world))
    silence = await _nobody_answers(world, echo)
    answers = [reply.body for reply in await _said_well_and_badly(world)]
    for number, data in enumerate(_malformed(world)):
        await speaker.say(f"m{number}", data)
    await world.nodes["A"].down()
    answers.append((await cpo.put_session(a_session(cpo.party, "s3"), to=emsp)).body)
    await world.nodes["A"].up()
    async with asyncio.timeout(30):
        while echo.asked < 12:  # noqa: ASYNC110  it counts for the whole of a test
            await asyncio.sleep(0.1)
    assert world.agent.process_id is not None
    os.kill(world.agent.process_id, signal.SIGUSR1)
    await asyncio.sleep(1.0)
    shown = await _admin(world)
    await world.actor(world.cpo).revoke_agreement(world.actor(world.billing).address)
    await speaker.close()
    return shown | {
        "answers": b"".join(answers),
        "silence": silence,
        "command line": await asyncio.to_thread(_command_line, world),
    }


async def _nobody_answers(world: World, echo: Echo) -> bytes:
    """A service and a node that take what they are sent and say nothing; what the customers get from that."""
    cpo, emsp = world.cpo, world.emsp.party
    await cpo.post_cdr(a_cdr(cpo.party, "c-hanging"), to=emsp)
    world.emsp.behave(Behaviour.HANGS)
    reply = await cpo.put_session(a_session(cpo.party, "s-hanging"), to=emsp)
    assert (reply.http_status, b"4002" in reply.body) == (504, True)
    world.emsp.behave(Behaviour.PROPER)
    log = world.agent.files.log
    async with asyncio.timeout(30):
        while '"verdict":"unknown_outcome"' not in await asyncio.to_thread(log.read_text):  # noqa: ASYNC110  a file
            await asyncio.sleep(0.1)
    echo.answers.set()
    return reply.body


async def _said_well_and_badly(world: World) -> list[Reply]:
    cpo, emsp = world.cpo, world.emsp.party
    signed = {"OCN-Signature": SIGNATURE}
    path = "/ocpi/receiver/2.2/sessions/DE/CPO/s9"
    replies = [
        await cpo.put_session(a_session(cpo.party, "s1"), to=emsp),
        await cpo.post_cdr(a_cdr(cpo.party, "c1"), to=emsp),
        await cpo.send(
            "PUT", path, a_session(cpo.party, "s9"), to=emsp, headers={"Authorization": "Token " + STRANGERS_TOKEN}
        ),
        await cpo.send("PUT", path, b"{" * 20_000, to=emsp),
        await cpo.send("PUT", path, b"{" * 3_000, to=emsp, headers=signed),
        await cpo.send("PUT", "/ocpi/receiver/2.2//sessions/DE/CPO/s9", b"{}", to=emsp, headers=signed),
        await cpo.send("GET", "/ocpi/versions", to=emsp, headers={"Authorization": STRANGERS_TOKEN}),
    ]
    for behaviour in Behaviour:
        if behaviour not in (Behaviour.PROPER, Behaviour.HANGS):
            world.emsp.behave(behaviour)
            replies.append(await cpo.put_session(a_session(cpo.party, f"b-{behaviour.name}"), to=emsp))
    world.emsp.behave(Behaviour.PROPER)
    return replies


def _malformed(world: World) -> list[bytes]:
    tokens = [world.cpo.connection.authorization, f"Token {STRANGERS_TOKEN}"]
    heads = [f"Host: x\r\nAuthorization: {token}\r\nOCN-Signature: {SIGNATURE}\r\n".encode() for token in tokens]
    shapes = []
    for head in heads:
        put = b"PUT /ocpi/receiver/2.2/sessions/DE/CPO/s1 HTTP/1.1\r\n" + head
        shapes += [
            put + b"Content-Length: x\r\n\r\n",
            put + head + b"\r\n",
            put + b"Authorization: other\r\n\r\n",
            put + b"No colon\r\n\r\n",
            put + b"X: " + b"v" * 20_000 + b"\r\n\r\n",
            put.replace(b"\r\n", b"\n") + b"\n",
            put + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
            put + b"Content-Length: 9999999\r\n\r\n",
            head + b"\r\n",
            b"PUT " + head + b"\r\n",
            b"PUT /" + head.split(b"\r\n")[1].replace(b" ", b"_") + b"\x01 HTTP/1.1\r\n\r\n",
        ]
    return shapes


_PAGES = (
    *("/livez", "/readyz", "/metrics", "/", "/favicon.ico", "/api/v1/status", "/api/v1/services", "/api/v1/agreements"),
    *("/api/v1/parties", "/api/v1/stops", "/api/v1/decisions", "/api/v1/deliveries", "/api/v1/nothing"),
    *(
        "/api/v1/deliveries?state=x",
        "/api/v1/deliveries/1",
        "/api/v1/explain?correlation_id=x",
        "/api/v1/parties/DE*CPO",
    ),
)


async def _admin(world: World) -> dict[str, bytes]:
    """Every page, with and without the token, and requests that are no HTTP."""
    token = world.agent.files.admin_token.read_text().strip()
    shown: dict[str, bytes] = {}
    for headers in ({"Authorization": f"Bearer {token}"}, {"Authorization": f"Bearer {STRANGERS_TOKEN}"}, {}):
        async with aiohttp.ClientSession(headers=headers) as session:
            for page in _PAGES:
                async with session.get(world.agent.admin_url + page) as answer:
                    shown[f"{page} {len(headers)} {answer.status}"] = await answer.read()
    host, port = world.agent.admin_url.removeprefix("http://").split(":")
    speaker = Speaker((host, int(port)))
    for number, data in enumerate(
        (b"GET / HTTP/1.1\r\nNo colon %b\r\n\r\n", b"%b\r\n\r\n", b"GET /%b HTTP/9.9\r\n\r\n")
    ):
        await speaker.say(str(number), data % f"Authorization: Bearer {token}".encode())
    await speaker.close()
    return shown


def _command_line(world: World) -> bytes:
    config = str(world.agent.files.config)
    commands = (["status"], ["deliveries", "list"], ["check-config"])
    said = b""
    for command in commands:
        words = [sys.executable, "-m", "ocn_permission_agent", *command, "--config", config]
        done = subprocess.run(words, capture_output=True, check=False, timeout=60)
        said += done.stdout + done.stderr
    return said
