"""How long to wait after the chain gave no usable answer. Pure."""

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
#: a server that asks for a longer pause than this is asked again after this
LONGEST_ASKED_SECONDS = 300.0


def pause_seconds(failures: int, *, spread: float, asked_seconds: float = 0.0) -> float:
    """Seconds until the next try: doubling from 1 to 30, ±25 %, and never less than the server asked for.

    Args:
        failures: how many tries in a row failed, at least 1.
        spread: a random number in [0, 1], so that many agents do not come back together.
        asked_seconds: what a `Retry-After` still asks for.
    """
    doubled = FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 10)
    pause = min(doubled, LONGEST_PAUSE_SECONDS) * (0.75 + 0.5 * spread)
    return max(pause, min(asked_seconds, LONGEST_ASKED_SECONDS))


def asked_pause_seconds(retry_after: str | None) -> float:
    """Seconds of a `Retry-After` header; 0 when there is none or it holds a date (RFC 9110 §10.2.3)."""
    if retry_after is None or not retry_after.strip().isdecimal():
        return 0.0
    return min(float(retry_after.strip()), LONGEST_ASKED_SECONDS)
