"""A group of plans on its way into a store, and what became of each: the same for both engines."""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from ocn_permission_agent.consent.address import Address
from ocn_permission_agent.outbox.grouping import Grouping, Item, Verdicts
from ocn_permission_agent.outbox.model import Delivery, DeliveryState, Place
from ocn_permission_agent.outbox.prepared import Prepared
from ocn_permission_agent.outbox.rows import from_us


class ToPutDown(NamedTuple):
    """A plan, and towards whom an attempt may begin with it."""

    prepared: Prepared
    begin: Collection[Address] = ()


class PutDown(NamedTuple):
    """What each delivery of a plan turned out to be, and those whose first attempt has begun with it."""

    verdicts: Verdicts
    begun: tuple[Delivery, ...] = ()


def items_of(group: Sequence[ToPutDown]) -> list[list[Item]]:
    """The deliveries of each plan."""
    return [
        [
            Item(each.prepared, planned, key, scope_key, planned.provider_address in each.begin)
            for planned, (key, scope_key) in zip(each.prepared.plan.deliveries, each.prepared.keys, strict=True)
        ]
        for each in group
    ]


def outcomes(grouping: Grouping, told: Sequence[tuple[Verdicts, int]]) -> Iterator[PutDown]:
    """What became of each plan. `told`: the verdicts on each, and how many attempts had begun by then."""
    begun, done = grouping.rows.begun, 0
    for verdicts, until in told:
        yield PutDown(verdicts, tuple(_begun(grouping, *each) for each in begun[done:until]))
        done = until


def _begun(grouping: Grouping, delivery_id: int, envelope_id: int, item: Item) -> Delivery:
    """A delivery as `claim` and `start` would give it."""
    lane, scope = grouping.lanes[item.key], grouping.scopes[item.scope_key]
    envelope, planned = item.prepared.plan.envelope, item.planned
    recorded_at = envelope.recorded_at
    return Delivery(
        id=delivery_id,
        place=Place(
            envelope_id=envelope_id,
            lane_id=lane.id,
            scope_id=scope.scope_id,
            channel_id=scope.channel_id,
            provider_id=scope.provider_id,
            agreement_block=planned.agreement_block,
            started_at=recorded_at,
        ),
        envelope=envelope,
        provider=planned.provider,
        provider_address=planned.provider_address,
        agreement=planned.agreement,
        lane=planned.lane,
        state=DeliveryState.PENDING,
        attempts=1,
        next_attempt_at=recorded_at,
        expires_at=from_us(item.prepared.recorded_at_us + item.prepared.window_us),
        whole_known=lane.merged_scope_id == scope.scope_id,
        lease=lane.next_lease,
    )
