"""How long it takes from seeing that consent has ended until nothing of it goes on.

::

    the block is seen ──▶ what waits is withdrawn ──▶ what was under way has ended
    (news)                (closed, withdrawn)          (ended)          └─▶ observed, for each scope
"""

from typing import TypeAlias

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.consent.address import Address, AgreementId
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.ocpi.route import InterfaceRole, Module
from ocn_permission_agent.outbox.model import Delivery
from ocn_permission_agent.outbox.store import Scope

#: a scope in texts and numbers, which hash faster than values
_Key: TypeAlias = tuple[str, str, str, int, str, str]


class Stopwatch:
    """Knows what is under way; told by the dispatcher and by upkeep.

    Args:
        clock: its monotonic side is measured by.
        metrics: gets `revoke_to_stop_seconds`.
    """

    def __init__(self, *, clock: Clock, metrics: Metrics) -> None:
        self._clock = clock
        self._metrics = metrics
        self._under_way: dict[_Key, int] = {}
        #: closed since when, and something of it is still under way
        self._closed: dict[_Key, float] = {}
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
        key = _key(scope.customer_address, scope.provider_address, scope.agreement, scope.module, scope.interface_role)
        if key in self._under_way:
            self._closed.setdefault(key, since)
        elif withdrawn:
            self._observe(since)

    def began(self, delivery: Delivery) -> None:
        """It was taken out of the store to be tried."""
        key = _key_of(delivery)
        self._under_way[key] = self._under_way.get(key, 0) + 1

    def withdrawn(self, delivery: Delivery) -> None:
        """What was to be tried has no consent any more: since the newest view, or an older one not looked into yet."""
        since = self._heard_at if self._news_at is None else self._news_at
        self._closed.setdefault(_key_of(delivery), since)

    def ended(self, delivery: Delivery) -> None:
        """It was settled, whatever came of it."""
        key = _key_of(delivery)
        left = self._under_way[key] - 1
        if left > 0:
            self._under_way[key] = left
            return
        del self._under_way[key]
        since = self._closed.pop(key, None)
        if since is not None:
            self._observe(since)

    def _observe(self, since: float) -> None:
        self._metrics.revoke_to_stop_seconds.observe(self._clock.monotonic() - since)


def _key_of(delivery: Delivery) -> _Key:
    """What its consent is judged by."""
    envelope, route = delivery.envelope, delivery.envelope.request.route
    return _key(
        envelope.customer_address,
        delivery.provider_address,
        delivery.agreement,
        route.module,
        route.interface_role,
    )


def _key(customer: Address, provider: Address, agreement: AgreementId, module: Module, role: InterfaceRole) -> _Key:
    return customer, provider, agreement.transaction_hash, agreement.log_index, module._value_, role._value_
