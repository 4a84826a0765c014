"""Looking at the state of what was touched, and telling what it says beyond the logs (consent.md C2)."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ocn_permission_agent.chain import abi
from ocn_permission_agent.chain.blocks import Header
from ocn_permission_agent.chain.decode import (
    Malformed,
    operator_event,
    read_addresses,
    read_domain,
    read_flag,
    read_key,
    read_party,
    read_service,
)
from ocn_permission_agent.chain.settings import ChainSettings
from ocn_permission_agent.chain.source import ChainSource, Question
from ocn_permission_agent.chain.touched import Touched, keys_of, unknown_operators
from ocn_permission_agent.consent.address import ZERO, Address, Position
from ocn_permission_agent.consent.events import (
    FIRST_OBSERVATION,
    AgreementObserved,
    DeletionsCounted,
    Event,
    Evidence,
    GrantsCounted,
    KeyObserved,
    OperatorUnreadable,
    PartyChanged,
    PartyUnreadable,
    ServiceObserved,
    ServiceUnreadable,
)
from ocn_permission_agent.consent.facts import Facts
from ocn_permission_agent.consent.fold import apply
from ocn_permission_agent.errors import ChainUnavailable
from ocn_permission_agent.ocpi.party import Party

#: an answer over our limit
_TOO_LARGE = "an answer too large to be read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A question, and what its answer (None: too large) says as an event; that raises `Malformed`."""

    question: Question
    tell: Callable[[Evidence, bytes | None], Event]


class StateReader:
    """Reads the state of touched entries at a block's hash."""

    def __init__(self, *, source: ChainSource, settings: ChainSettings) -> None:
        self._source = source
        self._settings = settings

    async def observe(
        self, facts: Facts, touched: Touched, at: Header, *, first_index: int = 0
    ) -> tuple[Facts, tuple[Event, ...]]:
        """What is known after the look, and the observations that changed anything.

        Args:
            facts: the fold of all logs up to and including the block.
            touched: what to look at.
            at: the block.
            first_index: observations that the block already has.

        Raises:
            ChainReorganised: the block is gone.
            ChainUnavailable: no usable answer.
        """
        looker = _Looker(facts, at, first_index)
        looks = [
            *(self._look_at_pair(*pair) for pair in sorted(touched.pairs)),
            *(self._look_at_service(provider) for provider in sorted(touched.services)),
            *(self._look_at_party(account) for account in sorted(touched.parties)),
        ]
        looker.take(looks, await self._source.ask([look.question for look in looks], at))
        keys = touched.keys | keys_of(touched.parties, facts, looker.facts)
        operators = touched.operators | unknown_operators(touched.parties, looker.facts)
        looks = [
            *(self._look_at_key(party) for party in sorted(keys)),
            *(self._look_at_operator(operator) for operator in sorted(operators)),
        ]
        looker.take(looks, await self._source.ask([look.question for look in looks], at))
        await self._count(looker, touched, at)
        return looker.facts, tuple(looker.observations)

    def questions(self, touched: Touched) -> list[Question]:
        """What `observe` asks about these entries themselves."""
        looks = (
            *(self._look_at_pair(*pair) for pair in sorted(touched.pairs)),
            *(self._look_at_service(provider) for provider in sorted(touched.services)),
            *(self._look_at_party(account) for account in sorted(touched.parties)),
            *(self._look_at_key(party) for party in sorted(touched.keys)),
            *(self._look_at_operator(operator) for operator in sorted(touched.operators)),
        )
        counts = [self._ask_permissions(abi.agreements_of(customer)) for customer in sorted(touched.customers)]
        return [*(look.question for look in looks), *counts]

    async def _count(self, looker: "_Looker", touched: Touched, at: Header) -> None:
        """Compare the contract's lists with the logs; a list that is too large is passed over."""
        customers = sorted(touched.customers)
        questions = [self._ask_permissions(abi.agreements_of(customer)) for customer in customers]
        if touched.listings:
            questions.append(self._ask_permissions(abi.get_providers()))
        if not questions:
            return
        lists = [_addresses(answer) for answer in await self._source.ask(questions, at)]
        providers = lists.pop() if touched.listings else None
        for customer, agreed in zip(customers, lists, strict=True):
            if agreed is not None:
                looker.count_grants(customer, Counter(agreed))
        if providers is not None:
            looker.count_deletions(sorted(touched.listings), Counter(providers))

    def _look_at_pair(self, customer: Address, provider: Address) -> Look:
        def tell(evidence: Evidence, answer: bytes | None) -> Event:
            stands = read_flag(_demand(answer))
            return AgreementObserved(evidence=evidence, customer=customer, provider=provider, stands=stands)

        return Look(question=self._ask_permissions(abi.has_agreement(customer, provider)), tell=tell)

    def _look_at_service(self, provider: Address) -> Look:
        def tell(evidence: Evidence, answer: bytes | None) -> Event:
            try:
                state = read_service(_demand(answer))
            except Malformed as error:
                return ServiceUnreadable(evidence=evidence, provider=provider, why=f"a listing: {error}")
            return ServiceObserved(
                evidence=evidence, provider=provider, permissions=state.permissions, listed=state.listed
            )

        return Look(question=self._ask_permissions(abi.get_service(provider)), tell=tell)

    def _look_at_party(self, account: Address) -> Look:
        def tell(evidence: Evidence, answer: bytes | None) -> Event:
            if answer is None:
                return PartyUnreadable(evidence=evidence, address=account, why=_TOO_LARGE)
            state = read_party(answer)
            return PartyChanged(evidence=evidence, address=account, party=state.party, operator=state.operator)

        return Look(question=self._ask_registry(abi.party_by_address(account)), tell=tell)

    def _look_at_key(self, party: Party) -> Look:
        def tell(evidence: Evidence, answer: bytes | None) -> Event:
            found = ZERO if answer is None else read_key(answer)
            return KeyObserved(evidence=evidence, party=party, address=found)

        return Look(question=self._ask_registry(abi.party_by_key(party)), tell=tell)

    def _look_at_operator(self, operator: Address) -> Look:
        def tell(evidence: Evidence, answer: bytes | None) -> Event:
            try:
                return operator_event(evidence, operator, read_domain(_demand(answer)))
            except Malformed as error:
                return OperatorUnreadable(evidence=evidence, operator=operator, why=f"a domain: {error}")

        return Look(question=self._ask_registry(abi.get_node(operator)), tell=tell)

    def _ask_permissions(self, data: bytes) -> Question:
        return Question(contract=self._settings.permissions, data=data)

    def _ask_registry(self, data: bytes) -> Question:
        return Question(contract=self._settings.registry, data=data)


