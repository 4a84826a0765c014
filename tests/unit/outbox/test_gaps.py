"""Gaps are counted one by one, kept and told so that a flood of them stays small."""

from datetime import timedelta

from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.outbox.gaps import Gap, GapBook, hour_of
from tests.fakes import FakeClock
from tests.outbox_fixtures import Lines


def a_book() -> tuple[GapBook, FakeClock, Metrics, Lines]:
    clock, metrics, log = FakeClock(), Metrics(), Lines()
    return GapBook(clock=clock, metrics=metrics, log=log), clock, metrics, log


def counts(book: GapBook) -> dict[str, int]:
    return {each.reason: each.count for each in book.unwritten()}


def test_what_is_known_of_a_gap_is_kept_and_told() -> None:
    book, clock, metrics, log = a_book()
    gap = Gap(reason="store_unavailable", at=clock.now(), module="cdrs", customer="DE*CPO", correlation_id="c-1")
    book.note(gap, error="disk full")
    taken = book.take()
    assert taken is not None
    assert (taken.details, taken.sums) == ((gap,), ())
    assert book.take() is None
    assert metrics.gaps_counted() == 1
    assert log.of("copy.missed") == [
        {
            "reason": "store_unavailable", "count": 1, "module": "cdrs", "customer": "DE*CPO",
            "correlation_id": "c-1", "error": "disk full",
        }
    ]  # fmt: skip


def test_a_flood_is_one_line_a_second_and_reason_with_its_count() -> None:
    book, clock, metrics, log = a_book()
    for _ in range(300):
        book.note(Gap(reason="first_sync", at=clock.now()))
        book.note(Gap(reason="buffer_full", at=clock.now()))
        clock.step(0.01)
    clock.step(1)
    book.tell_rest()
    book.tell_rest()
    lines = log.of("copy.missed")
    assert len(lines) <= 2 * 5
    told = {
        reason: sum(int(str(line["count"])) for line in lines if line["reason"] == reason) for reason in counts(book)
    }
    assert told == counts(book) == {"first_sync": 300, "buffer_full": 300}
    assert metrics.gaps_counted() == 600


def test_of_requests_before_the_first_sync_only_the_number_is_kept() -> None:
    book, clock, _, _ = a_book()
    for _ in range(50):
        book.note(Gap(reason="first_sync", at=clock.now(), module="sessions"))
        clock.step(60)
    taken = book.take()
    assert taken is not None
    assert taken.details == ()
    assert sum(each.count for each in taken.sums) == 50
    assert len(taken.sums) == 1


def test_memory_stays_bounded_while_no_store_takes_them() -> None:
    book, clock, _, _ = a_book()
    for _ in range(5_000):
        book.note(Gap(reason="store_unavailable", at=clock.now()))
        clock.step(1)
    assert counts(book) == {"store_unavailable": 5_000}
    taken = book.take()
    assert taken is not None
    assert (len(taken.details), len(taken.sums)) == (2_000, 2)


def test_what_could_not_be_written_is_given_back_and_nothing_counts_twice() -> None:
    book, clock, metrics, _ = a_book()
    book.note(Gap(reason="a", at=clock.now(), correlation_id="first"))
    book.note(Gap(reason="first_sync", at=clock.now()))
    taken = book.take()
    assert taken is not None
    book.note(Gap(reason="a", at=clock.now(), correlation_id="second"))
    book.note(Gap(reason="first_sync", at=clock.now()))
    book.give_back(taken)
    assert counts(book) == {"a": 2, "first_sync": 2}
    again = book.take()
    assert again is not None
    assert [gap.correlation_id for gap in again.details] == ["first", "second"]
    assert metrics.gaps_counted() == 4


def test_a_stretch_of_time_is_one_gap() -> None:
    book, clock, _, _ = a_book()
    until = clock.now() + timedelta(hours=5)
    book.note(Gap(reason="restored", at=clock.now(), until=until))
    [each] = book.unwritten()
    assert (each.count, each.first_at, each.last_at) == (1, clock.now(), until)
    assert hour_of(until) == until
