"""Random histories on the real bytecode: after each step the index says what an independent model says."""

import asyncio
import functools
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.chain_fixtures import funded_server
from tests.chain_harness import OWN_DOMAIN
from tests.integration.histories.bench import CUSTOMERS, HUGE, KEYS, PEOPLE, PROVIDERS, Bench
from tests.integration.histories.causes import CAUSES, alone
from tests.integration.histories.model import CONFIRMATIONS, MODULES, OTHER, OWN, ROLES
from tests.integration.histories.mutants import Mutants
from tests.real_contracts import real_contracts_or_skip

who = st.sampled_from(PEOPLE)
customers, providers = st.sampled_from(CUSTOMERS), st.sampled_from(PROVIDERS)
keys, operators = st.sampled_from(KEYS), st.sampled_from((OWN, OWN, OTHER))
identifiers = st.lists(st.sampled_from([*range(17), 17, 2**256 - 1]), min_size=1, max_size=5)
names = st.sampled_from([b"S", b"\xff\xfe\x00\n<b>", b"x" * 400])
places = st.integers(0, 20)
urls = st.sampled_from([b"u", b"\xc3\x28"])


#: names of all rules
STEPS: set[str] = set()


def step(**drawn: Any) -> Callable[[Callable[..., None]], Any]:
    """A rule that is counted."""

    def counting(function: Callable[..., None]) -> Any:
        @functools.wraps(function)
        def counted(self: "Histories", **arguments: Any) -> None:
            self.count("steps", {function.__name__: 1})
            function(self, **arguments)

        STEPS.add(function.__name__)
        decorate: Any = rule(**drawn)
        return decorate(counted)

    return counting


