"""Writes to the Permissions contract: checked, tried, paid for within a cap, sent, and followed until confirmed.

::

    check ──▶ prepare ──▶ send ──▶ wait: in no block ──▶ in a block ──▶ confirmed
    (chain,    (simulate,                    ▲               │
     code)      gas, fees)                   └──── reorganised
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ocn_permission_agent.chain.checks import check_contracts
from ocn_permission_agent.chain.fees import GWEI, Fees, OverCap, choose_fees
from ocn_permission_agent.chain.gateway import Gateway, Receipt
from ocn_permission_agent.chain.intent import ContractWrite
from ocn_permission_agent.chain.settings import ChainSettings
from ocn_permission_agent.chain.source import ChainSource
from ocn_permission_agent.chain.wallet import WalletKey
from ocn_permission_agent.clock import Clock
from ocn_permission_agent.consent.address import Address, address
from ocn_permission_agent.errors import ChainUnavailable, ContractMismatch, WriteRefused, WriteUnsettled

#: a fifth more gas than estimated: another transaction may change what ours does
_GAS_RESERVE = 5
#: told while waiting: blocks above the transaction's own, None while it is in no block
ReportWait = Callable[[int | None], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A write that would work now. `most_wei` is what it can cost at most; `waiting` transactions come before it."""

    write: ContractWrite
    sender: Address
    gas: int
    fees: Fees
    nonce: int
    waiting: int

    @property
    def most_wei(self) -> int:
        """Gas limit times the highest price."""
        return self.gas * self.fees.most


