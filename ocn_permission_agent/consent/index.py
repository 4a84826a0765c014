"""Who must hear it: what the chain said at one block, ready to be asked.

An index never changes. The facts in it are shared with the index of the block before; verdicts are worked out when
they are asked for and remembered for as long as the index is the newest one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from ocn_permission_agent.consent.address import ZERO, Address, AgreementId
from ocn_permission_agent.consent.case import Case, Ground, case_of
from ocn_permission_agent.consent.decisions import Decisions
from ocn_permission_agent.consent.events import Sent
from ocn_permission_agent.consent.facts import Facts, ServiceFacts
from ocn_permission_agent.consent.pair import PairFacts
from ocn_permission_agent.consent.rules import judge, judge_interface, when_stale
from ocn_permission_agent.consent.settings import ConsentSettings
from ocn_permission_agent.consent.verdict import Standing, Verdict
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.route import InterfaceRole, Module


@dataclass(frozen=True, slots=True, kw_only=True)
class Entitlement:
    """A provider that must hear of a customer's request, and the agreement that says so. Registry spellings."""

    customer: Party
    customer_address: Address
    provider: Party
    provider_address: Address
    agreement: AgreementId
    #: of the grant; 0 where it is not known
    agreement_block: int = 0


class ProviderRoute(msgspec.Struct, frozen=True, kw_only=True):
    """Where a provider is reached.

    `operator` is the address of its node's operator, `domain` that node's URL as registered (escaped; empty for none),
    `own` tells that it is this node.
    """

    provider: Party
    operator: Address
    domain: str
    own: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus:
    """A service for status and lists; `party` is None for a provider that is not registered. Texts are escaped."""

    party: Party | None
    provider: Address
    name: str
    url: str
    permissions: tuple[int, ...]
    unknown_ids: int
    listed: bool
    doubt: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementStatus:
    """A pair for status and lists: the newest agreement, what was agreed to, how, and what the rules say now.

    `sent` flags agreements that the customer did not make by a transaction of its own (C6).
    """

    customer: Party | None
    customer_address: Address
    provider: Party | None
    provider_address: Address
    agreement: AgreementId
    agreed: tuple[int, ...] | None
    verdict: Verdict
    sent: Sent = Sent.UNKNOWN


@dataclass(frozen=True, slots=True)
class _Judged:
    """A pair whose agreement is not closed."""

    case: Case
    entitlement: Entitlement


#: of one block, for those that ask again and again
_VERDICTS_REMEMBERED = 10_000
#: arguments of `verdict`
_Question = tuple[Address, Address, AgreementId, Module, InterfaceRole, bool]


