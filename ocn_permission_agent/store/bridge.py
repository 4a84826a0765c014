"""Plain functions that wait: inside one, `wait` gives way to the event loop until something awaitable is done.

A work function (see `database.Database`) is written once, without `async`, and runs on SQLite as it is. On PostgreSQL
each of its statements must wait for the network: the function runs in a greenlet, which hands whatever it waits for to
the coroutine that runs it. It is the way in which SQLAlchemy puts its ORM on asyncpg.
"""

import sys
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import greenlet

T = TypeVar("T")


async def run(work: Callable[[], T]) -> T:
    """Run a function that may `wait`. Whatever it raises comes out; a cancellation reaches it where it waits."""
    piece = greenlet.greenlet(work)
    awaited: Any = piece.switch()
    while not piece.dead:
        try:
            value = await awaited
        except BaseException:  # noqa: BLE001  also a cancellation: the function must learn of it
            awaited = piece.throw(*sys.exc_info())
        else:
            awaited = piece.switch(value)
    result: T = awaited
    return result


def wait(awaitable: Awaitable[T]) -> T:
    """Wait for something, inside a function that `run` runs."""
    loop_side = greenlet.getcurrent().parent
    if loop_side is None:
        raise RuntimeError("there is nobody to wait: the function was not started by bridge.run")
    value: T = loop_side.switch(awaitable)
    return value