class Histories(RuleBasedStateMachine):
    """Steps of people, strangers, operators, the chain and the agent."""

    #: of all histories of this run: steps, calls that the contracts accepted and refused, verdicts
    told: ClassVar[dict[str, Counter[str]]] = {}
    #: defects that this run would have noticed
    mutants: ClassVar[Mutants] = Mutants()

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._runner = asyncio.Runner()
        self._server = funded_server()
        self._server.start_thread()
        self.bench = Bench(self._server.url, Path(self._folder.name))

    def _run(self, work: Any) -> Any:
        return self._runner.run(work)

    def _step(self, work: Any) -> None:
        async def step() -> None:
            await work
            await self.bench.poll()

        self._run(step())

    @initialize()
    def begin(self) -> None:
        self._run(self.bench.open(real_contracts_or_skip()))

    def teardown(self) -> None:
        for kind in ("accepted", "refused"):
            self.count(kind, getattr(self.bench, kind))
        self._run(self.bench.close())
        self._runner.close()
        self._server.stop()
        self._folder.cleanup()

    def count(self, kind: str, more: Mapping[str, int]) -> None:
        self.told.setdefault(kind, Counter()).update(more)

    # --- customers and providers ----------------------------------------------------------------------------------

    @step(customer=customers, provider=providers)
    def agree(self, customer: str, provider: str) -> None:
        self._step(self.bench.agreement(customer, provider, "createAgreement", relayed=False))

    @step(customer=customers, provider=providers)
    def renew(self, customer: str, provider: str) -> None:
        self._step(self.bench.renew(customer, provider))

    @step(provider=providers)
    def renew_the_first(self, provider: str) -> None:
        self._step(self.bench.renew("cpo", provider))

    @step(customer=customers, provider=providers)
    def revoke(self, customer: str, provider: str) -> None:
        self._step(self.bench.agreement(customer, provider, "revokeAgreement", relayed=False))

    @step(provider=providers, ids=identifiers, name=names, url=urls)
    def list_service(self, provider: str, ids: list[int], name: bytes, url: bytes) -> None:
        self._step(self.bench.service(provider, ids, name=name, url=url))

    @step(provider=providers, ids=identifiers)
    def list_without_a_name(self, provider: str, ids: list[int]) -> None:
        self._step(self.bench.service(provider, ids, name=b"", url=b""))

    @step(provider=providers)
    def list_hugely(self, provider: str) -> None:
        self._step(self.bench.service(provider, [0] * HUGE))

    @step(provider=providers)
    def delete_service(self, provider: str) -> None:
        self._step(self.bench.delete_service(provider))

    @step(
        cause=st.sampled_from(sorted(CAUSES)),
        customer=st.sampled_from(("cpo", "cpo_b")),
        provider=providers,
        blocks=st.integers(0, 3),
    )
    def one_cause_alone(self, cause: str, customer: str, provider: str, blocks: int) -> None:
        self._step(alone(self.bench, cause, customer, provider, blocks=blocks))

    # --- the registry ---------------------------------------------------------------------------------------------

    @step(party=who, key=keys, operator=operators)
    def register(self, party: str, key: str, operator: str) -> None:
        self._step(self.bench.party(party, key, operator))

    @step(customer=customers, key=st.sampled_from(KEYS[:3]))
    def register_a_customer(self, customer: str, key: str) -> None:
        self._step(self.bench.party(customer, key, OWN))

    @step(party=who)
    def leave(self, party: str) -> None:
        self._step(self.bench.leave(party))

    @step(domain=st.sampled_from(["", "https://a", "https://b"]))
    def move_a_node(self, domain: str) -> None:
        self._step(self.bench.node(OTHER, domain))

    @step(domain=st.sampled_from(["", "https://c", OWN_DOMAIN]))
    def move_home(self, domain: str) -> None:
        self._step(self.bench.home(domain))

    # --- strangers ------------------------------------------------------------------------------------------------

    @step(customer=customers, provider=providers, verb=st.sampled_from(["createAgreement", "revokeAgreement"]))
    def relay(self, customer: str, provider: str, verb: str) -> None:
        self._step(self.bench.agreement(customer, provider, verb, relayed=True))

    @step(place=places, shifted=st.booleans())
    def relay_a_listing(self, place: int, shifted: bool) -> None:
        self._step(self.bench.service_again(place, shifted=shifted))

    @step(party=who, ids=st.lists(st.integers(0, 6), min_size=1, max_size=3))
    def relay_modules(self, party: str, ids: list[int]) -> None:
        self._step(self.bench.modules(party, ids))

    @step(provider=providers, ids=st.lists(st.integers(0, 6), min_size=1, max_size=3))
    def relay_modules_as_a_listing(self, provider: str, ids: list[int]) -> None:
        async def both() -> None:
            await self.bench.modules(provider, ids)
            await self.bench.service_again(-1)

        self._step(both())

    @step(provider=providers)
    def relay_a_deletion(self, provider: str) -> None:
        self._step(self.bench.delete_service(provider, relayed=True))

    @step(provider=providers, named=providers)
    def relay_an_agreement_as_a_deletion(self, provider: str, named: str) -> None:
        async def both() -> None:
            await self.bench.agreement(provider, named, "createAgreement", relayed=True)
            await self.bench.delete_service(provider, relayed=True, named=named)

        self._step(both())

    @step(party=who)
    def relay_a_departure(self, party: str) -> None:
        self._step(self.bench.leave(party, relayed=True))

    @step(provider=providers)
    def agree_as_nobody(self, provider: str) -> None:
        self._step(self.bench.zero_address(provider))

    # --- the chain and the agent ----------------------------------------------------------------------------------

    @step(blocks=st.integers(1, 3))
    def mine(self, blocks: int) -> None:
        self._step(self.bench.mine(blocks))

    @step()
    def remember(self) -> None:
        self._step(self.bench.remember())

    @precondition(lambda self: bool(self.bench.snapshots))
    @step(place=places, higher=st.integers(1, 3))
    def fork(self, place: int, higher: int) -> None:
        self._step(self.bench.fork(place, higher))

    @step()
    def restart(self) -> None:
        self._step(self.bench.watch())

    @step()
    def audit(self) -> None:
        report = self._run(self.bench.watched.auditor.audit_once())
        assert (report.differences, report.recovered) == (0, 0)

    # --- the operator ---------------------------------------------------------------------------------------------

    @step(customer=st.sampled_from(("", *CUSTOMERS)), provider=st.sampled_from(("", *PROVIDERS)))
    @precondition(lambda self: not self.bench.model.stops)
    def stop(self, customer: str, provider: str) -> None:
        self._step(self.bench.stop(customer, provider))

    @precondition(lambda self: bool(self.bench.model.stops))
    @step()
    def unstop(self) -> None:
        self._step(self.bench.unstop())

    @step(customer=customers, provider=providers)
    def confirm(self, customer: str, provider: str) -> None:
        self._step(self.bench.confirm(customer, provider))

    @step(customer=customers)
    def confirm_key(self, customer: str) -> None:
        self._step(self.bench.confirm_key(customer))

    # --- what must hold -------------------------------------------------------------------------------------------

    @invariant()
    def index_and_model_agree(self) -> None:
        bench, model = self.bench, self.bench.model
        if not hasattr(bench, "watched"):
            return
        now = self._run(bench.now())
        expected: dict[tuple[str, str], set[tuple[str, str]]] = {}
        for customer in CUSTOMERS:
            for provider in PROVIDERS:
                wanted = model.standing(customer, provider, now)
                verdict = bench.verdict(customer, provider)
                found = "closed" if verdict is None else verdict.standing.value
                assert found == wanted, (customer, provider, wanted, verdict)
                self.count("verdicts", {found if verdict is None else f"{found} {verdict.rule}": 1})
                closed = wanted == "closed"
                if closed and verdict is not None:
                    assert verdict.remedy, "whoever is closed is told what can be done"
                    assert verdict.transaction_hash or verdict.rule in _OF_NO_TRANSACTION, verdict
                interfaces = set() if closed else model.interfaces(customer, provider, now)
                expected[customer, provider] = interfaces
                self.mutants.judge(bench.index, customer, provider, wanted=wanted, interfaces=interfaces)
        for module in MODULES:
            for role in ROLES:
                heard = {pair for key in KEYS for pair in bench.heard(key, module, role)}
                assert heard == {pair for pair, interfaces in expected.items() if (module, role) in interfaces}


