"""What is due of a request that the node has answered (consent.md "Which requests are copied")."""

from collections.abc import Sequence
from datetime import datetime
from enum import Enum

from ocn_permission_agent.consent.index import Entitlement
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.reply import OcpiReply, Outcome, outcome_of
from ocn_permission_agent.ocpi.request import OcpiRequest
from ocn_permission_agent.ocpi.route import RouteKind
from ocn_permission_agent.outbox.lane import lane_of
from ocn_permission_agent.outbox.model import CopyPlan, Envelope, PlannedDelivery


class NotCopied(Enum):
    """Why nothing is due; the values are the labels of ``not_copied_total`` or, for a gap, of ``gaps_total``."""

    #: node or receiver said no
    REFUSED = "receiver_refused"
    #: nobody knows whether it was processed; a gap
    UNKNOWN = "unknown_outcome"
    #: every entitled provider is itself the sender or the receiver
    OWN_MESSAGE = "provider_takes_part"
    #: addressed to a 2.x node's own party, which that node answers without looking at the token
    OWN_PARTY = "own_party"
    #: the path may mean something else to the node than to us
    UNCLEAR_PATH = "unclear_path"
    #: no service both agreed to and asks for this interface
    NOT_COVERED = "not_covered"
    #: it is only read, and reads are not copied unless `copy_reads` says so
    READ = "read"

    @property
    def is_gap(self) -> bool:
        """Whether a copy may have been due: gaps are counted and shown, never silent."""
        return self is NotCopied.UNKNOWN


def never_copied(request: OcpiRequest, *, own_party: Party | None, copy_reads: bool) -> NotCopied | None:
    """What rules a request out before the node has even seen it; None if it may be copied."""
    if own_party is not None and request.receiver.folded == own_party.folded:
        return NotCopied.OWN_PARTY
    if request.kind is RouteKind.PROXIED or (not request.carries_data and not copy_reads):
        return NotCopied.READ
    return None


def plan_copies(
    *, request: OcpiRequest, reply: OcpiReply, entitlements: Sequence[Entitlement], recorded_at: datetime
) -> CopyPlan | NotCopied:
    """One envelope, and one delivery for each provider that is entitled and not itself part of the conversation.

    Args:
        request: as the customer sent it.
        reply: the node's.
        entitlements: of this sender for this module and interface, none twice; not empty.
        recorded_at: aware UTC.
    """
    match outcome_of(reply):
        case Outcome.REFUSED:
            return NotCopied.REFUSED
        case Outcome.UNKNOWN:
            return NotCopied.UNKNOWN
        case Outcome.ACCEPTED:
            pass
    taking_part = {request.sender.folded, request.receiver.folded}
    due = [entitlement for entitlement in entitlements if entitlement.provider.folded not in taking_part]
    if not due:
        return NotCopied.OWN_MESSAGE
    first = due[0]
    return CopyPlan(
        envelope=Envelope(
            customer=first.customer,
            customer_address=first.customer_address,
            request=request,
            recorded_at=recorded_at,
        ),
        deliveries=tuple(
            PlannedDelivery(
                provider=entitlement.provider,
                provider_address=entitlement.provider_address,
                agreement=entitlement.agreement,
                agreement_block=entitlement.agreement_block,
                lane=lane_of(
                    request,
                    customer_address=entitlement.customer_address,
                    provider_address=entitlement.provider_address,
                ),
            )
            for entitlement in due
        ),
    )
