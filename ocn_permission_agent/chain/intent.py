"""What a person wants to write into the Permissions contract, and its calldata (pure).

Direct calls are authorised by who sends the transaction. The `…Raw` twins carry a signature instead and can be sent by
anybody, again and again (`chain/raw.py`). `deleteServiceRaw` is deliberately absent: what it signs also unregisters
the party (permissions-contract.md T5e).
"""

from dataclasses import dataclass
from typing import TypeAlias

from eth_abi.abi import encode
from eth_hash.auto import keccak

from ocn_permission_agent.chain.proposal import ServiceProposal
from ocn_permission_agent.chain.raw import RawSignature, packed_provider, packed_service
from ocn_permission_agent.consent.address import Address

_SIGNATURE_TYPES = ("uint8", "bytes32", "bytes32")


@dataclass(frozen=True, slots=True, kw_only=True)
class SetService:
    """A provider lists its service, or changes the listing."""

    proposal: ServiceProposal


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteService:
    """A provider takes its service away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateAgreement:
    """A customer agrees to a provider's service."""

    provider: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeAgreement:
    """A customer ends its agreement."""

    provider: Address


RawIntent: TypeAlias = SetService | CreateAgreement | RevokeAgreement
Intent: TypeAlias = RawIntent | DeleteService


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractWrite:
    """Calldata for the Permissions contract; `function` is its name, for people."""

    function: str
    data: bytes


def direct_write(intent: Intent) -> ContractWrite:
    """The call for whom it concerns to send."""
    match intent:
        case DeleteService():
            return _write("deleteService", (), ())
        case _:
            name, types, values = _call_of(intent)
            return _write(name, types, values)


def raw_write(intent: RawIntent, signature: RawSignature) -> ContractWrite:
    """The call for anybody to send."""
    name, types, values = _call_of(intent)
    return _write(f"{name}Raw", (*types, *_SIGNATURE_TYPES), (*values, signature.v, signature.r, signature.s))


def packed_of(intent: RawIntent) -> bytes:
    """What the raw call's signature covers: neither function nor contract nor chain, and no number that runs on."""
    match intent:
        case SetService(proposal=proposal):
            return packed_service(proposal.name, proposal.url, proposal.permissions)
        case CreateAgreement(provider=provider) | RevokeAgreement(provider=provider):
            return packed_provider(provider)


def _call_of(intent: RawIntent) -> tuple[str, tuple[str, ...], tuple[object, ...]]:
    match intent:
        case SetService(proposal=proposal):
            values = (proposal.name, proposal.url, proposal.permissions)
            return "setService", ("string", "string", "uint256[]"), values
        case CreateAgreement(provider=provider):
            return "createAgreement", ("address",), (provider,)
        case RevokeAgreement(provider=provider):
            return "revokeAgreement", ("address",), (provider,)


def _write(name: str, types: tuple[str, ...], values: tuple[object, ...]) -> ContractWrite:
    selector = keccak(f"{name}({','.join(types)})".encode())[:4]
    return ContractWrite(function=name, data=selector + encode(types, values))
