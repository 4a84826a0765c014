"""One timer for many exchanges, on a loop whose time the test makes pass."""

from collections.abc import Callable
from dataclasses import dataclass, field

from ocn_permission_agent.net.deadline import Deadline


@dataclass(eq=False)
class Timer:
    at: float
    callback: Callable[[], None]
    cancelled: bool = False

    def when(self) -> float:
        return self.at

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class Loop:
    now: float = 0.0
    timers: list[Timer] = field(default_factory=list)
    made: int = 0

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None], /) -> Timer:
        self.made += 1
        timer = Timer(when, callback)
        self.timers.append(timer)
        return timer

    def pass_to(self, then: float) -> None:
        while due := [timer for timer in self.timers if timer.at <= then and not timer.cancelled]:
            first = min(due, key=Timer.when)
            self.timers.remove(first)
            self.now = max(self.now, first.at)
            first.callback()
        self.now = then


def a_deadline() -> tuple[Loop, Deadline, list[float]]:
    loop, passed = Loop(), list[float]()
    return loop, Deadline(loop, lambda: passed.append(loop.now)), passed


def test_it_passes_when_it_is_due_and_once() -> None:
    loop, deadline, passed = a_deadline()
    deadline.set(5)
    loop.pass_to(4.9)
    assert passed == []
    loop.pass_to(100)
    assert passed == [5]
    deadline.set(5)
    loop.pass_to(200)
    assert passed == [5, 105]


def test_many_exchanges_need_one_timer_now_and_then() -> None:
    loop, deadline, passed = a_deadline()
    for number in range(1_000):
        loop.pass_to(number / 10)
        deadline.set(60)
        deadline.clear()
    assert passed == []
    assert loop.made == 2


def test_the_last_word_counts() -> None:
    loop, deadline, passed = a_deadline()
    deadline.set(60)
    loop.pass_to(50)
    deadline.set(60)
    loop.pass_to(109)
    assert passed == []
    loop.pass_to(111)
    assert passed == [110]


def test_a_shorter_one_does_not_wait_for_the_timer_of_a_longer_one() -> None:
    loop, deadline, passed = a_deadline()
    deadline.set(60)
    deadline.clear()
    deadline.set(1)
    loop.pass_to(2)
    assert passed == [1]


def test_once_stopped_or_cleared_nothing_passes() -> None:
    loop, deadline, passed = a_deadline()
    deadline.set(5)
    deadline.clear()
    loop.pass_to(10)
    deadline.set(5)
    deadline.stop()
    loop.pass_to(20)
    assert passed == []
    assert all(timer.cancelled for timer in loop.timers)
