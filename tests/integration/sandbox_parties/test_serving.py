"""A loopback server keeps its port while it is down."""

import socket

import aiohttp
import pytest
from yarl import URL

from ocn_permission_agent.sandbox.serving import Answer, Incoming, LoopbackServer


async def echo(incoming: Incoming) -> Answer:
    return Answer(
        body=f"{incoming.method} {incoming.raw_path} ? {incoming.raw_query}".encode(), content_type="text/plain"
    )


async def test_path_and_query_come_in_as_they_were_sent() -> None:
    async with LoopbackServer(echo) as server, aiohttp.ClientSession() as session:
        url = URL(f"{server.url}/a%2Fb//c?d=%20e", encoded=True)
        async with session.get(url) as reply:
            assert await reply.text() == "GET /a%2Fb//c ? d=%20e"


async def test_server_that_is_down_refuses_and_keeps_its_port() -> None:
    async with LoopbackServer(echo) as server:
        await server.down()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port))
        with pytest.raises(OSError, match="in use"), socket.socket() as other:
            other.bind(("127.0.0.1", server.port))
        await server.up()
        socket.create_connection(("127.0.0.1", server.port)).close()


async def test_port_of_somebody_else_is_not_taken() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(OSError, match="in use"):
            LoopbackServer(echo, port=other.getsockname()[1])
