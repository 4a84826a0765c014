"""A service that is not set up for a module: that module waits, and is probed hourly with its oldest delivery."""

from datetime import timedelta

from ocn_permission_agent.outbox.model import Attempt, AttemptVerdict, Delivery, DeliveryState
from tests.outbox_desk import Outboxed
from tests.outbox_fixtures import ANALYTICS, BILLING, an_attempt, cdr, command, session


class Service:
    """Not set up for sessions and commands until the test says so."""

    def __init__(self, outboxed: Outboxed) -> None:
        self.outboxed = outboxed
        self.missing = {"sessions", "commands"}

    def __call__(self, delivery: Delivery) -> Attempt:
        verdict = AttemptVerdict.SETUP if delivery.lane.module in self.missing else AttemptVerdict.ACCEPTED
        return an_attempt(verdict, at=self.outboxed.clock.now(), seconds=0, http_status=400, detail="no such endpoint")


def objects(deliveries: list[Delivery]) -> list[str]:
    return [each.lane.object_id for each in deliveries]


async def test_one_module_waits_and_the_others_go_on(outboxed: Outboxed) -> None:
    service = Service(outboxed)
    await outboxed.owe(session("PUT", "s1"))
    await outboxed.go(service)
    await outboxed.owe(session("PUT", "s2"), cdr("c1"))
    await outboxed.owe(session("PUT", "s1"), to=ANALYTICS)
    outboxed.sent.clear()
    assert await outboxed.go(service) == 2
    assert [(str(each.provider), each.lane.module) for each in outboxed.sent] == [
        ("DE*PAY", "cdrs"),
        ("NL*ANA", "sessions"),
    ]
    counts = await outboxed.store.counts()
    assert (counts.by_state[DeliveryState.PENDING], counts.paused) == (3, 3)
    backlog = {str(each.provider): each for each in await outboxed.store.backlog()}
    assert [(each.module, each.pause.reason) for each in backlog["DE*PAY"].paused_modules] == [
        ("sessions", "no such endpoint")
    ]


async def test_it_is_probed_hourly_with_its_oldest_delivery(outboxed: Outboxed) -> None:
    service = Service(outboxed)
    start = outboxed.clock.now()
    await outboxed.owe(session("PUT", "s1"))
    await outboxed.go(service)
    await outboxed.owe(session("PUT", "s2"), session("PUT", "s3"))
    assert await outboxed.store.next_due(outboxed.clock.now()) == start + timedelta(hours=1)
    for _ in range(3):
        outboxed.clock.step(3599.9)
        assert await outboxed.go(service) == 0
        outboxed.clock.step(0.1)
        assert await outboxed.go(service) == 1
    assert objects(outboxed.sent) == ["s1"] * 4
    service.missing.clear()
    outboxed.clock.step(3600)
    assert await outboxed.go(service) == 1
    assert await outboxed.go(service) == 2
    assert objects(outboxed.sent[4:]) == ["s1", "s2", "s3"]
    assert await outboxed.states() == {"delivered": 3}


async def test_windows_stand_still_but_for_what_is_about_a_moment(outboxed: Outboxed) -> None:
    service = Service(outboxed)
    ends = outboxed.clock.now() + timedelta(days=7)
    await outboxed.owe(session("PUT", "s1"), command())
    await outboxed.go(service)
    outboxed.clock.step(61)
    assert await outboxed.store.expire(outboxed.clock.now()) == 1
    assert await outboxed.states() == {"pending": 1, "expired": 1}
    await outboxed.owe(session("PUT", "s2"))
    recorded = outboxed.clock.now()
    outboxed.clock.step(30 * 86_400 - 61)
    service.missing.clear()
    (probe,) = await outboxed.claim()
    assert probe.expires_at == ends + timedelta(days=30)
    await outboxed.attempt(probe, service)
    (other,) = await outboxed.claim()
    assert other.expires_at == recorded + timedelta(days=7) + timedelta(days=30, seconds=-61)


async def test_a_pause_of_the_provider_within_one_of_the_module_counts_once(outboxed: Outboxed) -> None:
    service = Service(outboxed)
    start = outboxed.clock.now()
    gone = outboxed.says(AttemptVerdict.NOT_PROCESSED, http_status=None, unreachable=True)
    await outboxed.owe(session("PUT", "s1"))
    await outboxed.go(service)
    outboxed.clock.step(600)
    await outboxed.owe(cdr("c1"))
    await outboxed.go(gone)
    outboxed.clock.step(5)
    assert await outboxed.go(service) == 1
    assert objects(outboxed.sent)[-1] == "c1", "the provider is probed with a module that is not paused"
    outboxed.clock.step(3600 - 605)
    service.missing.clear()
    (probe,) = await outboxed.claim()
    assert probe.expires_at == start + timedelta(days=7, hours=1)
    await outboxed.attempt(probe, service)
    assert await outboxed.states() == {"delivered": 2}
    assert [each.paused_modules for each in await outboxed.store.backlog()] == [()]


async def test_a_probe_that_tells_nothing_is_repeated_by_the_schedule(outboxed: Outboxed) -> None:
    service = Service(outboxed)
    await outboxed.owe(session("PUT", "s1"))
    await outboxed.go(service)
    outboxed.clock.step(3600)
    await outboxed.go(outboxed.says(AttemptVerdict.UNKNOWN, http_status=500))
    assert await outboxed.go(service) == 0
    service.missing.clear()
    outboxed.clock.step(5)
    assert await outboxed.go(service) == 1
    assert await outboxed.states() == {"delivered": 1}
    assert str(BILLING) == "DE*PAY"
