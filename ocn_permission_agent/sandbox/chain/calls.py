"""Calls of the Registry and Permissions contracts, as calldata; and the signatures their `…Raw` twins want.

What a raw call signs is only its packed arguments (permissions-contract.md §6): no nonce, no chain id, no contract
and no function name. That is why the replays of §2 (T5, T6) work, and why these builders take a signature rather
than make one: tests hand in whatever they like.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from eth_abi.abi import decode, encode
from eth_hash.auto import keccak


class Contract(Enum):
    """One of the two contracts."""

    REGISTRY = "Registry"
    PERMISSIONS = "Permissions"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractCall:
    """Calldata for one of the contracts."""

    contract: Contract
    signature: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A recoverable signature: v is 27 or 28 when it is a valid one."""

    v: int
    r: bytes
    s: bytes

    @property
    def arguments(self) -> tuple[int, bytes, bytes]:
        """As the contracts take it."""
        return self.v, self.r, self.s


#: Arguments and results of every function the sandbox uses, by contract; the ABI of `contracts/*.json` is the same.
FUNCTIONS: dict[Contract, dict[str, tuple[str, ...]]] = {
    Contract.REGISTRY: {
        "owner()": ("address",),
        "isOwner()": ("bool",),
        "renounceOwnership()": (),
        "transferOwnership(address)": (),
        "adminDeleteOperator(address)": (),
        "adminDeleteParty(bytes2,bytes3)": (),
        "setNode(string)": (),
        "setNodeRaw(address,string,uint8,bytes32,bytes32)": (),
        "deleteNode()": (),
        "deleteNodeRaw(address,uint8,bytes32,bytes32)": (),
        "getNode(address)": ("string",),
        "getNodeOperators()": ("address[]",),
        "setParty(bytes2,bytes3,uint8[],address)": (),
        "setPartyRaw(address,bytes2,bytes3,uint8[],address,uint8,bytes32,bytes32)": (),
        "setPartyModules(uint8[],uint8[])": (),
        "setPartyModulesRaw(address,uint8[],uint8[],uint8,bytes32,bytes32)": (),
        "deleteParty()": (),
        "deletePartyRaw(address,uint8,bytes32,bytes32)": (),
        "getOperatorByAddress(address)": ("address", "string"),
        "getOperatorByOcpi(bytes2,bytes3)": ("address", "string"),
        "getPartyDetailsByAddress(address)": (
            "bytes2",
            "bytes3",
            "uint8[]",
            "uint8[]",
            "uint8[]",
            "address",
            "string",
        ),
        "getPartyDetailsByOcpi(bytes2,bytes3)": (
            "address",
            "uint8[]",
            "uint8[]",
            "uint8[]",
            "address",
            "string",
        ),
        "getParties()": ("address[]",),
    },
    Contract.PERMISSIONS: {
        "providers(uint256)": ("address",),
        "setService(string,string,uint256[])": (),
        "setServiceRaw(string,string,uint256[],uint8,bytes32,bytes32)": (),
        "getService(address)": ("bytes2", "bytes3", "bytes", "bytes", "uint256[]"),
        "deleteService()": (),
        "deleteServiceRaw(address,uint8,bytes32,bytes32)": (),
        "getProviders()": ("address[]",),
        "createAgreement(address)": (),
        "createAgreementRaw(address,uint8,bytes32,bytes32)": (),
        "revokeAgreement(address)": (),
        "revokeAgreementRaw(address,uint8,bytes32,bytes32)": (),
        "getUserAgreementsByAddress(address)": ("address[]",),
        "getUserAgreementsByOcpi(bytes2,bytes3)": ("address[]",),
        "hasUserAgreementByAddress(address,address)": ("bool",),
        "hasUserAgreementByOcpi(bytes2,bytes3,address)": ("bool",),
    },
}
_SIGNATURES = {
    (contract, signature.partition("(")[0]): signature
    for contract, functions in FUNCTIONS.items()
    for signature in functions
}


def contract_call(contract: Contract, name: str, *arguments: Any) -> ContractCall:
    """Calldata of a function by its name. A str is allowed for bytes2/bytes3 (ASCII), bytes for string (any bytes).

    Raises:
        KeyError: the contract has no such function.
        eth_abi.exceptions.EncodingError: an argument does not fit its type.
    """
    signature = _SIGNATURES[contract, name]
    inner = signature.partition("(")[2][:-1]
    kinds = inner.split(",") if inner else []
    values = [_fit(kind, value) for kind, value in zip(kinds, arguments, strict=True)]
    loose = ["bytes" if kind == "string" else kind for kind in kinds]
    return ContractCall(
        contract=contract, signature=signature, data=keccak(signature.encode())[:4] + encode(loose, values)
    )


def _fit(kind: str, value: Any) -> Any:
    if kind in {"bytes2", "bytes3", "string"} and isinstance(value, str):
        return value.encode()
    return value


def read_result(call: ContractCall, output: bytes) -> tuple[Any, ...]:
    """What a call returned, by the function's result types; strings of a service come as bytes (T6e)."""
    return tuple(decode(FUNCTIONS[call.contract][call.signature], output))


def packed_service(name: bytes | str, url: bytes | str, permissions: Sequence[int]) -> bytes:
    """What `setServiceRaw` signs: name and url without any boundary, each id as 32 bytes."""
    texts = b"".join(text.encode() if isinstance(text, str) else text for text in (name, url))
    return texts + b"".join(number.to_bytes(32, "big") for number in permissions)


def packed_address(address: str) -> bytes:
    """What `createAgreementRaw`, `revokeAgreementRaw`, `deleteServiceRaw` and the other deletes sign."""
    return bytes.fromhex(address[2:])


def packed_party(
    address: str, country_code: bytes | str, party_id: bytes | str, roles: Sequence[int], operator: str
) -> bytes:
    """What `setPartyRaw` signs."""
    key = b"".join(text.encode() if isinstance(text, str) else text for text in (country_code, party_id))
    words = b"".join(role.to_bytes(32, "big") for role in roles)
    return packed_address(address) + key + words + packed_address(operator)


def packed_node(operator: str, domain: str) -> bytes:
    """What `setNodeRaw` signs."""
    return packed_address(operator) + domain.encode()


def packed_modules(address: str, sender: Sequence[int], receiver: Sequence[int]) -> bytes:
    """What `setPartyModulesRaw` signs."""
    return packed_address(address) + b"".join(module.to_bytes(32, "big") for module in (*sender, *receiver))
