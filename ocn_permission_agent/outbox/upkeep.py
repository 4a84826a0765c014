"""What the outbox needs besides delivering: withdrawing what lost its consent, letting go of payloads, gauges."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.log import Log
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.outbox.courier import View
from ocn_permission_agent.outbox.model import DeliveryState
from ocn_permission_agent.outbox.stopwatch import Stopwatch
from ocn_permission_agent.outbox.store import OutboxStore, Scope

#: between two rounds that nobody asked for
_ROUND_SECONDS = 15.0


class Upkeep:
    """A loop of its own, so that it never stands in the way of delivering.

    Args:
        store: what is owed.
        view: the newest facts of the chain.
        clock: time.
        metrics: backlog, held, copies withdrawn.
        log: one ``deliveries.withdrawn`` line per scope that lost its consent.
        write_notes: writes down what was noted elsewhere in the meantime.
        stopwatch: is told what lost its consent.
    """

    def __init__(
        self,
        *,
        store: OutboxStore,
        view: View,
        clock: Clock,
        metrics: Metrics,
        log: Log,
        write_notes: Callable[[], Awaitable[None]] | None = None,
        stopwatch: Stopwatch | None = None,
    ) -> None:
        self._store = store
        self._view = view
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._write_notes = write_notes
        self._stopwatch = stopwatch or Stopwatch(clock=clock, metrics=metrics)
        self._woken = asyncio.Event()
        #: of what was held: their gauges go back to 0
        self._causes_seen: set[str] = set()

    def wake(self) -> None:
        """There is a new index: something may have to be withdrawn at once."""
        self._stopwatch.news()
        self._woken.set()

    async def run(self) -> None:
        """Round after round until cancelled.

        Raises:
            StoreUnavailable: the caller starts it again.
        """
        while True:
            self._woken.clear()
            await self.withdraw_closed()
            await self._store.expire(self._clock.now())
            if self._write_notes is not None:
                await self._write_notes()
            await self._store.purge(self._clock.now())
            await self._observe()
            async with asyncio.TaskGroup() as group:
                alarm = group.create_task(self._alarm())
                await self._woken.wait()
                alarm.cancel()

    async def withdraw_closed(self) -> int:
        """Withdraw, and erase, everything whose consent is closed now; returns how many deliveries.

        Nothing leaves without it either, because each attempt asks again; this makes it happen at once.
        """
        total, since = 0, self._stopwatch.begin_look()
        for scope in await self._store.scopes_needed():
            reason = self._objection(scope)
            if reason is None:
                continue
            count = await self._store.withdraw(scope, reason=reason, now=self._clock.now())
            self._stopwatch.closed(scope, since=since, withdrawn=count)
            if count:
                self._tell(scope, reason, count)
            total += count
        return total

    def _objection(self, scope: Scope) -> str | None:
        verdict = self._view.index.verdict(
            scope.customer_address,
            scope.provider_address,
            agreement=scope.agreement,
            module=scope.module,
            role=scope.interface_role,
            fresh=self._view.fresh,
        )
        return f"{verdict.rule}: {verdict.reason}" if verdict.closed else None

    def _tell(self, scope: Scope, reason: str, count: int) -> None:
        route = self._view.index.route_to(scope.provider_address)
        provider = scope.provider_address if route is None else str(route.provider)
        self._metrics.copies.labels(provider, scope.module.value, DeliveryState.WITHDRAWN.value).inc(count)
        self._log.info(
            "deliveries.withdrawn",
            provider=provider,
            customer_address=scope.customer_address,
            agreement=str(scope.agreement),
            module=scope.module.value,
            interface_role=scope.interface_role.value,
            count=count,
            reason=reason,
        )

    async def _observe(self) -> None:
        now = self._clock.now()
        held = Counter(dict.fromkeys(self._causes_seen, 0))
        for owed in await self._store.backlog():
            provider = str(owed.provider)
            age = 0.0 if owed.oldest is None else (now - owed.oldest).total_seconds()
            held_of_it = sum(owed.held.values())
            for state, count in (
                ("pending", owed.pending - held_of_it - owed.paused),
                ("held", held_of_it),
                ("paused", owed.paused),
            ):
                self._metrics.backlog.labels(provider, state).set(count)
            self._metrics.backlog_oldest_seconds.labels(provider).set(age)
            held.update(owed.held)
        for cause, count in held.items():
            self._metrics.held.labels(cause).set(count)
        self._causes_seen.update(held)

    async def _alarm(self) -> None:
        await self._clock.sleep(_ROUND_SECONDS)
        self._woken.set()
