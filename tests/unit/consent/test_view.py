"""When what we know is fresh enough to send by (C8)."""

from datetime import datetime, timedelta

from ocn_permission_agent.consent.index import ConsentIndex
from ocn_permission_agent.consent.settings import ConsentSettings
from ocn_permission_agent.consent.view import ConsentView
from ocn_permission_agent.metrics import Metrics
from tests.consent_factories import OWN_OPERATOR, a_history, transaction
from tests.fakes import FakeClock


def an_index_at(number: int, time: datetime, *, distrust: str | None = None, doubt: str | None = None) -> ConsentIndex:
    return ConsentIndex(
        facts=a_history().facts(),
        block_number=number,
        block_hash=transaction(number),
        block_time=time,
        own_operator=OWN_OPERATOR,
        confirmations=0,
        settings=ConsentSettings(),
        distrust=distrust,
        doubt=doubt,
    )


def a_view(clock: FakeClock) -> ConsentView:
    return ConsentView(clock=clock, max_staleness_seconds=60, metrics=Metrics())


def is_fresh(view: ConsentView) -> bool:
    return view.fresh


def test_nothing_is_fresh_before_the_first_poll() -> None:
    view = a_view(FakeClock())
    assert not is_fresh(view)
    assert view.index.block_number == 0
    assert view.age_seconds() == float("inf")
    assert not view.block_from_the_future


def test_what_the_store_remembers_is_known_but_not_fresh() -> None:
    clock = FakeClock()
    view = a_view(clock)
    index = an_index_at(1, clock.now())
    view.restore(index)
    assert view.index is index
    assert not is_fresh(view)
    view.publish(an_index_at(1, clock.now()))
    assert is_fresh(view)


def test_a_view_ages_until_the_head_moves() -> None:
    clock = FakeClock()
    view = a_view(clock)
    view.publish(an_index_at(1, clock.now()))
    clock.step(59)
    assert is_fresh(view)
    clock.step(1)
    view.publish(an_index_at(1, clock.now()))
    assert not is_fresh(view), "the same block again makes nothing younger, whatever time it claims"
    view.publish(an_index_at(2, clock.now()))
    assert is_fresh(view)


def test_an_old_block_is_stale_when_it_arrives() -> None:
    clock = FakeClock()
    view = a_view(clock)
    view.publish(an_index_at(1, clock.now() - timedelta(seconds=61)))
    assert not is_fresh(view)


def test_a_block_from_the_future_raises_an_alarm_and_does_not_stay_fresh() -> None:
    clock = FakeClock()
    view = a_view(clock)
    view.publish(an_index_at(1, clock.now() + timedelta(seconds=31)))
    assert view.block_from_the_future
    clock.step(61)
    assert not is_fresh(view)
    view.publish(an_index_at(2, clock.now() + timedelta(seconds=30)))
    assert not view.block_from_the_future


def test_whoever_wants_to_know_is_told_of_each_publication() -> None:
    clock = FakeClock()
    view = a_view(clock)
    told: list[int] = []
    view.on_publish(lambda: told.append(view.index.block_number))
    view.publish(an_index_at(1, clock.now()))
    view.publish(an_index_at(2, clock.now()))
    assert told == [1, 2]


def test_those_who_hold_are_told_when_a_doubt_ends_and_only_then() -> None:
    clock = FakeClock()
    view = a_view(clock)
    told: list[int] = []
    view.on_clear(lambda: told.append(view.index.block_number))
    view.publish(an_index_at(1, clock.now()))
    view.publish(an_index_at(2, clock.now()))
    assert told == [1], "the first poll of a run ends the first doubt"
    clock.step(60)
    view.publish(an_index_at(3, clock.now()))
    assert told == [1, 3], "nobody looked while it was stale"
    view.amend(an_index_at(3, clock.now(), distrust="another chain"))
    assert (view.fresh, view.clear) == (True, False)
    view.publish(an_index_at(3, clock.now()))
    view.publish(an_index_at(4, clock.now(), doubt="they contradict each other"))
    view.publish(an_index_at(5, clock.now()))
    assert told == [1, 3, 3, 5]
