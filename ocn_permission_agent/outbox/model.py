"""What we still owe: envelopes, deliveries, attempts.

::

                     accepted          ┌────────────┐
            ┌─────────────────────────▶│ delivered  │
            │                          ├────────────┤
            │  answer unreadable       │ unconfirmed│   a person may revive `parked`,
            ├─────────────────────────▶├────────────┤   `refused` and `unconfirmed`
       ┌─────────┐  said no            │ refused    │   while the payload is kept
    ──▶│ pending │────────────────────▶├────────────┤
       └─────────┘  merged into a later│ superseded │
            │  ▲ ──────────────────────▶────────────┤
      again │  │    consent ended      │ withdrawn  │
            └──┘ ──────────────────────▶────────────┤
      (held, paused   window over      │ expired    │
       are reasons    ─────────────────▶────────────┤
       of pending)    needs a person   │ parked     │
                     ─────────────────▶└────────────┘
"""

from datetime import datetime
from enum import Enum

import msgspec
from msgspec.structs import replace

from ocn_permission_agent.consent.address import Address, AgreementId
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.request import OcpiRequest


class DeliveryState(Enum):
    """Where a delivery stands; all but PENDING are final until a person revives it."""

    #: owed; due at `next_attempt_at`
    PENDING = "pending"
    #: the service's answer was a success
    DELIVERED = "delivered"
    #: the service was called, its answer is unreadable
    UNCONFIRMED = "unconfirmed"
    #: the service said no
    REFUSED = "refused"
    #: a newer copy in the lane says it all
    SUPERSEDED = "superseded"
    #: consent ended before it left
    WITHDRAWN = "withdrawn"
    #: its window is over
    EXPIRED = "expired"
    #: waits for a person's decision
    PARKED = "parked"


class AttemptVerdict(Enum):
    """What one try came to."""

    #: HTTP 2xx with OCPI 1xxx
    ACCEPTED = "accepted"
    #: 200/3000 "Unable to verify response signature": the service was called
    UNCONFIRMED = "unconfirmed"
    #: 2xxx, or HTTP 4xx that is about the message
    REFUSED = "refused"
    #: the service or the node is not set up for this module, or does not let us in
    SETUP = "setup"
    #: it did not arrive, or was put off: surely not processed
    NOT_PROCESSED = "not_processed"
    #: sent, and no answer that tells whether it was processed
    UNKNOWN = "unknown_outcome"


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """The line in which order is kept. Lanes do not wait for each other (delivery.md)."""

    provider_address: Address
    customer_address: Address
    module: str
    #: ``DE*CPO`` of the object's path, empty where the path has none
    owner: str
    #: top object: session, location, CDR id …; EVSE and connector ride in their location's lane
    object_id: str

    @property
    def key(self) -> str:
        """One text for store and look-up; unambiguous because every part is length-prefixed."""
        parts = (self.provider_address, self.customer_address, self.module, self.owner, self.object_id)
        return "".join(f"{len(part)}:{part}" for part in parts)


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """One accepted request, as the customer said it, under the customer's registry spelling."""

    customer: Party
    customer_address: Address
    request: OcpiRequest
    recorded_at: datetime


class PlannedDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """One copy that is due, not yet stored."""

    provider: Party
    provider_address: Address
    agreement: AgreementId
    lane: Lane
    #: of the grant; 0 where it is not known
    agreement_block: int = 0


class CopyPlan(msgspec.Struct, frozen=True, kw_only=True):
    """An envelope and what is due of it; recorded in one transaction or not at all."""

    envelope: Envelope
    deliveries: tuple[PlannedDelivery, ...]


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """The rows that a delivery belongs to. `started_at` is of its newest attempt, None before the first."""

    envelope_id: int
    lane_id: int
    scope_id: int
    channel_id: int
    provider_id: int
    agreement_block: int
    started_at: datetime | None = None


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """What we owe one provider, as stored.

    The request of its envelope is what is to be sent: of a `collapsed` delivery that is not what the customer said in
    it but what many copies come to, under the newest one's ids. `attempts` counts those that were started for it or
    for what it stands for. `expires_at` is the end of its window as things stand now. `reason` says why it is where
    it is, in words. `whole_known` tells that its session is known as a whole, so that a full PUT can take the place of
    a PATCH; `in_doubt` that an earlier attempt may have been processed. `lease` is the number under which its lane is
    held; whatever is written about it carries that number.
    """

    id: int
    place: Place
    envelope: Envelope
    provider: Party
    provider_address: Address
    agreement: AgreementId
    lane: Lane
    state: DeliveryState
    attempts: int
    next_attempt_at: datetime
    expires_at: datetime
    reason: str | None = None
    collapsed: bool = False
    whole_known: bool = False
    in_doubt: bool = False
    lease: int = 0

    def begun(self, at: datetime) -> "Delivery":
        """The same with one more attempt, which began then."""
        return replace(self, attempts=self.attempts + 1, place=replace(self.place, started_at=at))


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try. A failed one is a value, not an exception.

    `detail` is at most 1 KiB, escaped: an excerpt of the answer, or what went wrong on the way.
    """

    started_at: datetime
    ended_at: datetime
    verdict: AttemptVerdict
    http_status: int | None = None
    ocpi_status: int | None = None
    detail: str = ""
    #: what a 429 or 503 asked for
    retry_after_seconds: float | None = None
    #: nobody was there at all: says something about the provider, nothing about the message
    unreachable: bool = False
    #: the node verifies another text or another key than ours, whatever we send: waits for people, and is an alarm
    signature_refused: bool = False
