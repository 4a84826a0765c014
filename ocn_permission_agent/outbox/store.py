"""The port to the store of the outbox: what the rest of the agent may ask of it.

Each method is one transaction and durable when it returns. Any of them may raise `StoreUnavailable`; then nothing of
it is stored.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

import msgspec

from ocn_permission_agent.consent.address import Address, AgreementId
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.route import InterfaceRole, Module
from ocn_permission_agent.outbox.after_attempt import Decision
from ocn_permission_agent.outbox.breaker import Breaker
from ocn_permission_agent.outbox.model import Attempt, CopyPlan, Delivery, DeliveryState
from ocn_permission_agent.outbox.module_pause import ModulePause

S = TypeVar("S")


def ignored(_: object) -> None:
    """Nobody wants to know."""


def unchanged(standing: S) -> S:
    """The step of what stays as it is."""
    return standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted:
    """An attempt that was started, and whose process died before its end was written."""

    delivery: Delivery
    started_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What consent is judged by: every delivery of one scope stands or falls together."""

    customer_address: Address
    provider_address: Address
    agreement: AgreementId
    module: Module
    interface_role: InterfaceRole


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """How the provider, and the module of it, stood before and after an attempt.

    `waits` tells that something of the same lane is pending, be it the delivery itself.
    """

    before: Breaker
    after: Breaker
    pause_before: ModulePause | None = None
    pause_after: ModulePause | None = None
    waits: bool = False

    @property
    def changed(self) -> bool:
        """Whether provider or module stand otherwise than before."""
        return self.before != self.after or self.pause_before != self.pause_after


@dataclass(frozen=True, slots=True, kw_only=True)
class PausedModule:
    """A module that a provider is not set up for."""

    module: str
    pause: ModulePause


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderBacklog:
    """What one provider is owed. `oldest` is None when that is nothing.

    `paused` of the pending ones wait for the provider, or for a module of it; `held`, by cause, for certainty.
    """

    provider: Party
    pending: int
    oldest: datetime | None
    breaker: Breaker
    paused_modules: tuple[PausedModule, ...] = ()
    paused: int = 0
    held: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """All deliveries by state; `held` and `paused` are parts of pending."""

    by_state: Mapping[DeliveryState, int] = field(default_factory=dict)
    held: int = 0
    paused: int = 0


class OutboxStore(Protocol):
    """Everything that is owed, in order."""

    async def record(self, plan: CopyPlan) -> int:
        """Store an envelope and what is due of it; returns how many deliveries were stored.

        Repetitions are noted and not stored (consent.md "One copy per (content, provider)"); a CDR that contradicts an
        earlier one is stored as parked.
        """
        ...

    async def claim(
        self,
        *,
        now: datetime,
        room: Mapping[Address, int],
        default_room: int,
        told_limited: Callable[[frozenset[Address]], None] = ignored,
    ) -> tuple[Delivery, ...]:
        """Take what is due, oldest first: at most one per lane, marked in flight until it is settled.

        Where an attempt has failed or the provider was away, what waits in the lane is made fewer first: one PUT for
        a session that is known as a whole, the newest state of an object. Of a paused provider, and of a paused
        module, one delivery at a time is taken once its probe is due.

        Args:
            now: what is due by then.
            room: how many each provider may still get; `default_room` for those not named.
            default_room: see `room`.
            told_limited: gets the providers of whom more may be due, because other agents use up their room.
        """
        ...

    async def start(self, delivery: Delivery, *, at: datetime) -> Delivery:
        """Note that an attempt begins, before anything leaves; returns the delivery with the attempt counted.

        From here on its lane is held for a whole lease, which is more than twice as long as an attempt may take.

        Raises:
            LeaseLost: another agent has taken the lane over; nothing may leave.
        """
        ...

    async def settle(
        self,
        delivery: Delivery,
        decision: Decision,
        *,
        attempt: Attempt | None = None,
        breaker_step: Callable[[Breaker], Breaker] = unchanged,
        pause_step: Callable[[ModulePause | None], ModulePause | None] = unchanged,
    ) -> Settled:
        """Write how a claimed delivery stands now, end its attempt if it had one, and free its lane for the next.

        `breaker_step` gets the provider's breaker as it is now and returns how it is to be, `pause_step` the same for
        the module; when one ends, all that waited for it is due at once. An end is entered into the ledger.

        Raises:
            LeaseLost: another agent has taken the lane over; nothing is written.
        """
        ...

    async def recover(self, now: datetime) -> tuple[Interrupted, ...]:
        """After a start: free what a dead process had claimed; what it had begun to send is returned, still claimed."""
        ...

    async def hurry_held(self, now: datetime) -> None:
        """Make all that is held due at once: what it waits for may have come."""
        ...

    @property
    def lease_check(self) -> timedelta | None:
        """How often `keep_leases` is to be called; None: never, there is only one agent."""
        ...

    async def keep_leases(self, under_way: Collection[Delivery], *, now: datetime) -> tuple[Interrupted, ...]:
        """Hold the lanes of what is under way for longer, and take over what a dead agent has left behind.

        What that one had begun to send is returned, as by `recover`.
        """
        ...

    async def next_due(self, now: datetime) -> datetime | None:
        """When there will be something to claim that is not due yet; None if there is nothing."""
        ...

    async def scopes_needed(self) -> tuple[Scope, ...]:
        """Every scope with something pending or a payload that is kept; few, however much is owed."""
        ...

    async def withdraw(self, scope: Scope, *, reason: str, now: datetime) -> int:
        """Withdraw all that is pending in a scope, but what is in flight; returns how many.

        Every payload of the scope is erased, also what was kept for a person, and its sessions as a whole.
        """
        ...

    async def park_pending(self, *, reason: str, now: datetime) -> int:
        """Let a person decide about everything that is pending; returns how many. Nothing may be under way."""
        ...

    async def expire(self, now: datetime) -> int:
        """End what was about a moment that is over, paused or not; returns how many."""
        ...

    async def purge(self, now: datetime) -> int:
        """Let go of payloads, and of rows, that were kept long enough; returns how many payloads."""
        ...

    async def bring_forward(self, *, now: datetime, by: timedelta) -> None:
        """The clock was put back by so much, to `now`: nothing waits for longer than it would have by the old one."""
        ...

    async def counts(self) -> Counts:
        """All deliveries, counted."""
        ...

    async def backlog(self) -> tuple[ProviderBacklog, ...]:
        """What each provider is owed, and how it stands."""
        ...

    async def wanting_signatures(self) -> frozenset[Address]:
        """The providers whose messages must carry an OCN-Signature, as far as was learnt."""
        ...

    async def remember_wanting_signatures(self, provider: Address) -> None:
        """Learnt just now; the provider has been owed something before."""
        ...