class ContractWriter:
    """Writes through one endpoint.

    Args:
        gateway: sends.
        source: the same endpoint, for the checks.
        settings: which chain and contracts.
        cap: the most that gas may cost, in wei per gas.
        clock: paces the wait.
    """

    def __init__(
        self, *, gateway: Gateway, source: ChainSource, settings: ChainSettings, cap: int, clock: Clock
    ) -> None:
        self._gateway = gateway
        self._source = source
        self._settings = settings
        self._cap = cap
        self._clock = clock

    async def check(self) -> None:
        """Make sure that this is the configured chain and that both contracts are there.

        Raises:
            ContractMismatch: it is not; nothing may be sent.
            ChainUnavailable: no usable answer.
        """
        chain_id = await self._source.chain_id()
        if chain_id != self._settings.chain_id:
            raise ContractMismatch(f"The endpoint serves chain {chain_id}, not {self._settings.chain_id}.")
        if self._settings.genesis_hash:
            (genesis,) = await self._source.headers([0])
            if genesis.hash != self._settings.genesis_hash:
                raise ContractMismatch(
                    f"The endpoint's genesis block is {genesis.hash}, not that of chain.genesis_hash."
                )
        problems = await check_contracts(self._source, self._settings)
        if problems:
            raise ContractMismatch(_sentence(problems))

    async def try_direct(self, write: ContractWrite, *, signer: Address) -> None:
        """Try a call without paying for it.

        Raises:
            WriteRefused: the contract refuses; its reason is told.
        """
        await self._gateway.simulate(write.data, sender=signer)

    async def prepare(self, write: ContractWrite, *, sender: Address, nonce: int | None = None) -> Prepared:
        """Try the call and find out what it takes to send it.

        Args:
            write: the call.
            sender: who pays; for a direct call also whom it concerns.
            nonce: to replace a transaction that is still in no block; None for the next.

        Raises:
            WriteRefused: the contract refuses, gas costs more than the cap, or the sender cannot pay.
            ChainUnavailable: no usable answer.
        """
        await self._gateway.simulate(write.data, sender=sender)
        gas = await self._gateway.estimate_gas(write.data, sender=sender)
        fees = choose_fees(await self._gateway.prices(), cap=self._cap)
        if isinstance(fees, OverCap):
            raise WriteRefused(
                f"Gas costs {_gwei(fees.asked)} gwei now, more than the {_gwei(fees.cap)} gwei of --max-fee-gwei. "
                "Nothing was sent."
            )
        account = await self._gateway.account(sender)
        prepared = Prepared(
            write=write,
            sender=sender,
            gas=gas + gas // _GAS_RESERVE,
            fees=fees,
            nonce=account.nonce if nonce is None else nonce,
            waiting=account.waiting if nonce is None else 0,
        )
        if prepared.most_wei > account.balance:
            raise WriteRefused(
                f"{sender} has {in_coins(account.balance)} and this may cost {in_coins(prepared.most_wei)} "
                "of the chain's coin. Nothing was sent."
            )
        return prepared

    async def send(self, prepared: Prepared, key: WalletKey, *, announce: Callable[[str], None]) -> str:
        """Sign and hand in; gives the transaction's hash, which is announced as soon as it was handed in.

        Raises:
            WriteRefused: the endpoint did not take it.
            WriteUnsettled: no answer; it may be on its way.
        """
        if key.address != prepared.sender:
            raise WriteRefused("The transaction was prepared for another sender. Nothing was sent.")
        raw, transaction_hash = key.sign_transaction(self._fields(prepared))
        try:
            await self._gateway.send(raw)
        except ChainUnavailable as error:
            raise WriteUnsettled(
                f"The transaction {transaction_hash} may have been sent, but there was no usable answer: {error}."
            ) from error
        announce(transaction_hash)
        return transaction_hash

    async def wait(
        self, prepared: Prepared, transaction_hash: str, *, timeout_seconds: float, report: ReportWait
    ) -> Receipt:
        """Wait until the transaction has the configured number of blocks above its own.

        Args:
            prepared: what was sent.
            transaction_hash: of it.
            timeout_seconds: without any progress, neither into a block nor by one more block.
            report: told at every look.

        Raises:
            WriteUnsettled: no progress for that long.
            WriteRefused: it is in a block, and failed there.
        """
        progress: tuple[str, int] | None = None
        receipt, above = None, 0
        deadline = self._clock.monotonic() + timeout_seconds
        while True:
            try:
                receipt, above = await self._look(transaction_hash)
            except ChainUnavailable:
                pass  # trouble with the endpoint is not progress, and not the loss of any
            else:
                report(None if receipt is None else above)
            if receipt is not None and not receipt.succeeded:
                raise WriteRefused(await self._failure(prepared, receipt))
            if receipt is not None and above >= self._settings.confirmations:
                return receipt
            seen = None if receipt is None else (receipt.block_hash, above)
            if seen != progress:
                progress, deadline = seen, self._clock.monotonic() + timeout_seconds
            if self._clock.monotonic() >= deadline:
                raise WriteUnsettled(_stuck(transaction_hash, receipt, above, timeout_seconds))
            await self._clock.sleep(min(self._settings.poll_seconds, timeout_seconds))

    async def _look(self, transaction_hash: str) -> tuple[Receipt | None, int]:
        """The receipt and the blocks above it."""
        receipt = await self._gateway.receipt(transaction_hash)
        above = 0 if receipt is None else max(await self._gateway.head() - receipt.block_number, 0)
        return receipt, above

    async def _failure(self, prepared: Prepared, receipt: Receipt) -> str:
        """What to say of a transaction that failed in its block; the call is tried again there for its reason."""
        said = f"The transaction {receipt.transaction_hash} failed in block {receipt.block_number}; it changed nothing."
        try:
            await self._gateway.simulate(prepared.write.data, sender=prepared.sender, block_number=receipt.block_number)
        except WriteRefused as why:
            return f"{said} {why}"
        except ChainUnavailable:
            pass
        return said

    def _fields(self, prepared: Prepared) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "chainId": self._settings.chain_id,
            "nonce": prepared.nonce,
            "gas": prepared.gas,
            "to": bytes.fromhex(address(self._settings.permissions)[2:]),
            "value": 0,
            "data": prepared.write.data,
        }
        if prepared.fees.tip is None:
            return fields | {"gasPrice": prepared.fees.most}
        return fields | {
            "type": 2,
            "maxFeePerGas": prepared.fees.most,
            "maxPriorityFeePerGas": prepared.fees.tip,
        }


def in_coins(wei: int) -> str:
    """Wei as a number of the chain's coin, six digits after the point, rounded up so that it is never zero."""
    millionths = -(-wei // 10**12)
    return f"{millionths // 10**6}.{millionths % 10**6:06d}"


def _gwei(wei: int) -> str:
    return f"{wei / GWEI:.9g}"


def _sentence(problems: list[str]) -> str:
    text = "; ".join(problems)
    return f"{text[:1].upper()}{text[1:]}."


def _stuck(transaction_hash: str, receipt: Receipt | None, above: int, seconds: float) -> str:
    if receipt is None:
        return f"The transaction {transaction_hash} is in no block after {seconds:.0f} s. It may still get into one."
    return (
        f"The transaction {transaction_hash} is in block {receipt.block_number}, but no block followed for "
        f"{seconds:.0f} s: {above} of the wanted confirmations."
    )
