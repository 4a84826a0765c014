"""What is known at one block: the fold of all events so far. Values that share structure with the block before."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self, TypeAlias

from immutables import Map

from ocn_permission_agent.consent.address import ZERO, Address
from ocn_permission_agent.consent.events import Evidence
from ocn_permission_agent.consent.packed import pack, unpack
from ocn_permission_agent.consent.pair import PairFacts
from ocn_permission_agent.ocpi.party import Party


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """Something that could not be read, or that contradicts what we knew; closes whom it is about."""

    why: str
    evidence: Evidence


#: ends remembered one by one; of what is older only that it cannot be confirmed any more
_ENDS_LIMIT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """Something after which older agreements no longer count; `confirmable` by the operator, one by one (C5, C11)."""

    evidence: Evidence
    confirmable: bool


def with_end(ends: tuple[End, ...], evidence: Evidence, *, confirmable: bool) -> tuple[End, ...]:
    """One more, the newest last."""
    after = (*ends, End(evidence=evidence, confirmable=confirmable and not evidence.observed))
    if len(after) <= _ENDS_LIMIT:
        return after
    return (replace(after[1], confirmable=False), *after[2:])


def _newest(ends: tuple[End, ...]) -> Evidence | None:
    return ends[-1].evidence if ends else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PartyFacts:
    """A party of the registry, by its address.

    `party` is its spelling now, None while it is not registered. `registered` is the newest entry after absence,
    `redirected` the newest change of operator or of (country_code, party_id), `renames` are those of the latter alone,
    `departures` the ends of its registrations.
    """

    address: Address
    party: Party | None
    operator: Address
    registered: Evidence
    redirected: Evidence | None = None
    renames: tuple[End, ...] = ()
    departures: tuple[End, ...] = ()
    doubt: Doubt | None = None

    @property
    def renamed(self) -> Evidence | None:
        """The newest change of (country_code, party_id)."""
        return _newest(self.renames)

    @property
    def left(self) -> Evidence | None:
        """The newest end of a registration."""
        return _newest(self.departures)


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorFacts:
    """A node operator: its domain (empty for none) and when that changed last."""

    operator: Address
    domain: str
    changed: Evidence
    doubt: Doubt | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFacts:
    """A service, by its provider's address.

    `permissions` are the known ids of the newest listing. `ends` are its deletions, and what could have been one:
    agreements made before have ended (C5); those that the provider itself did not send can be confirmed away.
    `deletions` is their number. `listed` is false while there is no service.
    """

    provider: Address
    name: str
    url: str
    permissions: frozenset[int]
    unknown_ids: int
    listed: bool
    updated: Evidence
    ends: tuple[End, ...] = ()
    deletions: int = 0
    doubt: Doubt | None = None

    @property
    def deleted(self) -> Evidence | None:
        """The newest deletion, or what could have been one."""
        return _newest(self.ends)


#: nearly always packed
KeptPair: TypeAlias = bytes | PairFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that is known, in maps that are shared between blocks.

    `keys` is the registry's backward direction, from a party to its address. `spellings` finds registered addresses by
    folded party: more than one means twins (C1). `pairs` goes from customer to provider; `pair` and its neighbours
    give what is kept there as a whole. `pins` is the address that a folded party with an operator had first, from the
    first complete sync on; None before it (C1).
    """

    parties: Map[Address, PartyFacts]
    keys: Map[Party, Address]
    spellings: Map[Party, tuple[Address, ...]]
    operators: Map[Address, OperatorFacts]
    services: Map[Address, ServiceFacts]
    pairs: Map[Address, Map[Address, KeptPair]]
    pins: Map[tuple[Party, Address], Address] | None = None

    @classmethod
    def none(cls) -> Self:
        """Nothing is known."""
        return cls(parties=Map(), keys=Map(), spellings=Map(), operators=Map(), services=Map(), pairs=Map())

    def pair(self, customer: Address, provider: Address) -> PairFacts | None:
        """The pair, if it ever had an agreement."""
        kept = self.pairs.get(customer, _NOBODY).get(provider)
        return None if kept is None else _whole(customer, provider, kept)

    def pairs_of(self, customer: Address) -> Iterator[PairFacts]:
        """The customer's pairs, in no order."""
        for provider, kept in self.pairs.get(customer, _NOBODY).items():
            yield _whole(customer, provider, kept)

    def all_pairs(self) -> Iterator[PairFacts]:
        """Everybody's pairs, in no order."""
        for customer in self.pairs:
            yield from self.pairs_of(customer)

    def contradicted_pairs(self) -> Iterator[PairFacts]:
        """Those in which the contract's state and its logs differ (C2)."""
        for providers in self.pairs.values():
            for kept in providers.values():
                if isinstance(kept, PairFacts) and kept.is_contradicted:
                    yield kept

    def with_pair(self, pair: PairFacts) -> Self:
        """The same with this pair as it is now."""
        packed = pack(pair)
        providers = self.pairs.get(pair.customer, _NOBODY).set(pair.provider, pair if packed is None else packed)
        return replace(self, pairs=self.pairs.set(pair.customer, providers))

    def key(self, party: Party) -> Address:
        """The address that the registry finds for a party in this spelling; `ZERO` for none."""
        return self.keys.get(party, ZERO)

    def domain(self, operator: Address) -> str:
        """The operator's domain; empty for none."""
        facts = self.operators.get(operator)
        return "" if facts is None else facts.domain


_NOBODY: Map[Address, KeptPair] = Map()


def _whole(customer: Address, provider: Address, kept: KeptPair) -> PairFacts:
    return kept if isinstance(kept, PairFacts) else unpack(customer, provider, kept)
