"""What is known of a customer and a provider."""

from dataclasses import dataclass

from ocn_permission_agent.consent.address import Address
from ocn_permission_agent.consent.events import Evidence, Sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a customer agreed to: the listing's ids at that moment (C3); None when that listing was unreadable.

    `sent` tells how, `first` that the pair never had an agreement before (C6).
    """

    evidence: Evidence
    agreed: frozenset[int] | None
    sent: Sent
    first: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PairFacts:
    """A customer and a provider.

    `toggles` counts the logs of the pair: odd means agreed. `grant` is the newest one, kept after its revoke.
    `contradicted` is where the contract's flag was seen to differ from that parity, `miscounted` where its number of
    grants was (C2). `waits_from` is the block from which the grant's confirmations are counted (C4). `relayed` tells
    that a signature of the customer for this provider was seen, `replayed` that the newest log may be one of those
    used again (C6).
    """

    customer: Address
    provider: Address
    toggles: int
    newest: Evidence
    grant: Grant
    waits_from: int
    contradicted: Evidence | None = None
    miscounted: Evidence | None = None
    relayed: bool = False
    replayed: bool = False

    @property
    def agreed(self) -> bool:
        """What the parity of the logs says."""
        return self.toggles % 2 == 1

    @property
    def grants(self) -> int:
        """How often the customer agreed, by the logs."""
        return (self.toggles + 1) // 2

    @property
    def is_contradicted(self) -> bool:
        """Whether the contract's state says something else than its logs (C2)."""
        return self.contradicted is not None or self.miscounted is not None
