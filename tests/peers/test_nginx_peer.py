"""The proxy between two real nginx, TLS on every way: the same with and without it, byte by byte.

::

    platform ══ nginx ══ proxy ══ nginx ── node        and        platform ══ nginx ══════════ nginx ── node
"""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
import uvloop
from hypothesis import HealthCheck, given, settings

from ocn_permission_agent.proxy.settings import NodeSettings, TlsFiles
from ocn_permission_agent.sandbox.serving import free_ports
from tests.integration.proxy.differential import Exchange, assert_same, customers
from tests.integration.proxy.house import SETTINGS, a_house, a_put
from tests.integration.proxy.messages import Answer, exchanges
from tests.integration.proxy.wire import OK_BODY, RawNode, line_to, listening, read_reply
from tests.peers.nginx import nginx

#: what nginx would change by itself is switched off where it can be
_COMMON = """
  ssl_certificate {folder}/chain.pem;
  ssl_certificate_key {folder}/key.pem;
  ssl_protocols TLSv1.2 TLSv1.3;
  proxy_ssl_trusted_certificate {folder}/ca.pem;
  proxy_ssl_verify on;
  proxy_ssl_name localhost;
  proxy_ssl_server_name on;
  proxy_http_version 1.1;
  proxy_set_header Host $http_host;
  proxy_set_header Connection "";
  proxy_buffering off;
  proxy_pass_header Server;
  proxy_pass_header Date;
  ignore_invalid_headers off;
  underscores_in_headers on;
  client_max_body_size 0;
  merge_slashes off;
"""
_SERVER = """
  server {{
    listen 127.0.0.1:{port} ssl;
    location / {{
      proxy_set_header Host $http_host;
      proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_pass https://127.0.0.1:{upstream};
    }}
  }}
"""
_BEHIND = """
  server {{
    listen 127.0.0.1:{behind} ssl;
    location / {{ proxy_pass http://127.0.0.1:{node}; }}
  }}
"""


class Between:
    """The proxy between two nginx."""

    def __init__(
        self, runner: asyncio.Runner, node: RawNode, tls: ssl.SSLContext, *, through: int, direct: int
    ) -> None:
        self.runner = runner
        self.node = node
        self.tls = tls
        self.through = through
        self.direct = direct

    def compare(self, pieces: list[bytes], answer: Answer) -> bool:
        """Whether nginx let the request pass at all; if not, it is refused alike."""
        return self.runner.run(self._compare(b"".join(pieces), answer))

    async def _compare(self, request: bytes, answer: Answer) -> bool:
        # nginx 1.22 takes an interim reply of its upstream for the final one
        self.node.script, self.node.closes = lambda _: answer.data, answer.closes
        found = []
        for port in (self.direct, self.through):
            self.node.seen.clear()
            async with line_to(("127.0.0.1", port), self.tls) as line, asyncio.timeout(20):
                line.writer.write(request)
                reply = await read_reply(line.reader, request.split(b" ", 1)[0].decode())
            reply.head = as_nginx_passes(reply.head)
            found.append((customers(self.node), reply))
        (direct, reply_directly), (through, reply_through) = found
        if not direct:
            assert through == []
            assert reply_through.request_line == reply_directly.request_line
            return False
        assert_same(
            Exchange(through[0], reply_through), Exchange(direct[0], reply_directly), scheme=b"https", next_to=False
        )
        return True


def as_nginx_passes(head: bytes) -> bytes:
    """Without what nginx itself changes: it adds the time, and drops a header of a reply whose value is empty."""
    kept = []
    for line in head.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if not (colon and (name.lower() == b"date" or not value.strip())):
            kept.append(line)
    return b"\r\n".join(kept)


@pytest.fixture(scope="module")
def between(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Between]:
    folder = tmp_path_factory.mktemp("nginx")
    ca = trustme.CA()
    issued = ca.issue_cert("localhost", "127.0.0.1")
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))
    issued.cert_chain_pems[0].write_to_path(str(folder / "chain.pem"))
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    tls = ssl.create_default_context(cafile=folder / "ca.pem")
    opened = AsyncExitStack()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            yield runner.run(_open(opened, runner, folder, tls))
        finally:
            runner.run(opened.aclose())


async def _open(opened: AsyncExitStack, runner: asyncio.Runner, folder: Path, tls: ssl.SSLContext) -> Between:
    through, direct, behind = free_ports(3)
    common = _COMMON.format(folder=folder)
    node = await opened.enter_async_context(listening(RawNode()))
    content = common + _BEHIND.format(behind=behind, node=node.port)
    await opened.enter_async_context(nginx(folder / "behind", content, port=behind))
    house = await opened.enter_async_context(
        a_house(
            settings=replace(SETTINGS, tls=TlsFiles(certificate=folder / "chain.pem", key=folder / "key.pem")),
            node_settings=NodeSettings(url=f"https://127.0.0.1:{behind}", ca_file=folder / "ca.pem"),
        )
    )
    content = common + _SERVER.format(port=direct, upstream=behind)
    content += _SERVER.format(port=through, upstream=house.address[1])
    await opened.enter_async_context(nginx(folder / "front", content, port=through))
    return Between(runner, node, tls, through=through, direct=direct)


@pytest.mark.parametrize(
    "request_bytes",
    [
        a_put(extra=b"X-Odd: caf\xe9\r\nX-Twice: 1\r\nx-twice: 2\r\nX_Under: 3\r\n"),
        a_put(b"5\r\nabcde\r\n0\r\n\r\n", framing=b"Transfer-Encoding: chunked\r\n"),
        a_put(b"x" * 500_000, path="/ocn-v2/ocpi/receiver/2.2.1/sessions/DE/CPO/a%20%C3%A4%2f+1?x=a+b&&"),
        a_put(b"", method="HEAD", framing=b""),
    ],
)
def test_ordinary_exchanges_reach_the_node_alike(between: Between, request_bytes: bytes) -> None:
    body = b"" if request_bytes.startswith(b"HEAD") else OK_BODY
    head = b"HTTP/1.1 200 \r\nContent-Length: %d\r\nLink: <x>; rel=next\r\nX-Odd: \xe9\r\n\r\n" % len(OK_BODY)
    assert between.compare([request_bytes], Answer(interim=b"", data=head + body, closes=False))


@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(exchanges())
def test_any_exchange_between_two_nginx_is_the_same(between: Between, drawn: tuple[list[bytes], Answer]) -> None:
    between.compare(*drawn)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@settings(max_examples=3_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(exchanges())
def test_three_thousand_exchanges_between_two_nginx(between: Between, drawn: tuple[list[bytes], Answer]) -> None:
    between.compare(*drawn)