#: a stop is a decision; who never was in the registry, or was seen to change without a log, has no transaction
_OF_NO_TRANSACTION = {"C1", "C5", "C7"}

# The chain's EVM sets a limit of its own.
pytestmark = pytest.mark.filterwarnings("ignore:The recursion limit will not be reset")
_QUIET = (HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large)


def try_each_cause_alone() -> None:
    """Everything is put right before each cause, so that nothing else stands in the way."""
    history, provider = Histories(), "billing"
    try:
        history.begin()
        for cause in CAUSES:
            history.one_cause_alone(cause=cause, customer="cpo", provider=provider, blocks=CONFIRMATIONS - 1)
            history.index_and_model_agree()
            history.mine(blocks=2)
            history.index_and_model_agree()
            if cause == "nothing":
                verdict = history.bench.verdict("cpo", provider)
                assert verdict is not None
                assert verdict.standing.value == "open", "all was put right"
    finally:
        history.teardown()


@pytest.mark.timeout(900)
def test_each_cause_alone_has_the_effect_that_the_model_says() -> None:
    """Where only one rule stands in the way, a defect in it shows: there is none of which nothing would be noticed."""
    Histories.mutants = Mutants()
    try_each_cause_alone()
    assert Histories.mutants.survivors == set()


@pytest.mark.timeout(900)
def test_two_hundred_steps_of_random_histories() -> None:
    run_state_machine_as_test(
        Histories,
        settings=settings(
            max_examples=4,
            stateful_step_count=50,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=_QUIET,
        ),
    )


#: without these a night would prove less than it says
_MUST_BE_ACCEPTED = (
    "createAgreementRaw",
    "revokeAgreementRaw",
    "setServiceRaw",
    "deleteServiceRaw",
    "setPartyRaw",
    "setPartyModulesRaw",
    "deletePartyRaw",
    "setNode",
    "deleteNode",
)
_MUST_BE_SAID = ("open C2", *(f"closed C{n}" for n in (1, 2, 4, 5, 6, 7, 10, 11)), "held C4", "held C11", "held C12")


@pytest.mark.nightly
def test_ten_thousand_steps_of_random_histories() -> None:
    Histories.told.clear()
    Histories.mutants = Mutants()
    run_state_machine_as_test(
        Histories,
        settings=settings(
            max_examples=int(os.environ.get("HISTORIES", "125")),
            stateful_step_count=100,
            deadline=None,
            database=None,
            suppress_health_check=_QUIET,
        ),
    )
    for kind, counts in Histories.told.items():
        print(f"{kind}: {sum(counts.values())}", dict(counts.most_common()))  # noqa: T201  read with pytest -rP
    print("mutants caught:", dict(Histories.mutants.caught.most_common()))  # noqa: T201
    steps, accepted, verdicts = (Histories.told[kind] for kind in ("steps", "accepted", "verdicts"))
    assert sum(steps.values()) >= 10_000
    assert set(steps) == STEPS
    assert [name for name in _MUST_BE_ACCEPTED if not accepted[name]] == []
    assert [said for said in _MUST_BE_SAID if not verdicts[said]] == []
    if Histories.mutants.survivors:
        try_each_cause_alone()  # chance need not make each of two dozen rules the only one in the way
    assert Histories.mutants.survivors == set()
