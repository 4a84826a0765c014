"""One delivery, from where it was taken until it is settled; see dispatcher.py for what comes before and after."""

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Protocol, TypeVar

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.errors import LeaseLost, StoreUnavailable
from ocn_permission_agent.outbox.after_attempt import (
    Decision,
    Wait,
    after_attempt,
    before_attempt,
    interrupted,
    not_sent,
)
from ocn_permission_agent.outbox.breaker import Breaker, after_attempt_at, postponed
from ocn_permission_agent.outbox.model import Attempt, Delivery, DeliveryState, Envelope, PlannedDelivery
from ocn_permission_agent.outbox.module_pause import ModulePause, after_attempt_in, pause_postponed
from ocn_permission_agent.outbox.report import Report
from ocn_permission_agent.outbox.retry import HOLD_PAUSE_SECONDS
from ocn_permission_agent.outbox.settings import DeliverySettings
from ocn_permission_agent.outbox.stopwatch import Stopwatch
from ocn_permission_agent.outbox.store import Interrupted, OutboxStore, Settled
from ocn_permission_agent.outbox.writing import Ready

T = TypeVar("T")

#: between two tries to write what must be written
_STORE_PAUSES_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0)


class Carrier(Protocol):
    """The courier, as the dispatcher needs it."""

    def prepare_together(self, deliveries: Sequence[Delivery]) -> list[Ready | Decision | None]:
        """As `prepare` for each; None where something would have to be waited for."""
        ...

    async def prepare(self, delivery: Delivery) -> Ready | Decision:
        """A message, or why there is none."""
        ...

    def judge(self, delivery: Delivery) -> Decision | None:
        """The end or the waiting of what may not leave at this moment; None if it may."""
        ...

    def may_leave(self, envelope: Envelope, planned: PlannedDelivery) -> bool:
        """Whether, as things stand, nothing would keep a copy that is only being recorded."""
        ...

    async def send(self, ready: Ready) -> Attempt:
        """Post it."""
        ...


