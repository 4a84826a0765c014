"""What the proxy refuses, and limits that are reached: each is counted, a flood of them is a few lines.

Strangers can cause as many refusals as they like, so a cause is told once a second at most; each line says of how many.
"""

from collections import Counter

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.errors import Refusal, UpstreamError, UpstreamTimeout, UpstreamUnreachable
from ocn_permission_agent.log import Log
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.proxy.answers import own_answer

#: between two lines about one cause
LINE_SECONDS = 1.0
#: the node's part, and ours: somebody should look at it
_ALARMING = frozenset({Refusal.NODE_UNREACHABLE, Refusal.NODE_BROKEN, Refusal.NODE_SILENT, Refusal.UNRECORDABLE})


class Refusals:
    """Counts and tells them.

    Args:
        clock: spaces the lines.
        metrics: ``refusals_total``.
        log: ``request.refused`` and ``request.failed``.
    """

    def __init__(self, *, clock: Clock, metrics: Metrics, log: Log) -> None:
        self._clock = clock
        self._counters = {cause: metrics.refusals.labels(cause.label) for cause in Refusal}
        self._log = log
        self._told: dict[Refusal, float] = {}
        self._untold: Counter[Refusal] = Counter()

    def note(self, cause: Refusal, *, error: str = "", where: str = "") -> None:
        """Count one, and tell it unless its cause was told within the last second.

        Args:
            cause: of the refusal.
            error: of a fault of ours, its kind.
            where: of a fault of ours, file and line.
        """
        self._counters[cause].inc()
        self._untold[cause] += 1
        now = self._clock.monotonic()
        if now - self._told.get(cause, float("-inf")) >= LINE_SECONDS:
            self._told[cause] = now
            self._tell(cause, error, where)

    def answer(self, cause: Refusal, reason: str, *, close: bool, bodiless: bool = False) -> bytes:
        """The whole answer that says so.

        Args:
            cause: one that has a status.
            reason: a sentence without secrets.
            close: the connection ends with it.
            bodiless: the request was a HEAD.
        """
        return own_answer(
            http_status=cause.http_status or 500,
            status_code=cause.ocpi_status,
            status_message=reason,
            now=self._clock.now(),
            close=close,
            bodiless=bodiless,
        )

    async def tend(self) -> None:
        """Tell the rest of each flood once its second is over, until cancelled."""
        while True:
            await self._clock.sleep(LINE_SECONDS)
            self.tell_rest()

    def tell_rest(self) -> None:
        """Tell what was held back and is due."""
        now = self._clock.monotonic()
        for cause in [cause for cause in self._untold if now - self._told[cause] >= LINE_SECONDS]:
            self._told[cause] = now
            self._tell(cause, "", "")

    def _tell(self, cause: Refusal, error: str, where: str) -> None:
        count = self._untold.pop(cause)
        if cause is Refusal.FAULT:
            self._log.error("request.failed", error=error, where=where, count=count)
            return
        tell = self._log.warning if cause in _ALARMING else self._log.info
        tell("request.refused", cause=cause.label, status=cause.http_status, count=count)


def trouble_with_node(error: UpstreamError) -> tuple[Refusal, str]:
    """What is said when the node gives no answer that could be passed on."""
    match error:
        case UpstreamUnreachable():
            return Refusal.NODE_UNREACHABLE, "the OCN node cannot be reached"
        case UpstreamTimeout():
            return Refusal.NODE_SILENT, "the OCN node did not answer in time"
        case _:
            return Refusal.NODE_BROKEN, "the OCN node closed the connection"
