"""From logs and answers to events and values; here, and only here, the contract's "user" becomes our customer.

Everything is decoded with byte slices that never reach beyond their data: one strange log must close nobody but whom
it names, and never stop the watcher (consent.md C10; permissions-contract.md T6e, T7).
"""

from dataclasses import dataclass

from ocn_permission_agent.chain.abi import OPERATOR_UPDATE, PARTY_UPDATE, SERVICE_AGREEMENT, SERVICE_UPDATE
from ocn_permission_agent.chain.blocks import RawLog
from ocn_permission_agent.chain.text import party_from_bytes, readable_domain, shown
from ocn_permission_agent.consent.address import ZERO, Address, Position
from ocn_permission_agent.consent.events import (
    AgreementToggled,
    Event,
    Evidence,
    OperatorChanged,
    OperatorUnreadable,
    PartyChanged,
    PartyUnreadable,
    ServiceListed,
    ServiceUnreadable,
)
from ocn_permission_agent.consent.permission import KNOWN_IDS
from ocn_permission_agent.ocpi.party import Party

#: a log or an answer above this is not looked into
SIZE_LIMIT_BYTES = 64 * 1024
_TOO_LARGE = "larger than 64 KiB"
_MALFORMED = "cannot be decoded"
_UNUSABLE_DOMAIN = "the domain is no printable text of at most 256 bytes"


