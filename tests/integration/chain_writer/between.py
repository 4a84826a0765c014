"""A JSON-RPC endpoint before a real one, whose answers a test changes; takes single requests and batches."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
from aiohttp import web

Item = dict[str, Any]


@dataclass(kw_only=True)
class Between:
    """`change` sees every request with its answer, and gives what is answered; None cuts the connection.

    `first` is run once, before the first request of a method is handed on.
    """

    url: str = ""
    first: dict[str, Callable[[], Awaitable[object]]] = field(default_factory=dict)
    change: Callable[[Item, Item], Item | None] = field(default=lambda _, answer: answer)
    asked: list[Item] = field(default_factory=list)

    def methods(self) -> list[str]:
        return [request["method"] for request in self.asked]


@asynccontextmanager
async def between(behind: str) -> AsyncIterator[Between]:
    """Serve on loopback until the block ends."""
    state = Between()
    async with aiohttp.ClientSession() as session:

        async def answer(request: web.BaseRequest) -> web.Response:
            text = await request.read()
            asked = orjson.loads(text)
            many = isinstance(asked, list)
            requests = asked if many else [asked]
            state.asked += requests
            for method in {one["method"] for one in requests} & set(state.first):
                await state.first.pop(method)()
            async with session.post(behind, data=text) as reply:
                answered = orjson.loads(await reply.read())
            answers = answered if many else [answered]
            changed = [state.change(one, other) for one, other in zip(requests, answers, strict=True)]
            if None in changed:
                assert request.transport is not None
                request.transport.abort()
                return web.Response(status=500)
            return web.Response(body=orjson.dumps(changed if many else changed[0]))

        runner = web.ServerRunner(web.Server(answer))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        state.url = f"http://{host}:{port}/a-secret-key-in-the-path"
        try:
            yield state
        finally:
            await runner.cleanup()
