"""The sandbox's own Registry and Permissions contracts: Solidity sources and what they compile to.

`contracts.json` names the compiler, its settings and the command that made it (`build.mjs`). That they behave as the
real ones is shown by `tests/peers/test_contract_conformance.py`.
"""

from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import orjson


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractCode:
    """What a contract is deployed from.

    `bytecode` takes the constructor's arguments behind it; `abi` is the usual JSON list.
    """

    abi: list[dict[str, Any]] = field(repr=False)
    bytecode: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractCodes:
    """Both contracts from one source, ours or the real ones."""

    registry: ContractCode
    permissions: ContractCode


def own_contracts() -> ContractCodes:
    """The contracts compiled from the sources beside this file."""
    artefact = orjson.loads(files(__package__).joinpath("contracts.json").read_bytes())
    return read_codes(artefact["contracts"])


def read_codes(contracts: dict[str, Any]) -> ContractCodes:
    """Codes from an object with "Registry" and "Permissions", each with "abi" and "bytecode" (0x text)."""
    registry, permissions = (
        ContractCode(abi=contracts[name]["abi"], bytecode=bytes.fromhex(contracts[name]["bytecode"].removeprefix("0x")))
        for name in ("Registry", "Permissions")
    )
    return ContractCodes(registry=registry, permissions=permissions)
