"""Random histories of sessions at a service that appends: it ends with what the customer said, no period twice.

The service is of the worst kind: it appends `charging_periods` blindly, every tenth answer of it is cut, before or
after it has processed the message, and it may have no PATCH at all.
"""

import json
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ocn_permission_agent.outbox.model import Attempt, AttemptVerdict, Delivery
from ocn_permission_agent.outbox.settings import DeliverySettings
from tests.fakes import FakeClock
from tests.outbox_desk import Outboxed
from tests.outbox_fixtures import an_attempt, open_outbox, session
from tests.stores import Where

#: longer than a lane rests after an unanswered attempt
_ROUND_SECONDS = 46
_MEMBERS = ("kwh", "status", "cdr_token", "total_cost", "last_updated")


class Service:
    """Holds sessions, appends what a PATCH brings, and cuts answers."""

    def __init__(self, chance: random.Random, clock: FakeClock, *, has_patch: bool) -> None:
        self.chance, self.clock, self.has_patch = chance, clock, has_patch
        self.held: dict[str, dict[str, Any]] = {}
        self.cut = self.asked = 0

    def __call__(self, delivery: Delivery) -> Attempt:
        at = self.clock.now()
        self.asked += 1
        if self.chance.random() < 0.1:
            self.cut += 1
            if self.chance.random() < 0.5:
                self.process(delivery)
            return an_attempt(AttemptVerdict.UNKNOWN, at=at, seconds=0, http_status=None)
        if self.chance.random() < 0.05:
            return an_attempt(AttemptVerdict.NOT_PROCESSED, at=at, seconds=0, ocpi_status=4001)
        if not self.process(delivery):
            if self.chance.random() < 0.5:
                return an_attempt(AttemptVerdict.SETUP, at=at, seconds=0, http_status=405)
            return an_attempt(AttemptVerdict.REFUSED, at=at, seconds=0, http_status=404, ocpi_status=2003)
        return an_attempt(AttemptVerdict.ACCEPTED, at=at, seconds=0, ocpi_status=1000)

    def process(self, delivery: Delivery) -> bool:
        request, name = delivery.envelope.request, delivery.lane.object_id
        members = json.loads(request.body)
        if request.method == "PUT":
            self.held[name] = members
            return True
        if not self.has_patch:
            return False
        patch(self.held.setdefault(name, {}), members)
        return True


def patch(held: dict[str, Any], members: dict[str, Any]) -> None:
    """What appending services do (OCPI 2.2.1 §9.2.2)."""
    for member, value in members.items():
        if value is None:
            held.pop(member, None)
        elif member == "charging_periods":
            held[member] = [*(held.get(member) or []), *value]
        else:
            held[member] = value


class Customer:
    """Says a random history about one session, and keeps it itself.

    Each of its periods is another one, and each body too (`step` stands for `last_updated`, which every session has):
    the very same bytes again are a repetition, which is noted and not sent.
    """

    def __init__(self, chance: random.Random, name: str, *, begins_with_put: bool) -> None:
        self.chance, self.name = chance, name
        self.held: dict[str, Any] = {}
        self.periods = 0
        self.left = chance.randrange(1, 9)
        self.next_is_put = begins_with_put

    def say(self) -> tuple[str, bytes]:
        self.left -= 1
        is_put = self.next_is_put or (self.chance.random() < 0.1 and bool(self.held))
        self.next_is_put = False
        members = {name: self.value() for name in self.chance.sample(_MEMBERS, self.chance.randrange(3))}
        if self.chance.random() < 0.6:
            members["charging_periods"] = self.new_periods()
        if is_put:
            members = {name: value for name, value in members.items() if value is not None}
            self.held = members | {"id": self.name}
            return "PUT", json.dumps(self.held | {"step": self.left}).encode()
        patch(self.held, members)
        return "PATCH", json.dumps(members | {"step": self.left}).encode()

    def value(self) -> Any:
        return self.chance.choice([None, 1.5, "ACTIVE", {"uid": self.chance.randrange(9)}, [1, 2]])

    def new_periods(self) -> list[dict[str, int]]:
        count = self.chance.randrange(3)
        self.periods += count
        return [{"period": number} for number in range(self.periods - count, self.periods)]


async def played(
    where: Where, seed: int, count: int, *, has_patch: bool, begins_with_put: bool
) -> tuple[Service, list[Customer], Outboxed]:
    """So many sessions, all at once, until nothing is owed any more."""
    chance, clock = random.Random(seed), FakeClock()  # noqa: S311
    settings = DeliverySettings(schedule_seconds=(5, 30))
    database, store = await open_outbox(where, clock, settings)
    outboxed = Outboxed(database, store, clock, settings)
    service = Service(chance, clock, has_patch=has_patch)
    customers = [Customer(chance, f"s{number}", begins_with_put=begins_with_put) for number in range(count)]
    talking = list(customers)
    while talking or (await outboxed.states()).get("pending"):
        for customer in talking:
            if chance.random() < 0.5:
                method, body = customer.say()
                await outboxed.owe(session(method, customer.name, body))
        talking = [customer for customer in talking if customer.left]
        while await outboxed.go(service, room=chance.randrange(1, 20)):
            pass
        clock.step(_ROUND_SECONDS if chance.random() < 0.8 else 0.5)
    await database.close()
    return service, customers, outboxed


def without_step(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if name != "step"}


async def check_equivalence(where: Where, seed: int, count: int, *, has_patch: bool) -> None:
    service, customers, _ = await played(where, seed, count, has_patch=has_patch, begins_with_put=True)
    assert service.cut > count / 20
    sys.stdout.write(f"{len(customers)} sessions, {service.asked} attempts, {service.cut} cut\n")
    for customer in customers:
        assert without_step(service.held[customer.name]) == customer.held, (seed, customer.name)


async def check_no_doubling(where: Where, seed: int, count: int) -> None:
    service, _, outboxed = await played(where, seed, count, has_patch=True, begins_with_put=False)
    for name, held in service.held.items():
        times = Counter(json.dumps(period) for period in held.get("charging_periods") or [])
        assert all(number == 1 for number in times.values()), (seed, name, held)
    assert {delivery.envelope.request.method for delivery in outboxed.sent} >= {"PATCH"}


@pytest.mark.parametrize("has_patch", [True, False], ids=["with PATCH", "without PATCH"])
async def test_a_service_ends_with_what_the_customer_said(where_at_length: Where, has_patch: bool) -> None:
    await check_equivalence(where_at_length, 1, 150, has_patch=has_patch)


async def test_histories_that_begin_mid_session_never_double_a_period(where_at_length: Where) -> None:
    await check_no_doubling(where_at_length, 2, 150)


@pytest.mark.nightly
@pytest.mark.parametrize("has_patch", [True, False], ids=["with PATCH", "without PATCH"])
@pytest.mark.parametrize("seed", range(100, 120))
async def test_a_service_ends_with_what_ten_thousand_customers_said(tmp_path: Path, seed: int, has_patch: bool) -> None:
    await check_equivalence(tmp_path / "agent.db", seed, 500, has_patch=has_patch)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(200, 220))
async def test_no_period_is_doubled_in_ten_thousand_histories(tmp_path: Path, seed: int) -> None:
    await check_no_doubling(tmp_path / "agent.db", seed, 500)
