"""The spool gives back what was put in, in order, whatever happened to its file meanwhile."""

import asyncio
import contextlib
import os
import resource
import signal
import subprocess
import sys
from collections import deque
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ocn_permission_agent.errors import StoreUnavailable
from ocn_permission_agent.outbox.framing import HEAD_BYTES, HEADER_BYTES, framed
from ocn_permission_agent.outbox.spool import Mark, Spool
from ocn_permission_agent.outbox.spooled import packed, unpacked
from tests.fakes import FakeClock
from tests.outbox_fixtures import ANALYTICS, BILLING, a_plan, cdr, command, session

LOTS = 10**9


async def opened(path: Path, *, limit_bytes: int = LOTS) -> tuple[Spool, int]:
    spool = Spool(path, limit_bytes=limit_bytes)
    return spool, await spool.open()


async def drained(spool: Spool, most: int = 1000) -> list[bytes | None]:
    found: list[bytes | None] = []
    while spool.waiting_bytes:
        batch = await spool.read(most=most, most_bytes=LOTS)
        found += batch.payloads
        await spool.advance(batch.mark)
    return found


async def test_records_come_out_in_order_after_a_restart(tmp_path: Path) -> None:
    spool, _ = await opened(tmp_path / "spool")
    for number in range(5):
        await spool.append(b"%d" % number)
    await spool.close()
    spool, broken = await opened(tmp_path / "spool")
    assert (broken, spool.holds_something) == (0, True)
    assert await drained(spool, most=2) == [b"0", b"1", b"2", b"3", b"4"]
    assert not spool.holds_something
    assert (tmp_path / "spool").stat().st_size == 0
    await spool.close()


async def test_what_was_taken_is_not_given_again_once_the_mark_is_known(tmp_path: Path) -> None:
    spool, _ = await opened(tmp_path / "spool")
    for number in range(5):
        await spool.append(b"%d" % number)
    mark = (await spool.read(most=3, most_bytes=LOTS)).mark
    await spool.close()
    spool, _ = await opened(tmp_path / "spool")
    await spool.advance(Mark(name="another", offset=10**6))
    again = Mark.parse(str(mark))
    assert again == mark
    await spool.advance(again)
    assert await drained(spool) == [b"3", b"4"]
    await spool.close()


async def test_a_new_filling_has_a_new_name(tmp_path: Path) -> None:
    spool, _ = await opened(tmp_path / "spool")
    names = set()
    for _ in range(3):
        await spool.append(b"x")
        batch = await spool.read(most=1, most_bytes=1)
        names.add(batch.mark.name)
        await spool.advance(batch.mark)
    assert len(names) == 3
    await spool.close()


@pytest.mark.parametrize("cut", [1, 4, HEAD_BYTES, HEAD_BYTES + 3])
async def test_a_torn_tail_is_cut_off_and_counted(tmp_path: Path, cut: int) -> None:
    spool, _ = await opened(tmp_path / "spool")
    await spool.append(b"whole")
    await spool.append(b"torn-record")
    await spool.close()
    path = tmp_path / "spool"
    os.truncate(path, path.stat().st_size - cut)
    spool, broken = await opened(path)
    assert broken == 1
    await spool.append(b"next")
    assert await drained(spool) == [b"whole", b"next"]
    await spool.close()


async def test_a_damaged_record_is_passed_over(tmp_path: Path) -> None:
    spool, _ = await opened(tmp_path / "spool")
    for payload in (b"first", b"second", b"third"):
        await spool.append(payload)
    with (tmp_path / "spool").open("r+b") as file:
        file.seek(HEADER_BYTES + len(framed(b"first")) + HEAD_BYTES)
        file.write(b"S")
    assert await drained(spool) == [b"first", None, b"third"]
    await spool.close()


@pytest.mark.parametrize("content", [b"x", b"not a spool at all, but longer than its header", b"\0" * 5000])
async def test_a_strange_file_begins_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "spool").write_bytes(content)
    spool, broken = await opened(tmp_path / "spool")
    assert broken == 1
    await spool.append(b"one")
    assert await drained(spool) == [b"one"]
    await spool.close()


async def test_a_full_spool_takes_nothing_and_keeps_what_it_has(tmp_path: Path) -> None:
    spool, _ = await opened(tmp_path / "spool", limit_bytes=10_000)
    taken = 0
    with contextlib.suppress(StoreUnavailable):
        for taken in range(1000):
            await spool.append(b"%100d" % taken)
    assert 80 < taken < 100
    assert (tmp_path / "spool").stat().st_size <= 10_000
    with pytest.raises(StoreUnavailable, match="full"):
        await spool.probe()
    assert await drained(spool) == [b"%100d" % number for number in range(taken)]
    await spool.probe()
    await spool.append(b"again")
    assert await drained(spool) == [b"again"]
    await spool.close()


