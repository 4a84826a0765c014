"""What happened on the chain, as values: each is one log, or one look at the state (an *observation*).

Logs are hints about what to look at, the state read at a block's hash is the truth (consent.md C2). A look that says
something else than the logs did becomes an event of its own, so that the facts are always the fold of all events.
"""

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias, get_args

from ocn_permission_agent.consent.address import Address, AgreementId, Position
from ocn_permission_agent.ocpi.party import Party

#: log indexes from here on are observations: they come after every log of their block
FIRST_OBSERVATION = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Where a fact can be seen: a log's position and transaction; None for what we saw in the state ourselves."""

    position: Position
    transaction_hash: str | None = None

    @property
    def block_number(self) -> int:
        """The block of the fact."""
        return self.position.block_number

    @property
    def observed(self) -> bool:
        """Whether we saw it in the state, not in a log."""
        return self.transaction_hash is None

    @property
    def agreement(self) -> AgreementId:
        """The identity of a grant that this evidence proves."""
        return AgreementId(self.transaction_hash or "", self.position.log_index)


class Sent(Enum):
    """How the transaction of a log was sent: whether it proves that the party itself wanted this, now (C6).

    A relayed signature has no nonce and names no function: whoever saw it once can use it for ever (T5).
    """

    #: by the party itself, straight to the contract
    DIRECT = "direct"
    #: by anybody, with a signature of the party
    RELAYED = "relayed"
    #: by another contract, whose calldata does not show what it called: it may have relayed
    INNER = "inner"
    #: the transaction could not be looked up
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceListed:
    """A `ServiceUpdate` with readable content.

    `name` and `url` are shown to people only: at most 256 characters, escaped. `permissions` are the known ids, the
    number of others is `unknown_ids`. `nameless`: name and url are both empty, as in the log of a deletion, which
    cannot be told from such a listing (C5). `sent` is looked up for nameless listings only.
    """

    evidence: Evidence
    provider: Address
    name: str
    url: str
    permissions: frozenset[int]
    unknown_ids: int = 0
    nameless: bool = False
    sent: Sent = Sent.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceObserved:
    """The ids that `getService` answered; none means that there is no service."""

    evidence: Evidence
    provider: Address
    permissions: frozenset[int]
    listed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementToggled:
    """A `ServiceAgreement`: granted if it was not, revoked if it was; the log does not say which (C2)."""

    evidence: Evidence
    customer: Address
    provider: Address
    sent: Sent = Sent.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementObserved:
    """What `hasUserAgreementByAddress` answered."""

    evidence: Evidence
    customer: Address
    provider: Address
    stands: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantsCounted:
    """How often the contract says that a customer agreed with a provider: once per grant, revokes left out (T2)."""

    evidence: Evidence
    customer: Address
    provider: Address
    grants: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletionsCounted:
    """How often a service was deleted, by the contract's own list of providers (C5)."""

    evidence: Evidence
    provider: Address
    deletions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeReorganised:
    """A change of the pair's agreement was dropped by a reorganisation: its grant waits anew (C4)."""

    evidence: Evidence
    customer: Address
    provider: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class PartyChanged:
    """A party's entry in the registry, from a log or observed; `party` is None once it has left."""

    evidence: Evidence
    address: Address
    party: Party | None
    operator: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyObserved:
    """The address that the registry finds for a (country_code, party_id); `ZERO` for none (C1)."""

    evidence: Evidence
    party: Party
    address: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class PinsBegun:
    """The first complete sync: from here on each party is bound to the address it has, or registers first at (C1)."""

    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorChanged:
    """A node operator's domain, from a log or observed; empty once it has left. Escaped, at most 256 characters."""

    evidence: Evidence
    operator: Address
    domain: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceUnreadable:
    """A listing that cannot be decoded or is too large: closes this provider, nobody else (C10)."""

    evidence: Evidence
    provider: Address
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PartyUnreadable:
    """A registry entry that cannot be decoded or is too large (C10)."""

    evidence: Evidence
    address: Address
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorUnreadable:
    """An operator's entry that cannot be decoded or is too large (C10)."""

    evidence: Evidence
    operator: Address
    why: str


Event: TypeAlias = (
    ServiceListed
    | ServiceObserved
    | AgreementToggled
    | AgreementObserved
    | GrantsCounted
    | DeletionsCounted
    | RevokeReorganised
    | PinsBegun
    | PartyChanged
    | KeyObserved
    | OperatorChanged
    | ServiceUnreadable
    | PartyUnreadable
    | OperatorUnreadable
)
#: every kind of event, for those who store them
EVENT_KINDS: tuple[type[Event], ...] = get_args(Event)
