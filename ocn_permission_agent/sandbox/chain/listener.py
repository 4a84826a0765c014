"""HTTP on the loopback interface in front of one chain, and its miner. Both run in the same event loop."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from aiohttp import web

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.sandbox.chain.chain import Chain
from ocn_permission_agent.sandbox.chain.rpc import Mining, MiningPlan, Rpc

LOOPBACK = "127.0.0.1"
BODY_LIMIT_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainSettings:
    """What a chain is started with.

    Addresses are 0x text, amounts wei; `port` 0 takes any free port of 127.0.0.1.
    """

    chain_id: int
    accounts: Mapping[str, int]
    mining: Mining
    interval_seconds: float
    port: int


class Listener:
    """Serves one chain; an async context manager whose inside runs while it serves."""

    def __init__(self, settings: ChainSettings, *, clock: Clock) -> None:
        self._settings = settings
        self._plan = MiningPlan(mining=settings.mining, interval_seconds=settings.interval_seconds)
        self._plan_changed = asyncio.Event()
        self._chain = Chain(
            chain_id=settings.chain_id,
            accounts={bytes.fromhex(address[2:]): wei for address, wei in settings.accounts.items()},
            now=lambda: int(clock.now().timestamp()),
        )
        self._rpc = Rpc(self._chain, self._plan, self._plan_changed.set)
        self._stack = AsyncExitStack()
        self.url = ""

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            runner = web.ServerRunner(web.Server(self._handle), handle_signals=False, shutdown_timeout=0.2)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            site = web.TCPSite(runner, LOOPBACK, self._settings.port)
            await site.start()
            host, port = runner.addresses[0][:2]
            self.url = f"http://{host}:{port}"
            group = await stack.enter_async_context(asyncio.TaskGroup())
            miner = group.create_task(self._mine_on_time(), name="sandbox-chain-miner")
            stack.callback(miner.cancel)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        if request.method != "POST":
            return web.Response(status=405, text="JSON-RPC by POST only\n")
        if (request.content_length or 0) > BODY_LIMIT_BYTES:
            return web.Response(status=413, text="request too large\n")
        answer = self._rpc.answer(await request.content.read())
        if answer is None:
            return web.Response(status=204)
        return web.Response(body=answer, content_type="application/json")

    async def _mine_on_time(self) -> None:
        """A block every interval while the plan says so; a changed plan counts at once."""
        while True:
            pause = self._plan.interval_seconds if self._plan.mining is Mining.INTERVAL else None
            self._plan_changed.clear()
            try:
                async with asyncio.timeout(pause):
                    await self._plan_changed.wait()
            except TimeoutError:
                self._chain.mine()
