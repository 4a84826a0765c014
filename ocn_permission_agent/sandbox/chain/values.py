"""Transactions, logs, receipts and blocks as frozen values. Hashes and addresses are raw bytes (32 and 20)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eth.abc import BlockHeaderAPI, SignedTransactionAPI


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """A signed transaction whose signature was checked; `fee_cap` and `tip_cap` are wei per gas.

    For kinds 0 (legacy) and 1 (EIP-2930) both caps are the gas price. `parity` is the recovery id, 0 or 1.
    """

    signed: SignedTransactionAPI
    hash: bytes
    kind: int
    sender: bytes
    to: bytes | None
    nonce: int
    gas: int
    value: int
    data: bytes
    fee_cap: int
    tip_cap: int
    parity: int
    access_list: tuple[tuple[bytes, tuple[int, ...]], ...]

    @property
    def most_it_can_cost(self) -> int:
        """Wei that the sender must own for the transaction to be accepted."""
        return self.gas * self.fee_cap + self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """One event as a contract emitted it."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of one transaction. `output` is return or revert data, which no Ethereum receipt carries."""

    succeeded: bool
    gas_used: int
    cumulative_gas_used: int
    gas_price: int
    contract_address: bytes | None
    logs: tuple[Log, ...]
    bloom: int
    output: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A block with the receipts of its transactions, index by index. `base_fee` is wei per gas, `size` bytes."""

    header: BlockHeaderAPI
    hash: bytes
    number: int
    base_fee: int
    size: int
    transactions: tuple[Transaction, ...]
    receipts: tuple[Receipt, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A message to run without a transaction; `to` of None runs `data` as a constructor."""

    sender: bytes
    to: bytes | None
    data: bytes
    value: int
    gas: int
    gas_price: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The end of a `Call`. `output` is what it returned or, when `failure` is "revert", what it reverted with."""

    output: bytes
    gas_used: int
    failure: str | None

    @property
    def reverted(self) -> bool:
        """True when the contract itself refused, as against running out of gas and the like."""
        return self.failure == "revert"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLog:
    """A log with its place on the chain."""

    log: Log
    block_number: int
    block_hash: bytes
    transaction_hash: bytes
    transaction_index: int
    log_index: int
