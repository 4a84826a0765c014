"""What the operator of this node decided beside the chain: stops, and single facts that were confirmed.

Decisions are kept as a row of what was decided, by whom and when; what holds now is their fold. A stop only narrows,
and a confirmation lifts one objection that names one transaction: neither can make an agreement.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self, TypeAlias, get_args

from immutables import Map

from ocn_permission_agent.consent.address import Address
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.route import Module


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Who must not be copied (C7): a customer, a provider, or a pair; with `module`, only requests of that module.

    Parties are matched by name, in any letter case, and by the address that they had when the stop was added, so that
    neither a new name nor a new address goes around it.
    """

    customer: Party | None = None
    customer_address: Address | None = None
    provider: Party | None = None
    provider_address: Address | None = None
    module: Module | None = None

    @property
    def names_somebody(self) -> bool:
        """Whether it stops anything at all."""
        return self._selects(self.customer, self.customer_address) or self._selects(
            self.provider, self.provider_address
        )

    def catches(self, customer: Party | None, customer_address: Address, provider: Party | None, to: Address) -> bool:
        """Whether this pair is stopped, leaving the module aside.

        Args:
            customer: its name now; None while it is not registered.
            customer_address: of the pair.
            provider: its name now; None while it is not registered.
            to: the provider's address.
        """
        return (
            self.names_somebody
            and _matches(self.customer, self.customer_address, customer, customer_address)
            and _matches(self.provider, self.provider_address, provider, to)
        )

    def equals(self, other: Self) -> bool:
        """Whether both say the same of the same names; addresses that were looked up do not count."""
        return self._selectors() == other._selectors()

    def _selectors(self) -> tuple[object, ...]:
        return (
            self.customer.folded if self.customer is not None else self.customer_address,
            self.provider.folded if self.provider is not None else self.provider_address,
            self.module,
        )

    @staticmethod
    def _selects(party: Party | None, account: Address | None) -> bool:
        return party is not None or account is not None


def _matches(wanted: Party | None, wanted_address: Address | None, party: Party | None, account: Address) -> bool:
    if wanted is None and wanted_address is None:
        return True
    if wanted_address == account:
        return True
    return wanted is not None and party is not None and wanted.folded == party.folded


@dataclass(frozen=True, slots=True, kw_only=True)
class StopAdded:
    """From now on."""

    stop: Stop


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRemoved:
    """No longer; `stop` is the number of the decision that added it. What was withdrawn stays withdrawn."""

    stop: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PartyConfirmed:
    """The party of this node is at this address (C1)."""

    party: Party
    address: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementConfirmed:
    """What this transaction did does not end, or did make, the agreement of the pair (C5, C6, C11)."""

    customer: Address
    provider: Address
    transaction_hash: str


Decision: TypeAlias = StopAdded | StopRemoved | PartyConfirmed | AgreementConfirmed
#: every kind of decision, for those who store them
DECISION_KINDS: tuple[type[Decision], ...] = get_args(Decision)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A decision with its number, time (aware UTC) and author, as the audit shows it."""

    number: int
    at: datetime
    by: str
    decision: Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """What holds now.

    `stops` by number. `addresses` of confirmed parties, folded. `agreements` holds (customer, provider, transaction).
    """

    stops: Map[int, Stop]
    addresses: Map[Party, Address]
    agreements: frozenset[tuple[Address, Address, str]]

    @classmethod
    def none(cls) -> Self:
        """Nothing was decided."""
        return cls(stops=Map(), addresses=Map(), agreements=frozenset())

    def number_of(self, stop: Stop) -> int | None:
        """The number of the stop that says the same; None when there is none."""
        return next((number for number, known in self.stops.items() if known.equals(stop)), None)


def decide(decisions: Decisions, decided: Decided) -> Decisions:
    """What holds after one more decision."""
    match decided.decision:
        case StopAdded(stop=stop):
            return replace(decisions, stops=decisions.stops.set(decided.number, stop))
        case StopRemoved(stop=number):
            kept = decisions.stops.delete(number) if number in decisions.stops else decisions.stops
            return replace(decisions, stops=kept)
        case PartyConfirmed(party=party, address=account):
            return replace(decisions, addresses=decisions.addresses.set(party.folded, account))
        case AgreementConfirmed(customer=customer, provider=provider, transaction_hash=transaction):
            known = decisions.agreements | {(customer, provider, transaction)}
            return replace(decisions, agreements=known)
