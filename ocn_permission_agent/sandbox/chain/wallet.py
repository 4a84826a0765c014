"""A private key of the sandbox: signs transactions and raw calls. Throwaway keys only."""

from dataclasses import dataclass, field
from typing import Any, Self

from eth_account import Account
from eth_account.messages import encode_defunct
from eth_hash.auto import keccak

from ocn_permission_agent.sandbox.chain.calls import Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Wallet:
    """A key and its checksummed address."""

    key: bytes = field(repr=False)
    address: str

    @classmethod
    def from_key(cls, key: bytes | str) -> Self:
        """The wallet of a 32-byte key, as bytes or 0x text."""
        raw = key if isinstance(key, bytes) else bytes.fromhex(key.removeprefix("0x"))
        return cls(key=raw, address=Account.from_key(raw).address)

    @classmethod
    def from_seed(cls, seed: str) -> Self:
        """The same wallet for the same word, so that a demo looks the same every time. Never fund it."""
        return cls.from_key(keccak(b"ocn sandbox wallet " + seed.encode()))

    def sign_packed(self, packed: bytes) -> Signature:
        """The signature of a raw call over its packed arguments (permissions-contract.md §6)."""
        signed = Account.sign_message(encode_defunct(primitive=keccak(packed)), self.key)
        return Signature(v=signed.v, r=signed.r.to_bytes(32, "big"), s=signed.s.to_bytes(32, "big"))

    def sign_transaction(self, transaction: dict[str, Any]) -> bytes:
        """The raw signed transaction; the fields are those of `eth_account`."""
        return bytes(Account.sign_transaction(transaction, self.key).raw_transaction)
