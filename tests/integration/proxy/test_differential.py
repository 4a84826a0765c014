"""Any request and any reply, with and without the proxy in between, byte by byte (see differential.py)."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings

from tests.integration.proxy.differential import assert_same, exchanged
from tests.integration.proxy.house import Consent, House, a_house
from tests.integration.proxy.messages import Answer, exchanges
from tests.integration.proxy.wire import RawNode


class Bench:
    """A house that stands for all examples, on the event loop of the real agent."""

    def __init__(self, runner: asyncio.Runner, house: House) -> None:
        self.runner = runner
        self.house = house

    def compare(self, pieces: list[bytes], answer: Answer) -> None:
        self.runner.run(self._compare(pieces, answer))

    async def _compare(self, pieces: list[bytes], answer: Answer) -> None:
        node = self.house.node
        node.script, node.closes = lambda _: answer.interim + answer.data, answer.closes
        node.seen.clear()
        direct = await exchanged(("127.0.0.1", node.port), node, *pieces)
        through = await exchanged(self.house.address, node, *pieces)
        host = b"" if direct.request.values(b"host") else f"127.0.0.1:{node.port}".encode()
        assert_same(through, direct, node_host=host)


@pytest.fixture(scope="module", params=["copied", "streamed"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    consent = Consent() if request.param == "copied" else Consent(entitlements=())
    opened = AsyncExitStack()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        house = runner.run(opened.enter_async_context(a_house(RawNode(), consent=consent)))
        try:
            yield Bench(runner, house)
        finally:
            runner.run(opened.aclose())


@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(exchanges())
def test_any_exchange_is_the_same_with_and_without_the_proxy(bench: Bench, drawn: tuple[list[bytes], Answer]) -> None:
    bench.compare(*drawn)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@settings(max_examples=20_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(exchanges())
def test_twenty_thousand_exchanges_are_the_same(bench: Bench, drawn: tuple[list[bytes], Answer]) -> None:
    bench.compare(*drawn)
