"""An intent that nobody ended tells, after a death, which copy may be missing."""

import asyncio
import resource
import signal
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ocn_permission_agent.errors import StoreUnavailable
from ocn_permission_agent.outbox.gaps import Gap, GapSum
from ocn_permission_agent.outbox.intent_lines import Left
from ocn_permission_agent.outbox.intents import Intents
from tests.fakes import FakeClock

NOW = FakeClock().now()
ADDRESS = "0x" + "c1" * 20


def begun(intents: Intents, correlation_id: str, *, object_id: str = "s1") -> int:
    return intents.begin(
        at=NOW,
        customer="DE*CPO",
        customer_address=ADDRESS,
        module="sessions",
        method="PUT",
        object_id=object_id,
        correlation_id=correlation_id,
    )


def after_a_death(path: Path) -> tuple[Intents, list[str]]:
    """What the next process finds; the file of the dead one is simply not used any more."""
    intents = Intents(path)
    return intents, [gap.correlation_id for gap in intents.open().gaps]


def test_what_was_not_ended_is_found_with_its_metadata(tmp_path: Path) -> None:
    intents = Intents(tmp_path / "intents")
    assert intents.open() == Left()
    first, second = begun(intents, "c-1"), begun(intents, 'c-2 with "quotes"\n')
    intents.end(first)
    assert second != first
    following = Intents(tmp_path / "intents")
    [gap] = following.open().gaps
    assert (gap.reason, gap.at, gap.customer) == ("unknown_outcome", NOW, "DE*CPO")
    assert gap.customer_address == ADDRESS
    assert (gap.module, gap.method, gap.object_id) == ("sessions", "PUT", "s1")
    assert gap.correlation_id == 'c-2 with "quotes"\n'


def test_it_is_found_again_until_somebody_has_written_it_down(tmp_path: Path) -> None:
    intents = Intents(tmp_path / "intents")
    intents.open()
    begun(intents, "c-1")
    second = Intents(tmp_path / "intents")
    [left] = second.open().gaps
    mine = begun(second, "c-2")
    assert mine != left.intent
    third = Intents(tmp_path / "intents")
    left_now = third.open().gaps
    assert [each.correlation_id for each in left_now] == ["c-1", "c-2"]
    assert not third.end(left_now[0].intent), "a gap does not end before it is written"
    third.forget([each.intent for each in left_now], ())
    assert after_a_death(tmp_path / "intents")[1] == []


def test_the_file_stays_small(tmp_path: Path) -> None:
    intents = Intents(tmp_path / "intents")
    intents.open()
    stays = begun(intents, "stays")
    for number in range(20_000):
        intents.end(begun(intents, f"c-{number}"))
    assert (tmp_path / "intents").stat().st_size < 300_000
    assert after_a_death(tmp_path / "intents")[1] == ["stays"]
    intents.end(stays)
    intents.close()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    moves=st.lists(st.one_of(st.none(), st.integers(0, 20)), max_size=40),
    cut=st.integers(0, 30),
)
def test_a_cut_off_end_costs_at_most_the_last_lines(
    moves: list[int | None], cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("intents") / "intents"
    intents = Intents(path)
    intents.open()
    numbers: list[int] = []
    still_open: list[int] = []
    for move in moves:
        if move is None or move >= len(numbers):
            numbers.append(begun(intents, f"c-{len(numbers)}"))
            still_open.append(numbers[-1])
        else:
            intents.end(numbers[move])
            still_open = [number for number in still_open if number != numbers[move]]
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - cut])
    found = set(after_a_death(path)[1])
    if cut == 0:
        assert found == {f"c-{numbers.index(number)}" for number in still_open}
    else:
        lost = {f"c-{numbers.index(number)}" for number in still_open} - found
        assert len(lost) <= 1, "a line is longer than what was cut off"


def test_a_strange_file_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "intents").write_bytes(
        b'\x00\xff{"a":1}\n[1,2]\n[1,"x",2,3,4,5,6,7]\n["a","b",1,2]\n[1,2,3]\n\n99\n' + b"x" * 1000
    )
    assert after_a_death(tmp_path / "intents")[1] == []


def test_a_full_disk_stops_nobody_and_is_healed(tmp_path: Path) -> None:
    intents = Intents(tmp_path / "intents")
    intents.open()
    begun(intents, "before")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (120, hard))
    try:
        begun(intents, "meanwhile")
        ended = begun(intents, "ended")
        intents.end(ended)
        assert intents.failures > 0
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    begun(intents, "after")
    assert intents.mend() > 0
    assert intents.failures == 0
    assert after_a_death(tmp_path / "intents")[1] == ["before", "meanwhile", "after"]


def test_without_a_file_it_is_quiet(tmp_path: Path) -> None:
    intents = Intents(tmp_path / "nowhere" / "intents")
    with pytest.raises(StoreUnavailable, match="No such file"):
        intents.open()
    intents.end(begun(intents, "c"))
    assert (intents.is_open, intents.failures) == (False, 0)


