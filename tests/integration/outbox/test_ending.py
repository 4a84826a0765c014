"""What is known of a delivery at its end is the same, whether it was at hand or is read again."""

import pytest
from msgspec.structs import replace

from ocn_permission_agent.ocpi.request import OcpiRequest
from ocn_permission_agent.outbox.after_attempt import Decision
from ocn_permission_agent.outbox.ending import Ending, ending_of, read_ending
from ocn_permission_agent.outbox.model import Delivery, DeliveryState
from ocn_permission_agent.store.database import Connection
from tests.outbox_desk import Outboxed
from tests.outbox_fixtures import ANALYTICS, BILLING, a_plan, cdr, command, session


def both_endings(connection: Connection, outboxed: Outboxed, delivery: Delivery) -> tuple[Ending | None, Ending, bool]:
    decision = Decision(state=DeliveryState.DELIVERED, decided_at=outboxed.clock.now())
    sql = outboxed.store._sql
    lane_id = delivery.place.lane_id
    standing = sql.rows(connection, "standing_of", lane_id=lane_id, id=delivery.id, lease=delivery.lease)[0]
    read = read_ending(sql.rows(connection, "to_end", id=delivery.id)[0], decision)
    return ending_of(delivery, decision), read, bool(standing["alone"])


@pytest.mark.parametrize("request_", [session(), session("PATCH"), cdr(), command()], ids=str)
async def test_a_claimed_delivery_ends_as_the_store_would_tell(outboxed: Outboxed, request_: OcpiRequest) -> None:
    store, clock = outboxed.store, outboxed.clock
    await store.record(a_plan(request_, BILLING, ANALYTICS, at=clock.now()))
    claimed = await store.claim(now=clock.now(), room={}, default_room=8)
    assert len(claimed) == 2
    clock.step(1.0)
    for each in (claimed[0], await store.start(claimed[1], at=clock.now())):
        known, read, alone = await outboxed.database.write(
            lambda connection, each=each: both_endings(connection, outboxed, each)  # type: ignore[misc]
        )
        assert known == read
        assert alone


async def test_one_that_stands_for_others_is_read_again(outboxed: Outboxed) -> None:
    store, clock = outboxed.store, outboxed.clock
    await store.record(a_plan(session(), at=clock.now()))
    (delivery,) = await store.claim(now=clock.now(), room={}, default_room=8)
    known, read, _ = await outboxed.database.write(
        lambda connection: both_endings(connection, outboxed, replace(delivery, collapsed=True))
    )
    assert known is None
    assert read.id == delivery.id


async def test_a_lane_in_which_something_waits_is_not_taken_for_empty(outboxed: Outboxed) -> None:
    store, clock = outboxed.store, outboxed.clock
    for body in (b'{"kwh":1}', b'{"kwh":2}'):
        await store.record(a_plan(session(body=body), at=clock.now()))
    (first,) = await store.claim(now=clock.now(), room={}, default_room=8)
    _, _, alone = await outboxed.database.write(lambda connection: both_endings(connection, outboxed, first))
    assert not alone
    await store.settle(first, Decision(state=DeliveryState.DELIVERED, decided_at=clock.now()))
    (second,) = await store.claim(now=clock.now(), room={}, default_room=8)
    assert second.envelope.request.body == b'{"kwh":2}'
