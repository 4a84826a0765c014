"""Addresses and places on the chain."""

import re
from dataclasses import dataclass
from typing import NewType, Self

import msgspec

#: An account: ``0x`` and 40 lower-case hex digits. Made by `address`, nowhere else.
Address = NewType("Address", str)

ZERO = Address("0x" + "0" * 40)
_FORM = re.compile(r"0x[0-9a-fA-F]{40}")


def address(text: str) -> Address:
    """Read an account in any letter case.

    Raises:
        ValueError: not ``0x`` and 40 hex digits.
    """
    if not _FORM.fullmatch(text):
        raise ValueError(f"{text!r} is not an address: 0x and 40 hexadecimal digits are needed")
    return Address(text.lower())


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Where a log stands: block number, then index in the block. Orders logs as the chain does."""

    block_number: int
    log_index: int


class AgreementId(msgspec.Struct, frozen=True, order=True):
    """The grant that made an agreement: transaction hash (``0x`` and 64 lower-case hex digits) and log index.

    A later agreement of the same pair has another id: what was planned under one never goes out under another.
    """

    transaction_hash: str
    log_index: int

    def __str__(self) -> str:
        """Text form ``0x…:3``, also used in the store."""
        return f"{self.transaction_hash}:{self.log_index}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text form; raises ValueError."""
        transaction_hash, colon, index = text.rpartition(":")
        if not colon:
            raise ValueError(f"{text!r} is not an agreement id")
        return cls(transaction_hash, int(index))
