"""A JSON-RPC endpoint before a real one, that breaks in the ways in which public endpoints do."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson

from ocn_permission_agent.sandbox.serving import Answer, Incoming, LoopbackServer

Item = dict[str, Any]


@dataclass(kw_only=True)
class Faults:
    """What goes wrong now; changed by a test at any time.

    `widest` refuses logs of more blocks than this. `hide` is a set of transaction hashes whose logs are not told,
    and as long as there are any, blocks come without their filters, unless `honest_filters`.
    `by_hash` false refuses calls at a block's hash. `status` answers that instead of anything. `chain_id` is told
    instead of the real one. `drop_last` leaves out the last item of every batch; `shift_ids` counts them wrong.
    `methods_refused` answers an error to these. `lies` answers that to calls with this calldata. `latest` is told as
    the head instead of the real one. `genesis`, `code` and `slot` are told instead of the hash of block 0, of any code
    and of any storage. `fork` gives every block but the first another hash, as on a fork.
    `slow_seconds` passes before any answer, or until it is set to 0. `asked` counts calls by method.
    `beside` is the URL of another chain that answers every second request, as behind a load balancer.
    """

    widest: int | None = None
    hide: set[str] = field(default_factory=set)
    honest_filters: bool = False
    by_hash: bool = True
    status: int | None = None
    retry_after: str | None = None
    chain_id: int | None = None
    drop_last: bool = False
    shift_ids: bool = False
    raw_answer: bytes | None = None
    methods_refused: set[str] = field(default_factory=set)
    lies: dict[str, str] = field(default_factory=dict)
    latest: int | None = None
    genesis: str | None = None
    code: str | None = None
    slot: str | None = None
    fork: str = ""
    forked: dict[str, str] = field(default_factory=dict)
    slow_seconds: float = 0.0
    beside: str | None = None
    asked: dict[str, int] = field(default_factory=dict)
    requests: int = 0


@dataclass(kw_only=True)
class FaultyRpc:
    """`server` can go down and come up again; as long as it is down, connections are refused."""

    url: str
    faults: Faults
    server: LoopbackServer


@asynccontextmanager
async def faulty_rpc(behind: str) -> AsyncIterator[FaultyRpc]:
    """Serve on loopback until the block ends."""
    faults = Faults()
    async with aiohttp.ClientSession() as session:

        async def answer(request: Incoming) -> Answer:
            faults.requests += 1
            if faults.status is not None:
                headers = {} if faults.retry_after is None else {"Retry-After": faults.retry_after}
                return Answer(http_status=faults.status, headers=headers)
            if faults.raw_answer is not None:
                return Answer(body=faults.raw_answer)
            patience = asyncio.get_running_loop().time() + faults.slow_seconds
            while faults.slow_seconds and asyncio.get_running_loop().time() < patience:  # noqa: ASYNC110  set by a test
                await asyncio.sleep(0.02)
            calls = [_aged(call, faults) for call in orjson.loads(request.body)]
            refused = {call["id"]: refusal for call in calls if (refusal := _refusal(call, faults)) is not None}
            passed = [call for call in calls if call["id"] not in refused]
            found: list[Item] = list(refused.values())
            if passed:
                chain = behind if faults.beside is None or faults.requests % 2 else faults.beside
                async with session.post(chain, data=orjson.dumps(passed)) as reply:
                    found += [_changed(item, faults) for item in orjson.loads(await reply.read())]
            return Answer(body=orjson.dumps(_batch(found, faults)))

        async with LoopbackServer(answer) as server:
            yield FaultyRpc(url=f"{server.url}/secret-key-in-path", faults=faults, server=server)


def _refusal(call: Item, faults: Faults) -> Item | None:
    method, params = call["method"], call["params"]
    faults.asked[method] = faults.asked.get(method, 0) + 1
    sentence = None
    if method in faults.methods_refused:
        sentence = "not here"
    if method == "eth_chainId" and faults.chain_id is not None:
        return {"jsonrpc": "2.0", "id": call["id"], "result": hex(faults.chain_id)}
    if method == "eth_call" and params[0].get("data") in faults.lies:
        return {"jsonrpc": "2.0", "id": call["id"], "result": faults.lies[params[0]["data"]]}
    told = {"eth_getCode": faults.code, "eth_getStorageAt": faults.slot}.get(method)
    if told is not None:
        return {"jsonrpc": "2.0", "id": call["id"], "result": told}
    if method == "eth_getLogs" and faults.widest is not None:
        first, last = params[0]["fromBlock"], params[0]["toBlock"]
        if last != "latest" and int(last, 16) - int(first, 16) >= faults.widest:
            sentence = "block range too large"
    if method == "eth_call" and not faults.by_hash and isinstance(params[1], dict):
        sentence = "invalid argument 1: hex string without 0x prefix"
    if sentence is None:
        return None
    return {"jsonrpc": "2.0", "id": call["id"], "error": {"code": -32005, "message": sentence}}


def _aged(call: Item, faults: Faults) -> Item:
    """The call of somebody for whom an older block is the newest one."""
    if faults.fork:
        call = call | {"params": _real(call["params"], faults)}
    if faults.latest is None or call["method"] not in {"eth_getBlockByNumber", "eth_getLogs"}:
        return call
    params = list(call["params"])
    if params[0] == "latest":
        params[0] = hex(faults.latest)
    elif isinstance(params[0], str) and int(params[0], 16) > faults.latest:
        params[0] = "0xffffffff"
    elif isinstance(params[0], dict) and params[0].get("toBlock") == "latest":
        params[0] = params[0] | {"toBlock": hex(faults.latest)}
    return call | {"params": params}


def _changed(item: Item, faults: Faults) -> Item:
    result = item.get("result")
    if isinstance(result, list):
        item["result"] = [log for log in result if log.get("transactionHash") not in faults.hide]
    if faults.hide and not faults.honest_filters and isinstance(result, dict) and "logsBloom" in result:
        item["result"] = result = result | {"logsBloom": f"0x{0:0512x}"}
    if faults.genesis is not None and isinstance(result, dict) and result.get("number") == "0x0":
        item["result"] = result | {"hash": faults.genesis}
    if faults.fork and isinstance(result, dict) and result.get("number") not in {None, "0x0"}:
        item["result"] = result | {name: _forked(result[name], faults.fork) for name in ("hash", "parentHash")}
        faults.forked[item["result"]["hash"]] = result["hash"]
    return item


def _forked(block_hash: str, fork: str) -> str:
    return "0x" + hashlib.sha256(f"{fork}{block_hash}".encode()).hexdigest()


def _real(params: list[Any], faults: Faults) -> list[Any]:
    """Questions about blocks of the fork, asked of the real chain."""
    return [
        faults.forked.get(each, each)
        if isinstance(each, str)
        else {"blockHash": faults.forked.get(each["blockHash"], each["blockHash"])}
        if isinstance(each, dict) and "blockHash" in each
        else each
        for each in params
    ]


def _batch(items: list[Item], faults: Faults) -> list[Item]:
    if faults.shift_ids:
        items = [item | {"id": item["id"] + 1} for item in items]
    return items[:-1] if faults.drop_last else items
