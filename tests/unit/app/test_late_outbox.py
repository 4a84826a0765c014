import pytest

from ocn_permission_agent.app.late_outbox import LateOutbox
from ocn_permission_agent.consent.address import address
from ocn_permission_agent.errors import StoreUnavailable
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.outbox.model import CopyPlan, Envelope
from tests.factories import a_request
from tests.fakes import FakeClock


class KeepingOutbox:
    def __init__(self) -> None:
        self.plans: list[CopyPlan] = []

    async def record(self, plan: CopyPlan) -> int:
        self.plans.append(plan)
        return len(plan.deliveries)


async def test_a_plan_is_recorded_only_while_the_store_is_open() -> None:
    late, store = LateOutbox(), KeepingOutbox()
    envelope = Envelope(
        customer=Party("DE", "CPO"),
        customer_address=address("0x" + "c1" * 20),
        request=a_request(),
        recorded_at=FakeClock().now(),
    )
    plan = CopyPlan(envelope=envelope, deliveries=())
    with pytest.raises(StoreUnavailable):
        await late.record(plan)
    late.attach(store)
    assert await late.record(plan) == 0
    late.detach()
    with pytest.raises(StoreUnavailable):
        await late.record(plan)
    assert store.plans == [plan]
