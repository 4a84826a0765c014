"""What is said about a customer and a provider: open, held or closed, and why (consent.md)."""

from dataclasses import dataclass
from enum import Enum


class Standing(Enum):
    """The three verdicts."""

    #: copies are recorded and sent
    OPEN = "open"
    #: our view is in doubt: copies are recorded, not sent; their windows stand still
    HELD = "held"
    #: consent is absent or itself in doubt: nothing is recorded, what was pending is withdrawn
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A standing with its reason.

    `rule` names the rule of consent.md (``C2``). `reason` is one sentence for a person; it holds nothing that was not
    escaped. `transaction_hash` and `block_number` point at the fact on the chain that decided, where there is one.
    `remedy` tells what the customer or the operator can do, empty where nothing needs to be said. `confirmable` tells
    that the operator may lift it by confirming that transaction (``agreements confirm``).
    """

    standing: Standing
    rule: str
    reason: str
    transaction_hash: str | None = None
    block_number: int | None = None
    remedy: str = ""
    confirmable: bool = False

    @property
    def closed(self) -> bool:
        """Whether nothing may be recorded."""
        return self.standing is Standing.CLOSED
