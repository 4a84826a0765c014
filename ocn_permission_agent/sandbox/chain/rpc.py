"""The table of JSON-RPC methods over a `Chain`: one request or a batch in, one answer out. No IO.

Beside the usual `eth_`, `net_` and `web3_` methods:

* `evm_snapshot` → id; `evm_revert` [id] → bool: drops every block since (half of a reorganisation; mine the rest)
* `evm_mine` [] or [{"blocks": n, "timestamp": seconds}] → "0x0"
* `sandbox_setMining` ["auto" | "interval" | "manual", intervalSeconds?] → true: a block per transaction, one every
  interval, or only on `evm_mine`
* `sandbox_dropBlocks` [depth] → true: drops the newest blocks; their transactions wait again
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

from ocn_permission_agent.sandbox.chain import params, render
from ocn_permission_agent.sandbox.chain.chain import Chain
from ocn_permission_agent.sandbox.chain.faults import (
    INTERNAL,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    RpcFault,
)
from ocn_permission_agent.sandbox.chain.fees import PROPOSED_TIP, fee_history, gas_price

BATCH_LIMIT = 1000
MINE_LIMIT = 10_000


class Mining(StrEnum):
    """When a block is made."""

    #: As soon as a transaction can be executed.
    AUTO = "auto"
    #: One every interval, empty or not.
    INTERVAL = "interval"
    #: Only when `evm_mine` asks for it.
    MANUAL = "manual"


@dataclass(slots=True, kw_only=True)
class MiningPlan:
    """When blocks are made; changed by `sandbox_setMining`, followed by the miner."""

    mining: Mining
    interval_seconds: float


class Rpc:
    """Answers JSON-RPC for one chain.

    Args:
        chain: the chain to serve.
        plan: read for "auto", written by `sandbox_setMining`.
        plan_changed: called after `plan` was written, to wake the miner.
    """

    def __init__(self, chain: Chain, plan: MiningPlan, plan_changed: Callable[[], None]) -> None:
        self._chain = chain
        self._plan = plan
        self._plan_changed = plan_changed
        self._methods: dict[str, Callable[[list[Any]], Any]] = {
            "eth_chainId": lambda _: hex(chain.evm.chain_id),
            "net_version": lambda _: str(chain.evm.chain_id),
            "net_listening": lambda _: True,
            "web3_clientVersion": lambda _: "ocn-sandbox-chain/1/py-evm",
            "eth_syncing": lambda _: False,
            "eth_accounts": lambda _: [],
            "eth_blockNumber": lambda _: hex(chain.head.number),
            "eth_getBlockByNumber": self._get_block,
            "eth_getBlockByHash": self._get_block_by_hash,
            "eth_getBalance": self._get_balance,
            "eth_getCode": self._get_code,
            "eth_getStorageAt": self._get_storage,
            "eth_getTransactionCount": self._get_nonce,
            "eth_gasPrice": lambda _: hex(gas_price(chain)),
            "eth_maxPriorityFeePerGas": lambda _: hex(PROPOSED_TIP),
            "eth_feeHistory": self._fee_history,
            "eth_estimateGas": self._estimate_gas,
            "eth_call": self._call,
            "eth_getLogs": self._get_logs,
            "eth_sendRawTransaction": self._send,
            "eth_getTransactionByHash": self._get_transaction,
            "eth_getTransactionReceipt": self._get_receipt,
            "evm_snapshot": lambda _: hex(chain.snapshot()),
            "evm_revert": self._revert,
            "evm_mine": self._mine,
            "sandbox_setMining": self._set_mining,
            "sandbox_dropBlocks": self._drop_blocks,
        }

    def answer(self, body: bytes) -> bytes | None:
        """The HTTP body for an HTTP body; None when it held notifications only."""
        try:
            request = orjson.loads(body)
        except orjson.JSONDecodeError:
            return orjson.dumps(_error(None, RpcFault(PARSE_ERROR, "parse error")))
        if not isinstance(request, list):
            one = self._answer_one(request)
            return None if one is None else orjson.dumps(one)
        if not 1 <= len(request) <= BATCH_LIMIT:
            return orjson.dumps(_error(None, RpcFault(INVALID_REQUEST, f"batch of 1 to {BATCH_LIMIT} requests")))
        answers = [answer for item in request if (answer := self._answer_one(item)) is not None]
        return orjson.dumps(answers) if answers else None

    def _answer_one(self, request: Any) -> dict[str, Any] | None:
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            return _error(None, RpcFault(INVALID_REQUEST, "invalid request"))
        arguments = request.get("params") or []
        try:
            if not isinstance(arguments, list):
                raise RpcFault(INVALID_PARAMS, "params: expected a list")  # noqa: TRY301  answered below
            method = self._methods.get(request["method"])
            if method is None:
                raise RpcFault(METHOD_NOT_FOUND, f"the method {request['method']} does not exist")  # noqa: TRY301
            answer = {"jsonrpc": "2.0", "id": request.get("id"), "result": method(arguments)}
        except RpcFault as fault:
            answer = _error(request.get("id"), fault)
        except Exception as error:  # noqa: BLE001  a bug in one request must be told to its caller, not end the chain
            answer = _error(request.get("id"), RpcFault(INTERNAL, f"internal error: {error!r}"))
        return answer if "id" in request else None

    def _get_block(self, arguments: list[Any]) -> Any:
        block = params.find_block(self._chain.history, _first(arguments))
        return None if block is None else render.render_block(block, full=_second(arguments) is True)

    def _get_block_by_hash(self, arguments: list[Any]) -> Any:
        block = self._chain.history.by_hash(params.block_hash(_first(arguments)))
        return None if block is None else render.render_block(block, full=_second(arguments) is True)

    def _get_balance(self, arguments: list[Any]) -> Any:
        at = params.known_block(self._chain.history, _second(arguments))
        return hex(self._chain.evm.balance(at, params.address(_first(arguments))))

    def _get_code(self, arguments: list[Any]) -> Any:
        at = params.known_block(self._chain.history, _second(arguments))
        return render.as_hex(self._chain.evm.code(at, params.address(_first(arguments))))

    def _get_storage(self, arguments: list[Any]) -> Any:
        at = params.known_block(self._chain.history, arguments[2] if len(arguments) > 2 else None)
        slot = params.quantity(_second(arguments), "slot")
        word = self._chain.evm.storage(at, params.address(_first(arguments)), slot)
        return render.as_hex(word.to_bytes(32, "big"))

    def _get_nonce(self, arguments: list[Any]) -> Any:
        address = params.address(_first(arguments))
        if _second(arguments) == "pending":
            return hex(self._chain.pending_nonce(address))
        at = params.known_block(self._chain.history, _second(arguments))
        return hex(self._chain.evm.nonce(at, address))

    def _fee_history(self, arguments: list[Any]) -> Any:
        count = _first(arguments)
        newest = params.known_block(self._chain.history, _second(arguments))
        percentiles = arguments[2] if len(arguments) > 2 and arguments[2] else []
        blocks = count if isinstance(count, int) else params.quantity(count, "blockCount")
        return fee_history(self._chain, newest, blocks, percentiles)

    def _estimate_gas(self, arguments: list[Any]) -> Any:
        at = params.known_block(self._chain.history, _second(arguments))
        return hex(self._chain.estimate_gas(at, params.call_object(_first(arguments), at.header.gas_limit)))

    def _call(self, arguments: list[Any]) -> Any:
        at = params.known_block(self._chain.history, _second(arguments))
        call = params.call_object(_first(arguments), at.header.gas_limit)
        return render.as_hex(self._chain.call(at, call))

    def _get_logs(self, arguments: list[Any]) -> Any:
        wanted = params.log_filter(_first(arguments))
        first, last = params.log_range(self._chain.history, arguments[0])
        return [render.render_log(stored) for stored in self._chain.history.find_logs(wanted, first=first, last=last)]

    def _send(self, arguments: list[Any]) -> Any:
        transaction = self._chain.send(params.hex_bytes(_first(arguments), "transaction"))
        if self._plan.mining is Mining.AUTO:
            self._chain.mine()
        return render.as_hex(transaction.hash)

    def _get_transaction(self, arguments: list[Any]) -> Any:
        wanted = params.block_hash(_first(arguments))
        place = self._chain.history.place(wanted)
        if place is not None:
            return render.render_transaction(place.block.transactions[place.index], place)
        waiting = self._chain.pool.find(wanted)
        return None if waiting is None else render.render_transaction(waiting, None)

    def _get_receipt(self, arguments: list[Any]) -> Any:
        place = self._chain.history.place(params.block_hash(_first(arguments)))
        return None if place is None else render.render_receipt(self._chain.history, place)

    def _revert(self, arguments: list[Any]) -> Any:
        return self._chain.revert(params.quantity(_first(arguments), "snapshot"))

    def _mine(self, arguments: list[Any]) -> Any:
        options = _first(arguments) if arguments else {}
        if not isinstance(options, dict):
            raise RpcFault(INVALID_PARAMS, "expected an object with blocks and timestamp")
        blocks, timestamp = options.get("blocks", 1), options.get("timestamp")
        if not isinstance(blocks, int) or not 0 <= blocks <= MINE_LIMIT:
            raise RpcFault(INVALID_PARAMS, f"blocks: 0 to {MINE_LIMIT}")
        for index in range(blocks):
            self._chain.mine(timestamp=timestamp if index == 0 else None)
        return "0x0"

    def _set_mining(self, arguments: list[Any]) -> Any:
        wanted, seconds = _first(arguments), _second(arguments)
        if wanted not in list(Mining):
            raise RpcFault(INVALID_PARAMS, "expected auto, interval or manual")
        if seconds is not None and not (isinstance(seconds, int | float) and seconds > 0):
            raise RpcFault(INVALID_PARAMS, "intervalSeconds: a positive number")
        self._plan.mining = Mining(wanted)
        if seconds is not None:
            self._plan.interval_seconds = float(seconds)
        self._plan_changed()
        return True

    def _drop_blocks(self, arguments: list[Any]) -> Any:
        depth = _first(arguments)
        self._chain.drop_blocks(depth if isinstance(depth, int) else params.quantity(depth, "depth"))
        return True


def _first(arguments: list[Any]) -> Any:
    if not arguments:
        raise RpcFault(INVALID_PARAMS, "missing value for required argument 0")
    return arguments[0]


def _second(arguments: list[Any]) -> Any:
    return arguments[1] if len(arguments) > 1 else None


def _error(request_id: Any, fault: RpcFault) -> dict[str, Any]:
    error: dict[str, Any] = {"code": fault.code, "message": fault.message}
    if fault.data is not None:
        error["data"] = fault.data
    return {"jsonrpc": "2.0", "id": request_id, "error": error}
