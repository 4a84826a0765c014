"""The loop that takes what is due to its services.

::

    claim ──▶ prepare ──▶ start ──▶ send ──▶ settle ──▶ next in the lane
    (disk)      │         (disk)             (disk)
                ├── withdrawn, held, parked: settle at once
    board ──▶ prepare ────────────▶ send         what was recorded, claimed and started at once (express.py)

At most one delivery of a lane is in flight, and lanes do not wait for each other. Each store call of many deliveries
shares its commit with those of the others. Who dies between start and settle leaves an attempt without an end, which
`recover` finds, or another agent's `keep_leases`.

Where several agents share a store, a lane is held by a lease. Who has lost it, because it was away for long, is told so
by `start` or `settle` (`LeaseLost`): what it was about to do is dropped, for somebody else does it now.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.consent.address import Address
from ocn_permission_agent.errors import LeaseLost, StoreUnavailable
from ocn_permission_agent.log import Log
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.outbox.after_attempt import (
    Decision,
    Wait,
    after_attempt,
    before_attempt,
    interrupted,
    not_sent,
)
from ocn_permission_agent.outbox.breaker import Breaker, after_attempt_at, postponed
from ocn_permission_agent.outbox.model import Attempt, CopyPlan, Delivery, DeliveryState, Envelope, PlannedDelivery
from ocn_permission_agent.outbox.module_pause import ModulePause, after_attempt_in, pause_postponed
from ocn_permission_agent.outbox.report import Report
from ocn_permission_agent.outbox.retry import HOLD_PAUSE_SECONDS
from ocn_permission_agent.outbox.room import Room
from ocn_permission_agent.outbox.settings import DeliverySettings
from ocn_permission_agent.outbox.stopwatch import Stopwatch
from ocn_permission_agent.outbox.store import Interrupted, OutboxStore, Settled
from ocn_permission_agent.outbox.writing import Ready

T = TypeVar("T")

#: the loop looks at the store at least this often, whoever forgot to wake it
_LONGEST_NAP_SECONDS = 30.0
#: a probe that is due but cannot be made yet is looked at again after this
_SHORTEST_NAP_SECONDS = 1.0
#: a clock that is put back by less is not minded
_CLOCK_TOLERANCE = timedelta(seconds=2)
#: between two tries to write what must be written
_STORE_PAUSES_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0)


class Carrier(Protocol):
    """The courier, as the dispatcher needs it."""

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


class Dispatcher:
    """Delivers until it is stopped.

    Args:
        store: what is owed.
        courier: takes one delivery to its service.
        settings: schedule, limits, windows.
        clock: time.
        metrics: attempts, copies by outcome, breaker, delivery times.
        log: one ``delivery.attempted`` line per attempt.
        spread: a random number in [0, 1) for each call; jitters the pauses.
        stopwatch: is told what is under way.
    """

    def __init__(
        self,
        *,
        store: OutboxStore,
        courier: Carrier,
        settings: DeliverySettings,
        clock: Clock,
        metrics: Metrics,
        log: Log,
        spread: Callable[[], float],
        stopwatch: Stopwatch | None = None,
    ) -> None:
        self._store = store
        self._courier = courier
        self._settings = settings
        self._clock = clock
        self._report = Report(metrics=metrics, log=log, clock=clock)
        self._spread = spread
        self._stopwatch = stopwatch or Stopwatch(clock=clock, metrics=metrics)
        self._woken = asyncio.Event()
        self._stopping = False
        self._clear_again = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._tasks: dict[asyncio.Task[None], Delivery] = {}
        self._leases_checked = clock.monotonic()
        self._room = Room(settings)
        #: taken for copies that are being recorded
        self._seats = 0
        #: where deliveries run, once what was left behind is claimed; None while nothing may begin
        self._group: asyncio.TaskGroup | None = None
        #: when the monotonic clock was 0, by the wall clock
        self._clock_began: datetime | None = None

    def wake(self) -> None:
        """Something may be due: new copies, a new view of consent."""
        self._woken.set()

    def reconsider(self) -> None:
        """Our view is in no doubt any more: what is held is looked at now, not when its pause is over."""
        self._clear_again = True
        self.wake()

    async def run(self) -> None:
        """Deliver until `stop`; may be run again after a failure.

        Raises:
            StoreUnavailable: the store could not be read at the start.
        """
        for left_behind in await self._store.recover(self._clock.now()):
            await self._settle_interrupted(left_behind)
        async with asyncio.TaskGroup() as group, self._open_until_left():
            while not self._stopping:
                self._woken.clear()
                # Both by the same look at the clock: what falls due between them must not be slept over.
                now, began = self._clock.now(), self._clock.monotonic()
                try:
                    await self._mind_the_clock(now, began)
                    await self._hurry_held(now)
                    await self._keep_leases(group, now, began)
                    for delivery in await self._claim(now, began):
                        self._begin(group, delivery)
                    self._group = group
                    # Whoever was woken meanwhile looks again anyway.
                    seconds = 0.0 if self._woken.is_set() else await self._nap_seconds(now, began)
                except StoreUnavailable as error:
                    self._report.store_unavailable(str(error))
                    seconds = _SHORTEST_NAP_SECONDS
                await self._nap(group, until=began + seconds)
            await self._idle.wait()

    async def stop(self, grace_seconds: float) -> None:
        """Claim nothing more, let what is in flight end, and settle it; after the grace cut it off, as unknown.

        Returns once everything is settled; `run` returns too.
        """
        self._stopping = True
        self.wake()
        async with asyncio.TaskGroup() as group:
            alarm = group.create_task(self._cut_off(grace_seconds))
            await self._idle.wait()
            alarm.cancel()

    async def _cut_off(self, grace_seconds: float) -> None:
        await self._clock.sleep(grace_seconds)
        for task in self._tasks:
            task.cancel()

    async def _mind_the_clock(self, now: datetime, monotonic: float) -> None:
        """What is due by a clock that was put back would wait for as long as that; one put forward makes us early."""
        started_at = now - timedelta(seconds=monotonic)
        by = timedelta() if self._clock_began is None else self._clock_began - started_at
        if by > _CLOCK_TOLERANCE:
            await self._store.bring_forward(now=now, by=by)
            self._report.clock_put_back(by.total_seconds())
        self._clock_began = started_at

    async def _hurry_held(self, now: datetime) -> None:
        if self._clear_again:
            await self._store.hurry_held(now)
            self._clear_again = False

    async def _keep_leases(self, group: asyncio.TaskGroup, now: datetime, monotonic: float) -> None:
        """Now and then, where there are leases."""
        every = self._store.lease_check
        if every is None or monotonic - self._leases_checked < every.total_seconds():
            return
        for left_behind in await self._store.keep_leases(tuple(self._tasks.values()), now=now):
            group.create_task(self._settle_interrupted(left_behind))
        self._leases_checked = monotonic

    async def _settle_interrupted(self, left_behind: Interrupted) -> None:
        """What became of an attempt whose process died, nobody knows."""
        attempt = interrupted(left_behind.started_at, now=self._clock.now())
        try:
            await self._settle(left_behind.delivery, attempt, patient=True)
        except LeaseLost as error:
            self._report.lease_lost(left_behind.delivery, str(error))

    async def _claim(self, now: datetime, monotonic: float) -> tuple[Delivery, ...]:
        room, default_room = self._room.offer(monotonic)
        claimed: tuple[Delivery, ...] = ()
        try:
            claimed = await self._store.claim(now=now, room=room, default_room=default_room)
        finally:
            if self._room.claimed(claimed, monotonic):
                self.wake()
        return claimed

    def seats_for(self, plan: CopyPlan) -> tuple[Address, ...]:
        """See `express.Sender`."""
        if self._group is None or self._stopping:
            return ()
        now = self._clock.monotonic()
        seats = tuple(
            planned.provider_address
            for planned in plan.deliveries
            if self._courier.may_leave(plan.envelope, planned)
            and self._room.take_one(planned.provider_address, planned.provider, now)
        )
        if seats:
            self._seats += len(seats)
            self._idle.clear()
        return seats

    def board(self, seats: tuple[Address, ...], begun: tuple[Delivery, ...]) -> None:
        """See `express.Sender`. What has begun when nothing may leave any more is for `recover` to find."""
        group = self._group
        unused = list(seats)
        if group is not None:
            for delivery in begun:
                unused.remove(delivery.provider_address)
                self._begin(group, delivery, started=True)
        for address in unused:
            self._room.give_back(address)
        self._seats -= len(seats)
        self._rest()

    def _begin(self, group: asyncio.TaskGroup, delivery: Delivery, *, started: bool = False) -> None:
        self._stopwatch.began(delivery)
        self._idle.clear()
        task = group.create_task(self._deliver(delivery, started=started), name=f"delivery {delivery.id}")
        self._tasks[task] = delivery
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        delivery = self._tasks.pop(task)
        self._stopwatch.ended(delivery)
        if self._room.leave(delivery.provider_address):
            self.wake()
        self._rest()

    def _rest(self) -> None:
        if not self._tasks and not self._seats:
            self._idle.set()

    @contextlib.asynccontextmanager
    async def _open_until_left(self) -> AsyncIterator[None]:
        """Nothing begins once the loop has ended, however it ends."""
        try:
            yield
        finally:
            self._group = None

    async def _nap_seconds(self, now: datetime, monotonic: float) -> float:
        """How long until something is due, or may start by its rate."""
        seconds = _LONGEST_NAP_SECONDS
        due = await self._store.next_due(now)
        if due is not None:
            wait = (due - now).total_seconds()
            seconds = min(seconds, wait if wait > 0 else _SHORTEST_NAP_SECONDS)
        if (every := self._store.lease_check) is not None:
            seconds = min(seconds, max(0.0, self._leases_checked + every.total_seconds() - monotonic))
        free = self._room.free_in_seconds(monotonic)
        return seconds if free is None else min(seconds, free)

    async def _nap(self, group: asyncio.TaskGroup, *, until: float) -> None:
        """Until woken, or until that time of the monotonic clock."""
        alarm = group.create_task(self._alarm(until))
        await self._woken.wait()
        alarm.cancel()

    async def _alarm(self, until: float) -> None:
        if (seconds := until - self._clock.monotonic()) > 0:
            await self._clock.sleep(seconds)
        self.wake()

    async def _deliver(self, delivery: Delivery, *, started: bool) -> None:
        try:
            await (self._send_begun(delivery) if started else self._deliver_held(delivery))
        except LeaseLost as error:
            self._report.lease_lost(delivery, str(error))
            self.wake()

    async def _send_begun(self, delivery: Delivery) -> None:
        ready = await self._courier.prepare(delivery)
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
            self.wake()
        self._report.attempted(delivery, attempt, decision, settled)

    async def _settle_unsent(self, delivery: Delivery, decision: Decision, *, attempt: Attempt | None = None) -> None:
        def step(breaker: Breaker) -> Breaker:
            return breaker if decision.due_at is None else postponed(breaker, decision.due_at)

        def pause_step(pause: ModulePause | None) -> ModulePause | None:
            return pause if decision.due_at is None else pause_postponed(pause, decision.due_at)

        await self._persist(
            lambda: self._store.settle(delivery, decision, attempt=attempt, breaker_step=step, pause_step=pause_step)
        )
        self.wake()
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
