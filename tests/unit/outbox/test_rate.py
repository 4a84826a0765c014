from hypothesis import given
from hypothesis import strategies as st

from ocn_permission_agent.outbox.rate import RateLimit


def test_no_second_sees_more_than_the_rate() -> None:
    rate = RateLimit(3)
    rate.take(10.0, 2)
    rate.take(10.5, rate.room(10.5))
    assert (rate.room(10.9), rate.room(11.0), rate.room(11.5)) == (0, 2, 3)


def test_a_slow_rate_lets_one_start_in_its_span() -> None:
    rate = RateLimit(0.1)
    rate.take(0.0, rate.room(0.0))
    assert (rate.room(9.9), rate.free_in_seconds(4.0), rate.room(10.0), rate.free_in_seconds(10.0)) == (0, 6.0, 1, 0.0)


@given(st.integers(min_value=1, max_value=50), st.lists(st.floats(min_value=0, max_value=0.4), max_size=60))
def test_the_rate_holds_for_any_series(limit: int, steps: list[float]) -> None:
    rate, now, starts = RateLimit(limit), 0.0, []
    for step in steps:
        now += step
        count = min(rate.room(now), 7)
        rate.take(now, count)
        starts += [now] * count
    assert all(sum(start - 1.0 < other <= start for other in starts) <= limit for start in starts)
