"""How much each provider may get: never more than its limits, and what waits goes first."""

from hypothesis import given
from hypothesis import strategies as st

from ocn_permission_agent.consent.address import Address
from ocn_permission_agent.outbox.room import Room
from ocn_permission_agent.outbox.settings import DeliverySettings
from tests.fakes import FakeClock
from tests.outbox_fixtures import ANALYTICS, BILLING, PROVIDERS, a_delivery, cdr

DELIVERY = a_delivery(cdr(), at=FakeClock().now())
ADDRESS, OTHER = PROVIDERS[BILLING], PROVIDERS[ANALYTICS]


def a_room(**limits: float) -> Room:
    return Room(DeliverySettings(**limits))  # type: ignore[arg-type]


def claim(room: Room, count: int, now: float = 0.0, limited: tuple[Address, ...] = ()) -> bool:
    room.offer(now)
    return room.claimed([DELIVERY] * count, now, limited)


def test_so_many_at_a_time_and_no_more() -> None:
    room = a_room(max_in_flight=2, max_rate=1_000)
    assert [room.take_one(ADDRESS, BILLING, 0.0) for _ in range(3)] == [True, True, False]
    assert room.take_one(OTHER, ANALYTICS, 0.0), "another provider has room of its own"
    room.leave(ADDRESS)
    assert room.take_one(ADDRESS, BILLING, 0.0)


def test_so_many_a_second_and_no_more() -> None:
    room = a_room(max_in_flight=100, max_rate=2)
    assert [room.take_one(ADDRESS, BILLING, 0.0) for _ in range(3)] == [True, True, False]
    room.leave(ADDRESS)
    assert not room.take_one(ADDRESS, BILLING, 0.9)
    assert room.free_in_seconds(0.9) is not None
    assert room.take_one(ADDRESS, BILLING, 1.1)


def test_what_has_not_begun_costs_neither_a_place_nor_a_start() -> None:
    room = a_room(max_in_flight=1, max_rate=1)
    assert room.take_one(ADDRESS, BILLING, 0.0)
    room.give_back(ADDRESS)
    assert room.take_one(ADDRESS, BILLING, 0.0)


def test_nothing_passes_those_who_wait_for_room() -> None:
    room = a_room(max_in_flight=4, max_rate=1_000)
    assert claim(room, 4), "all that it was offered: more may be due"
    assert room.leave(ADDRESS), "something may be waiting for the room"
    assert not room.take_one(ADDRESS, BILLING, 0.0)
    assert not claim(room, 0), "nobody has become short"
    assert not room.leave(ADDRESS)
    assert room.take_one(ADDRESS, BILLING, 0.0), "the claim had room left: nothing waits any more"


def test_who_is_limited_by_what_other_agents_take_is_short_too() -> None:
    room = a_room(max_in_flight=8, max_rate=1_000)
    assert claim(room, 3, limited=(ADDRESS,)), "less than it was offered, and more may be due"
    assert not room.take_one(ADDRESS, BILLING, 0.0)
    assert room.leave(ADDRESS), "something may be waiting for the room"
    assert not claim(room, 0, limited=(ADDRESS,)), "it was short before"
    assert not claim(room, 2)
    assert not room.leave(ADDRESS)


def test_a_claim_on_its_way_and_what_leaves_at_once_share_the_room() -> None:
    room = a_room(max_in_flight=4, max_rate=1_000)
    assert room.take_one(ADDRESS, BILLING, 0.0)
    offered, _ = room.offer(0.0)
    assert offered[ADDRESS] == 2
    assert [room.take_one(ADDRESS, BILLING, 0.0) for _ in range(2)] == [True, False]
    assert not room.take_one(OTHER, ANALYTICS, 0.0), "the claim may take as much of a stranger as there is"
    assert room.claimed([DELIVERY, DELIVERY], 0.0)
    room.leave(ADDRESS)
    assert room.offer(0.0)[0][ADDRESS] == 1, "who is short gets it all"


@given(st.lists(st.sampled_from(("take", "leave", "offer", "claimed", "later")), max_size=200), st.data())
def test_limits_hold_whatever_the_order(steps: list[str], data: st.DataObject) -> None:
    most, rate, now, under_way, offered = 5, 7, 0.0, 0, None
    room, starts = a_room(max_in_flight=most, max_rate=rate), list[float]()
    for step in steps:
        if step == "take" and room.take_one(ADDRESS, BILLING, now):
            under_way += 1
            starts.append(now)
        elif step == "leave" and under_way:
            room.leave(ADDRESS)
            under_way -= 1
        elif step == "offer" and offered is None:
            known, default = room.offer(now)
            offered = known.get(ADDRESS, default)
        elif step == "claimed" and offered is not None:
            count = data.draw(st.integers(0, offered))
            room.claimed([DELIVERY] * count, now)
            under_way += count
            starts.extend([now] * count)
            offered = None
        elif step == "later" and offered is None:
            now += data.draw(st.sampled_from((0.1, 0.4, 1.0)))
        assert under_way <= most
        assert sum(start > now - 1.0 for start in starts) <= rate
