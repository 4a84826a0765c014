"""Who really wanted what a log tells: the transaction behind it, read and judged (consent.md C6). Pure.

::

    tx.to = Permissions, createAgreement(provider), tx.from = customer      direct
    tx.to = Permissions, createAgreementRaw(provider, v, r, s)              relayed: anybody may have sent it
    anything else                                                           inner: some contract called ours
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from ocn_permission_agent.chain.blocks import hash_text, octets
from ocn_permission_agent.consent.address import Address, address
from ocn_permission_agent.consent.events import AgreementToggled, Event, Sent, ServiceListed
from ocn_permission_agent.errors import ChainUnavailable
from ocn_permission_agent.ocn.keccak import keccak


def _selectors(*signatures: str) -> frozenset[bytes]:
    return frozenset(keccak(signature.encode())[:4] for signature in signatures)


_AGREEMENT_DIRECT = _selectors("createAgreement(address)", "revokeAgreement(address)")
_AGREEMENT_RAW = _selectors(
    "createAgreementRaw(address,uint8,bytes32,bytes32)", "revokeAgreementRaw(address,uint8,bytes32,bytes32)"
)
_SERVICE_DIRECT = _selectors("setService(string,string,uint256[])", "deleteService()")
_SERVICE_RAW = _selectors(
    "setServiceRaw(string,string,uint256[],uint8,bytes32,bytes32)", "deleteServiceRaw(address,uint8,bytes32,bytes32)"
)

#: events whose meaning depends on how they were sent
Traced: TypeAlias = AgreementToggled | ServiceListed


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """What we need of a transaction; `to` is None when it made a contract, `block_hash` while it waits."""

    hash: str
    block_hash: str | None
    sender: Address
    to: Address | None
    data: bytes


def read_transaction(value: object) -> Transaction | None:
    """The transaction of an answer; None when the endpoint knows none. Raises ChainUnavailable for anything else."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ChainUnavailable("the endpoint answered something that is not a transaction")
    fields: Mapping[str, Any] = value
    block_hash, to = fields.get("blockHash"), fields.get("to")
    try:
        return Transaction(
            hash=hash_text(fields.get("hash")),
            block_hash=None if block_hash is None else hash_text(block_hash),
            sender=address(str(fields.get("from"))),
            to=None if to is None else address(str(to)),
            data=octets(fields.get("input", fields.get("data"))),
        )
    except ValueError as error:
        raise ChainUnavailable("the endpoint answered a transaction without usable addresses") from error


def must_be_traced(event: Event) -> bool:
    """Whether the event's transaction has to be looked up."""
    return isinstance(event, AgreementToggled) or (isinstance(event, ServiceListed) and event.nameless)


def traced(event: Event, transaction: Transaction | None, *, permissions: Address) -> Event:
    """The event with how it was sent; None: the transaction is not known any more."""
    if not isinstance(event, AgreementToggled | ServiceListed):
        return event
    return replace(event, sent=Sent.UNKNOWN if transaction is None else _sent(event, transaction, permissions))


def _sent(event: Traced, transaction: Transaction, permissions: Address) -> Sent:
    if transaction.to != permissions:
        return Sent.INNER
    selector, first_word = transaction.data[:4], transaction.data[4:36]
    if isinstance(event, ServiceListed):
        party, direct, raw, named = event.provider, _SERVICE_DIRECT, _SERVICE_RAW, True
    else:
        # The contract ignores what stands in the upper bytes of an address.
        named = first_word[12:].hex() == event.provider[2:]
        party, direct, raw = event.customer, _AGREEMENT_DIRECT, _AGREEMENT_RAW
    if selector in direct and named and transaction.sender == party:
        return Sent.DIRECT
    return Sent.RELAYED if selector in raw and named else Sent.INNER
