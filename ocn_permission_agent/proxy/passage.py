"""One request on its way through the proxy, and what is told of it once it is over."""

from typing import NamedTuple

from prometheus_client import Counter

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.log import Log
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.net.wire import WireConnection
from ocn_permission_agent.proxy.client import Client
from ocn_permission_agent.proxy.held import Held
from ocn_permission_agent.proxy.intake import Asked
from ocn_permission_agent.proxy.relay import Gathered

_METHODS = frozenset({"GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS"})


class Crossed(NamedTuple):
    """A request that was sent on the short way, and an answer that cannot be given there.

    `connection` is the node's, `held` is there if somebody may be owed a copy, `start` is what was read of the answer.
    """

    connection: WireConnection
    held: Held | None
    start: Gathered


class Passage:
    """How far a request got; begun by `Passages.begin`, filled in by whoever takes it further."""

    __slots__ = (
        "asked", "client", "copies", "crossed", "keep_alive", "method", "node_seconds", "sent_at", "started",
        "status",
    )  # fmt: skip

    def __init__(self, method: str, started: float) -> None:
        self.method = method
        self.started = started
        self.asked: Asked | None = None
        self.client: Client | None = None
        #: how far it came on the short way, if the long one goes on from there
        self.crossed: Crossed | None = None
        #: of the answer; 499 as long as nobody was there to get one
        self.status = 499
        self.copies = 0
        self.keep_alive = False
        self.sent_at = started
        #: from the first byte to the node until its answer began; None if it never began
        self.node_seconds: float | None = None


class Passages:
    """All that are on their way.

    Args:
        clock: durations.
        metrics: requests and overhead.
        log: one line per request.
    """

    def __init__(self, *, clock: Clock, metrics: Metrics, log: Log) -> None:
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._counters: dict[tuple[str, str, str, int], Counter] = {}
        #: how many they are
        self.in_flight = 0
        #: OCPI version of the last route that the node knew: ``2.2`` or ``2.2.1``
        self.version_seen: str | None = None

    def begin(self, method: str) -> Passage:
        """One more; `end` it, whatever happens."""
        self.in_flight += 1
        return Passage(method, self._clock.monotonic())

    def sent(self, passage: Passage) -> None:
        """The node gets it from now on."""
        passage.sent_at = self._clock.monotonic()

    def answered(self, passage: Passage) -> None:
        """The node's answer has begun."""
        passage.node_seconds = self._clock.monotonic() - passage.sent_at

    def end(self, passage: Passage) -> None:
        """One less; count and log it."""
        self.in_flight -= 1
        route = None if passage.asked is None else passage.asked.route
        module = "other" if route is None else route.module._value_
        role = "none" if route is None else route.interface_role._value_
        method = passage.method if passage.method in _METHODS else "other"
        status, node_seconds = passage.status, passage.node_seconds
        self._counter(module, role, method, status).inc()
        total_seconds = self._clock.monotonic() - passage.started
        if node_seconds is not None:
            self._metrics.proxy_overhead_seconds.observe(max(total_seconds - node_seconds, 0.0))
        if route is not None and 200 <= status < 300:
            self.version_seen = route.version
        tell = self._log.info if passage.copies else self._log.debug
        tell(
            "request.proxied",
            method=method,
            module=module,
            interface_role=role,
            status=status,
            copies=passage.copies,
            correlation_id="" if passage.asked is None else passage.asked.head.read.get("x-correlation-id", "")[:64],
            duration_ms=_ms(total_seconds),
            node_ms=None if node_seconds is None else _ms(node_seconds),
        )

    def _counter(self, module: str, role: str, method: str, status: int) -> Counter:
        """The counter of such requests; the look-up by labels is what counting costs."""
        key = (module, role, method, status)
        counter = self._counters.get(key)
        if counter is None:
            counter = self._counters[key] = self._metrics.requests.labels(module, role, method, str(status))
        return counter


def _ms(seconds: float) -> float:
    """To two digits; `round` by itself goes by way of the text, four times as slowly."""
    return round(seconds * 100_000) / 100
