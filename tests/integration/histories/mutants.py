"""Defects that the histories must notice: each rule left out in turn, and some rules bent.

They are not planted into the program. At each step every mutant judges the same facts as the real rules do; one that
ever says something else than the model would have been caught there.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from ocn_permission_agent.consent import rules
from ocn_permission_agent.consent.case import Case, Ground, case_of
from ocn_permission_agent.consent.index import ConsentIndex
from ocn_permission_agent.consent.settings import ConsentSettings
from ocn_permission_agent.ocpi.route import InterfaceRole, Module
from tests.chain_harness import wallet_address
from tests.integration.histories.model import CONFIRMATIONS, MODULES, ROLES, Interface

#: what they need does not happen here: logs that were lost, endpoints that contradict each other
OF_OTHER_TESTS = {"_c2_logs_and_state_agree", "_c2_logs_are_all_there", "_c8_view_is_undoubted"}


def _standing(case: Case, left_out: str = "") -> str:
    verdicts = (rule(case) for rule in rules.RULES if rule.__name__ != left_out)
    return next((verdict.standing.value for verdict in verdicts if verdict is not None), "open")


def _hasty(case: Case) -> str:
    """One confirmation less."""
    return _standing(replace(case, ground=replace(case.ground, confirmations=CONFIRMATIONS - 1)))


def _widened(case: Case) -> Case:
    """What the service lists now counts as agreed."""
    grant, service = case.pair.grant, case.service
    agreed = None if service is None else service.permissions
    return replace(case, pair=replace(case.pair, grant=replace(grant, agreed=agreed)))


def _unnarrowed(case: Case) -> Case:
    """What was agreed to is still asked for."""
    service = case.service
    kept = service and replace(service, permissions=case.pair.grant.agreed or frozenset[int]())
    return replace(case, service=kept)


_STANDINGS: dict[str, Callable[[Case], str]] = {"one confirmation less": _hasty} | {
    rule.__name__: lambda case, name=rule.__name__: _standing(case, name)  # type: ignore[misc]
    for rule in rules.RULES
}
_INTERFACES: dict[str, Callable[[Case], Case]] = {"widening counts": _widened, "narrowing does not": _unnarrowed}


class Mutants:
    """Counts how often each would have been caught."""

    def __init__(self) -> None:
        self.caught: Counter[str] = Counter()

    @property
    def survivors(self) -> set[str]:
        """Those that nobody noticed, though something could have happened that shows them."""
        return ({*_STANDINGS, *_INTERFACES} - OF_OTHER_TESTS) - set(self.caught)

    def judge(
        self, index: ConsentIndex, customer: str, provider: str, *, wanted: str, interfaces: set[Interface]
    ) -> None:
        """Let all of them judge a pair of which the model says this."""
        pair = index.facts.pair(wallet_address(customer), wallet_address(provider))
        if pair is None:
            return
        ground = Ground(
            facts=index.facts,
            block_number=index.block_number,
            own_operator=index.own_operator,
            confirmations=CONFIRMATIONS,
            settings=ConsentSettings(),
            decisions=index.decisions,
            distrust=index.distrust,
            doubt=index.doubt,
        )
        case = case_of(ground, pair)
        assert _standing(case) == wanted, "the real rules, asked in this way, say what the index says"
        self.caught.update(name for name, judge in _STANDINGS.items() if judge(case) != wanted)
        if wanted != "closed":
            self.caught.update(name for name, bend in _INTERFACES.items() if _open_to(bend(case)) != interfaces)


def _open_to(case: Case) -> set[Interface]:
    return {
        (module, role)
        for module in MODULES
        for role in ROLES
        if rules.judge_interface(case, (Module(module), InterfaceRole(role))) is None
    }
