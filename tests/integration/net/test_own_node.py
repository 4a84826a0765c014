"""Requests of ours to the own node: what is sent, and what comes back as a value."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.net.answer import ANSWER_LIMIT_BYTES, Answer, NoAnswer, Sent
from ocn_permission_agent.net.own import OwnNode

HEADERS = {"X-Request-ID": "r-1", "OCN-Signature": "00ff", "Content-Type": "application/json"}
BODY = b'{"a":1}'


class Peer:
    """Keeps requests and answers each with the next of the given bytes; with none left it closes the connection."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = 0
        self.asked = asyncio.Semaphore(0)
        self.ended = asyncio.Semaphore(0)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or b"0")
                self.requests.append(head + await reader.readexactly(length))
                self.asked.release()
                writer.write(self.answers.pop(0))
        except (asyncio.IncompleteReadError, ConnectionError, IndexError):
            pass
        finally:
            writer.close()
            self.ended.release()


@asynccontextmanager
async def a_node(peer: Peer) -> AsyncIterator[tuple[OwnNode, str]]:
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    peer.port = server.sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{peer.port}"
    async with server:
        async with OwnNode(url=url, clock=SystemClock()) as node:
            yield node, url
        for _ in range(peer.connections):
            await peer.ended.acquire()


def an_answer(body: bytes = b"ok", *, status: str = "200 OK", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


async def post(node: OwnNode, url: str, **changed: Any) -> Answer | NoAnswer:
    given: dict[str, Any] = {"headers": HEADERS, "body": BODY, "timeout_seconds": 5.0} | changed
    return await node.request("POST", url, **given)


async def test_exactly_what_was_given_is_sent_over_one_connection() -> None:
    peer = Peer(an_answer(headers="Retry-After: 7\r\nX-Other: 1\r\n"), an_answer(status="404 Not Found"))
    async with a_node(peer) as (node, url):
        first = await post(node, url + "/ocn/message?a=b")
        second = await node.get(url + "/ocn/registry/nodes", timeout_seconds=5.0)
    assert first == Answer(status=200, headers={"retry-after": "7"}, body=b"ok")
    assert isinstance(second, Answer)
    assert (second.status, peer.connections) == (404, 1)
    assert peer.requests == [
        f"POST /ocn/message?a=b HTTP/1.1\r\nHost: 127.0.0.1:{peer.port}\r\nX-Request-ID: r-1\r\nOCN-Signature: 00ff\r\n"
        'Content-Type: application/json\r\nContent-Length: 7\r\n\r\n{"a":1}'.encode(),
        f"GET /ocn/registry/nodes HTTP/1.1\r\nHost: 127.0.0.1:{peer.port}\r\n\r\n".encode(),
    ]


async def test_redirect_is_followed_once_and_only_by_a_slash() -> None:
    slash = an_answer(status="308 Permanent Redirect", headers="Location: /ocn/message/\r\n")
    elsewhere = an_answer(status="308 Permanent Redirect", headers="Location: http://192.0.2.1/ocn/message/\r\n")
    see_other = an_answer(status="303 See Other", headers="Location: /ocn/message/\r\n")
    peer = Peer(slash, an_answer(), slash, slash, elsewhere, see_other)
    async with a_node(peer) as (node, url):
        answers = [await post(node, url + "/ocn/message") for _ in range(4)]
    assert [answer.status for answer in answers if isinstance(answer, Answer)] == [200, 308, 308, 303]
    assert [request.split()[1] for request in peer.requests] == [
        b"/ocn/message", b"/ocn/message/", b"/ocn/message", b"/ocn/message/", b"/ocn/message", b"/ocn/message",
    ]  # fmt: skip


async def test_a_long_answer_is_cut_and_its_connection_not_used_again() -> None:
    peer = Peer(an_answer(b"x" * (16 * ANSWER_LIMIT_BYTES)), an_answer())
    async with a_node(peer) as (node, url):
        answer = await post(node, url + "/ocn/message")
        await post(node, url + "/ocn/message")
    assert answer == Answer(status=200, headers={}, body=b"x" * ANSWER_LIMIT_BYTES, cut=True)
    assert peer.connections == 2


async def test_a_coding_that_nobody_asked_for_is_undone_and_a_broken_one_is_left() -> None:
    coded = "Content-Encoding: gzip\r\n"
    peer = Peer(an_answer(gzip.compress(b"plain"), headers=coded), an_answer(b"no gzip", headers=coded))
    async with a_node(peer) as (node, url):
        answers = [await post(node, url + "/ocn/message") for _ in range(2)]
    assert [answer.body for answer in answers if isinstance(answer, Answer)] == [b"plain", b"no gzip"]


@pytest.mark.parametrize("answers", [(), (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",), (b"junk\r\n\r\n",)])
async def test_nobody_knows_what_became_of_a_request_whose_answer_is_cut(answers: tuple[bytes, ...]) -> None:
    peer = Peer(*answers)
    async with a_node(peer) as (node, url):
        answer = await post(node, url + "/ocn/message", timeout_seconds=0.2)
    assert isinstance(answer, NoAnswer)
    assert (answer.sent, len(peer.requests)) == (Sent.MAYBE, 1)


async def test_a_connection_that_the_node_closed_costs_no_second_request() -> None:
    peer = Peer(an_answer())
    async with a_node(peer) as (node, url):
        await post(node, url + "/ocn/message")
        answer = await post(node, url + "/ocn/message")
    assert isinstance(answer, NoAnswer)
    assert (answer.sent, len(peer.requests)) == (Sent.MAYBE, 2)


async def test_a_node_that_is_not_there_has_got_nothing() -> None:
    async with a_node(Peer()) as (node, url):
        pass
    answer = await post(node, url + "/ocn/message")
    assert isinstance(answer, NoAnswer)
    assert answer.sent is Sent.NO


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/ocn/message", {"X-Request-ID": "r\r\nX-Other: 1"}),
        ("/ocn/message", {"X-Request-ID\n": "r"}),
        ("/ocn/message", {"X-Request-ID": "€"}),
        ("/ocn/a b", {}),
        ("/ocn/ä", {}),
        ("/ocn\r\nX: 1", {}),
        (".evil.example/ocn/message", {}),
    ],
)
async def test_what_cannot_be_said_in_http_and_other_hosts_are_not_sent(path: str, headers: dict[str, str]) -> None:
    peer = Peer(an_answer())
    async with a_node(peer) as (node, url):
        answer = await post(node, url + path, headers=headers)
    assert isinstance(answer, NoAnswer)
    assert (answer.sent, peer.requests) == (Sent.NO, [])


_SLASH = an_answer(b"", status="307 Moved", headers="Location: /ocn/message/\r\n")


@pytest.mark.parametrize(
    "answers",
    [(b"",), (b"HTTP/1.1 200 OK\r\nContent-Le",), (an_answer(b"ok")[:-1],), (_SLASH, b""), (_SLASH, an_answer()[:-1])],
    ids=["silence", "half a head", "half a body", "silence after a redirect", "half a body after a redirect"],
)
async def test_time_out_counts_the_whole_call(answers: tuple[bytes, ...]) -> None:
    peer = Peer(*answers)
    async with a_node(peer) as (node, url):
        answer = await post(node, url + "/ocn/message", timeout_seconds=0.05)
    assert answer == NoAnswer(sent=Sent.MAYBE, detail="no complete answer within 0.05 s")


async def test_a_node_that_does_not_read_is_given_up_in_time() -> None:
    over = asyncio.Event()

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, limit=1024) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with OwnNode(url=url, clock=SystemClock()) as node:
            answer = await post(node, url + "/ocn/message", body=bytes(64 * 1024 * 1024), timeout_seconds=0.05)
        over.set()
    assert answer == NoAnswer(sent=Sent.MAYBE, detail="no complete answer within 0.05 s")


async def test_who_waits_for_room_in_vain_has_sent_nothing() -> None:
    peer = Peer(*[b""] * 64)
    async with a_node(peer) as (node, url), asyncio.TaskGroup() as group:
        waiting = [group.create_task(post(node, url + "/ocn/message")) for _ in range(64)]
        for _ in range(64):
            await peer.asked.acquire()
        late = await post(node, url + "/ocn/message", timeout_seconds=0.05)
        for task in waiting:
            task.cancel()
    assert late == NoAnswer(sent=Sent.NO, detail="no complete answer within 0.05 s")
    assert len(peer.requests) == 64
