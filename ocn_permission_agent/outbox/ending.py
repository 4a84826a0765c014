"""What must be known of a delivery when it ends: from the delivery itself where it is at hand, else from the store."""

import msgspec

from ocn_permission_agent.outbox.after_attempt import Decision
from ocn_permission_agent.outbox.model import Delivery
from ocn_permission_agent.outbox.outcome import Outcome
from ocn_permission_agent.outbox.policy import DeliveryClass, class_of, class_of_route
from ocn_permission_agent.outbox.rows import read_outcome, read_route
from ocn_permission_agent.store.database import Row


class Ending(msgspec.Struct, frozen=True):
    """A delivery that ends.

    `payload_kept` tells that it counts among those that need its payload, `stands_for_others` that what was sent is in
    a row of its own. The method and the body of its outcome are the customer's.
    """

    id: int
    envelope_id: int
    lane_id: int
    scope_id: int
    delivery_class: DeliveryClass
    payload_kept: bool
    stands_for_others: bool
    outcome: Outcome


def read_ending(row: Row, decision: Decision) -> Ending:
    """From the columns of `to_end`."""
    return Ending(
        row["id"],
        row["envelope_id"],
        row["lane_id"],
        row["scope_id"],
        class_of_route(row["method"], read_route(row)),
        row["payload_until_us"] != 0,
        row["collapsed_method"] is not None,
        read_outcome(row, state=decision.state, ended_at=decision.decided_at),
    )


def ending_of(delivery: Delivery, decision: Decision) -> Ending | None:
    """From what was claimed, so that the store need not read what was said a second time.

    None for one that stands for others: what its customer said is in the store only.
    """
    if delivery.collapsed:
        return None
    envelope, request, lane, place = delivery.envelope, delivery.envelope.request, delivery.lane, delivery.place
    return Ending(
        delivery.id,
        place.envelope_id,
        place.lane_id,
        place.scope_id,
        class_of(request),
        True,  # as of everything that is pending
        False,
        Outcome(
            outcome=decision.state._value_,
            customer=str(envelope.customer),
            customer_address=envelope.customer_address,
            provider=str(delivery.provider),
            provider_address=delivery.provider_address,
            module=request.route.module._value_,
            interface_role=request.route.interface_role._value_,
            method=request.method,
            sent_as=None,
            owner=lane.owner,
            object_id=lane.object_id,
            correlation_id=request.correlation_id,
            body=request.body,
            recorded_at=envelope.recorded_at,
            started_at=place.started_at,
            ended_at=decision.decided_at,
            attempts=delivery.attempts,
            agreement=str(delivery.agreement),
            agreement_block=place.agreement_block,
        ),
    )
