import asyncio

import pytest

from ocn_permission_agent.store import bridge


async def soon(value: int) -> int:
    await asyncio.sleep(0)
    return value


async def test_a_plain_function_waits_for_coroutines() -> None:
    def work() -> int:
        return sum(bridge.wait(soon(number)) for number in range(5))

    assert await bridge.run(work) == 10


async def test_several_run_side_by_side() -> None:
    told: list[str] = []

    def work(name: str) -> None:
        for number in range(3):
            bridge.wait(soon(0))
            told.append(f"{name}{number}")

    async with asyncio.TaskGroup() as group:
        group.create_task(bridge.run(lambda: work("a")))
        group.create_task(bridge.run(lambda: work("b")))
    assert told == ["a0", "b0", "a1", "b1", "a2", "b2"]


async def test_what_fails_while_it_waits_is_raised_where_it_waits() -> None:
    async def failing() -> None:
        await asyncio.sleep(0)
        raise LookupError("gone")

    def work() -> str:
        try:
            bridge.wait(failing())
        except LookupError as error:
            return f"told: {error}"
        return "not told"

    assert await bridge.run(work) == "told: gone"


async def test_what_the_function_raises_comes_out() -> None:
    def work() -> None:
        bridge.wait(soon(1))
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await bridge.run(work)


async def test_a_cancellation_reaches_it_where_it_waits() -> None:
    tidied = asyncio.Event()

    def work() -> None:
        try:
            bridge.wait(asyncio.sleep(3600))
        finally:
            tidied.set()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(bridge.run(work))
        await asyncio.sleep(0)
        task.cancel()
    assert task.cancelled()
    assert tidied.is_set()


async def test_waiting_elsewhere_is_refused() -> None:
    waiting = asyncio.get_running_loop().create_future()
    with pytest.raises(RuntimeError, match="nobody to wait"):
        bridge.wait(waiting)
