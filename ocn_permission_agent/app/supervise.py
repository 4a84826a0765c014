"""Loops that must outlive their failures (proxy.md "Fail open for the primary path").

The proxy's own listener is not one of them: only its failure ends the process.
"""

import random
from collections.abc import Awaitable, Callable

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.errors import AgentError
from ocn_permission_agent.log import Log

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0
#: a loop that ran this long before it failed starts again with the first pause
_HEALTHY_SECONDS = 300.0


def pause_before_restart(failures: int, *, spread: float) -> float:
    """Seconds to wait before the next start: doubling from one second to a minute, ±20 % by `spread` in [0, 1]."""
    pause: float = min(_FIRST_PAUSE_SECONDS * 2.0 ** (failures - 1), _LONGEST_PAUSE_SECONDS)
    return pause * (0.8 + 0.4 * spread)


async def supervise(
    name: str,
    loop: Callable[[], Awaitable[None]],
    *,
    clock: Clock,
    log: Log,
    stopping: Callable[[], bool] = lambda: False,
    beyond: type[AgentError] | None = None,
) -> None:
    """Run `loop` for ever: start it again, with a pause and an alarm, whenever it fails.

    Ends by cancellation, or with the loop once `stopping` says that this is what was asked for; or by an error that is
    `beyond` what starting it again can mend.
    """
    failures = 0
    while True:
        started = clock.monotonic()
        try:
            await loop()
        except AgentError as error:
            if beyond is not None and isinstance(error, beyond):
                raise
            failures = 1 if clock.monotonic() - started > _HEALTHY_SECONDS else failures + 1
            log.error("loop.failed", loop=name, failures=failures, error=type(error).__name__, reason=str(error))
        except Exception as error:
            # Whatever it is: the primary path must outlive it, and people must see it.
            failures = 1 if clock.monotonic() - started > _HEALTHY_SECONDS else failures + 1
            log.error("loop.failed", loop=name, failures=failures, error=type(error).__name__, exc_info=True)
        else:
            if stopping():
                return
            failures += 1
            log.error("loop.failed", loop=name, failures=failures, error="ended", reason="it ended by itself")
        await clock.sleep(pause_before_restart(failures, spread=random.random()))  # noqa: S311  a jitter is no secret
