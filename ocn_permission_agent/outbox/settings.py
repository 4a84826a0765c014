"""Settings of the outbox: ``[delivery]`` of the configuration."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import Enum

from ocn_permission_agent.ocpi.party import Party


class CdrUnknownOutcome(Enum):
    """What becomes of a CDR when nobody knows whether the service has processed it."""

    #: sent again, byte-identical: the service dedupes by (country_code, party_id, id)
    RETRY = "retry"
    #: waits for a person: for services that cannot dedupe
    PARK = "park"


class NotaryUse(Enum):
    """Whether messages to a service carry an OCN-Signature."""

    #: once its node has said that one is missing
    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class TokenStyle(Enum):
    """How a token is written into the Authorization header."""

    #: as it is (OCPI 2.2)
    PLAIN = "plain"
    #: in Base64 (OCPI 2.2.1)
    BASE64 = "base64"


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectRoute:
    """Where a service itself takes OCPI requests, and the token it gave us for that."""

    url: str
    token: str = field(repr=False)
    token_style: TokenStyle = TokenStyle.PLAIN

    @property
    def authorization(self) -> str:
        """The value of the Authorization header."""
        encoded = self.token_style is TokenStyle.BASE64
        return f"Token {b64encode(self.token.encode()).decode() if encoded else self.token}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """``[delivery.windows]``: for how long a copy is worth delivering. Pauses and holds do not count."""

    cdrs: timedelta = timedelta(days=14)
    sessions: timedelta = timedelta(days=7)
    #: locations, tariffs, tokens
    objects: timedelta = timedelta(days=14)
    #: what is about a moment: commands, charging profiles and preferences, authorisations, call-backs
    ephemeral: timedelta = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    """``[delivery.services."DE*PAY"]``: what is None follows ``[delivery]``."""

    cdr_unknown_outcome: CdrUnknownOutcome = CdrUnknownOutcome.RETRY
    max_rate: float | None = None
    schedule_seconds: tuple[float, ...] | None = None
    notary: NotaryUse = NotaryUse.AUTO
    #: None: through the OCN node that hosts it
    direct: DirectRoute | None = None


_NOTHING_SPECIAL = ServiceSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverySettings:
    """``[delivery]``.

    `max_rate` is attempts per second to one service, `max_in_flight` how many at a time. `services` has folded parties
    as keys.
    """

    attempt_timeout_seconds: float = 45.0
    max_rate: float = 20.0
    max_in_flight: int = 8
    parked_days: float = 30.0
    keep_payload_hours: float = 0.0
    #: for how long a delivery that has ended can be looked up; CDRs, known again by their id, as long as the ledger
    history_days: float = 31.0
    #: 13 months
    ledger_days: float = 396.0
    #: pauses before the second, third … attempt; the last one repeats to the end of the window
    schedule_seconds: tuple[float, ...] = (5.0, 30.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 43200.0)
    windows: Windows = Windows()
    services: Mapping[Party, ServiceSettings] = field(default_factory=dict)

    def of(self, provider: Party) -> ServiceSettings:
        """What holds for one provider."""
        return self.services.get(provider.folded, _NOTHING_SPECIAL) if self.services else _NOTHING_SPECIAL

    def towards(self, provider: Party) -> "DeliverySettings":
        """The same, with the schedule that holds for one provider."""
        own = self.of(provider).schedule_seconds
        return self if own is None else replace(self, schedule_seconds=own)

    def max_rate_of(self, provider: Party) -> float:
        """Attempts per second to one provider."""
        own = self.of(provider).max_rate
        return self.max_rate if own is None else own
