"""py-evm behind few verbs: a genesis, a block upon any known block, a call and a look at the state of any block.

The rules are those of London (as on the Energy Web Chain) in py-evm's `ParisVM`, whose blocks need no seal. State is
stored by its root, so a block that was dropped costs nothing and a call at an older block reads exactly that state.
Which blocks count is not known here: `history` keeps that.
"""

from collections.abc import Callable, Mapping, Sequence

from eth.abc import BlockHeaderAPI, ComputationAPI, ReceiptAPI, SignedTransactionAPI, StateAPI
from eth.chains.base import MiningChain
from eth.constants import BLANK_ROOT_HASH, CREATE_CONTRACT_ADDRESS
from eth.db.atomic import AtomicDB
from eth.exceptions import PyEVMError, Revert, VMError
from eth.typing import AccountDetails, HeaderParams
from eth.vm.forks.paris import ParisVM
from eth.vm.message import Message
from eth_hash.auto import keccak
from eth_typing import Address, BlockNumber
from eth_utils.exceptions import ValidationError
from rlp import encode  # type: ignore[import-untyped]
from rlp.exceptions import RLPException  # type: ignore[import-untyped]

from ocn_permission_agent.sandbox.chain.faults import INVALID_PARAMS, REFUSED, RpcFault
from ocn_permission_agent.sandbox.chain.values import Block, Call, Log, Outcome, Receipt, Transaction

ZERO_ADDRESS = bytes(20)


class Evm:
    """Executes; remembers only state by root and headers by hash.

    Args:
        chain_id: what transactions must be signed for (EIP-155) and CHAINID answers.
        accounts: wei that each address owns in the genesis block.
        gas_limit: of every block.
        genesis_time: Unix seconds of block 0.
    """

    def __init__(self, *, chain_id: int, accounts: Mapping[bytes, int], gas_limit: int, genesis_time: int) -> None:
        chain_class = MiningChain.configure("SandboxChain", chain_id=chain_id, vm_configuration=((0, ParisVM),))
        state: dict[Address, AccountDetails] = {
            Address(address): {"balance": wei, "nonce": 0, "code": b"", "storage": {}}
            for address, wei in accounts.items()
        }
        genesis: dict[str, HeaderParams] = {
            "coinbase": ZERO_ADDRESS,
            "difficulty": 0,
            "extra_data": b"",
            "gas_limit": gas_limit,
            "mix_hash": bytes(32),
            "nonce": bytes(8),
            "receipt_root": BLANK_ROOT_HASH,
            "transaction_root": BLANK_ROOT_HASH,
            "timestamp": genesis_time,
        }
        self.chain_id = chain_id
        self._chain = chain_class.from_genesis(AtomicDB(), genesis, state)
        self._made = 0

    def genesis(self) -> Block:
        """Block 0."""
        header = self._chain.get_canonical_block_header_by_number(BlockNumber(0))
        return _block(header, size=len(encode(header)), transactions=(), receipts=())

    def decode(self, raw: bytes) -> Transaction:
        """The transaction in `raw`, with its sender.

        Raises:
            RpcFault: not a transaction, unsigned, unprotected (no chain id) or signed for another chain.
        """
        try:
            signed = self._chain.get_vm().get_transaction_builder().decode(raw)
            signed.validate()
            return self._read(signed)
        except (RLPException, ValidationError, PyEVMError, ValueError, TypeError, IndexError) as error:
            raise RpcFault(INVALID_PARAMS, f"not a valid signed transaction: {error}") from error

    def _read(self, signed: SignedTransactionAPI) -> Transaction:
        chain_id = signed.chain_id
        if chain_id is None:
            raise RpcFault(REFUSED, "only replay-protected (EIP-155) transactions allowed over RPC")
        if chain_id != self.chain_id:
            raise RpcFault(REFUSED, f"invalid chain id for signer: have {chain_id} want {self.chain_id}")
        return Transaction(
            signed=signed,
            hash=signed.hash,
            kind=getattr(signed, "type_id", None) or 0,
            sender=signed.sender,
            to=signed.to or None,
            nonce=signed.nonce,
            gas=signed.gas,
            value=signed.value,
            data=signed.data,
            fee_cap=signed.max_fee_per_gas,
            tip_cap=signed.max_priority_fee_per_gas,
            parity=signed.y_parity,
            access_list=tuple((address, tuple(slots)) for address, slots in signed.access_list)
            if getattr(signed, "type_id", None)
            else (),
        )

    def next_base_fee(self, parent: Block) -> int:
        """Wei per gas that the block upon `parent` will burn (EIP-1559)."""
        return _base_fee(self._header_upon(parent, timestamp=parent.header.timestamp + 1))

    def build(self, parent: Block, transactions: Sequence[Transaction], *, timestamp: int) -> Block:
        """A block upon `parent`. Every transaction must be executable in the given order.

        Two blocks are never equal, even with the same content in the same second: the mix hash counts them.

        Raises:
            RpcFault: a transaction cannot be executed here (nonce, balance, fee or gas limit).
        """
        self._made += 1
        header = self._header_upon(parent, timestamp=timestamp, mix_hash=keccak(self._made.to_bytes(32, "big")))
        vm = self._chain.get_vm(header)
        signed = tuple(transaction.signed for transaction in transactions)
        try:
            filled, receipts, computations = vm.apply_all_transactions(signed, header)
        except ValidationError as error:
            raise RpcFault(REFUSED, f"transaction cannot be executed: {error}") from error
        block = vm.set_block_transactions_and_withdrawals(vm.get_block(), filled, signed, receipts)
        mined = vm.mine_block(block).block
        self._chain.chaindb.persist_block(mined)
        return _block(
            mined.header,
            size=len(encode(mined)),
            transactions=tuple(transactions),
            receipts=_receipts(transactions, receipts, computations, _base_fee(mined.header)),
        )

    def _header_upon(self, parent: Block, **fields: object) -> BlockHeaderAPI:
        make: Callable[..., BlockHeaderAPI] = ParisVM.create_header_from_parent
        return make(parent.header, gas_limit=parent.header.gas_limit, coinbase=ZERO_ADDRESS, **fields)

    def call(self, at: Block, call: Call) -> Outcome:
        """Run `call` upon the state of `at`, in its block context, and forget what it changed. No fees are charged."""
        state = self._state(at)
        snapshot = state.snapshot()
        context = state.get_transaction_context_class()(gas_price=call.gas_price, origin=Address(call.sender))
        computations = state.computation_class
        try:
            if call.to is None:
                computation = computations.apply_create_message(state, _creation(call), context)
            else:
                code = state.get_code(Address(call.to))
                computation = computations.apply_message(state, _message(call, Address(call.to), code), context)
        except VMError as error:
            return Outcome(output=b"", gas_used=call.gas, failure=str(error) or type(error).__name__)
        finally:
            state.revert(snapshot)
        return _outcome(computation)

    def balance(self, at: Block, address: bytes) -> int:
        """Wei owned by `address` after block `at`."""
        return self._state(at).get_balance(Address(address))

    def nonce(self, at: Block, address: bytes) -> int:
        """Number of transactions sent by `address` up to block `at`."""
        return self._state(at).get_nonce(Address(address))

    def code(self, at: Block, address: bytes) -> bytes:
        """Runtime code at `address` after block `at`."""
        return self._state(at).get_code(Address(address))

    def storage(self, at: Block, address: bytes, slot: int) -> int:
        """The word in `slot` of `address` after block `at`."""
        return self._state(at).get_storage(Address(address), slot)

    def _state(self, at: Block) -> StateAPI:
        return self._chain.get_vm(at.header).state


