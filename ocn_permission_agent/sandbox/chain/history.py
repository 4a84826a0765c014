"""Which blocks are on the chain, where each transaction is, and which logs match a question.

Cutting the chain back forgets everything above the cut: the dropped blocks' hashes, transactions and logs are
unknown afterwards, as on a node after a reorganisation.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ocn_permission_agent.sandbox.chain.values import Block, Log, StoredLog, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilter:
    """What `eth_getLogs` asks: any of `addresses` (none given: all) and, position by position, any of `topics`.

    An empty position matches every topic, but the log must have one there.
    """

    addresses: frozenset[bytes]
    topics: tuple[frozenset[bytes], ...]

    def matches(self, log: Log) -> bool:
        """True when the log is asked for."""
        if self.addresses and log.address not in self.addresses:
            return False
        if len(self.topics) > len(log.topics):
            return False
        return all(not wanted or topic in wanted for wanted, topic in zip(self.topics, log.topics, strict=False))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a mined transaction is."""

    block: Block
    index: int


class History:
    """The canonical chain, from block 0 to the head."""

    def __init__(self, genesis: Block) -> None:
        self._blocks = [genesis]
        self._by_hash = {genesis.hash: genesis}
        self._places: dict[bytes, Place] = {}
        self._logs: list[tuple[StoredLog, ...]] = [()]

    @property
    def head(self) -> Block:
        """The newest block."""
        return self._blocks[-1]

    def append(self, block: Block) -> None:
        """Put `block` upon the head."""
        self._blocks.append(block)
        self._by_hash[block.hash] = block
        self._logs.append(tuple(_place_logs(block)))
        for index, transaction in enumerate(block.transactions):
            self._places[transaction.hash] = Place(block, index)

    def cut_back(self, height: int) -> Sequence[Transaction]:
        """Make the block at `height` the head. Gives the transactions of the dropped blocks in their order."""
        dropped = self._blocks[height + 1 :]
        del self._blocks[height + 1 :], self._logs[height + 1 :]
        for block in dropped:
            del self._by_hash[block.hash]
            for transaction in block.transactions:
                del self._places[transaction.hash]
        return [transaction for block in dropped for transaction in block.transactions]

    def at(self, number: int) -> Block | None:
        """The block at a height, or None above the head."""
        return self._blocks[number] if 0 <= number < len(self._blocks) else None

    def by_hash(self, block_hash: bytes) -> Block | None:
        """The block with this hash, or None when it was never mined or has been dropped."""
        return self._by_hash.get(block_hash)

    def place(self, transaction_hash: bytes) -> Place | None:
        """Where a transaction was mined, or None."""
        return self._places.get(transaction_hash)

    def logs_of(self, block: Block) -> Sequence[StoredLog]:
        """All logs of a block on the chain."""
        return self._logs[block.number]

    def find_logs(self, wanted: LogFilter, *, first: int, last: int) -> list[StoredLog]:
        """Matching logs of the blocks `first` to `last`, both included, in chain order."""
        return [
            stored for logs in self._logs[max(first, 0) : last + 1] for stored in logs if wanted.matches(stored.log)
        ]


def _place_logs(block: Block) -> Iterator[StoredLog]:
    position = 0
    for index, (transaction, receipt) in enumerate(zip(block.transactions, block.receipts, strict=True)):
        for log in receipt.logs:
            yield StoredLog(
                log=log,
                block_number=block.number,
                block_hash=block.hash,
                transaction_hash=transaction.hash,
                transaction_index=index,
                log_index=position,
            )
            position += 1
