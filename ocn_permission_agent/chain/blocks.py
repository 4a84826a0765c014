"""Blocks and logs as an RPC endpoint tells them, read once and checked for their form."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ocn_permission_agent.consent.address import Address, address
from ocn_permission_agent.errors import ChainUnavailable

_HASH = re.compile(r"0x[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What we need of a block. Hashes are ``0x`` and 64 lower-case hex digits; `time` is aware UTC.

    `bloom` is the filter over the block's logs; 0 where none is known.
    """

    number: int
    hash: str
    parent_hash: str
    time: datetime
    bloom: int = field(default=0, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RawLog:
    """A log before anybody looked into it. `topics` are 32 bytes each."""

    contract: Address
    topics: tuple[bytes, ...]
    data: bytes
    block_number: int
    block_hash: str
    transaction_hash: str
    log_index: int


def quantity(value: object) -> int:
    """A JSON-RPC number such as ``0x1a``; raises ChainUnavailable for anything else."""
    if not isinstance(value, str) or not value.startswith("0x"):
        raise ChainUnavailable("the endpoint answered something that is not a number")
    try:
        return int(value, 16)
    except ValueError as error:
        raise ChainUnavailable("the endpoint answered something that is not a number") from error


def octets(value: object) -> bytes:
    """JSON-RPC data such as ``0x00ff``; raises ChainUnavailable for anything else."""
    if not isinstance(value, str) or not value.startswith("0x"):
        raise ChainUnavailable("the endpoint answered something that is not hexadecimal data")
    try:
        return bytes.fromhex(value[2:])
    except ValueError as error:
        raise ChainUnavailable("the endpoint answered something that is not hexadecimal data") from error


def hash_text(value: object) -> str:
    """A 32-byte hash in lower case; raises ChainUnavailable for anything else."""
    text = value.lower() if isinstance(value, str) else ""
    if not _HASH.fullmatch(text):
        raise ChainUnavailable("the endpoint answered something that is not a hash")
    return text


def read_header(value: object) -> Header | None:
    """A block's header; None when the endpoint says that there is no such block.

    Seal fields are not looked at, so headers of any consensus (AuRa, proof of stake) can be read.
    """
    if value is None:
        return None
    fields = _fields(value)
    if fields.get("hash") is None or fields.get("number") is None:
        return None  # a pending block, or one that a node is about to drop
    seconds = quantity(fields.get("timestamp"))
    try:
        time = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise ChainUnavailable("the endpoint answered a block without a usable time") from error
    return Header(
        number=quantity(fields["number"]),
        hash=hash_text(fields["hash"]),
        parent_hash=hash_text(fields.get("parentHash")),
        time=time,
        bloom=0 if fields.get("logsBloom") is None else quantity(fields["logsBloom"]),
    )


def read_logs(value: object) -> tuple[RawLog, ...]:
    """The logs of an answer in the order of the chain; raises ChainUnavailable when any has no usable form."""
    if not isinstance(value, list):
        raise ChainUnavailable("the endpoint answered something that is not a list of logs")
    logs = [_read_log(_fields(item)) for item in value]
    logs.sort(key=lambda log: (log.block_number, log.log_index))
    return tuple(logs)


def _read_log(fields: Mapping[str, Any]) -> RawLog:
    topics = fields.get("topics")
    if not isinstance(topics, list):
        raise ChainUnavailable("the endpoint answered a log without topics")
    try:
        contract = address(str(fields.get("address")))
    except ValueError as error:
        raise ChainUnavailable("the endpoint answered a log without an address") from error
    return RawLog(
        contract=contract,
        topics=tuple(octets(topic) for topic in topics),
        data=octets(fields.get("data")),
        block_number=quantity(fields.get("blockNumber")),
        block_hash=hash_text(fields.get("blockHash")),
        transaction_hash=hash_text(fields.get("transactionHash")),
        log_index=quantity(fields.get("logIndex")),
    )


def _fields(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ChainUnavailable("the endpoint answered something that is not an object")
    return value
