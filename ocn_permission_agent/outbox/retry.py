"""When to try again. Pure."""

from collections.abc import Sequence

#: a service's own wish is honoured up to here
RETRY_AFTER_CAP_SECONDS = 3600.0
#: between two looks at a service that is not set up for a module
SETUP_PAUSE_SECONDS = 3600.0
#: between two looks at our own view when it is in doubt
HOLD_PAUSE_SECONDS = 5.0


def pause_seconds(attempts: int, *, schedule: Sequence[float], spread: float) -> float:
    """The pause after the latest of so many attempts.

    Args:
        attempts: made so far, at least 1.
        schedule: seconds, not empty; its last step repeats.
        spread: in [0, 1], drawn by the caller; moves the pause by up to 20 % either way, so that what failed together
            does not come back together.
    """
    step = schedule[min(attempts, len(schedule)) - 1]
    return jittered(step, spread)


def jittered(seconds: float, spread: float) -> float:
    """80 % to 120 % of the seconds."""
    return seconds * (0.8 + 0.4 * spread)