class Malformed(ValueError):
    """Bytes that are not what the ABI says; caught in this module and by readers of answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceState:
    """What `getService` answers: the known ids and the number of others; no ids at all is no service."""

    permissions: frozenset[int]
    unknown_ids: int

    @property
    def listed(self) -> bool:
        """Whether there is a service."""
        return bool(self.permissions) or self.unknown_ids > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PartyState:
    """What `getPartyDetailsByAddress` answers; `party` is None for an address that is not registered."""

    party: Party | None
    operator: Address


def decode_log(log: RawLog, *, registry: Address, permissions: Address) -> Event | None:
    """The event of a log; None when it is none of the four that matter, or names nobody that could be closed."""
    topic = log.topics[0] if log.topics else b""
    evidence = Evidence(
        position=Position(log.block_number, log.log_index),
        transaction_hash=log.transaction_hash,
    )
    try:
        if log.contract == permissions and topic == SERVICE_UPDATE:
            return _service(evidence, log.data)
        if log.contract == permissions and topic == SERVICE_AGREEMENT:
            return AgreementToggled(
                evidence=evidence, customer=_address_at(log.data, 0), provider=_address_at(log.data, 1)
            )
        if log.contract == registry and topic == PARTY_UPDATE:
            return _party(evidence, log)
        if log.contract == registry and topic == OPERATOR_UPDATE:
            return _operator(evidence, log)
    except Malformed:
        pass
    return None


def _service(evidence: Evidence, data: bytes) -> Event:
    provider = _address_at(data, 3)
    if len(data) > SIZE_LIMIT_BYTES:
        return ServiceUnreadable(evidence=evidence, provider=provider, why=f"a listing {_TOO_LARGE}")
    try:
        name, url, ids = _bytes_at(data, 0), _bytes_at(data, 1), _numbers_at(data, 2)
    except Malformed:
        return ServiceUnreadable(evidence=evidence, provider=provider, why=f"a listing that {_MALFORMED}")
    return ServiceListed(
        evidence=evidence,
        provider=provider,
        name=shown(name),
        url=shown(url),
        permissions=frozenset(ids) & KNOWN_IDS,
        unknown_ids=len(frozenset(ids) - KNOWN_IDS),
        nameless=not name and not url,
    )


def _party(evidence: Evidence, log: RawLog) -> Event:
    """A registry entry; the log of a deletion repeats the old party with operator zero and no roles."""
    account = _address_in(_topic(log, 1))
    if len(log.data) > SIZE_LIMIT_BYTES:
        return PartyUnreadable(evidence=evidence, address=account, why=f"an entry {_TOO_LARGE}")
    try:
        operator = _address_in(_topic(log, 2))
        party = _party_at(log.data, 0)
    except Malformed:
        return PartyUnreadable(evidence=evidence, address=account, why=f"an entry that {_MALFORMED}")
    return PartyChanged(
        evidence=evidence, address=account, party=None if operator == ZERO else party, operator=operator
    )


def _operator(evidence: Evidence, log: RawLog) -> Event:
    operator = _address_in(_topic(log, 1))
    if len(log.data) > SIZE_LIMIT_BYTES:
        return OperatorUnreadable(evidence=evidence, operator=operator, why=f"a domain {_TOO_LARGE}")
    try:
        raw = _bytes_at(log.data, 0)
    except Malformed:
        return OperatorUnreadable(evidence=evidence, operator=operator, why=f"a domain that {_MALFORMED}")
    return operator_event(evidence, operator, raw)


def operator_event(evidence: Evidence, operator: Address, raw_domain: bytes) -> OperatorChanged | OperatorUnreadable:
    """What a domain, logged or observed, says of its operator."""
    domain = readable_domain(raw_domain)
    if domain is None:
        return OperatorUnreadable(evidence=evidence, operator=operator, why=_UNUSABLE_DOMAIN)
    return OperatorChanged(evidence=evidence, operator=operator, domain=domain)


# --- answers; each raises Malformed -----------------------------------------------------------------------------------


def read_service(data: bytes) -> ServiceState:
    """`getService`: (country_code, party_id, name, url, permissions)."""
    if len(data) > SIZE_LIMIT_BYTES:
        raise Malformed(_TOO_LARGE)
    ids = frozenset(_numbers_at(data, 4))
    return ServiceState(permissions=ids & KNOWN_IDS, unknown_ids=len(ids - KNOWN_IDS))


def read_service_texts(data: bytes) -> tuple[bytes, bytes]:
    """`getService`: name and url, raw."""
    if len(data) > SIZE_LIMIT_BYTES:
        raise Malformed(_TOO_LARGE)
    return _bytes_at(data, 2), _bytes_at(data, 3)


def read_flag(data: bytes) -> bool:
    """`hasUserAgreementByAddress`."""
    number = _number_at(data, 0)
    if number > 1:
        raise Malformed("not a bool")
    return number == 1


def read_party(data: bytes) -> PartyState:
    """`getPartyDetailsByAddress`: (country_code, party_id, two lists of modules, roles, operator, domain)."""
    party = _party_at(data, 0)
    registered = _word_at(data, 0) != bytes(32) or _word_at(data, 1) != bytes(32)
    return PartyState(party=party if registered else None, operator=_address_at(data, 5))


def read_key(data: bytes) -> Address:
    """`getPartyDetailsByOcpi`: the address, `ZERO` for none."""
    return _address_at(data, 0)


def read_addresses(data: bytes) -> tuple[Address, ...]:
    """`getParties`, `getProviders`, `getUserAgreementsByAddress`: a list of addresses."""
    start, length = _tail(data, 0)
    if length > (len(data) - start) // 32:
        raise Malformed("a length beyond the data")
    return tuple(_address_in(data[at : at + 32]) for at in range(start, start + length * 32, 32))


def read_domain(data: bytes) -> bytes:
    """`getNode`: the domain, raw."""
    if len(data) > SIZE_LIMIT_BYTES:
        raise Malformed(_TOO_LARGE)
    return _bytes_at(data, 0)


# --- words ------------------------------------------------------------------------------------------------------------


def _word_at(data: bytes, index: int) -> bytes:
    word = data[index * 32 : index * 32 + 32]
    if len(word) != 32:
        raise Malformed("too short")
    return word


def _number_at(data: bytes, index: int) -> int:
    return int.from_bytes(_word_at(data, index), "big")


def _address_at(data: bytes, index: int) -> Address:
    return _address_in(_word_at(data, index))


def _address_in(word: bytes) -> Address:
    if len(word) != 32 or word[:12] != bytes(12):
        raise Malformed("not an address")
    return Address("0x" + word[12:].hex())


def _topic(log: RawLog, index: int) -> bytes:
    if len(log.topics) <= index:
        raise Malformed("a topic is missing")
    return log.topics[index]


def _party_at(data: bytes, index: int) -> Party:
    return party_from_bytes(_word_at(data, index)[:2], _word_at(data, index + 1)[:3])


def _tail(data: bytes, index: int) -> tuple[int, int]:
    """(start of the content, its length) of the dynamic value whose offset stands in this word."""
    offset = _number_at(data, index)
    if offset > len(data) - 32:
        raise Malformed("an offset beyond the data")
    return offset + 32, int.from_bytes(data[offset : offset + 32], "big")


def _bytes_at(data: bytes, index: int) -> bytes:
    start, length = _tail(data, index)
    if length > len(data) - start:
        raise Malformed("a length beyond the data")
    return data[start : start + length]


def _numbers_at(data: bytes, index: int) -> list[int]:
    start, length = _tail(data, index)
    if length > (len(data) - start) // 32:
        raise Malformed("a length beyond the data")
    return [int.from_bytes(data[at : at + 32], "big") for at in range(start, start + length * 32, 32)]
