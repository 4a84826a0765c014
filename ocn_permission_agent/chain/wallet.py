"""The key of a customer or provider who writes to the contracts himself; not the operator's."""

from collections.abc import Mapping
from typing import Any, ClassVar

from ocn_permission_agent.ocn.keys import OperatorKey


class WalletKey(OperatorKey):
    """Read and guarded like the operator's key; signs transactions as well."""

    __slots__ = ()

    called: ClassVar[str] = "the wallet key"

    def sign_transaction(self, fields: Mapping[str, Any]) -> tuple[bytes, str]:
        """The signed transaction, ready to be sent, and its hash (``0x`` and 64 hex digits).

        Args:
            fields: as `eth_account` takes them, legacy or EIP-1559.
        """
        from eth_account import Account  # noqa: PLC0415  half a second of import, needed by few

        signed = Account.from_key(self._key.secret).sign_transaction(dict(fields))
        return bytes(signed.raw_transaction), f"0x{bytes(signed.hash).hex()}"
