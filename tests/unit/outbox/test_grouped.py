"""Items that come while a group is written make up the next one, and none is forgotten."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any

import pytest

from ocn_permission_agent.errors import StoreUnavailable
from ocn_permission_agent.outbox.grouped import Grouped


class Bad(ValueError):
    pass


class Pool:
    """Writes groups of numbers; each takes some turns of the loop, as one that waits for a connection does."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self.groups: list[list[int]] = []
        self.turns = 1
        self.error: Exception | None = None
        self.tasks: list[asyncio.Task[None]] = []
        self._group = group
        self.grouped = Grouped(
            self.write,
            see_through=self.see_through,
            may_be_ones_fault=lambda error: isinstance(error, Bad),
            limit=4,
        )

    def see_through(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(self._group.create_task(work))

    async def write(self, items: Sequence[int]) -> Sequence[int]:
        for _ in range(self.turns):
            await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        if any(item < 0 for item in items):
            raise Bad
        self.groups.append(list(items))
        return [item * 10 for item in items]


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        yield Pool(group)


async def test_what_comes_in_one_turn_shares_a_group_up_to_the_limit(pool: Pool) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(pool.grouped.submit(number)) for number in range(6)]
    assert [task.result() for task in tasks] == [0, 10, 20, 30, 40, 50]
    assert pool.groups == [[0, 1, 2, 3], [4, 5]]


@pytest.mark.parametrize("turns", range(6))
@pytest.mark.parametrize("late_by", range(12))
async def test_nobody_is_forgotten_whenever_it_comes(pool: Pool, turns: int, late_by: int) -> None:
    """The trap: an item that comes after the last look, and before the writer says that it has stopped."""
    pool.turns = turns

    async def late() -> int:
        for _ in range(late_by):
            await asyncio.sleep(0)
        return await pool.grouped.submit(2)

    async with asyncio.TaskGroup() as group:
        first, second = group.create_task(pool.grouped.submit(1)), group.create_task(late())
    assert (first.result(), second.result()) == (10, 20)


async def test_one_that_cannot_be_written_fails_alone(pool: Pool) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_outcome(lambda n=n: pool.grouped.submit(n))) for n in (1, -1, 3)]  # type: ignore[misc]
    assert [task.result() for task in tasks] == [10, "Bad", 30]
    assert pool.groups == [[1], [3]]


async def test_a_store_that_is_gone_is_asked_once_for_a_group(pool: Pool) -> None:
    pool.error = StoreUnavailable("gone")
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_outcome(lambda n=n: pool.grouped.submit(n))) for n in range(4)]  # type: ignore[misc]
    assert [task.result() for task in tasks] == ["StoreUnavailable"] * 4
    assert len(pool.tasks) == 1
    pool.error = None
    assert await pool.grouped.submit(7) == 70


async def test_what_a_cancelled_caller_has_handed_in_is_written_and_so_are_the_others(pool: Pool) -> None:
    async with asyncio.TaskGroup() as group:
        cancelled = group.create_task(pool.grouped.submit(1))
        other = group.create_task(pool.grouped.submit(2))
        await asyncio.sleep(0)
        cancelled.cancel()
    assert other.result() == 20
    assert pool.groups == [[1, 2]]


async def _outcome(work: Callable[[], Coroutine[Any, Any, int]]) -> int | str:
    try:
        return await work()
    except (Bad, StoreUnavailable) as error:
        return type(error).__name__
