"""The loop that takes what is due to its services.

::

    claim ──▶ prepare ──▶ start ──▶ send ──▶ settle ──▶ next in the lane
    (disk)      │         (disk)             (disk)
                ├── withdrawn, held, parked: settle at once
    board ──▶ depart: prepare ────▶ send         what was recorded, claimed and started at once (express.py)

The middle of it is journey.py. At most one delivery of a lane is in flight, and lanes do not wait for each other. Each
store call of many deliveries shares its commit with those of the others. Who dies between start and settle leaves an
attempt without an end, which `recover` finds, or another agent's `keep_leases`.

Where several agents share a store, a lane is held by a lease. Who has lost it, because it was away for long, is told so
by `start` or `settle` (`LeaseLost`): what it was about to do is dropped, for somebody else does it now.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from datetime import datetime, timedelta

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.consent.address import Address
from ocn_permission_agent.errors import StoreUnavailable
from ocn_permission_agent.log import Log
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.outbox.after_attempt import Decision
from ocn_permission_agent.outbox.journey import Carrier, Journey
from ocn_permission_agent.outbox.model import CopyPlan, Delivery
from ocn_permission_agent.outbox.report import Report
from ocn_permission_agent.outbox.room import Room
from ocn_permission_agent.outbox.settings import DeliverySettings
from ocn_permission_agent.outbox.stopwatch import Stopwatch
from ocn_permission_agent.outbox.store import OutboxStore
from ocn_permission_agent.outbox.writing import Ready

#: the loop looks at the store at least this often, whoever forgot to wake it
_LONGEST_NAP_SECONDS = 30.0
#: a probe that is due but cannot be made yet is looked at again after this
_SHORTEST_NAP_SECONDS = 1.0
#: so many are prepared at once; nobody waits for the loop much longer than a millisecond
_DEPART_TOGETHER = 32
#: a clock that is put back by less is not minded
_CLOCK_TOLERANCE = timedelta(seconds=2)


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
        self._stopwatch = stopwatch or Stopwatch(clock=clock, metrics=metrics)
        self._journey = Journey(
            store=store,
            courier=courier,
            settings=settings,
            clock=clock,
            report=self._report,
            spread=spread,
            stopwatch=self._stopwatch,
            on_more=self.wake,
        )
        self._woken = asyncio.Event()
        self._stopping = False
        self._clear_again = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._tasks: dict[asyncio.Task[None], Delivery] = {}
        self._leases_checked = clock.monotonic()
        self._room = Room(settings)
        #: has begun, and departs in the next turn of the loop
        self._boarded: list[Delivery] = []
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
            await self._journey.settle_interrupted(left_behind)
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
                        self._begin(group, delivery, self._journey.deliver(delivery))
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
        # Compared as `_nap_seconds` reckons: else rounding could have it come too early, and again, and again.
        if every is None or monotonic < self._leases_checked + every.total_seconds():
            return
        for left_behind in await self._store.keep_leases(tuple(self._tasks.values()), now=now):
            group.create_task(self._journey.settle_interrupted(left_behind))
        self._leases_checked = monotonic

    async def _claim(self, now: datetime, monotonic: float) -> tuple[Delivery, ...]:
        room, default_room = self._room.offer(monotonic)
        claimed: tuple[Delivery, ...] = ()
        limited: set[Address] = set()
        try:
            claimed = await self._store.claim(
                now=now, room=room, default_room=default_room, told_limited=limited.update
            )
        finally:
            if self._room.claimed(claimed, monotonic, limited):
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
        """See `express.Sender`. All that boards in one turn of the loop departs together, in the next."""
        if begun:
            if not self._boarded:
                asyncio.get_running_loop().call_soon(self._depart)
            self._boarded.extend(begun)
        unused = list(seats)
        for delivery in begun:
            unused.remove(delivery.provider_address)
        for address in unused:
            self._room.give_back(address)
        self._seats -= len(unused)
        self._rest()

    def _depart(self) -> None:
        """Each step is taken for all before the next: what a processor has at hand serves the whole of a group.

        What has begun when nothing may leave any more is for `recover` to find.
        """
        boarded, self._boarded = self._boarded[:_DEPART_TOGETHER], self._boarded[_DEPART_TOGETHER:]
        if self._boarded:
            asyncio.get_running_loop().call_soon(self._depart)
        self._seats -= len(boarded)
        group = self._group
        if group is None:
            for delivery in boarded:
                self._room.give_back(delivery.provider_address)
        else:
            prepared = self._prepared(boarded)
            for delivery, ready in zip(boarded, prepared, strict=True):
                self._begin(group, delivery, self._journey.deliver_begun(delivery, ready))
        self._rest()

    def _prepared(self, boarded: Sequence[Delivery]) -> Sequence[Ready | Decision | None]:
        try:
            return self._courier.prepare_together(boarded)
        except Exception:  # noqa: BLE001  it will be met again, by one on its own
            return [None] * len(boarded)

    def _begin(self, group: asyncio.TaskGroup, delivery: Delivery, journey: Coroutine[None, None, None]) -> None:
        self._stopwatch.began(delivery)
        self._idle.clear()
        task = group.create_task(journey, name=f"delivery {delivery.id}")
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
