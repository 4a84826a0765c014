"""Recording a copy and sending it at once, where nothing stands in its way (ADR 0014).

::

    record ──▶ room, consent open? ──no──▶ recorded ─────────────────────────▶ claim ──▶ start ──▶ send ──▶ settle
                     │ yes                     ▲ something waits in its lane,     (one commit each)
                     ▼                         │ or its provider is away
               one commit: recorded, lane held, attempt begun ─────────────────────────────────▶ send ──▶ settle

It stands between the recorder and the outbox. What it cannot send at once is sent as everything that waits is: it wakes
the dispatcher.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from ocn_permission_agent.consent.address import Address
from ocn_permission_agent.outbox.model import CopyPlan, Delivery
from ocn_permission_agent.outbox.spool import Mark


class Outbox(Protocol):
    """The outbox; any method may raise `StoreUnavailable`."""

    async def record(self, plan: CopyPlan) -> int:
        """Store a plan; how many deliveries."""
        ...

    async def record_spooled(self, plans: Sequence[CopyPlan], mark: Mark) -> tuple[CopyPlan, ...]:
        """Store plans and how far the spool is emptied; those that no store would take."""
        ...


class BeginningStore(Outbox, Protocol):
    """An outbox that can begin attempts as it records."""

    async def record_and_begin(
        self, plan: CopyPlan, *, begin: Collection[Address], told: Callable[[tuple[Delivery, ...]], None]
    ) -> int:
        """Store a plan and, in the same transaction, begin an attempt towards those of `begin`.

        Left out is what has to wait: for another delivery of its lane, or for its provider or module.

        Args:
            plan: as for `record`.
            begin: addresses of providers.
            told: gets what has begun, once it is durable, whether or not the caller still waits for the number;
                nothing if it failed.
        """
        ...


class Sender(Protocol):
    """The dispatcher, as it is needed here."""

    def seats_for(self, plan: CopyPlan) -> tuple[Address, ...]:
        """Take room for those of a plan that may leave now; ended by `board`."""
        ...

    def board(self, seats: tuple[Address, ...], begun: tuple[Delivery, ...]) -> None:
        """Send what has begun, and give back the room of what has not."""
        ...

    def wake(self) -> None:
        """Something may be due."""
        ...


class Express:
    """See the head of this file.

    Args:
        outbox: where copies are recorded.
        sender: sends them.
    """

    def __init__(self, *, outbox: BeginningStore, sender: Sender) -> None:
        self._outbox = outbox
        self._sender = sender

    async def record(self, plan: CopyPlan) -> int:
        """Store a plan, and have sent what can be; how many deliveries."""
        seats = self._sender.seats_for(plan)

        def told(begun: tuple[Delivery, ...]) -> None:
            # Whether or not anybody still waits for the number: what was recorded is owed.
            self._sender.board(seats, begun)
            if len(begun) < len(plan.deliveries):
                self._sender.wake()

        return await self._outbox.record_and_begin(plan, begin=seats, told=told)

    async def record_spooled(self, plans: Sequence[CopyPlan], mark: Mark) -> tuple[CopyPlan, ...]:
        """See `Outbox.record_spooled`; these are old, and take their turn."""
        return await self._outbox.record_spooled(plans, mark)
