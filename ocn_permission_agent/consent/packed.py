"""A pair in some ninety bytes: there may be a million of them, and few are ever asked for.

Layout of a packed pair, little-endian, without gaps::

    flags u8 · toggles u32 · waits_from u64 · agreed u32 · evidence of the grant [· evidence of the newest log]
    evidence: block_number u64 · log_index u32 · transaction_hash 32 bytes

`agreed` has bit n set for id n. The second evidence is there only when it differs from the first.
"""

import struct

from ocn_permission_agent.consent.address import Address, Position
from ocn_permission_agent.consent.events import Evidence, Sent
from ocn_permission_agent.consent.pair import Grant, PairFacts

_HEAD = struct.Struct("<BIQI")
_EVIDENCE = struct.Struct("<QI32s")
_SENT = tuple(Sent)
_FIRST, _RELAYED, _REPLAYED, _UNREADABLE = 1, 2, 4, 8
_SENT_SHIFT = 4
_HASH_LENGTH = 66


def pack(pair: PairFacts) -> bytes | None:
    """The pair without its parties; None for the rare one that is contradicted, or not known by logs alone."""
    grant = pair.grant
    if pair.is_contradicted:
        return None
    granted = _pack_evidence(grant.evidence)
    newest = granted if pair.newest == grant.evidence else _pack_evidence(pair.newest)
    if granted is None or newest is None:
        return None
    flags = (
        (_FIRST if grant.first else 0)
        | (_RELAYED if pair.relayed else 0)
        | (_REPLAYED if pair.replayed else 0)
        | (_UNREADABLE if grant.agreed is None else 0)
        | (_SENT.index(grant.sent) << _SENT_SHIFT)
    )
    agreed = sum(1 << each for each in grant.agreed or ())
    head = _HEAD.pack(flags, pair.toggles, pair.waits_from, agreed)
    return head + granted if newest is granted else head + granted + newest


def unpack(customer: Address, provider: Address, packed: bytes) -> PairFacts:
    """The pair of these two, as it was packed."""
    flags, toggles, waits_from, agreed = _HEAD.unpack_from(packed)
    granted = _unpack_evidence(packed, _HEAD.size)
    after = _HEAD.size + _EVIDENCE.size
    return PairFacts(
        customer=customer,
        provider=provider,
        toggles=toggles,
        newest=granted if len(packed) == after else _unpack_evidence(packed, after),
        grant=Grant(
            evidence=granted,
            agreed=None if flags & _UNREADABLE else _ids(agreed),
            sent=_SENT[flags >> _SENT_SHIFT],
            first=bool(flags & _FIRST),
        ),
        waits_from=waits_from,
        relayed=bool(flags & _RELAYED),
        replayed=bool(flags & _REPLAYED),
    )


def _ids(mask: int) -> frozenset[int]:
    return frozenset(each for each in range(mask.bit_length()) if mask >> each & 1)


def _pack_evidence(evidence: Evidence) -> bytes | None:
    text, position = evidence.transaction_hash, evidence.position
    if text is None or len(text) != _HASH_LENGTH:
        return None
    return _EVIDENCE.pack(position.block_number, position.log_index, bytes.fromhex(text[2:]))


def _unpack_evidence(packed: bytes, start: int) -> Evidence:
    block_number, log_index, transaction_hash = _EVIDENCE.unpack_from(packed, start)
    return Evidence(position=Position(block_number, log_index), transaction_hash=f"0x{transaction_hash.hex()}")