def _message(call: Call, to: Address, code: bytes) -> Message:
    return Message(gas=call.gas, to=to, sender=Address(call.sender), value=call.value, data=call.data, code=code)


def _creation(call: Call) -> Message:
    return Message(
        gas=call.gas,
        to=CREATE_CONTRACT_ADDRESS,
        sender=Address(call.sender),
        value=call.value,
        data=b"",
        code=call.data,
        create_address=Address(keccak(b"sandbox" + call.sender)[12:]),
    )


def _base_fee(header: BlockHeaderAPI) -> int:
    return header.base_fee_per_gas or 0


def _block(
    header: BlockHeaderAPI, *, size: int, transactions: tuple[Transaction, ...], receipts: tuple[Receipt, ...]
) -> Block:
    return Block(
        header=header,
        hash=header.hash,
        number=header.block_number,
        base_fee=_base_fee(header),
        size=size,
        transactions=transactions,
        receipts=receipts,
    )


def intrinsic_gas(call: Call) -> int:
    """Gas that a transaction pays before its first instruction (EIP-2028, EIP-2)."""
    zeros = call.data.count(0)
    return 21_000 + 4 * zeros + 16 * (len(call.data) - zeros) + (32_000 if call.to is None else 0)


def _outcome(computation: ComputationAPI) -> Outcome:
    used = computation.get_gas_used()
    if computation.is_success:
        return Outcome(output=bytes(computation.output), gas_used=used, failure=None)
    error = computation.error
    if isinstance(error, Revert):
        return Outcome(output=bytes(computation.output), gas_used=used, failure="revert")
    return Outcome(output=b"", gas_used=used, failure=str(error) or type(error).__name__)


def _receipts(
    transactions: Sequence[Transaction],
    receipts: Sequence[ReceiptAPI],
    computations: Sequence[ComputationAPI],
    base_fee: int,
) -> tuple[Receipt, ...]:
    made: list[Receipt] = []
    before = 0
    for transaction, receipt, computation in zip(transactions, receipts, computations, strict=True):
        logs = tuple(
            Log(
                address=log.address,
                topics=tuple(topic.to_bytes(32, "big") for topic in log.topics),
                data=bytes(log.data),
            )
            for log in receipt.logs
        )
        made.append(
            Receipt(
                succeeded=computation.is_success,
                gas_used=receipt.gas_used - before,
                cumulative_gas_used=receipt.gas_used,
                gas_price=min(transaction.fee_cap, base_fee + transaction.tip_cap),
                contract_address=computation.msg.storage_address if transaction.to is None else None,
                logs=logs,
                bloom=receipt.bloom,
                output=bytes(computation.output),
            )
        )
        before = receipt.gas_used
    return tuple(made)
