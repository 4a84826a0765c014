"""Keccak-256, by the library that is the fastest for what we hash: short texts.

`eth_hash.auto` takes pycryptodome wherever it is installed, and eth-account installs it; for a message of 64 bytes that
takes four times as long as pysha3 (docs/explanation/consent-figures.md).
"""

import importlib
import importlib.util
from collections.abc import Callable

from eth_hash.auto import keccak as _any_keccak


def _fastest() -> Callable[[bytes], bytes]:
    """PySHA3's where it is installed; it is not on every interpreter."""
    if importlib.util.find_spec("sha3") is None:
        return _any_keccak
    begin = importlib.import_module("sha3").keccak_256

    def hashed(data: bytes) -> bytes:
        digest: bytes = begin(data).digest()
        return digest

    return hashed


keccak = _fastest()
