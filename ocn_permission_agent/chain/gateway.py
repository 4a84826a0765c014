"""The one seam to web3: transactions out, receipts in. Imported only by commands that write.

web3 left alone would repeat requests, forget a revert's reason, fetch URLs that a contract names (EIP-3668) and quote
the endpoint's URL, which may hold a key, in its errors: none of that happens here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from aiohttp import ClientError, ClientTimeout
from hexbytes import HexBytes
from web3 import AsyncHTTPProvider, AsyncWeb3
from web3.exceptions import TransactionNotFound, Web3Exception, Web3RPCError
from web3.middleware import ExtraDataToPOAMiddleware
from web3.types import RPCEndpoint

from ocn_permission_agent.chain.blocks import quantity
from ocn_permission_agent.chain.fees import Prices
from ocn_permission_agent.chain.revert import refusal
from ocn_permission_agent.chain.text import shown
from ocn_permission_agent.consent.address import Address
from ocn_permission_agent.errors import ChainUnavailable, WriteRefused

DEADLINE_SECONDS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who pays: wei, the next nonce, and how many transactions wait for a block already."""

    balance: int
    nonce: int
    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of a transaction that is in a block."""

    transaction_hash: str
    block_number: int
    block_hash: str
    succeeded: bool


class Gateway:
    """One endpoint, for transactions to one contract; an async context manager.

    Every method raises `ChainUnavailable` when there is no usable answer.

    Args:
        url: of the endpoint; never shown.
        contract: where calls go.
    """

    def __init__(self, *, url: str, contract: Address) -> None:
        parts = urlsplit(url)
        self.endpoint = f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
        self._provider = AsyncHTTPProvider(
            url,
            request_kwargs={"timeout": ClientTimeout(total=DEADLINE_SECONDS)},
            exception_retry_configuration=None,
            cache_allowed_requests=True,
        )
        self._provider.global_ccip_read_enabled = False
        self._web3 = AsyncWeb3(self._provider)
        # Harmless where headers are plain; chains with long extra data cannot be read without it.
        self._web3.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)
        self._contract = self._web3.to_checksum_address(contract)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._provider.disconnect()

    async def simulate(self, data: bytes, *, sender: Address, block_number: int | None = None) -> None:
        """Try a call without sending it, at the head or on top of a block.

        Raises:
            WriteRefused: the contract refuses; its reason is told.
        """
        await self._try("eth_call", data, sender, "latest" if block_number is None else hex(block_number))

    async def estimate_gas(self, data: bytes, *, sender: Address) -> int:
        """Gas for a call, as the endpoint estimates it.

        Raises:
            WriteRefused: the contract refuses; its reason is told.
        """
        return quantity(await self._try("eth_estimateGas", data, sender))

    async def _try(self, method: str, data: bytes, sender: Address, *rest: str) -> object:
        """Asked without web3's own reading of errors, which drops the reason when there are no revert data."""
        call = {"from": sender, "to": self._contract, "data": f"0x{data.hex()}"}
        with self._translated():
            response: dict[str, Any] = dict(await self._provider.make_request(RPCEndpoint(method), [call, *rest]))
            error = response.get("error")
            if error is None:
                return response["result"]
        fields = error if isinstance(error, dict) else {"message": str(error)}
        raise WriteRefused(refusal(str(fields.get("message", "")), fields.get("data")))

    async def account(self, owner: Address) -> Account:
        """What the payer has."""
        checksummed = self._web3.to_checksum_address(owner)
        with self._translated():
            balance = await self._web3.eth.get_balance(checksummed)
            settled = await self._web3.eth.get_transaction_count(checksummed, "latest")
            nonce = await self._web3.eth.get_transaction_count(checksummed, "pending")
        return Account(balance=balance, nonce=nonce, waiting=max(nonce - settled, 0))

    async def prices(self) -> Prices:
        """What gas costs now."""
        with self._translated():
            block = await self._web3.eth.get_block("latest")
            price = await self._web3.eth.gas_price
        return Prices(gas_price=int(price), base_fee=block.get("baseFeePerGas"))

    async def send(self, raw: bytes) -> None:
        """Hand in a signed transaction.

        Raises:
            WriteRefused: the endpoint did not take it, for a reason that is told.
            ChainUnavailable: no answer; it may have been taken nevertheless.
        """
        try:
            with self._translated():
                await self._web3.eth.send_raw_transaction(HexBytes(raw))
        except _Refused as error:
            raise WriteRefused(f"{self.endpoint} did not take the transaction: {error.text}") from None

    async def receipt(self, transaction_hash: str) -> Receipt | None:
        """What became of a transaction; None while it is in no block."""
        with self._translated():
            try:
                found = await self._web3.eth.get_transaction_receipt(HexBytes(transaction_hash))
            except TransactionNotFound:
                return None
            return Receipt(
                transaction_hash=transaction_hash,
                block_number=int(found["blockNumber"]),
                block_hash=f"0x{bytes(found['blockHash']).hex()}",
                succeeded=found["status"] == 1,
            )

    async def head(self) -> int:
        """The newest block's number."""
        with self._translated():
            return int(await self._web3.eth.block_number)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except Web3RPCError as error:
            raise _Refused(self.endpoint, _text_of(error)) from None
        except (Web3Exception, ClientError, OSError, ValueError, KeyError, TypeError) as error:
            # The library's words may repeat the URL, and with it a secret: only the kind of error is told.
            raise ChainUnavailable(f"{self.endpoint} gave no usable answer: {type(error).__name__}") from None


class _Refused(ChainUnavailable):
    """An error object in place of a result."""

    def __init__(self, endpoint: str, text: str) -> None:
        super().__init__(f"{endpoint} refused: {text}")
        self.text = text


def _text_of(error: Web3RPCError) -> str:
    response = error.rpc_response or {}
    detail = response.get("error", "")
    message = detail.get("message", "") if isinstance(detail, dict) else detail
    return shown(str(message).encode("utf-8", "replace")) or "no reason given"
