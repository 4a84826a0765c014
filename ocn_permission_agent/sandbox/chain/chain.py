"""The chain: transactions come in, blocks come out, snapshots bring an earlier head back. No IO, no clock of its own.

One thread at a time; the listener's event loop is that thread.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from ocn_permission_agent.sandbox.chain.evm import Evm, intrinsic_gas
from ocn_permission_agent.sandbox.chain.faults import INVALID_PARAMS, REFUSED, RpcFault
from ocn_permission_agent.sandbox.chain.history import History
from ocn_permission_agent.sandbox.chain.pool import Pool
from ocn_permission_agent.sandbox.chain.revert import revert_fault
from ocn_permission_agent.sandbox.chain.values import Block, Call, Outcome, Transaction

DEFAULT_GAS_LIMIT = 30_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A head to come back to, and what was waiting then."""

    height: int
    head_hash: bytes
    pool: Pool


class Chain:
    """A chain with one miner.

    Args:
        chain_id: transactions for any other are refused.
        accounts: wei per 20-byte address in the genesis block.
        now: the wall clock in Unix seconds; a block is stamped with it, or one second after its parent if later.
        gas_limit: of every block.
    """

    def __init__(
        self,
        *,
        chain_id: int,
        accounts: Mapping[bytes, int],
        now: Callable[[], int],
        gas_limit: int = DEFAULT_GAS_LIMIT,
    ) -> None:
        self.evm = Evm(chain_id=chain_id, accounts=accounts, gas_limit=gas_limit, genesis_time=now())
        self.history = History(self.evm.genesis())
        self.pool = Pool()
        self._now = now
        self._snapshots: dict[int, Snapshot] = {}
        self._next_snapshot = 1

    @property
    def head(self) -> Block:
        """The newest block."""
        return self.history.head

    def send(self, raw: bytes) -> Transaction:
        """Check a signed transaction and let it wait for a block.

        Raises:
            RpcFault: malformed, for another chain, already known, nonce used, cannot be paid or too little or too
                much gas.
        """
        transaction = self.evm.decode(raw)
        if self.history.place(transaction.hash) is not None:
            raise RpcFault(REFUSED, "already known")
        self._check_funds(transaction)
        self.pool.add(transaction)
        return transaction

    def _check_funds(self, transaction: Transaction) -> None:
        nonce = self.evm.nonce(self.head, transaction.sender)
        if transaction.nonce < nonce:
            raise RpcFault(REFUSED, f"nonce too low: next nonce {nonce}, tx nonce {transaction.nonce}")
        if self.evm.balance(self.head, transaction.sender) < transaction.most_it_can_cost:
            raise RpcFault(REFUSED, "insufficient funds for gas * price + value")
        if transaction.gas < transaction.signed.intrinsic_gas:
            raise RpcFault(REFUSED, "intrinsic gas too low")
        if transaction.gas > self.head.header.gas_limit:
            raise RpcFault(REFUSED, "exceeds block gas limit")
        if transaction.fee_cap < transaction.tip_cap:
            raise RpcFault(REFUSED, "max priority fee per gas higher than max fee per gas")

    def mine(self, *, timestamp: int | None = None) -> Block:
        """Make the next block from all that waits and can be executed; an empty one when nothing can.

        Args:
            timestamp: Unix seconds instead of the clock's; must be later than the parent's.

        Raises:
            RpcFault: `timestamp` is not later than the parent's.
        """
        parent = self.head
        if timestamp is not None and timestamp <= parent.header.timestamp:
            raise RpcFault(INVALID_PARAMS, f"timestamp must be later than {parent.header.timestamp}")
        block = self.evm.build(
            parent,
            self.pool.ready(
                nonce_of=lambda sender: self.evm.nonce(parent, sender),
                balance_of=lambda sender: self.evm.balance(parent, sender),
                base_fee=self.evm.next_base_fee(parent),
                gas=parent.header.gas_limit,
            ),
            timestamp=timestamp or max(parent.header.timestamp + 1, self._now()),
        )
        self.history.append(block)
        self.pool.forget_below(lambda sender: self.evm.nonce(block, sender))
        return block

    def pending_nonce(self, address: bytes) -> int:
        """The nonce of the address's next transaction, counting those that wait."""
        return self.pool.next_nonce(address, self.evm.nonce(self.head, address))

    def call(self, at: Block, call: Call) -> bytes:
        """What the call returns upon the state of `at`.

        Raises:
            RpcFault: it reverted (code 3, revert data in `data`) or failed otherwise.
        """
        outcome = self.evm.call(at, call)
        if outcome.failure is not None:
            raise revert_fault(outcome)
        return outcome.output

    def estimate_gas(self, at: Block, call: Call) -> int:
        """Gas with which a transaction would succeed upon `at`; at most 1 % above the least.

        Raises:
            RpcFault: it fails whatever the gas is, at most `call.gas`.
        """
        fixed = intrinsic_gas(call)
        most = self._run(at, call, call.gas)
        if most.failure is not None:
            raise revert_fault(most)
        low, high = fixed + most.gas_used, call.gas
        if self._run(at, call, low).failure is None:
            return low
        while high - low > high // 100:
            middle = (low + high) // 2
            if self._run(at, call, middle).failure is None:
                high = middle
            else:
                low = middle
        return high

    def _run(self, at: Block, call: Call, gas: int) -> Outcome:
        rest = gas - intrinsic_gas(call)
        if rest < 0:
            return Outcome(output=b"", gas_used=gas, failure="intrinsic gas too low")
        return self.evm.call(at, replace(call, gas=rest))

    def snapshot(self) -> int:
        """Remember the head and the pool; the number is for `revert`."""
        number = self._next_snapshot
        self._next_snapshot += 1
        self._snapshots[number] = Snapshot(height=self.head.number, head_hash=self.head.hash, pool=self.pool.copy())
        return number

    def revert(self, number: int) -> bool:
        """Go back to a snapshot, dropping every block, log and transaction since: half of a reorganisation.

        Mining afterwards makes the other half. A snapshot serves once; later ones are forgotten with it. False when
        there is no such snapshot, or when its block itself is gone.
        """
        snapshot = self._snapshots.get(number)
        self._snapshots = {key: value for key, value in self._snapshots.items() if key < number}
        if snapshot is None or self.history.by_hash(snapshot.head_hash) is None:
            return False
        self.history.cut_back(snapshot.height)
        self.pool = snapshot.pool
        return True

    def drop_blocks(self, depth: int) -> None:
        """Drop the newest `depth` blocks without a snapshot; what they carried waits again (as after a fork).

        Raises:
            RpcFault: the chain is not that high.
        """
        if not 0 <= depth <= self.head.number:
            raise RpcFault(INVALID_PARAMS, f"cannot drop {depth} of {self.head.number} blocks")
        for transaction in self.history.cut_back(self.head.number - depth):
            self.pool.add(transaction)