async def test_a_disk_that_is_full_is_told_and_nothing_half_written_stays(tmp_path: Path) -> None:
    spool, _ = await opened(tmp_path / "spool")
    await spool.append(b"a" * 3000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
    try:
        with pytest.raises(StoreUnavailable, match="cannot be written"):
            await spool.append(b"b" * 3000)
        with pytest.raises(StoreUnavailable):
            await spool.probe()
        await spool.append(b"c" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    await spool.append(b"d" * 3000)
    await spool.close()
    spool, broken = await opened(tmp_path / "spool")
    assert broken == 0
    assert await drained(spool) == [b"a" * 3000, b"c" * 1000, b"d" * 3000]
    await spool.close()


async def test_many_callers_share_what_they_wait_for(tmp_path: Path) -> None:
    spool, _ = await opened(tmp_path / "spool")
    async with asyncio.TaskGroup() as group:
        for number in range(500):
            group.create_task(spool.append(b"%d" % number))
    await spool.settled()
    assert await drained(spool) == [b"%d" % number for number in range(500)]
    await spool.close()


async def test_two_agents_do_not_share_a_file(tmp_path: Path) -> None:
    spool, _ = await opened(tmp_path / "spool")
    other = Spool(tmp_path / "spool")
    with pytest.raises(StoreUnavailable, match="in use by another agent"):
        await other.open()
    with pytest.raises(StoreUnavailable, match="not open"):
        await other.append(b"x")
    await spool.close()
    assert await other.open() == 0
    await other.close()


async def test_only_its_owner_may_read_the_file(tmp_path: Path) -> None:
    spool, _ = await opened(tmp_path / "spool")
    assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o600
    await spool.close()


async def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "nowhere" / "spool")
    with pytest.raises(StoreUnavailable, match="No such file"):
        await spool.open()
    await spool.close()


def test_plans_survive_as_bytes() -> None:
    now = FakeClock().now()
    for request in (session(), session("PATCH", body=b"\xff\x00 not JSON"), cdr(), command()):
        plan = a_plan(request, BILLING, ANALYTICS, at=now)
        assert unpacked(packed(plan)) == plan


@pytest.mark.parametrize("record", [b"", b"\x01", b"\x02anything", b"\x01\x80", b"\x01\xff\xff"])
def test_what_is_no_plan_of_this_version_is_told(record: bytes) -> None:
    assert unpacked(record) is None


_MOVES = st.lists(
    st.one_of(
        st.binary(min_size=1, max_size=60).map(lambda payload: ("append", payload)),
        st.integers(1, 4).map(lambda most: ("take", most)),
        st.just(("reopen", 0)),
        st.integers(1, HEAD_BYTES + 1).map(lambda cut: ("tear", cut)),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=_MOVES)
async def test_it_is_a_queue_whatever_happens(
    moves: list[tuple[str, bytes | int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("queue") / "spool"
    spool, _ = await opened(path)
    expected: deque[bytes] = deque()
    mark: Mark | None = None
    for move, value in moves:
        if isinstance(value, bytes):
            await spool.append(value)
            expected.append(value)
        elif move == "take" and expected:
            batch = await spool.read(most=value, most_bytes=LOTS)
            assert list(batch.payloads) == [expected.popleft() for _ in batch.payloads]
            await spool.advance(batch.mark)
            mark = batch.mark
        elif move != "take":
            await spool.close()
            if move == "tear" and expected:
                torn = len(framed(expected.pop()))
                os.truncate(path, path.stat().st_size - min(value, torn - 1))
            spool, _ = await opened(path)
            if mark is not None:
                await spool.advance(mark)
    assert await drained(spool) == list(expected)
    await spool.close()


_CHILD = """
import asyncio, sys
from pathlib import Path
from ocn_permission_agent.outbox.spool import Spool

async def main():
    spool = Spool(Path(sys.argv[1]))
    await spool.open()
    async def customer(name):
        for number in range(10**9):
            await spool.append(b"%s %d" % (name, number))
            print(name.decode(), number, flush=True)
    async with asyncio.TaskGroup() as group:
        for name in (b"a", b"b", b"c", b"d"):
            group.create_task(customer(name))

asyncio.run(main())
"""


async def test_no_acknowledged_record_is_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    acknowledged = await asyncio.to_thread(_append_until_killed, tmp_path / "spool")
    spool, _ = await opened(tmp_path / "spool")
    kept = [payload.decode() for payload in await drained(spool) if payload is not None]
    assert len(acknowledged) >= 300
    assert set(acknowledged) <= set(kept)
    assert len(kept) == len(set(kept))
    for name in "abcd":
        numbers = [int(line.split()[1]) for line in kept if line.startswith(name)]
        assert numbers == list(range(len(numbers)))
    await spool.close()


def _append_until_killed(path: Path) -> list[str]:
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(path)], stdout=subprocess.PIPE, text=True, cwd=root
    ) as child:
        assert child.stdout is not None
        acknowledged = [child.stdout.readline().strip() for _ in range(300)]
        os.kill(child.pid, signal.SIGKILL)
        return acknowledged + [line.strip() for line in child.stdout if line.endswith("\n")]