class _Looker:
    """Folds answers in, and numbers the observations that are kept."""

    def __init__(self, facts: Facts, at: Header, first_index: int) -> None:
        self.facts = facts
        self.observations: list[Event] = []
        self._at = at
        self._first_index = FIRST_OBSERVATION + first_index

    def take(self, looks: Sequence[Look], answers: Iterable[bytes | None]) -> None:
        for look, answer in zip(looks, answers, strict=True):
            try:
                self._keep(look.tell(self._evidence(), answer))
            except Malformed as error:
                raise ChainUnavailable(f"the contracts answered something that {error}") from error

    def count_grants(self, customer: Address, counted: Counter[Address]) -> None:
        for provider in sorted(self.facts.pairs.get(customer, ())):
            grants = counted[provider]
            self._keep(GrantsCounted(evidence=self._evidence(), customer=customer, provider=provider, grants=grants))

    def count_deletions(self, providers: Iterable[Address], counted: Counter[Address]) -> None:
        """A provider stands in the list once for each listing after none; it has none now, or one more than ended."""
        for provider in providers:
            service = self.facts.services.get(provider)
            deletions = counted[provider] - (1 if service is not None and service.listed else 0)
            self._keep(DeletionsCounted(evidence=self._evidence(), provider=provider, deletions=deletions))

    def _evidence(self) -> Evidence:
        return Evidence(position=Position(self._at.number, self._first_index + len(self.observations)))

    def _keep(self, event: Event) -> None:
        after = apply(self.facts, event)
        if after is not self.facts:
            self.facts = after
            self.observations.append(event)


def _addresses(answer: bytes | None) -> tuple[Address, ...] | None:
    if answer is None:
        return None
    try:
        return read_addresses(answer)
    except Malformed as error:
        raise ChainUnavailable(f"the contracts answered something that {error}") from error


def _demand(answer: bytes | None) -> bytes:
    if answer is None:
        raise Malformed(_TOO_LARGE)
    return answer
