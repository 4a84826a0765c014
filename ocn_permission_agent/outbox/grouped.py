"""Group commit without a thread: what is handed in while a group is being written makes up the next one.

There is one flag that says whether somebody writes, and a trap beside it: who looks whether anything waits, finds
nothing, and only after some await says that it has stopped, leaves behind what came meanwhile. Here nothing is awaited
between that last look and the end (performance.md tells of a prototype that did).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

I = TypeVar("I")  # noqa: E741  an item
O = TypeVar("O")  # noqa: E741  its outcome

#: items of one transaction; bounds how long the first of a group waits for the last
GROUP_LIMIT = 500


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[I, O]):
    item: I
    result: asyncio.Future[O]
    told: Callable[[O | None], None] | None


class Grouped(Generic[I, O]):
    """Writes items in groups, one group at a time, in the order in which they came.

    Args:
        write: stores a group in one transaction; tells the outcome of each. If it raises, nothing of it is stored.
        see_through: runs a coroutine to its end, whoever is cancelled meanwhile.
        may_be_ones_fault: whether an error may be due to one item; then each is tried on its own.
        limit: items of one group.
    """

    def __init__(
        self,
        write: Callable[[Sequence[I]], Awaitable[Sequence[O]]],
        *,
        see_through: Callable[[Coroutine[Any, Any, None]], object],
        may_be_ones_fault: Callable[[Exception], bool],
        limit: int = GROUP_LIMIT,
    ) -> None:
        self._write = write
        self._see_through = see_through
        self._may_be_ones_fault = may_be_ones_fault
        self._limit = limit
        self._waiting: deque[_Waiting[I, O]] = deque()
        self._busy = False

    async def submit(self, item: I, told: Callable[[O | None], None] | None = None) -> O:
        """Have an item written; returns its outcome once it is durable. Goes on even if the caller is cancelled.

        Args:
            item: what is to be written.
            told: gets the outcome in any case, after all who wait for one of the group; None where it failed.

        Raises:
            Exception: what writing it raised.
        """
        result: asyncio.Future[O] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(item, result, told))
        if not self._busy:
            self._busy = True
            self._see_through(self._serve())
        return await result

    async def _serve(self) -> None:
        try:
            while self._waiting:
                await self._commit([self._waiting.popleft() for _ in range(min(self._limit, len(self._waiting)))])
        finally:
            self._busy = False

    async def _commit(self, group: list[_Waiting[I, O]]) -> None:
        """Write a group, and tell those who wait."""
        try:
            outcomes = await self._write([each.item for each in group])
        except Exception as error:  # noqa: BLE001  whatever it is belongs to those who wait
            if len(group) > 1 and self._may_be_ones_fault(error):
                for each in group:
                    await self._commit([each])
                return
            for each in group:
                if not each.result.done():
                    each.result.set_exception(error)
            _tell(group, [None] * len(group))
            return
        for each, outcome in zip(group, outcomes, strict=True):
            if not each.result.done():
                each.result.set_result(outcome)
        _tell(group, outcomes)


def _tell(group: Sequence[_Waiting[I, O]], outcomes: Sequence[O | None]) -> None:
    for each, outcome in zip(group, outcomes, strict=True):
        if each.told is not None:
            each.told(outcome)
