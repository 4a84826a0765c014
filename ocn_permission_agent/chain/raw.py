"""Signatures of the `…Raw` functions: what is packed, and how it is signed (permissions-contract.md §6; pure).

Such a signature is a permanent bearer token: whoever sees it can use it again, for ever (T5, T6). Vectors:
tests/vectors/permissions_raw.json.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ocn_permission_agent.consent.address import Address
from ocn_permission_agent.ocn.keccak import keccak


class Signer(Protocol):
    """A key that signs as ``personal_sign`` does: ``r s v`` as 130 hex digits (`ocn.keys.OperatorKey`)."""

    def sign(self, text: bytes) -> str:
        """Sign a text (EIP-191, version E)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RawSignature:
    """v is 27 or 28, r and s are 32 bytes each; never shown by accident."""

    v: int
    r: bytes = field(repr=False)
    s: bytes = field(repr=False)


def packed_service(name: str, url: str, permissions: Sequence[int]) -> bytes:
    """For setServiceRaw: both texts without any boundary, each id as 32 bytes."""
    return name.encode() + url.encode() + b"".join(number.to_bytes(32, "big") for number in permissions)


def packed_provider(provider: Address) -> bytes:
    """For createAgreementRaw and revokeAgreementRaw alike: the 20 bytes of the provider."""
    return bytes.fromhex(provider[2:])


def sign_raw(signer: Signer, packed: bytes) -> RawSignature:
    """Sign the Keccak-256 of what was packed."""
    rsv = bytes.fromhex(signer.sign(keccak(packed)))
    return RawSignature(v=rsv[64], r=rsv[:32], s=rsv[32:64])
