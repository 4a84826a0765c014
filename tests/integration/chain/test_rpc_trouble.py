"""Endpoints that refuse, lie in form, hang or vanish: always `ChainUnavailable`, never a wrong answer or a secret."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import orjson
import pytest
from aiohttp import web

from ocn_permission_agent.chain.checks import Severity
from ocn_permission_agent.chain.rpc import ANSWER_LIMIT_BYTES, Call, Refusal, RpcClient
from ocn_permission_agent.chain.settings import ChainSettings
from ocn_permission_agent.chain.source import ChainSource, Question
from ocn_permission_agent.errors import ChainAnswerTooLarge, ChainReorganised, ChainUnavailable
from tests.chain_factories import PERMISSIONS, REGISTRY, header
from tests.chain_fixtures import WALLETS, Deployment
from tests.chain_harness import agree, confirm, settings_for, watching
from tests.fakes import FakeClock
from tests.faulty_rpc import faulty_rpc
from tests.stores import Where

CALL = Call(method="eth_chainId")
SETTINGS = ChainSettings(rpc_urls=(), chain_id=246, registry=REGISTRY, permissions=PERMISSIONS)


@asynccontextmanager
async def serving(*bodies: bytes, status: int = 200, headers: dict[str, str] | None = None) -> AsyncIterator[str]:
    """A server that answers with these bodies, one after the other, the last one for ever."""
    left = list(bodies)

    async def answer(request: web.BaseRequest) -> web.Response:
        await request.read()
        body = left.pop(0) if len(left) > 1 else left[0]
        return web.Response(body=body, status=status, headers=headers)

    async with listening(web.Server(answer)) as url:
        yield url


@asynccontextmanager
async def listening(server: web.Server) -> AsyncIterator[str]:
    runner = web.ServerRunner(server)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v3/topsecret?key=alsosecret"
    finally:
        await runner.cleanup()


def items(*results: object, first: int = 1) -> bytes:
    return orjson.dumps([{"jsonrpc": "2.0", "id": first + n, "result": result} for n, result in enumerate(results)])


# --- the client -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"<html>", "not JSON"),
        (b"{}", "did not answer every call"),
        (b"[]", "did not answer every call"),
        (b'{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"no batches"}}', "-32600 no batches"),
        (items("0x1", "0x2"), "did not answer every call"),
        (b'[{"jsonrpc":"2.0","id":7,"result":"0x1"}]', "was not asked"),
        (b'[{"jsonrpc":"2.0","id":true,"result":"0x1"}]', "was not asked"),
        (b'[{"jsonrpc":"2.0","id":"1","result":"0x1"}]', "was not asked"),
        (b"[7]", "was not asked"),
        (b'[{"jsonrpc":"2.0","id":1}]', "neither a result nor an error"),
        (b'[{"jsonrpc":"2.0","id":1,"error":"no"}]', "refused: 0"),
        (b'[{"jsonrpc":"2.0","id":1,"error":{"code":-32005,"message":"slow\\ndown"}}]', r"refused: -32005 slow\\ndown"),
    ],
)
async def test_an_answer_that_is_none_is_no_answer(body: bytes, sentence: str) -> None:
    async with serving(body) as url, RpcClient(url=url, clock=FakeClock()) as rpc:
        with pytest.raises(ChainUnavailable, match=sentence) as caught:
            await rpc.call("eth_chainId")
        assert "secret" not in str(caught.value)


async def test_answers_may_come_in_any_order_but_not_twice() -> None:
    two, one = {"id": 2, "result": "b"}, {"id": 1, "result": "a", "error": None}
    async with serving(orjson.dumps([two, one])) as url, RpcClient(url=url, clock=FakeClock()) as rpc:
        assert await rpc.batch([CALL, CALL]) == ["a", "b"]
    async with serving(orjson.dumps([one, one])) as url, RpcClient(url=url, clock=FakeClock()) as rpc:
        with pytest.raises(ChainUnavailable, match="was not asked"):
            await rpc.batch([CALL, CALL])


async def test_one_refusal_does_not_spoil_its_batch() -> None:
    body = [{"id": 1, "result": "a"}, {"id": 2, "error": {"code": 3, "message": "reverted"}}]
    async with serving(orjson.dumps(body)) as url, RpcClient(url=url, clock=FakeClock()) as rpc:
        assert await rpc.batch([CALL, CALL]) == ["a", Refusal(code=3, text="reverted")]


async def test_large_batches_are_sent_in_hundreds() -> None:
    bodies = (items(*range(100)), items(*range(100, 150), first=101))
    async with serving(*bodies) as url, RpcClient(url=url, clock=FakeClock()) as rpc:
        assert await rpc.batch([CALL] * 150) == list(range(150))


async def test_nothing_is_asked_for_while_the_endpoint_wants_peace() -> None:
    clock = FakeClock()
    async with serving(b"", status=429, headers={"Retry-After": "9"}) as url, RpcClient(url=url, clock=clock) as rpc:
        with pytest.raises(ChainUnavailable, match="HTTP 429"):
            await rpc.call("eth_chainId")
        clock.step(4)
        assert rpc.asked_pause_seconds() == 5
        with pytest.raises(ChainUnavailable, match="left alone for 5 s"):
            await rpc.call("eth_chainId")
        clock.step(5)
        with pytest.raises(ChainUnavailable, match="HTTP 429"):
            await rpc.call("eth_chainId")


async def test_a_redirect_is_not_followed() -> None:
    async with (
        serving(b"", status=307, headers={"Location": "http://127.0.0.1:1/"}) as url,
        RpcClient(url=url, clock=FakeClock()) as rpc,
    ):
        with pytest.raises(ChainUnavailable, match="HTTP 307"):
            await rpc.call("eth_chainId")


async def test_more_than_the_limit_is_not_read() -> None:
    async with serving(b" " * (ANSWER_LIMIT_BYTES + 1)) as url, RpcClient(url=url, clock=FakeClock()) as rpc:
        with pytest.raises(ChainAnswerTooLarge):
            await rpc.call("eth_chainId")


async def test_an_endpoint_that_hangs_is_left() -> None:
    released = asyncio.Event()

    async def hang(_: web.BaseRequest) -> web.Response:
        await released.wait()
        return web.Response()

    async with listening(web.Server(hang)) as url:
        async with RpcClient(url=url, clock=FakeClock(), deadline_seconds=0.05) as rpc:
            with pytest.raises(ChainUnavailable, match="did not answer within"):
                await rpc.call("eth_chainId")
        released.set()


async def test_an_endpoint_that_is_not_there_is_named_without_its_secrets() -> None:
    async with listening(web.Server(_never)) as url:
        pass
    async with RpcClient(url=url, clock=FakeClock()) as rpc:
        with pytest.raises(ChainUnavailable) as caught:
            await rpc.call("eth_chainId")
        assert "127.0.0.1" in str(caught.value)
        assert "secret" not in str(caught.value)
        assert caught.value.__suppress_context__
        assert "secret" not in rpc.endpoint
    with pytest.raises(ChainUnavailable, match="closed"):
        await rpc.call("eth_chainId")


async def _never(_: web.BaseRequest) -> web.Response:
    return web.Response()


def test_an_endpoint_is_shown_by_host_and_port() -> None:
    for url, shown in (
        ("https://user:secret@rpc.example/secret?secret", "rpc.example"),
        ("http://127.0.0.1:8545", "127.0.0.1:8545"),
    ):
        assert RpcClient(url=url, clock=FakeClock()).endpoint == shown


# --- asking about blocks ----------------------------------------------------------------------------------------------


def block(number: int, name: str = "00") -> dict[str, str]:
    return {
        "number": hex(number),
        "hash": "0x" + name * 32,
        "parentHash": "0x" + "ee" * 32,
        "timestamp": "0x1",
    }


#: what `eth_chainId` answers
CHAIN = hex(SETTINGS.chain_id)


@asynccontextmanager
async def asking(*bodies: bytes) -> AsyncIterator[ChainSource]:
    async with serving(*bodies) as url, RpcClient(url=url, clock=FakeClock()) as rpc:
        yield ChainSource(rpc=rpc, settings=SETTINGS)


async def test_a_head_that_moves_while_we_look_is_looked_at_again() -> None:
    moving = items(block(1), [], block(2, "22"), CHAIN)
    async with asking(moving, items(block(2, "22"), [], block(2, "22"), CHAIN, first=5)) as source:
        glimpse = await source.glimpse(1)
        assert (glimpse.head.number, glimpse.logs) == (2, ())
    never_still = [items(block(1, f"{n:02x}"), [], block(1, "ff"), CHAIN, first=1 + 4 * n) for n in range(3)]
    async with asking(*never_still) as source:
        with pytest.raises(ChainUnavailable, match="moves"):
            await source.glimpse(1)


async def test_an_endpoint_without_a_latest_block_has_no_answer() -> None:
    async with asking(items(None, [], None, CHAIN)) as source:
        with pytest.raises(ChainUnavailable, match="no latest block"):
            await source.glimpse(1)
    async with asking(items(None)) as source:
        with pytest.raises(ChainUnavailable, match="no latest block"):
            await source.head()


async def test_a_missing_header_below_the_head_is_a_reorganisation() -> None:
    async with asking(items(block(1), None)) as source:
        with pytest.raises(ChainReorganised):
            await source.headers([1, 2])


async def test_an_answer_of_nothing_is_not_taken_for_no() -> None:
    """A node without the contract at that block answers ``0x``, which must never mean "nobody agreed"."""
    async with asking(items("0x")) as source:
        with pytest.raises(ChainUnavailable, match="knows no contract"):
            await source.ask([Question(contract=PERMISSIONS, data=b"")], header(1))


async def test_a_call_that_is_refused_at_a_known_block_both_ways_has_no_answer() -> None:
    refused = orjson.dumps([{"id": 1, "error": {"code": 3, "message": "no"}}])
    again = orjson.dumps([{"id": 3, "error": {"code": 3, "message": "no"}}])
    async with asking(refused, items(block(1), first=2), again, items(block(1), first=4)) as source:
        with pytest.raises(ChainUnavailable, match="refused: 3 no"):
            await source.ask([Question(contract=PERMISSIONS, data=b"")], header(1))


async def test_answers_that_are_too_large_together_are_asked_for_apart() -> None:
    large = b" " * (ANSWER_LIMIT_BYTES + 1)
    async with asking(large, items("0x01", first=3), large) as source:
        questions = [Question(contract=PERMISSIONS, data=b"")] * 2
        assert await source.ask(questions, header(1)) == [b"\x01", None]


async def test_logs_that_are_too_large_together_are_asked_for_apart() -> None:
    async with asking(b" " * (ANSWER_LIMIT_BYTES + 1)) as source:
        assert await source.logs(1, 2) is None


# --- the watcher ------------------------------------------------------------------------------------------------------


async def test_ranges_are_halved_until_they_are_answered(chain: Deployment, path: Where) -> None:
    await agree(chain)
    await chain.client.mine(400)
    async with faulty_rpc(chain.url) as rpc, watching(chain, path, rpc_urls=(rpc.url,)) as watched:
        rpc.faults.widest = 7
        await watched.poll()
        assert len(watched.providers()) == 1
        rpc.faults.widest = 0
        await chain.client.mine(300)
        with pytest.raises(ChainUnavailable, match="refuses to tell the logs of block"):
            await watched.poll()


async def test_an_endpoint_without_calls_at_a_hash_is_asked_by_number(chain: Deployment, path: Where) -> None:
    await agree(chain)
    await confirm(chain)
    async with faulty_rpc(chain.url) as rpc, watching(chain, path, rpc_urls=(rpc.url,)) as watched:
        rpc.faults.by_hash = False
        await watched.poll()
        assert len(watched.providers()) == 1
        await chain.actor("cpo").revoke_agreement(WALLETS["billing"].address)
        await watched.poll()
        assert watched.providers() == ()


async def test_old_code_that_is_not_told_means_reading_from_the_first_block(chain: Deployment, path: Where) -> None:
    await agree(chain)
    await confirm(chain)
    async with faulty_rpc(chain.url) as rpc, RpcClient(url=rpc.url, clock=FakeClock()) as client:
        source = ChainSource(rpc=client, settings=settings_for(chain))
        rpc.faults.methods_refused.add("eth_getCode")
        assert await source.has_code(settings_for(chain).registry, "0x1") is None
        async with watching(chain, path, rpc_urls=(rpc.url,)) as watched:
            with pytest.raises(ChainUnavailable, match="does not tell whether there is code"):
                await watched.poll()


@pytest.mark.parametrize("fault", ["drop_last", "shift_ids"])
async def test_partial_and_mixed_up_batches_change_nothing(chain: Deployment, path: Where, fault: str) -> None:
    await agree(chain)
    await confirm(chain)
    async with faulty_rpc(chain.url) as rpc, watching(chain, path, rpc_urls=(rpc.url,)) as watched:
        await watched.poll()
        before = watched.view.index
        await chain.actor("cpo").revoke_agreement(WALLETS["billing"].address)
        setattr(rpc.faults, fault, True)
        with pytest.raises(ChainUnavailable):
            await watched.poll()
        assert watched.view.index is before
        setattr(rpc.faults, fault, False)
        await watched.poll()
        assert watched.providers() == ()


async def test_a_check_names_every_problem_at_once_and_changes_nothing(chain: Deployment, path: Where) -> None:
    settings = replace(settings_for(chain), chain_id=1, genesis_hash="0x" + "1" * 64)
    async with watching(chain, path, settings=settings) as watched:
        findings = await watched.watcher.check()
        assert len(findings.problems) == 2
        assert {problem.severity for problem in findings.problems} == {Severity.FOREIGN}
        assert not findings.readable
        assert "genesis_hash" not in await watched.database.dump()


async def test_trouble_is_told_once_and_waited_out(chain: Deployment, path: Where) -> None:
    """The loop pauses longer and longer, never shorter than asked, and polls at its own pace again afterwards."""
    clock = _TellingClock()
    async with (
        faulty_rpc(chain.url) as rpc,
        watching(chain, path, rpc_urls=(rpc.url,), clock=clock) as watched,
        asyncio.TaskGroup() as group,
    ):
        running = group.create_task(watched.watcher.run())
        await clock.until_asleep()
        assert watched.view.index.block_number > 0

        rpc.faults.status = 503
        for pause in (5.0, 1.0, 2.0, 4.0):
            clock.step(pause)
            await clock.until_asleep()
        host = rpc.url.split("/")[2]
        reasons = [line["reason"] for line in watched.log.named("chain.unavailable")]
        assert reasons == [f"{host} answered HTTP 503"]
        rpc.faults.status = None
        clock.step(8.0)
        await clock.until_asleep()
        assert len(watched.log.named("chain.recovered")) == 1
        assert "secret" not in str(watched.log.lines)
        running.cancel()


class _TellingClock(FakeClock):
    """Tells when somebody goes to sleep."""

    def __init__(self) -> None:
        super().__init__()
        self._asleep = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self._asleep.set()
        await super().sleep(seconds)

    async def until_asleep(self) -> None:
        async with asyncio.timeout(10):
            await self._asleep.wait()
        self._asleep.clear()
