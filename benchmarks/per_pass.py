"""What a request that passes through costs step by step, in one thread that nobody disturbs.

    python -m benchmarks.per_pass

A session PUT of 1.5 kB that nobody is owed a copy of, and an answer to it, on the short way (`proxy/short_way.py`).
Not in it: the system calls and the event loop, which are the rest of what `python -m benchmarks --only pass` tells.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import structlog
import uvloop
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpRequestParser, RawRequestMessage

from benchmarks.beside_nginx import put_session
from benchmarks.figures import Figure, table
from benchmarks.nginx import REPLY
from benchmarks.per_message import an_index
from ocn_permission_agent import logs
from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.consent.index import ConsentIndex
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.net.wire import WireConnection, WireTimes
from ocn_permission_agent.ocpi.route import find_route
from ocn_permission_agent.outbox.gaps import GapBook
from ocn_permission_agent.outbox.intents import Intents
from ocn_permission_agent.outbox.model import CopyPlan
from ocn_permission_agent.proxy.copier import Copier
from ocn_permission_agent.proxy.headers import Limits, read_head, request_head
from ocn_permission_agent.proxy.intake import Intake
from ocn_permission_agent.proxy.passage import Passages
from ocn_permission_agent.proxy.relay import head_of
from ocn_permission_agent.proxy.settings import NodeSettings, ProxySettings

_ROUNDS = 5
_CALLS = 10_000
_HOST, _PEER = b"127.0.0.1:8081", "127.0.0.1"
_ANSWER = (
    "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Thu, 26 Nov 2026 17:00:00 GMT\r\nContent-Type: application/json\r\n"
    f"Content-Length: {len(REPLY)}\r\nConnection: keep-alive\r\n\r\n{REPLY}"
).encode()


class _View:
    """An index of a hundred customers; the sender is none of them."""

    index: ConsentIndex = an_index()


class _NoStore:
    """Nothing is recorded here."""

    can_record = True

    async def record(self, plan: CopyPlan) -> int:
        raise NotImplementedError(str(plan))


class _Mute(asyncio.Transport):
    """Takes everything and says nothing."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        pass

    def is_closing(self) -> bool:
        return False


def _microseconds(step: Callable[[], object]) -> tuple[float, ...]:
    found = []
    for _ in range(_ROUNDS):
        began = time.process_time()
        for _ in range(_CALLS):
            step()
        found.append((time.process_time() - began) / _CALLS * 1e6)
    return tuple(found)


def _parser() -> HttpRequestParser:
    """As `web.RequestHandler` makes it for `GuardedConnection`."""
    loop = asyncio.get_running_loop()
    return HttpRequestParser(
        BaseProtocol(loop), loop, 2**18, max_line_size=8192, max_field_size=16384, max_headers=400,
        auto_decompress=False, max_msg_queue_size=32,
    )  # fmt: skip


async def _main() -> list[Figure]:
    logs.configure(logs.LogSettings())
    clock, metrics, log = SystemClock(), Metrics(), structlog.get_logger().bind()
    parser, request = _parser(), put_session(0, 1)

    def parse() -> RawRequestMessage:
        ((message, _),) = parser.feed_data(request)[0]
        parser.message_consumed()
        return cast("RawRequestMessage", message)

    message = parse()
    limits = Limits(headers=100, url_bytes=8192)

    def read() -> object:
        return read_head(
            method=message.method, target=message.path, http_minor=1, raw_headers=message.raw_headers, limits=limits
        )

    copier = Copier(
        view=_View(), recorder=_NoStore(), gaps=GapBook(clock=clock, metrics=metrics, log=log, journal=_no_intents()),
        intents=_no_intents(), node=NodeSettings(url=""), settings=ProxySettings(), clock=clock, metrics=metrics,
    )  # fmt: skip
    intake = Intake(settings=ProxySettings(), node=NodeSettings(url=""), node_host=_HOST, copier=copier)
    asked = intake.read(
        method=message.method, target=message.path, version=(1, 1), raw_headers=message.raw_headers, peer=_PEER
    )
    head, route = asked.head, find_route(message.method, message.path)
    connection = WireConnection(times=WireTimes(answer=60.0, body_idle=60.0))
    connection.connection_made(_Mute())

    def hear() -> object:
        connection.begin("PUT")
        connection.when_answered(lambda: None, 60.0)
        connection.data_received(_ANSWER)
        return connection.outcome()

    hear()
    reply = connection.outcome()
    passages = Passages(clock=clock, metrics=metrics, log=log)

    def tell() -> None:
        passage = passages.begin("PUT")
        passage.asked, passage.status = asked, 200
        passages.sent(passage)
        passages.answered(passage)
        passages.end(passage)

    steps: dict[str, Callable[[], object]] = {
        "parse the request (aiohttp's llhttp)": parse,
        "read its head, refuse what is odd": read,
        "find the route": lambda: find_route(message.method, message.path),
        "ask for consent": lambda: copier.candidate(method="PUT", query="", read=head.read, route=route),
        "write the head for the node": lambda: request_head(
            head, node_host=_HOST, preserve_host=True, peer=_PEER, scheme=b"http"
        ),
        "hear the node's answer (httptools' llhttp)": hear,
        "write its head for the platform": lambda: head_of(reply, method="PUT", client_is_old=False, keep_alive=True),
        "count and tell": tell,
    }
    return [Figure(name=name, unit="µs", rounds=_microseconds(step)) for name, step in steps.items()]


def _no_intents() -> Intents:
    return Intents(Path("nowhere"))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(table(runner.run(_main())))
