"""What a rule looks at: one customer and one provider, with everything that is known of them at one block."""

from dataclasses import dataclass, field

from ocn_permission_agent.consent.address import Address
from ocn_permission_agent.consent.decisions import Decisions, Stop
from ocn_permission_agent.consent.events import Evidence
from ocn_permission_agent.consent.facts import Facts, OperatorFacts, PartyFacts, ServiceFacts
from ocn_permission_agent.consent.pair import PairFacts
from ocn_permission_agent.consent.settings import ConsentSettings
from ocn_permission_agent.consent.verdict import Standing, Verdict
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.route import Module


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What all cases of one block share.

    `own_operator` is the address of this node's operator. `distrust` says what does not go together with what we were
    told of the chain and of ourselves (C12), `doubt` why our view of the chain is in doubt (C8): either holds
    everything. None while all is well.
    """

    facts: Facts
    block_number: int
    own_operator: Address
    confirmations: int
    settings: ConsentSettings
    decisions: Decisions = field(default_factory=Decisions.none)
    distrust: str | None = None
    doubt: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One customer and one provider, with all that is known of them."""

    ground: Ground
    pair: PairFacts
    customer: PartyFacts | None
    provider: PartyFacts | None
    service: ServiceFacts | None
    provider_operator: OperatorFacts | None

    @property
    def own_operator(self) -> OperatorFacts | None:
        """This node's operator; None while no log told of it."""
        return self.ground.facts.operators.get(self.ground.own_operator)

    @property
    def customer_party(self) -> Party | None:
        """The customer's name now."""
        return None if self.customer is None else self.customer.party

    @property
    def provider_party(self) -> Party | None:
        """The provider's name now."""
        return None if self.provider is None else self.provider.party

    def stop(self, module: Module | None) -> Stop | None:
        """A stop of this pair that is for exactly this module, or for all of them when None."""
        names = (self.customer_party, self.pair.customer, self.provider_party, self.pair.provider)
        stops = self.ground.decisions.stops.values()
        return next((stop for stop in stops if stop.module is module and stop.catches(*names)), None)

    def confirmed_by_operator(self, evidence: Evidence) -> bool:
        """Whether the operator confirmed what this transaction did, for this pair."""
        if evidence.transaction_hash is None:
            return False
        return (self.pair.customer, self.pair.provider, evidence.transaction_hash) in self.ground.decisions.agreements


def case_of(ground: Ground, pair: PairFacts) -> Case:
    """Gather what is known of a pair."""
    facts = ground.facts
    provider = facts.parties.get(pair.provider)
    return Case(
        ground=ground,
        pair=pair,
        customer=facts.parties.get(pair.customer),
        provider=provider,
        service=facts.services.get(pair.provider),
        provider_operator=None if provider is None else facts.operators.get(provider.operator),
    )


def closed(
    rule: str, reason: str, evidence: Evidence | None = None, *, remedy: str = "", confirmable: bool = False
) -> Verdict:
    """An objection that closes."""
    return say(Standing.CLOSED, rule, reason, evidence, remedy=remedy, confirmable=confirmable)


def say(
    standing: Standing,
    rule: str,
    reason: str,
    evidence: Evidence | None = None,
    *,
    remedy: str = "",
    confirmable: bool = False,
) -> Verdict:
    """A verdict that points at its evidence."""
    return Verdict(
        standing=standing,
        rule=rule,
        reason=reason,
        transaction_hash=None if evidence is None else evidence.transaction_hash,
        block_number=None if evidence is None else evidence.block_number,
        remedy=remedy,
        confirmable=confirmable,
    )
