"""What people ask of the outbox: which deliveries there are, what became of one, to try some again, to let some go."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from ocn_permission_agent.consent.address import AgreementId
from ocn_permission_agent.ocpi.request import OcpiRequest
from ocn_permission_agent.outbox.model import Attempt, DeliveryState
from ocn_permission_agent.outbox.policy import REVIVABLE

#: what can be let go of for good
DISCARDABLE = frozenset({DeliveryState.PENDING, *REVIVABLE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which deliveries are meant; what is None, or empty, chooses all.

    `customer` and `provider` are parties (``DE*CPO``, any letter case) or addresses. `since` and `until` are about when
    the request was recorded, the end not included.
    """

    ids: tuple[int, ...] = ()
    customer: str | None = None
    provider: str | None = None
    module: str | None = None
    states: tuple[DeliveryState, ...] = ()
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One delivery in a list. `payload_kept` tells that it can still be tried, or shown to nobody any more."""

    id: int
    state: DeliveryState
    customer: str
    provider: str
    module: str
    interface_role: str
    method: str
    owner: str
    object_id: str
    correlation_id: str
    recorded_at: datetime
    ended_at: datetime | None
    next_attempt_at: datetime | None
    attempts: int
    payload_kept: bool
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Everything about one delivery but its payload.

    `expires_at` is the end of its window as things stand; `sent_as` the method it goes with where it stands for others.
    """

    listed: Listed
    customer_address: str
    provider_address: str
    agreement: AgreementId
    agreement_block: int
    receiver: str
    url_path: str | None
    expires_at: datetime
    in_flight: bool
    held: bool
    paused: str | None
    sent_as: str | None
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated:
    """A request that repeated an earlier one: noted, not sent."""

    delivery_id: int
    provider: str
    noted_at: datetime
    receiver: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotCopiedNote:
    """A request of a customer that was not copied, and why."""

    noted_at: datetime
    correlation_id: str
    sender: str
    receiver: str
    module: str
    interface_role: str
    method: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """A gap that names the request."""

    reason: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """All that is known of the requests with one correlation id."""

    copies: tuple[Shown, ...] = ()
    repeated: tuple[Repeated, ...] = ()
    not_copied: tuple[NotCopiedNote, ...] = ()
    missed: tuple[Missed, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a slice of a bulk action did.

    `passed_over` counts those of the choice that could not: their payload is gone, or they are under way right now.
    `last_id` is where the next slice begins, None after the last one.
    """

    done: int
    passed_over: int
    last_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a choice comes to: how many by state, and how many of those have a payload and are not under way."""

    by_state: Mapping[DeliveryState, int] = field(default_factory=dict)
    able: Mapping[DeliveryState, int] = field(default_factory=dict)

    @property
    def retriable(self) -> int:
        """How many a retry would make pending."""
        return sum(self.able.get(state, 0) for state in REVIVABLE)

    @property
    def discardable(self) -> int:
        """How many could be let go of."""
        return sum(self.able.get(state, 0) for state in DISCARDABLE)


class Casework(Protocol):
    """The port; any method may raise `StoreUnavailable`."""

    async def find(self, choice: Choice, *, before_id: int | None, most: int) -> tuple[Listed, ...]:
        """The newest of a choice that are older than `before_id`."""
        ...

    async def preview(self, choice: Choice) -> Preview:
        """How many a choice comes to, and how many of those could be acted on."""
        ...

    async def show(self, delivery_id: int, *, now: datetime) -> Shown | None:
        """Everything about one delivery."""
        ...

    async def retry(self, choice: Choice, *, by: str, now: datetime, after_id: int, most: int) -> Step:
        """Make a slice pending again: of those parked, refused or unconfirmed, while their payload is kept.

        Consent is judged anew at the attempt, for the agreement they were planned under. Their windows begin again.
        """
        ...

    async def discard(self, choice: Choice, *, by: str, now: datetime, after_id: int, most: int) -> Step:
        """Let go of a slice for good: of those pending or parked they never leave, of all the payload is erased."""
        ...

    async def explain(self, correlation_id: str, *, now: datetime) -> Story:
        """What became of the requests with a correlation id."""
        ...

    async def note_not_copied(self, notes: tuple[NotCopiedNote, ...]) -> None:
        """Keep why requests were not copied; bounded in number and age (`OutboxStore.purge`)."""
        ...


#: notes in memory until they are written; beyond that the oldest go
_NOTES_IN_MEMORY = 10_000


class NotCopiedBook:
    """Takes notes without waiting for a disk; whoever has the store writes them down."""

    def __init__(self) -> None:
        self._notes: list[NotCopiedNote] = []

    def note(self, request: OcpiRequest, reason: str, *, at: datetime) -> None:
        """A request was not copied."""
        if len(self._notes) >= _NOTES_IN_MEMORY:
            del self._notes[: _NOTES_IN_MEMORY // 10]
        self._notes.append(
            NotCopiedNote(
                noted_at=at,
                correlation_id=request.correlation_id,
                sender=str(request.sender),
                receiver=str(request.receiver),
                module=request.module.value,
                interface_role=request.interface_role.value,
                method=request.method,
                reason=reason,
            )
        )

    async def write(self, store: Casework) -> None:
        """Write down what was noted; what cannot be written is kept for the next time.

        Raises:
            StoreUnavailable: not now.
        """
        if not self._notes:
            return
        notes, self._notes = self._notes, []
        try:
            await store.note_not_copied(tuple(notes))
        except BaseException:
            self._notes = notes[-_NOTES_IN_MEMORY + len(self._notes) :] + self._notes
            raise
