"""What became of a delivery, for the ledger of disclosures. Pure."""

from datetime import datetime

import msgspec

from ocn_permission_agent.outbox.gaps import Gap


class Outcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
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


def outcome_of_gap(gap: Gap) -> Outcome:
    """A copy that was due, or may have been, and will never exist: to whom, of what, under which agreement is open."""
    return Outcome(
        outcome=f"gap:{gap.reason}",
        customer=gap.customer,
        customer_address=gap.customer_address,
        provider="",
        provider_address="",
        module=gap.module,
        interface_role="",
        method=gap.method,
        sent_as=None,
        owner="",
        object_id=gap.object_id,
        correlation_id=gap.correlation_id,
        body=b"",
        recorded_at=gap.at,
        started_at=None,
        ended_at=gap.until or gap.at,
        attempts=0,
        agreement="",
        agreement_block=0,
    )
