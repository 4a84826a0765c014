from hypothesis import given
from hypothesis import strategies as st

from ocn_permission_agent.outbox.retry import pause_seconds
from ocn_permission_agent.outbox.settings import DeliverySettings

SCHEDULE = DeliverySettings().schedule_seconds


def test_the_pauses_grow_to_twelve_hours_and_stay_there() -> None:
    pauses = [pause_seconds(attempts, schedule=SCHEDULE, spread=0.5) for attempts in range(1, 11)]
    assert pauses == [5, 30, 300, 1800, 7200, 18000, 36000, 43200, 43200, 43200]


@given(st.integers(min_value=1, max_value=100), st.floats(min_value=0, max_value=1))
def test_jitter_is_at_most_a_fifth(attempts: int, spread: float) -> None:
    middle = pause_seconds(attempts, schedule=SCHEDULE, spread=0.5)
    assert 0.79999 * middle <= pause_seconds(attempts, schedule=SCHEDULE, spread=spread) <= 1.20001 * middle
