"""A JSON-RPC client for the demo's actors and for tests: typed where they need it, raw elsewhere.

The agent has its own client with deadlines, back-off and checks (`ocn_permission_agent.chain.rpc`); this one trusts
its chain and says what went wrong.
"""

from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson

from ocn_permission_agent.sandbox.chain.faults import RpcFault

TIMEOUT = aiohttp.ClientTimeout(total=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLog:
    """An event in a receipt; `address` and `topics` are 0x text."""

    address: str
    topics: tuple[str, ...]
    data: bytes
    log_index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TxReceipt:
    """What became of a transaction."""

    transaction_hash: str
    block_number: int
    block_hash: str
    succeeded: bool
    gas_used: int
    contract_address: str | None
    logs: tuple[EventLog, ...]


class ChainClient:
    """Speaks JSON-RPC to `url`; an async context manager.

    Every method raises `RpcFault` when the chain answers with an error object (a revert has code 3 and its reason in
    the message) and `aiohttp.ClientError` when it does not answer.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._session: aiohttp.ClientSession | None = None
        self._last_id = 0

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=TIMEOUT)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def request(self, method: str, *arguments: Any) -> Any:
        """The `result` of one call."""
        self._last_id += 1
        body = {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": list(arguments)}
        return _result(await self.post(body))

    async def batch(self, *requests: tuple[str, list[Any]]) -> list[Any]:
        """The results of several calls in one HTTP request, in the order of the calls."""
        body = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": arguments}
            for number, (method, arguments) in enumerate(requests)
        ]
        answers = {answer["id"]: answer for answer in await self.post(body)}
        return [_result(answers[number]) for number in range(len(requests))]

    async def post(self, body: Any) -> Any:
        """The answer to a JSON body, undigested."""
        if self._session is None:
            raise RuntimeError("use the client inside `async with`")
        async with self._session.post(
            self.url, data=orjson.dumps(body), headers={"Content-Type": "application/json"}
        ) as response:
            return orjson.loads(await response.read())

    async def chain_id(self) -> int:
        """The chain's id."""
        return int(await self.request("eth_chainId"), 16)

    async def block_number(self) -> int:
        """The height of the head."""
        return int(await self.request("eth_blockNumber"), 16)

    async def receipt(self, transaction_hash: str) -> TxReceipt | None:
        """The receipt of a transaction, or None while it waits."""
        found = await self.request("eth_getTransactionReceipt", transaction_hash)
        return None if found is None else read_receipt(found)

    async def call(self, to: str, data: bytes, *, block: Any = "latest", sender: str | None = None) -> bytes:
        """What a contract call returns; `block` is a tag, a 0x number or `{"blockHash": …}`."""
        message = {"to": to, "data": "0x" + data.hex()} | ({} if sender is None else {"from": sender})
        return bytes.fromhex((await self.request("eth_call", message, block))[2:])

    async def mine(self, blocks: int = 1) -> int:
        """Make blocks; gives the height of the new head."""
        await self.request("evm_mine", {"blocks": blocks})
        return await self.block_number()

    async def snapshot(self) -> str:
        """An id for `revert`."""
        return str(await self.request("evm_snapshot"))

    async def revert(self, snapshot: str) -> bool:
        """Drop every block since the snapshot; False when it is unknown or used."""
        return bool(await self.request("evm_revert", snapshot))

    async def set_mining(self, mining: str, interval_seconds: float | None = None) -> None:
        """Change when blocks are made: "auto", "interval" or "manual"."""
        await self.request("sandbox_setMining", mining, interval_seconds)


def read_receipt(found: dict[str, Any]) -> TxReceipt:
    """A receipt from its JSON-RPC object."""
    return TxReceipt(
        transaction_hash=found["transactionHash"],
        block_number=int(found["blockNumber"], 16),
        block_hash=found["blockHash"],
        succeeded=found["status"] == "0x1",
        gas_used=int(found["gasUsed"], 16),
        contract_address=found["contractAddress"],
        logs=tuple(
            EventLog(
                address=log["address"],
                topics=tuple(log["topics"]),
                data=bytes.fromhex(log["data"][2:]),
                log_index=int(log["logIndex"], 16),
            )
            for log in found["logs"]
        ),
    )


def _result(answer: dict[str, Any]) -> Any:
    if "error" in answer:
        error = answer["error"]
        raise RpcFault(error["code"], error["message"], error.get("data"))
    return answer["result"]
