"""How long it takes from seeing that consent has ended until nothing of it goes on.

::

    the block is seen ──▶ what waits is withdrawn ──▶ what was under way has ended
    (news)                (closed, withdrawn)          (ended)          └─▶ observed, for each scope
"""

from collections import Counter

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.outbox.model import Delivery
from ocn_permission_agent.outbox.store import Scope


class Stopwatch:
    """Knows what is under way; told by the dispatcher and by upkeep.

    Args:
        clock: its monotonic side is measured by.
        metrics: gets `revoke_to_stop_seconds`.
    """

    def __init__(self, *, clock: Clock, metrics: Metrics) -> None:
        self._clock = clock
        self._metrics = metrics
        self._under_way: Counter[Scope] = Counter()
        #: closed since when, and something of it is still under way
        self._closed: dict[Scope, float] = {}
        self._news_at: float | None = None
        self._heard_at = clock.monotonic()

    def news(self) -> None:
        """There is a new view of consent; the oldest one that was not looked into counts."""
        self._heard_at = self._clock.monotonic()
        if self._news_at is None:
            self._news_at = self._heard_at

    def begin_look(self) -> float:
        """Upkeep begins to look for what has lost its consent; since when that could be known."""
        news_at, self._news_at = self._news_at, None
        return self._clock.monotonic() if news_at is None else news_at

    def closed(self, scope: Scope, *, since: float, withdrawn: int) -> None:
        """So many waiting deliveries of a scope without consent were withdrawn."""
        if self._under_way[scope]:
            self._closed.setdefault(scope, since)
        elif withdrawn:
            self._observe(since)

    def began(self, delivery: Delivery) -> None:
        """It was taken out of the store to be tried."""
        self._under_way[scope_of(delivery)] += 1

    def withdrawn(self, delivery: Delivery) -> None:
        """What was to be tried has no consent any more: since the newest view, or an older one not looked into yet."""
        since = self._heard_at if self._news_at is None else self._news_at
        self._closed.setdefault(scope_of(delivery), since)

    def ended(self, delivery: Delivery) -> None:
        """It was settled, whatever came of it."""
        scope = scope_of(delivery)
        self._under_way[scope] -= 1
        if self._under_way[scope] > 0:
            return
        del self._under_way[scope]
        since = self._closed.pop(scope, None)
        if since is not None:
            self._observe(since)

    def _observe(self, since: float) -> None:
        self._metrics.revoke_to_stop_seconds.observe(self._clock.monotonic() - since)


def scope_of(delivery: Delivery) -> Scope:
    """What its consent is judged by."""
    request = delivery.envelope.request
    return Scope(
        customer_address=delivery.envelope.customer_address,
        provider_address=delivery.provider_address,
        agreement=delivery.agreement,
        module=request.module,
        interface_role=request.interface_role,
    )
