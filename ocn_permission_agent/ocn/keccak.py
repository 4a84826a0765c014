"""Keccak-256, by the library that is the fastest for what we hash: short texts.

`eth_hash.auto` takes pycryptodome wherever it is installed, and eth-account installs it; for a message of 64 bytes that
takes four times as long as pysha3 (docs/explanation/consent-figures.md).
"""

import importlib.util

from eth_hash.auto import keccak as _any_keccak
from eth_hash.main import Keccak256
from eth_hash.utils import load_backend


def _fastest() -> Keccak256:
    """PySHA3's where it is installed; it is not on every interpreter."""
    if importlib.util.find_spec("sha3") is None:
        return _any_keccak
    return Keccak256(load_backend("pysha3"))


keccak = _fastest()
