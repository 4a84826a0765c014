"""When pieces are handed over by a busy loop, and by one that is not; the pace itself is in test_writer.py."""

import asyncio
from collections.abc import Callable

from ocn_permission_agent.store.gathering import Gathering

#: so that no stall of the machine is as long as what is told apart
_PACE_SECONDS = 0.1
_WORTHWHILE = 48


class Place:
    """A gathering that has handed over twice, so that it knows how busy the loop was in between."""

    def __init__(self, spent_seconds: Callable[[], float]) -> None:
        self.order: list[object] = []
        self.gathering: Gathering[str] = Gathering(self._take, pace_seconds=_PACE_SECONDS, spent_seconds=spent_seconds)

    def _take(self, pieces: list[str]) -> None:
        self.order.append(pieces)
        asyncio.get_running_loop().call_soon(self.gathering.returned)

    async def begin(self) -> None:
        for piece in ("first", "second"):
            self.gathering.add(piece, patient=False)
            await asyncio.sleep(0.01)
            self.gathering.hand_over()
        self.order.clear()

    async def mark(self, paces: float) -> None:
        """Wait for so many paces from now, and note it; timers fire in the order in which they are due."""
        loop = asyncio.get_running_loop()
        passed = loop.create_future()
        loop.call_at(loop.time() + paces * _PACE_SECONDS, passed.set_result, None)
        await passed
        self.order.append(paces)


def works_always() -> float:
    return asyncio.get_running_loop().time()


def rests() -> float:
    return 0.0


async def test_an_idle_loop_hands_over_by_the_pace() -> None:
    place = Place(rests)
    await place.begin()
    place.gathering.add("piece", patient=False)
    await place.mark(5)
    assert place.order == [["piece"], 5]


async def test_a_busy_loop_waits_for_others_but_not_for_ever() -> None:
    place = Place(works_always)
    await place.begin()
    place.gathering.add("piece", patient=False)
    await place.mark(5)
    place.gathering.add("another", patient=False)
    await place.mark(11)
    assert place.order == [5, ["piece", "another"], 11]


async def test_a_busy_loop_hands_over_what_is_worth_a_group() -> None:
    place = Place(works_always)
    await place.begin()
    place.gathering.add("piece", patient=False)
    await place.mark(3)
    for _ in range(_WORTHWHILE - 1):
        place.gathering.add("piece", patient=True)
    await place.mark(1)
    assert place.order == [3, ["piece"] * _WORTHWHILE, 1]


async def test_a_busy_loop_does_not_wait_where_it_is_worth_it_already() -> None:
    place = Place(works_always)
    await place.begin()
    for _ in range(_WORTHWHILE):
        place.gathering.add("piece", patient=False)
    await place.mark(5)
    assert place.order == [["piece"] * _WORTHWHILE, 5]


async def test_a_loop_that_rests_again_waits_no_longer() -> None:
    spent = 0.0
    place = Place(lambda: spent)
    await place.begin()
    spent += 3600
    place.gathering.add("the last under load", patient=False)
    place.gathering.hand_over()
    place.gathering.add("waits", patient=False)
    await place.mark(5)
    place.gathering.hand_over()
    place.gathering.add("does not", patient=False)
    await place.mark(4)
    assert place.order == [["the last under load"], 5, ["waits"], ["does not"], 4]