class ConsentIndex:
    """What the chain said at one block.

    Args:
        facts: the fold of all events up to and including the block.
        block_number: of the block.
        block_hash: of the block, ``0x`` and 64 hex digits.
        block_time: what the block's header says, aware UTC.
        own_operator: address of this node's operator.
        confirmations: blocks above what opens or redirects (C4).
        settings: what the operator decided.
        distrust: what does not go together with what we were told (C12): holds everything.
        doubt: why our view of it is in doubt (C8): holds everything.
        decisions: of the operator.
    """

    def __init__(
        self,
        *,
        facts: Facts,
        block_number: int,
        block_hash: str,
        block_time: datetime,
        own_operator: Address,
        confirmations: int,
        settings: ConsentSettings,
        distrust: str | None = None,
        doubt: str | None = None,
        decisions: Decisions | None = None,
    ) -> None:
        self.block_number = block_number
        self.block_hash = block_hash
        self.block_time = block_time
        self._ground = Ground(
            facts=facts,
            block_number=block_number,
            own_operator=own_operator,
            confirmations=confirmations,
            settings=settings,
            distrust=distrust,
            doubt=doubt,
            decisions=decisions or Decisions.none(),
        )
        self._remembered: dict[Party, tuple[_Judged, ...]] = {}
        self._answered: dict[tuple[Party, Module, InterfaceRole], tuple[Entitlement, ...]] = {}
        self._verdicts: dict[_Question, Verdict] = {}

    @classmethod
    def empty(cls) -> "ConsentIndex":
        """Nobody is known: before the first complete sync."""
        return cls(
            facts=Facts.none(),
            block_number=0,
            block_hash="0x" + "0" * 64,
            block_time=datetime.fromtimestamp(0, UTC),
            own_operator=ZERO,
            confirmations=0,
            settings=ConsentSettings(),
        )

    def decided(self, decisions: Decisions) -> "ConsentIndex":
        """The same block under other decisions."""
        ground = self._ground
        if decisions == ground.decisions:
            return self
        return ConsentIndex(
            facts=ground.facts,
            block_number=self.block_number,
            block_hash=self.block_hash,
            block_time=self.block_time,
            own_operator=ground.own_operator,
            confirmations=ground.confirmations,
            settings=ground.settings,
            distrust=ground.distrust,
            doubt=ground.doubt,
            decisions=decisions,
        )

    @property
    def facts(self) -> Facts:
        """What is known, for those who show it."""
        return self._ground.facts

    @property
    def distrust(self) -> str | None:
        """Why everything is held (C12); None while chain, contracts and operator are those we were told of."""
        return self._ground.distrust

    @property
    def own_operator(self) -> Address:
        """The address of this node's operator."""
        return self._ground.own_operator

    @property
    def doubt(self) -> str | None:
        """Why everything is held (C8); None while our view is not in doubt."""
        return self._ground.doubt

    @property
    def decisions(self) -> Decisions:
        """What the operator decided."""
        return self._ground.decisions

    def has_agreements(self, sender: Party) -> bool:
        """Whether any agreement of this party, in any letter case, is open or held: its requests may be due."""
        return bool(self._judged(sender))

    def providers_for(self, sender: Party, module: Module, role: InterfaceRole) -> tuple[Entitlement, ...]:
        """Who must hear of a request of this party (any letter case) to this interface; open or held by C1-C7."""
        question = (sender, module, role)
        answer = self._answered.get(question)
        if answer is not None:
            return answer
        judged = self._judged(sender)
        answer = tuple(each.entitlement for each in judged if judge_interface(each.case, (module, role)) is None)
        if judged:
            self._answered[question] = answer
        return answer

    def verdict(
        self,
        customer: Address,
        provider: Address,
        *,
        agreement: AgreementId,
        module: Module,
        role: InterfaceRole,
        fresh: bool,
    ) -> Verdict:
        """Whether a copy that was planned under this agreement may leave now, by C1-C12.

        Args:
            customer: who sent the request.
            provider: who is owed the copy.
            agreement: what it was planned under; any other agreement of the pair does not count.
            module: of the request.
            role: interface of the request.
            fresh: `ConsentView.fresh` at this moment (C8).
        """
        question = (customer, provider, agreement, module, role, fresh)
        answer = self._verdicts.get(question)
        if answer is None:
            if len(self._verdicts) >= _VERDICTS_REMEMBERED:
                self._verdicts.clear()
            answer = self._verdicts[question] = self._verdict(question)
        return answer

    def _verdict(self, question: _Question) -> Verdict:
        customer, provider, agreement, module, role, fresh = question
        pair = self._ground.facts.pair(customer, provider)
        if pair is None:
            return Verdict(standing=Standing.CLOSED, rule="C2", reason="there never was an agreement")
        case = case_of(self._ground, pair)
        verdict = judge(case, agreement=agreement)
        if verdict.closed:
            return verdict
        objection = judge_interface(case, (module, role))
        if objection is not None:
            return objection
        return verdict if fresh or verdict.standing is Standing.HELD else when_stale(case)

    def route_to(self, provider: Address) -> ProviderRoute | None:
        """Where a provider is reached; None when it is not registered."""
        facts = self._ground.facts.parties.get(provider)
        if facts is None or facts.party is None:
            return None
        return ProviderRoute(
            provider=facts.party,
            operator=facts.operator,
            domain=self._ground.facts.domain(facts.operator),
            own=facts.operator == self._ground.own_operator,
        )

    def services(self) -> Iterator[ServiceStatus]:
        """Every service ever listed, deleted ones too, in no order."""
        for service in self._ground.facts.services.values():
            yield self._service_status(service)

    def agreements(self) -> Iterator[AgreementStatus]:
        """The newest agreement of every pair, revoked ones too, in no order."""
        for pair in self._ground.facts.all_pairs():
            yield self._agreement_status(pair)

    def _service_status(self, service: ServiceFacts) -> ServiceStatus:
        return ServiceStatus(
            party=self._party(service.provider),
            provider=service.provider,
            name=service.name,
            url=service.url,
            permissions=tuple(sorted(service.permissions)),
            unknown_ids=service.unknown_ids,
            listed=service.listed,
            doubt=None if service.doubt is None else service.doubt.why,
        )

    def _agreement_status(self, pair: PairFacts) -> AgreementStatus:
        agreed = pair.grant.agreed
        return AgreementStatus(
            customer=self._party(pair.customer),
            customer_address=pair.customer,
            provider=self._party(pair.provider),
            provider_address=pair.provider,
            agreement=pair.grant.evidence.agreement,
            agreed=None if agreed is None else tuple(sorted(agreed)),
            verdict=judge(case_of(self._ground, pair)),
            sent=pair.grant.sent,
        )

    def _party(self, address: Address) -> Party | None:
        facts = self._ground.facts.parties.get(address)
        return None if facts is None else facts.party

    def _judged(self, sender: Party) -> tuple[_Judged, ...]:
        """The party's agreements that are not closed; remembered for parties that have ever agreed to anything."""
        remembered = self._remembered.get(sender)
        if remembered is not None:
            return remembered
        addresses = self._ground.facts.spellings.get(sender.folded, ())
        facts = self._ground.facts
        if len(addresses) != 1 or addresses[0] not in facts.pairs:
            return ()
        judged = tuple(each for pair in facts.pairs_of(addresses[0]) if (each := self._judge(pair)) is not None)
        self._remembered[sender] = judged
        return judged

    def _judge(self, pair: PairFacts) -> _Judged | None:
        case = case_of(self._ground, pair)
        customer, provider = case.customer, case.provider
        if (
            judge(case).closed
            or customer is None
            or customer.party is None
            or provider is None
            or provider.party is None
        ):
            return None
        entitlement = Entitlement(
            customer=customer.party,
            customer_address=pair.customer,
            provider=provider.party,
            provider_address=pair.provider,
            agreement=pair.grant.evidence.agreement,
            agreement_block=pair.grant.evidence.block_number,
        )
        return _Judged(case, entitlement)