def test_what_was_noted_before_the_file_could_be_opened_is_in_it_afterwards(tmp_path: Path) -> None:
    dead = Intents(tmp_path / "folder" / "intents")
    intents = Intents(tmp_path / "folder" / "intents")
    begun(intents, "early")
    (tmp_path / "folder").mkdir()
    dead.open()
    begun(dead, "of the dead")
    assert [gap.correlation_id for gap in intents.open().gaps] == ["of the dead"]
    assert sorted(after_a_death(tmp_path / "folder" / "intents")[1]) == ["early", "of the dead"]


def a_gap(reason: str = "store_unavailable", *, intent: int = 0, correlation_id: str = "c-1") -> Gap:
    return Gap(reason=reason, at=NOW, customer="DE*CPO", module="cdrs", correlation_id=correlation_id, intent=intent)


def test_a_gap_keeps_its_reason_over_a_death_until_it_is_written(tmp_path: Path) -> None:
    intents = Intents(tmp_path / "intents")
    intents.open()
    number = begun(intents, "c-1")
    intents.keep(a_gap(intent=number))
    intents.end(number)
    intents.keep(replace(a_gap("restored"), until=NOW + timedelta(hours=1)))
    second = Intents(tmp_path / "intents")
    left = second.open()
    assert [(gap.reason, gap.module, gap.until) for gap in left.gaps] == [
        ("store_unavailable", "cdrs", None),
        ("restored", "cdrs", NOW + timedelta(hours=1)),
    ]
    second.forget([left.gaps[0].intent], ())
    assert [gap.reason for gap in Intents(tmp_path / "intents").open().gaps] == ["restored"]


def test_of_a_flood_the_number_survives_a_death_until_it_is_written(tmp_path: Path) -> None:
    intents = Intents(tmp_path / "intents")
    intents.open()
    for second in range(20_000):
        number = begun(intents, "c")
        at = NOW + timedelta(seconds=second)
        intents.count(a_gap(intent=number), GapSum(reason="flood", count=1, first_at=at, last_at=at))
    assert (tmp_path / "intents").stat().st_size < 300_000
    following = Intents(tmp_path / "intents")
    left = following.open()
    assert left.gaps == ()
    assert sum(each.count for each in left.sums) == 20_000
    assert (left.sums[0].first_at, left.sums[-1].last_at) == (NOW, NOW + timedelta(seconds=19_999))
    following.forget((), left.sums[1:])
    assert Intents(tmp_path / "intents").open().sums == left.sums[:1]


def test_only_its_owner_may_read_the_file(tmp_path: Path) -> None:
    intents = Intents(tmp_path / "intents")
    intents.open()
    assert (tmp_path / "intents").stat().st_mode & 0o777 == 0o600


def test_an_intent_costs_microseconds(tmp_path: Path) -> None:
    intents = Intents(tmp_path / "intents")
    intents.open()
    fastest = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        for number in range(1000):
            intents.end(begun(intents, f"correlation-{number:08}", object_id="session-0123456789"))
        fastest = min(fastest, (time.perf_counter() - started) / 1000)
    assert fastest < 40e-6, f"{fastest * 1e6:.1f} µs for a request"


async def test_the_ends_of_a_turn_are_written_with_the_next_line_or_when_the_turn_is_over(tmp_path: Path) -> None:
    path = tmp_path / "intents"
    intents = Intents(path)
    intents.open()
    first, second, third = (begun(intents, f"c-{number}") for number in range(3))
    size = path.stat().st_size
    assert (intents.end(first), intents.end(first)) == (True, False)
    intents.end(second)
    assert path.stat().st_size == size
    fourth = begun(intents, "c-4")
    lines = path.read_bytes().splitlines()
    assert [lines[3], lines[4]] == [b"%d" % first, b"%d" % second]
    intents.end(third)
    await asyncio.sleep(0)
    assert path.read_bytes().endswith(b"\n%d\n" % third)
    intents.end(fourth)
    intents.close()
    assert path.read_bytes().endswith(b"\n%d\n" % fourth)


async def test_what_ends_in_a_turn_after_another_line_was_written_waits_for_no_other_turn(tmp_path: Path) -> None:
    path = tmp_path / "intents"
    intents = Intents(path)
    intents.open()
    for number in range(3):
        intents.end(begun(intents, f"c-{number}"))
    await asyncio.sleep(0)
    assert after_a_death(path)[1] == []


def test_a_loop_that_was_stopped_in_its_turn_does_not_hold_up_the_ends_of_another(tmp_path: Path) -> None:
    path = tmp_path / "intents"
    intents = Intents(path)
    intents.open()
    first, second = begun(intents, "c-1"), begun(intents, "c-2")

    def end_and_stop() -> None:
        intents.end(first)
        stopped.stop()

    async def end() -> None:
        intents.end(second)
        await asyncio.sleep(0)

    stopped = asyncio.new_event_loop()
    stopped.call_soon(end_and_stop)
    stopped.run_forever()
    stopped.close()
    asyncio.run(end())

    assert after_a_death(path)[1] == []


async def test_an_end_that_waits_is_not_needed_in_a_file_that_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "intents"
    intents = Intents(path)
    intents.open()
    number = begun(intents, "c-1")
    intents.end(number)
    intents.failures = 1
    intents.mend()
    assert path.read_bytes() == b""
    await asyncio.sleep(0)
    assert path.read_bytes() == b""