class Journey:
    """Prepares, starts, sends and settles.

    Args:
        store: where starts and ends are written.
        courier: takes it to its service.
        settings: schedule and windows.
        clock: time.
        report: tells what was done.
        spread: a random number in [0, 1) for each call; jitters the pauses.
        stopwatch: is told what was withdrawn.
        on_more: told when there may be something to claim afterwards.
    """

    def __init__(
        self,
        *,
        store: OutboxStore,
        courier: Carrier,
        settings: DeliverySettings,
        clock: Clock,
        report: Report,
        spread: Callable[[], float],
        stopwatch: Stopwatch,
        on_more: Callable[[], None],
    ) -> None:
        self._store = store
        self._courier = courier
        self._settings = settings
        self._clock = clock
        self._report = report
        self._spread = spread
        self._stopwatch = stopwatch
        self._on_more = on_more

    async def deliver(self, delivery: Delivery) -> None:
        """Take one that was claimed as far as it goes now."""
        try:
            await self._deliver_held(delivery)
        except LeaseLost as error:
            self._report.lease_lost(delivery, str(error))
            self._on_more()

    async def deliver_begun(self, delivery: Delivery, prepared: Ready | Decision | None) -> None:
        """The same for one whose attempt has begun already, and what `prepare_together` has given."""
        try:
            await self._send_begun(delivery, prepared)
        except LeaseLost as error:
            self._report.lease_lost(delivery, str(error))
            self._on_more()

    async def settle_interrupted(self, left_behind: Interrupted) -> None:
        """What became of an attempt whose process died, nobody knows."""
        attempt = interrupted(left_behind.started_at, now=self._clock.now())
        try:
            await self._settle(left_behind.delivery, attempt, patient=True)
        except LeaseLost as error:
            self._report.lease_lost(left_behind.delivery, str(error))

    async def _send_begun(self, delivery: Delivery, prepared: Ready | Decision | None) -> None:
        # A turn of the loop lies between: consent is that of this moment.
        ready = await self._courier.prepare(delivery) if prepared is None else self._courier.judge(delivery) or prepared
        if isinstance(ready, Decision):
            await self._settle_unsent(delivery, ready, attempt=not_sent(self._clock.now(), ready))
        else:
            await self._send(delivery, ready)

    async def _deliver_held(self, delivery: Delivery) -> None:
        ready = before_attempt(delivery, self._clock.now()) or await self._courier.prepare(delivery)
        if isinstance(ready, Decision):
            await self._settle_unsent(delivery, ready)
            return
        try:
            delivery = await self._store.start(delivery, at=self._clock.now())
        except StoreUnavailable as error:
            # What cannot be noted must not leave. Consent may end while we wait for the store, so begin anew.
            await self._settle_unsent(delivery, self._put_off(str(error)))
            return
        objection = self._courier.judge(delivery)
        if objection is not None:
            # Consent ended, or came into doubt, while the start was being written down.
            await self._settle_unsent(delivery, objection, attempt=not_sent(self._clock.now(), objection))
            return
        await self._send(delivery, ready)

    async def _send(self, delivery: Delivery, ready: Ready) -> None:
        started_at = self._clock.now()
        try:
            attempt = await self._courier.send(ready)
        except asyncio.CancelledError:
            # Cancellation settles first: the message may have arrived. If even that fails, `recover` will find it.
            with contextlib.suppress(StoreUnavailable, LeaseLost):
                await self._settle(delivery, interrupted(started_at, now=self._clock.now()), patient=False)
            raise
        await self._settle(delivery, attempt, patient=True)

    def _put_off(self, reason: str) -> Decision:
        now = self._clock.now()
        return Decision(
            state=DeliveryState.PENDING,
            decided_at=now,
            reason=reason,
            due_at=now + timedelta(seconds=HOLD_PAUSE_SECONDS),
        )

    async def _settle(self, delivery: Delivery, attempt: Attempt, *, patient: bool) -> None:
        spread, settings = self._spread(), self._settings.towards(delivery.provider)
        decision = after_attempt(delivery, attempt, settings=settings, spread=spread)

        def step(breaker: Breaker) -> Breaker:
            return after_attempt_at(breaker, attempt, settings=settings, spread=spread)

        def pause_step(pause: ModulePause | None) -> ModulePause | None:
            not_set_up = decision.wait is Wait.PAUSED
            return after_attempt_in(pause, attempt, not_set_up=not_set_up, settings=settings, spread=spread)

        def write() -> Awaitable[Settled]:
            return self._store.settle(delivery, decision, attempt=attempt, breaker_step=step, pause_step=pause_step)

        settled = await (self._persist(write) if patient else write())
        if settled.waits or settled.changed:
            self._on_more()
        self._report.attempted(delivery, attempt, decision, settled)

    async def _settle_unsent(self, delivery: Delivery, decision: Decision, *, attempt: Attempt | None = None) -> None:
        def step(breaker: Breaker) -> Breaker:
            return breaker if decision.due_at is None else postponed(breaker, decision.due_at)

        def pause_step(pause: ModulePause | None) -> ModulePause | None:
            return pause if decision.due_at is None else pause_postponed(pause, decision.due_at)

        await self._persist(
            lambda: self._store.settle(delivery, decision, attempt=attempt, breaker_step=step, pause_step=pause_step)
        )
        self._on_more()
        if decision.state is DeliveryState.WITHDRAWN:
            self._stopwatch.withdrawn(delivery)
        self._report.settled_unsent(delivery, decision)

    async def _persist(self, write: Callable[[], Awaitable[T]]) -> T:
        """Write what must not be forgotten, however long the store is away; the lane waits meanwhile."""
        for pause_seconds in itertools.chain(_STORE_PAUSES_SECONDS, itertools.repeat(_STORE_PAUSES_SECONDS[-1])):
            try:
                return await write()
            except StoreUnavailable as error:
                self._report.store_unavailable(str(error))
            await self._clock.sleep(pause_seconds)
        raise AssertionError("pauses never end")
