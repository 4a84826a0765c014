"""The hash chain of a customer's entries, and its proof. Pure. The format is final: docs/reference/ledger.md.

::

    beginning ──▶ link 1 ──▶ link 2 ──▶ link 3 ──▶ …        link n = SHA-256(link n-1 ‖ n ‖ commitment n)
                    ▲          ▲          ▲
               commitment  commitment  commitment           commitment = SHA-256(salt ‖ entry)
                    ▲                     ▲
               salt, entry   (erased)  salt, entry

An entry whose salt is gone tells nothing any more, not even to somebody who guesses it; its commitment still holds the
chain together.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import msgspec

from ocn_permission_agent.errors import SignatureError


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainedEntry:
    """One entry as it is stored; `salt` and `text` are None once it was erased."""

    number: int
    salt: bytes | None
    text: bytes | None
    commitment: bytes
    link: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A link that the operator has signed. `statement` is the text that was signed."""

    number: int
    statement: str
    signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """What is kept of one customer's chain: from where it is continued, and its entries in order."""

    customer_address: str
    first_number: int
    link_before: bytes
    entries: Iterable[ChainedEntry]
    checkpoints: tuple[Checkpoint, ...] = ()


class _Statement(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What a checkpoint says; the members in the order of the text."""

    ledger: int
    customer_address: str
    number: int
    link: str
    at: str


_STATEMENT = msgspec.json.Decoder(_Statement)


def beginning(customer_address: str) -> bytes:
    """What stands in place of a link before the first entry; differs for each customer."""
    return hashlib.sha256(b"ocn-permission-agent ledger 1\n" + customer_address.encode("ascii")).digest()


def commitment(salt: bytes, text: bytes) -> bytes:
    """What an entry contributes to the chain."""
    return hashlib.sha256(salt + text).digest()


def next_link(before: bytes, number: int, entry_commitment: bytes) -> bytes:
    """The link of entry `number`; the number as 8 bytes, big-endian."""
    return hashlib.sha256(before + number.to_bytes(8, "big") + entry_commitment).digest()


def statement(*, customer_address: str, number: int, link: bytes, at: str) -> str:
    """The text of a checkpoint. `at` is an instant as in an entry."""
    said = _Statement(ledger=1, customer_address=customer_address, number=number, link=link.hex(), at=at)
    return msgspec.json.encode(said).decode()


def verify(chain: Chain, *, signer: str, recover: Callable[[bytes, str], str]) -> tuple[str, ...]:
    """Prove a chain; returns what is wrong with it, one sentence each, empty when nothing is.

    Args:
        chain: as it is kept.
        signer: address of the operator, lower case.
        recover: tells who signed a text (`ocn.keys.recover`).
    """
    faults: list[str] = []
    links: dict[int, bytes] = {chain.first_number - 1: chain.link_before}
    if chain.first_number == 1 and chain.link_before != beginning(chain.customer_address):
        faults.append("the chain does not begin where this customer's chain begins")
    number, link = chain.first_number - 1, chain.link_before
    for entry in chain.entries:
        number += 1
        if entry.number != number:
            faults.append(f"entry {number} is missing: {entry.number} stands in its place")
            number = entry.number
        faults.extend(_faults_of(entry, link))
        link = links[number] = entry.link
    faults.extend(
        fault
        for checkpoint in chain.checkpoints
        for fault in _faults_of_checkpoint(checkpoint, chain, links, signer=signer, recover=recover)
    )
    return tuple(faults)


def _faults_of(entry: ChainedEntry, before: bytes) -> list[str]:
    faults = []
    if entry.salt is not None and entry.text is not None:
        if commitment(entry.salt, entry.text) != entry.commitment:
            faults.append(f"entry {entry.number} was changed: it is not what was committed to")
    elif entry.salt is not None or entry.text is not None:
        faults.append(f"entry {entry.number} is erased by half")
    if next_link(before, entry.number, entry.commitment) != entry.link:
        faults.append(f"entry {entry.number} does not continue the one before it")
    return faults


def _faults_of_checkpoint(
    checkpoint: Checkpoint,
    chain: Chain,
    links: Mapping[int, bytes],
    *,
    signer: str,
    recover: Callable[[bytes, str], str],
) -> list[str]:
    where = f"the checkpoint at entry {checkpoint.number}"
    try:
        said = _STATEMENT.decode(checkpoint.statement)
        signed_by = recover(checkpoint.statement.encode(), checkpoint.signature)
    except (msgspec.MsgspecError, SignatureError) as error:
        return [f"{where} cannot be read: {error}"]
    faults = []
    if signed_by.lower() != signer:
        faults.append(f"{where} is not signed by {signer}")
    if (said.ledger, said.customer_address, said.number) != (1, chain.customer_address, checkpoint.number):
        faults.append(f"{where} is about something else")
    kept = links.get(checkpoint.number)
    if kept is None and checkpoint.number >= chain.first_number:
        faults.append(f"{where} is about an entry that is missing")
    elif kept is not None and kept.hex() != said.link:
        faults.append(f"{where} has signed another link")
    return faults
