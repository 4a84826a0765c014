"""How long a revoke takes until nothing of it goes on."""

from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.outbox.model import Delivery
from ocn_permission_agent.outbox.stopwatch import Stopwatch
from ocn_permission_agent.outbox.store import Scope
from tests.fakes import FakeClock
from tests.outbox_fixtures import a_delivery, session

DELIVERY = a_delivery(session(), at=FakeClock().now())


def scope_of(delivery: Delivery) -> Scope:
    request = delivery.envelope.request
    return Scope(
        customer_address=delivery.envelope.customer_address,
        provider_address=delivery.provider_address,
        agreement=delivery.agreement,
        module=request.module,
        interface_role=request.interface_role,
    )


class Timed:
    def __init__(self) -> None:
        self.clock, self.metrics = FakeClock(), Metrics()
        self.stopwatch = Stopwatch(clock=self.clock, metrics=self.metrics)

    def told(self) -> tuple[float | None, float | None]:
        """How often, and how long together."""
        name = "ocn_agent_revoke_to_stop_seconds"
        read = self.metrics.registry.get_sample_value
        return read(f"{name}_count"), read(f"{name}_sum")


def test_what_waited_stops_when_it_is_withdrawn() -> None:
    timed, scope = Timed(), scope_of(DELIVERY)
    timed.stopwatch.news()
    timed.clock.step(2)
    timed.stopwatch.news()
    timed.clock.step(1)
    since = timed.stopwatch.begin_look()
    timed.clock.step(4)
    timed.stopwatch.closed(scope, since=since, withdrawn=5)
    assert timed.told() == (1, 7.0), "since the oldest news that nobody had looked into"
    timed.stopwatch.closed(scope, since=since, withdrawn=0)
    assert timed.told() == (1, 7.0), "nothing of it was left"


def test_what_is_under_way_stops_when_the_last_of_it_has_ended() -> None:
    timed, first, second = Timed(), DELIVERY, DELIVERY
    timed.stopwatch.began(first)
    timed.stopwatch.began(second)
    timed.stopwatch.news()
    since = timed.stopwatch.begin_look()
    timed.stopwatch.closed(scope_of(first), since=since, withdrawn=3)
    timed.clock.step(10)
    timed.stopwatch.ended(first)
    assert timed.told() == (0, 0.0)
    timed.clock.step(20)
    timed.stopwatch.closed(scope_of(first), since=timed.stopwatch.begin_look(), withdrawn=0)
    timed.stopwatch.ended(second)
    assert timed.told() == (1, 30.0)


def test_what_is_found_to_be_closed_when_it_is_to_be_tried_stops_there() -> None:
    timed = Timed()
    timed.stopwatch.news()
    timed.stopwatch.begin_look()
    timed.clock.step(1)
    timed.stopwatch.began(DELIVERY)
    timed.stopwatch.withdrawn(DELIVERY)
    timed.clock.step(1)
    timed.stopwatch.ended(DELIVERY)
    assert timed.told() == (1, 2.0)


def test_what_ends_with_consent_is_not_measured() -> None:
    timed, delivery = Timed(), DELIVERY
    timed.stopwatch.began(delivery)
    timed.clock.step(3)
    timed.stopwatch.ended(delivery)
    assert timed.told() == (0, 0.0)
