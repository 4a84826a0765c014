"""Transactions that wait for a block: any number per sender, in nonce order, senders in order of arrival."""

from collections.abc import Callable, Iterator

from ocn_permission_agent.sandbox.chain.faults import REFUSED, RpcFault
from ocn_permission_agent.sandbox.chain.values import Transaction


class Pool:
    """Pending transactions by sender and nonce."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, dict[int, Transaction]] = {}

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._waiting.values())

    def __iter__(self) -> Iterator[Transaction]:
        return (transaction for queue in self._waiting.values() for transaction in queue.values())

    def copy(self) -> "Pool":
        """An independent pool with the same transactions."""
        twin = Pool()
        twin._waiting = {sender: dict(queue) for sender, queue in self._waiting.items()}
        return twin

    def find(self, transaction_hash: bytes) -> Transaction | None:
        """The waiting transaction with this hash, or None."""
        return next((transaction for transaction in self if transaction.hash == transaction_hash), None)

    def add(self, transaction: Transaction) -> None:
        """Let `transaction` wait. One with the same sender and nonce is replaced when the new one pays 10 % more.

        Raises:
            RpcFault: already waiting, or it pays too little to replace the one that waits.
        """
        queue = self._waiting.setdefault(transaction.sender, {})
        rival = queue.get(transaction.nonce)
        if rival is not None:
            if rival.hash == transaction.hash:
                raise RpcFault(REFUSED, "already known")
            enough = all(
                10 * new >= 11 * old
                for new, old in ((transaction.fee_cap, rival.fee_cap), (transaction.tip_cap, rival.tip_cap))
            )
            if not enough:
                raise RpcFault(REFUSED, "replacement transaction underpriced")
        queue[transaction.nonce] = transaction

    def next_nonce(self, sender: bytes, mined_nonce: int) -> int:
        """The nonce a new transaction of `sender` should carry: `mined_nonce` plus the unbroken run that waits."""
        queue = self._waiting.get(sender, {})
        nonce = mined_nonce
        while nonce in queue:
            nonce += 1
        return nonce

    def ready(
        self, *, nonce_of: Callable[[bytes], int], balance_of: Callable[[bytes], int], base_fee: int, gas: int
    ) -> list[Transaction]:
        """What fits into the next block: per sender without nonce gaps, payable, within `gas` altogether."""
        chosen: list[Transaction] = []
        for sender, queue in self._waiting.items():
            nonce, balance = nonce_of(sender), balance_of(sender)
            while (transaction := queue.get(nonce)) is not None:
                balance -= transaction.most_it_can_cost
                if transaction.fee_cap < base_fee or transaction.gas > gas or balance < 0:
                    break
                gas -= transaction.gas
                nonce += 1
                chosen.append(transaction)
        return chosen

    def forget_below(self, nonce_of: Callable[[bytes], int]) -> None:
        """Drop what was mined or can never be: nonces below the sender's own."""
        for sender, queue in list(self._waiting.items()):
            mined = nonce_of(sender)
            kept = {nonce: transaction for nonce, transaction in queue.items() if nonce >= mined}
            if kept:
                self._waiting[sender] = kept
            else:
                del self._waiting[sender]
