"""What a block's own bloom filter says about the logs that an endpoint told of it. Pure.

Every header holds a filter of 2048 bits over the contracts and topics of its logs (Ethereum yellow paper, §4.3.1). It
never misses what is there, and it is part of the block's hash, which endpoints compare. So a block whose filter holds
one of our contracts together with one of its topics, and of which no such log was told, is one whose logs were lost,
or, now and then, a coincidence.
"""

from collections.abc import Sequence

from ocn_permission_agent.chain.abi import OPERATOR_UPDATE, PARTY_UPDATE, SERVICE_AGREEMENT, SERVICE_UPDATE
from ocn_permission_agent.chain.blocks import Header, RawLog
from ocn_permission_agent.chain.settings import ChainSettings
from ocn_permission_agent.ocn.keccak import keccak


def bits_of(entry: bytes) -> int:
    """The three bits that a contract's address or a topic sets: the low 11 bits of the hash's first three pairs."""
    digest = keccak(entry)
    bits = 0
    for place in (0, 2, 4):
        bits |= 1 << (int.from_bytes(digest[place : place + 2], "big") & 2047)
    return bits


class Filters:
    """The filters of our two contracts' four events.

    Args:
        settings: where the contracts are.
    """

    def __init__(self, settings: ChainSettings) -> None:
        self._bits = {
            (contract, topic): bits_of(bytes.fromhex(contract[2:])) | bits_of(topic)
            for contract, topics in (
                (settings.permissions, (SERVICE_AGREEMENT, SERVICE_UPDATE)),
                (settings.registry, (PARTY_UPDATE, OPERATOR_UPDATE)),
            )
            for topic in topics
        }

    def unexplained(self, headers: Sequence[Header], logs: Sequence[RawLog]) -> tuple[int, ...]:
        """Numbers of blocks that seem to hold a kind of log of ours, and of which none of that kind was told."""
        told = {(log.block_number, log.contract, *log.topics[:1]) for log in logs}
        return tuple(
            header.number
            for header in headers
            if any(
                header.bloom & bits == bits and (header.number, *kind) not in told for kind, bits in self._bits.items()
            )
        )
