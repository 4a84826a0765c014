"""Limits of a service, counted over several agents."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.outbox.settings import DeliverySettings
from ocn_permission_agent.outbox.shared_limits import RecentStarts, room_of_provider

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PAY = Party("DE", "PAY")


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_a_second_after_they_started_they_count_no_more() -> None:
    recent = RecentStarts().with_more(3, 5, NOW)
    assert [recent.room(5, after(seconds)) for seconds in (0, 0.999, 1)] == [2, 2, 5]


def test_of_a_rate_below_one_there_is_one_in_so_many_seconds() -> None:
    recent = RecentStarts().with_more(1, 0.1, NOW)
    assert [recent.room(0.1, after(seconds)) for seconds in (0, 9.9, 10)] == [0, 0, 1]


def test_another_agents_clock_may_be_ahead_and_one_that_was_set_back_blocks_nobody() -> None:
    assert RecentStarts().with_more(5, 5, after(3)).room(5, NOW) == 0
    assert RecentStarts().with_more(5, 5, after(3600)).room(5, NOW) == 5


def test_the_column_holds_what_was_put_there() -> None:
    recent = RecentStarts().with_more(2, 20, NOW).with_more(1, 20, after(0.5))
    assert RecentStarts.parse(str(recent)) == recent


def test_what_is_in_flight_anywhere_takes_room_and_room_is_never_negative() -> None:
    settings = DeliverySettings(max_in_flight=8, max_rate=20)
    assert room_of_provider(settings, PAY, in_flight=5, recent=RecentStarts(), now=NOW) == 3
    assert room_of_provider(settings, PAY, in_flight=9, recent=RecentStarts(), now=NOW) == 0
    used_up = RecentStarts().with_more(19, 20, NOW)
    assert room_of_provider(settings, PAY, in_flight=0, recent=used_up, now=NOW) == 1


@given(
    st.lists(st.tuples(st.integers(0, 400_000), st.integers(1, 9)), max_size=40),
    st.sampled_from([0.3, 1, 4, 20]),
)
def test_whoever_keeps_to_the_room_never_starts_more_than_the_rate_in_any_span(
    tries: list[tuple[int, int]], rate: float
) -> None:
    most, span = max(1, int(rate)), timedelta(seconds=max(1, int(rate)) / rate)
    recent, now, started = RecentStarts(), NOW, list[datetime]()
    for pause_us, wanted in tries:
        now += timedelta(microseconds=pause_us)
        count = min(wanted, recent.room(rate, now))
        if count > 0:
            recent = recent.with_more(count, rate, now)
            started.extend([now] * count)
    for each in started:
        assert sum(each <= other < each + span for other in started) <= most
