"""What became of a delivery, for the ledger of disclosures. Pure."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One end of one delivery, in the texts of the store.

    `outcome` is the state it ended in. `body` is the customer's original; the ledger keeps its hash only. `sent_as` is
    the method it was sent with where that is not the customer's own request. `started_at` is when its newest attempt
    began.
    """

    outcome: str
    customer: str
    customer_address: str
    provider: str
    provider_address: str
    module: str
    interface_role: str
    method: str
    sent_as: str | None
    owner: str
    object_id: str
    correlation_id: str
    body: bytes
    recorded_at: datetime
    started_at: datetime | None
    ended_at: datetime
    attempts: int
    agreement: str
    agreement_block: int
