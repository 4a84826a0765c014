"""Reading JSON-RPC parameters. Everything malformed is an `RpcFault` with code -32602 that names what was wrong."""

from typing import Any

from ocn_permission_agent.sandbox.chain.faults import INVALID_PARAMS, NOT_FOUND, RpcFault
from ocn_permission_agent.sandbox.chain.history import History, LogFilter
from ocn_permission_agent.sandbox.chain.values import Block, Call

#: No address: the sender of a call that names none.
NOBODY = bytes(20)


def quantity(value: Any, what: str) -> int:
    """A number in 0x notation."""
    if not isinstance(value, str) or not value.startswith("0x"):
        raise RpcFault(INVALID_PARAMS, f"{what}: expected a 0x quantity")
    try:
        return int(value, 16)
    except ValueError as error:
        raise RpcFault(INVALID_PARAMS, f"{what}: not a hexadecimal number") from error


def hex_bytes(value: Any, what: str, size: int | None = None) -> bytes:
    """Bytes in 0x notation, of exactly `size` when given."""
    if not isinstance(value, str) or not value.startswith("0x"):
        raise RpcFault(INVALID_PARAMS, f"{what}: expected 0x data")
    try:
        data = bytes.fromhex(value[2:])
    except ValueError as error:
        raise RpcFault(INVALID_PARAMS, f"{what}: not hexadecimal") from error
    if size is not None and len(data) != size:
        raise RpcFault(INVALID_PARAMS, f"{what}: expected {size} bytes, got {len(data)}")
    return data


def address(value: Any) -> bytes:
    """An address."""
    return hex_bytes(value, "address", 20)


def block_hash(value: Any) -> bytes:
    """A block or transaction hash."""
    return hex_bytes(value, "hash", 32)


def find_block(history: History, value: Any) -> Block | None:
    """The block that a number, a tag or an EIP-1898 object names; None when the chain has no such block.

    "pending" is the newest block: there is no state above it. "safe" and "finalized" name nothing, because this
    chain, as EWC's AuRa, tells nobody about finality.
    """
    match value:
        case None | "latest" | "pending":
            return history.head
        case "earliest":
            return history.at(0)
        case "safe" | "finalized":
            return None
        case {"blockHash": found}:
            return history.by_hash(block_hash(found))
        case {"blockNumber": found}:
            return find_block(history, found)
        case str() if len(value) == 66:
            return history.by_hash(block_hash(value))
        case _:
            return history.at(quantity(value, "block"))


def known_block(history: History, value: Any) -> Block:
    """As `find_block`, but an unknown block is an error: a call cannot be pinned to a block that is gone."""
    block = find_block(history, value)
    if block is None:
        raise RpcFault(NOT_FOUND, "header not found")
    return block


def call_object(value: Any, gas_limit: int) -> Call:
    """The message of `eth_call` and `eth_estimateGas`."""
    if not isinstance(value, dict):
        raise RpcFault(INVALID_PARAMS, "expected a call object")
    data = value.get("input", value.get("data")) or "0x"
    to = value.get("to")
    return Call(
        sender=address(value["from"]) if value.get("from") else NOBODY,
        to=address(to) if to else None,
        data=hex_bytes(data, "data"),
        value=quantity(value.get("value") or "0x0", "value"),
        gas=min(quantity(value["gas"], "gas"), gas_limit) if value.get("gas") else gas_limit,
        gas_price=quantity(value.get("gasPrice") or value.get("maxFeePerGas") or "0x0", "gasPrice"),
    )


def log_filter(value: Any) -> LogFilter:
    """Addresses and topics of `eth_getLogs`."""
    if not isinstance(value, dict):
        raise RpcFault(INVALID_PARAMS, "expected a filter object")
    addresses = value.get("address") or []
    topics = value.get("topics") or []
    if not isinstance(topics, list) or len(topics) > 4:
        raise RpcFault(INVALID_PARAMS, "topics: expected at most four positions")
    return LogFilter(
        addresses=frozenset(address(item) for item in (addresses if isinstance(addresses, list) else [addresses])),
        topics=tuple(_any_of(position) for position in topics),
    )


def _any_of(position: Any) -> frozenset[bytes]:
    if position is None:
        return frozenset()
    options = position if isinstance(position, list) else [position]
    return frozenset(hex_bytes(option, "topic", 32) for option in options)


def log_range(history: History, value: dict[str, Any]) -> tuple[int, int]:
    """First and last height of `eth_getLogs`, both included; last may be below first, which matches nothing."""
    if "blockHash" in value:
        if "fromBlock" in value or "toBlock" in value:
            raise RpcFault(INVALID_PARAMS, "give either blockHash or fromBlock and toBlock")
        block = history.by_hash(block_hash(value["blockHash"]))
        if block is None:
            raise RpcFault(NOT_FOUND, "unknown block")
        return block.number, block.number
    first = _height(history, value.get("fromBlock"))
    last = _height(history, value.get("toBlock"))
    if first > last and last < history.head.number:
        raise RpcFault(INVALID_PARAMS, "invalid block range")
    return first, last


def _height(history: History, value: Any) -> int:
    if isinstance(value, str) and value.startswith("0x"):
        return quantity(value, "block")
    return known_block(history, value).number
