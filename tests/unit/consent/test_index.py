"""Who must hear a request, and why somebody does not: the rules, asked through the index."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from ocn_permission_agent.consent.address import ZERO, AgreementId
from ocn_permission_agent.consent.case import Ground, case_of
from ocn_permission_agent.consent.events import (
    AgreementObserved,
    KeyObserved,
    OperatorUnreadable,
    PartyUnreadable,
    RevokeReorganised,
    ServiceUnreadable,
)
from ocn_permission_agent.consent.facts import Facts
from ocn_permission_agent.consent.index import ConsentIndex
from ocn_permission_agent.consent.rules import judge
from ocn_permission_agent.consent.settings import ConsentSettings
from ocn_permission_agent.consent.verdict import Standing, Verdict
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.route import InterfaceRole, Module
from tests.consent_factories import (
    OTHER_DOMAIN,
    OTHER_OPERATOR,
    OWN_DOMAIN,
    OWN_OPERATOR,
    History,
    a_history,
    address_of,
    an_index,
    observed,
)

CPO, BIL = Party("DE", "CPO"), Party("NL", "BIL")
CPO_ADDRESS, BIL_ADDRESS = address_of(CPO), address_of(BIL)
RECEIVER, SENDER = InterfaceRole.RECEIVER, InterfaceRole.SENDER


def billing(*permissions: int) -> History:
    return a_history([("DE*CPO", "NL*BIL", permissions or (6, 8))])


def agreement_of(index: ConsentIndex) -> AgreementId:
    (status,) = index.agreements()
    return status.agreement


def verdict_of(
    index: ConsentIndex,
    module: Module = Module.SESSIONS,
    *,
    agreement: AgreementId | None = None,
    fresh: bool = True,
) -> Verdict:
    return index.verdict(
        CPO_ADDRESS,
        BIL_ADDRESS,
        agreement=agreement or agreement_of(index),
        module=module,
        role=RECEIVER,
        fresh=fresh,
    )


def assert_closed(index: ConsentIndex, rule: str) -> Verdict:
    """Both questions, planning and sending, get the same answer."""
    verdict = verdict_of(index)
    assert (verdict.standing, verdict.rule) == (Standing.CLOSED, rule), verdict
    assert index.providers_for(CPO, Module.SESSIONS, RECEIVER) == ()
    return verdict


def assert_held(index: ConsentIndex, rule: str) -> Verdict:
    verdict = verdict_of(index)
    assert (verdict.standing, verdict.rule) == (Standing.HELD, rule), verdict
    assert len(index.providers_for(CPO, Module.SESSIONS, RECEIVER)) == 1
    return verdict


def test_nobody_is_known_before_the_first_sync() -> None:
    index = ConsentIndex.empty()
    assert not index.has_agreements(CPO)
    assert index.providers_for(CPO, Module.SESSIONS, RECEIVER) == ()
    assert index.route_to(BIL_ADDRESS) is None
    assert (list(index.services()), list(index.agreements())) == ([], [])
    assert index.verdict(
        CPO_ADDRESS,
        BIL_ADDRESS,
        agreement=AgreementId("0x", 0),
        module=Module.SESSIONS,
        role=RECEIVER,
        fresh=True,
    ).closed


@pytest.mark.parametrize("sender", [CPO, Party("de", "cpo"), Party("De", "cPo")])
def test_a_customer_is_found_in_any_letter_case_and_copied_in_its_own(sender: Party) -> None:
    index = an_index([("DE*CPO", "NL*BIL", {6, 8})])
    assert index.has_agreements(sender)
    for _ in range(2):
        (entitlement,) = index.providers_for(sender, Module.SESSIONS, RECEIVER)
        assert (entitlement.customer, entitlement.customer_address) == (CPO, CPO_ADDRESS)
        assert (entitlement.provider, entitlement.provider_address) == (BIL, BIL_ADDRESS)
    assert index.providers_for(sender, Module.SESSIONS, SENDER) == ()


def test_a_party_without_agreements_has_none() -> None:
    index = an_index([("DE*CPO", "NL*BIL", {6, 8})])
    for stranger in (BIL, Party("DE", "XXX")):
        assert not index.has_agreements(stranger)
        assert index.providers_for(stranger, Module.SESSIONS, RECEIVER) == ()


def test_each_service_hears_what_it_was_agreed_with() -> None:
    index = an_index([("DE*CPO", "NL*BIL", {6}), ("DE*CPO", "FR*ANA", {0}), ("DE*CPB", "NL*BIL", {6})])
    heard = {e.provider for e in index.providers_for(CPO, Module.SESSIONS, RECEIVER)}
    assert heard == {BIL, Party("FR", "ANA")}
    assert {e.provider for e in index.providers_for(CPO, Module.CDRS, RECEIVER)} == {Party("FR", "ANA")}


def test_an_open_verdict_names_the_grant() -> None:
    verdict = verdict_of(billing().index())
    assert verdict.standing is Standing.OPEN
    assert verdict.transaction_hash == agreement_of(billing().index()).transaction_hash
    assert verdict.block_number == 6


# --- C1 ---------------------------------------------------------------------------------------------------------------


def test_twins_close_each_other() -> None:
    history = billing()
    history.party(Party("de", "cpo"), operator=OWN_OPERATOR)
    assert_closed(history.index(), "C1")
    history = billing()
    history.party(Party("nl", "bil"), operator=OWN_OPERATOR)
    assert_closed(history.index(), "C1")


def test_the_registry_must_find_the_same_address_by_the_partys_name() -> None:
    history = billing()
    history.events.append(KeyObserved(evidence=observed(9), party=BIL, address=OWN_OPERATOR))
    assert_closed(history.index(), "C1")


@pytest.mark.parametrize("who", [CPO, BIL])
def test_a_party_that_is_not_registered_is_nobody(who: Party) -> None:
    history = billing()
    history.party(None, operator=ZERO, address=address_of(who))
    assert_closed(history.index(), "C1")


def test_parties_that_were_never_registered_are_nobody() -> None:
    history = History()
    history.service(BIL_ADDRESS, {6})
    history.toggle(CPO_ADDRESS, BIL_ADDRESS)
    index = history.index()
    assert_closed(index, "C1")
    history.party(CPO, operator=OWN_OPERATOR)
    assert_closed(history.index(), "C1")
    (status,) = history.index().agreements()
    assert (status.customer, status.provider) == (CPO, None)


def test_a_customer_of_another_node_is_not_ours() -> None:
    history = billing()
    history.party(CPO, operator=OTHER_OPERATOR)
    verdict = assert_closed(history.index(), "C1")
    assert verdict.block_number == history.block_number
    elsewhere = History()
    elsewhere.party(CPO, operator=OTHER_OPERATOR)
    elsewhere.toggle(CPO_ADDRESS, BIL_ADDRESS)
    assert_closed(elsewhere.index(), "C1")


# --- C2 ---------------------------------------------------------------------------------------------------------------


def test_a_revoke_closes_with_its_own_transaction() -> None:
    history = billing()
    history.toggle(CPO_ADDRESS, BIL_ADDRESS)
    verdict = assert_closed(history.index(), "C2")
    assert verdict.block_number == history.block_number


def test_what_was_planned_under_an_earlier_agreement_never_goes_out() -> None:
    history = billing()
    earlier = agreement_of(history.index())
    history.toggle(CPO_ADDRESS, BIL_ADDRESS)
    history.toggle(CPO_ADDRESS, BIL_ADDRESS)
    index = history.index()
    assert verdict_of(index).standing is Standing.OPEN
    assert (verdict_of(index, agreement=earlier).closed, verdict_of(index, agreement=earlier).rule) == (True, "C2")


def test_logs_and_state_that_differ_close() -> None:
    history = billing()
    history.events.append(
        AgreementObserved(evidence=observed(9), customer=CPO_ADDRESS, provider=BIL_ADDRESS, stands=False)
    )
    assert_closed(history.index(), "C2")


# --- C3 ---------------------------------------------------------------------------------------------------------------


def test_widening_is_withheld_and_narrowing_counts() -> None:
    history = billing(6)
    history.service(BIL_ADDRESS, {6, 8})
    index = history.index()
    assert verdict_of(index).standing is Standing.OPEN
    assert verdict_of(index, Module.CDRS).rule == "C3"
    history.service(BIL_ADDRESS, {8})
    assert verdict_of(history.index()).rule == "C3"
    assert history.index().has_agreements(CPO)


@pytest.mark.parametrize("wide", [0, 2])
def test_commands_go_only_where_they_are_named(wide: int) -> None:
    for module, number in ((Module.COMMANDS, 14), (Module.CHARGING_PROFILES, 16)):
        silent = verdict_of(billing(wide).index(), module)
        assert (silent.rule, silent.reason.startswith("agreed, not sent")) == ("C3", True)
        assert verdict_of(billing(wide, number).index(), module).standing is Standing.OPEN
        assert verdict_of(billing(number).index(), module).standing is Standing.OPEN
        named = ConsentSettings(copy_commands=frozenset({BIL}))
        assert verdict_of(billing(wide).index(settings=named), module).standing is Standing.OPEN


def test_naming_commands_after_the_agreement_is_withheld() -> None:
    history = billing(0)
    history.service(BIL_ADDRESS, {0, 14})
    assert verdict_of(history.index(), Module.COMMANDS).rule == "C3"


# --- C4 ---------------------------------------------------------------------------------------------------------------


def test_a_grant_waits_for_its_confirmations() -> None:
    history = billing()
    assert_closed(history.index(confirmations=1), "C4")
    history.mine()
    assert verdict_of(history.index(confirmations=1)).standing is Standing.OPEN
    assert_closed(history.index(confirmations=2), "C4")


def test_a_new_registration_waits_for_its_confirmations() -> None:
    history = History()
    history.party(CPO, operator=OWN_OPERATOR)
    history.service(BIL_ADDRESS, {6})
    history.toggle(CPO_ADDRESS, BIL_ADDRESS)
    history.mine(10)
    history.operator(OTHER_OPERATOR, OTHER_DOMAIN)
    history.party(BIL, operator=OTHER_OPERATOR)
    assert "registration" in assert_closed(history.index(confirmations=3), "C4").reason


def test_a_reorganised_revoke_waits_anew() -> None:
    history = billing()
    history.mine(20)
    history.events.append(
        RevokeReorganised(evidence=observed(history.block_number), customer=CPO_ADDRESS, provider=BIL_ADDRESS)
    )
    assert_closed(history.index(confirmations=12), "C4")


def test_redirects_hold_until_they_are_confirmed() -> None:
    moves: dict[str, Callable[[History], None]] = {
        "the domain of the provider's node": lambda h: h.operator(OTHER_OPERATOR, "https://new.example"),
        "the provider's new entry": lambda h: h.party(BIL, operator=OWN_OPERATOR),
        "the customer's new entry": lambda h: h.party(Party("DE", "CPX"), operator=OWN_OPERATOR, address=CPO_ADDRESS),
    }
    for what, move in moves.items():
        history = billing()
        history.mine(20)
        move(history)
        verdict = verdict_of(history.index(confirmations=12))
        assert (verdict.standing, verdict.rule) == (Standing.HELD, "C4")
        assert verdict.reason.startswith(what)
        history.mine(12)
        assert verdict_of(history.index(confirmations=12)).standing is Standing.OPEN


# --- C5, C11 ----------------------------------------------------------------------------------------------------------


def test_a_deleted_service_ends_its_agreements_for_good() -> None:
    history = billing()
    history.service(BIL_ADDRESS, {6, 8}, nameless=True)
    assert_closed(history.index(), "C5")
    history.service(BIL_ADDRESS, {6, 8})
    assert_closed(history.index(), "C5")
    history.toggle(CPO_ADDRESS, BIL_ADDRESS)
    history.toggle(CPO_ADDRESS, BIL_ADDRESS)
    assert verdict_of(history.index()).standing is Standing.OPEN


@pytest.mark.parametrize("who", [CPO, BIL])
def test_a_party_that_left_and_returned_must_be_agreed_with_anew(who: Party) -> None:
    history = billing()
    history.party(None, operator=ZERO, address=address_of(who))
    history.party(who, operator=OWN_OPERATOR)
    assert_closed(history.index(), "C5")


def test_a_renamed_provider_is_closed_until_renewed() -> None:
    history = billing()
    history.party(Party("NL", "BIX"), operator=OTHER_OPERATOR, address=BIL_ADDRESS)
    assert_closed(history.index(), "C11")
    history.toggle(CPO_ADDRESS, BIL_ADDRESS)
    history.toggle(CPO_ADDRESS, BIL_ADDRESS)
    assert verdict_of(history.index()).standing is Standing.OPEN


def test_a_node_without_domain_holds() -> None:
    history = billing()
    history.operator(OTHER_OPERATOR, "")
    assert_held(history.index(), "C11")
    unknown = billing()
    unknown.party(BIL, operator=address_of("nobody"))
    assert_held(unknown.index(), "C11")


# --- C8, C10, C12 -----------------------------------------------------------------------------------------------------


def test_a_stale_view_holds_and_never_hides_a_closed_one() -> None:
    history = billing()
    assert verdict_of(history.index(), fresh=False).rule == "C8"
    assert verdict_of(history.index(), fresh=False).standing is Standing.HELD
    assert verdict_of(history.index(), Module.TOKENS, fresh=False).rule == "C3"
    history.operator(OTHER_OPERATOR, "")
    assert verdict_of(history.index(), fresh=False).rule == "C11"
    history.toggle(CPO_ADDRESS, BIL_ADDRESS)
    assert verdict_of(history.index(), fresh=False).rule == "C2"


def test_a_quarantine_closes_whom_it_names_and_nobody_else() -> None:
    for event in (
        ServiceUnreadable(evidence=observed(20), provider=BIL_ADDRESS, why="large"),
        PartyUnreadable(evidence=observed(20), address=BIL_ADDRESS, why="large"),
        PartyUnreadable(evidence=observed(20), address=CPO_ADDRESS, why="large"),
    ):
        history = a_history([("DE*CPO", "NL*BIL", {6}), ("DE*CPB", "FR*ANA", {6})])
        history.events.append(event)
        index = history.index()
        (closed,) = [each for each in index.agreements() if each.verdict.closed]
        assert (closed.customer, closed.verdict.rule) == (CPO, "C10")
        assert "large" in closed.verdict.reason

    history = billing()
    history.events.append(OperatorUnreadable(evidence=observed(20), operator=OTHER_OPERATOR, why="large"))
    assert_closed(history.index(), "C10")


def test_an_agreement_to_an_unreadable_listing_is_closed() -> None:
    history = a_history()
    history.party(CPO, operator=OWN_OPERATOR)
    history.party(BIL, operator=OTHER_OPERATOR)
    history.events.append(ServiceUnreadable(evidence=history.mine(), provider=BIL_ADDRESS, why="large"))
    history.toggle(CPO_ADDRESS, BIL_ADDRESS)
    history.service(BIL_ADDRESS, {6})
    verdict = assert_closed(history.index(), "C10")
    assert "unknown" in verdict.reason
    (status,) = history.index().agreements()
    assert status.agreed is None


def test_a_service_that_was_never_listed_is_none() -> None:
    history = a_history()
    history.party(CPO, operator=OWN_OPERATOR)
    history.party(BIL, operator=OTHER_OPERATOR)
    history.toggle(CPO_ADDRESS, BIL_ADDRESS)
    assert history.index().providers_for(CPO, Module.SESSIONS, RECEIVER) == ()
    facts = history.facts()
    pair = facts.pair(CPO_ADDRESS, BIL_ADDRESS)
    assert pair is not None
    known = replace(pair, grant=replace(pair.grant, agreed=frozenset({6})))
    ground = Ground(facts=facts, block_number=9, own_operator=OWN_OPERATOR, confirmations=0, settings=ConsentSettings())
    assert judge(case_of(ground, known)).rule == "C5"


def test_distrust_of_the_chain_holds_and_never_hides_what_is_closed() -> None:
    history = billing()
    index = history.index(distrust="the endpoint serves chain 1, not 246", doubt="it is behind")
    verdict = assert_held(index, "C12")
    assert "serves chain 1" in verdict.reason
    assert index.distrust is not None
    assert index.has_agreements(CPO), "what comes in meanwhile is recorded"
    history.toggle(CPO_ADDRESS, BIL_ADDRESS)
    assert_closed(history.index(distrust="the endpoint serves chain 1, not 246"), "C2")


def test_without_this_nodes_operator_nobody_is_its_customer() -> None:
    history = billing()
    history.operator(OWN_OPERATOR, "")
    verdict = assert_closed(history.index(), "C1")
    assert (verdict.transaction_hash, verdict.block_number) != (None, None)
    history.operator(OWN_OPERATOR, OWN_DOMAIN)
    assert verdict_of(history.index()).standing is Standing.OPEN
    history.events.append(OperatorUnreadable(evidence=history.mine(), operator=OWN_OPERATOR, why="large"))
    assert_closed(history.index(), "C10")


# --- routes and lists -------------------------------------------------------------------------------------------------


def test_a_route_tells_node_and_domain() -> None:
    index = a_history([("DE*CPO", "NL*BIL", {6}), ("DE*CPO", "DE*ANA", {6})], own_providers=["DE*ANA"]).index()
    remote, own = index.route_to(BIL_ADDRESS), index.route_to(address_of("DE*ANA"))
    assert remote is not None
    assert (remote.operator, remote.domain, remote.own) == (OTHER_OPERATOR, OTHER_DOMAIN, False)
    assert own is not None
    assert own.own
    assert index.route_to(address_of("nobody")) is None


def test_a_party_that_left_has_no_route() -> None:
    history = billing()
    history.party(None, operator=ZERO, address=BIL_ADDRESS)
    assert history.index().route_to(BIL_ADDRESS) is None


def test_services_and_agreements_can_be_listed() -> None:
    index = billing().index()
    (service,) = index.services()
    assert (service.party, service.permissions, service.listed, service.doubt) == (BIL, (6, 8), True, None)
    (agreement,) = index.agreements()
    assert (agreement.customer, agreement.provider, agreement.agreed) == (CPO, BIL, (6, 8))
    history = billing()
    history.events.append(ServiceUnreadable(evidence=observed(20), provider=BIL_ADDRESS, why="large"))
    (doubted,) = history.index().services()
    assert doubted.doubt == "large"


def test_two_indexes_share_what_did_not_change() -> None:
    history = a_history([("DE*CPO", "NL*BIL", {6})])
    before = history.index().facts
    history.toggle(CPO_ADDRESS, address_of("FR*ANA"))
    after = history.index().facts
    assert after != before
    assert after.parties == before.parties
    assert Facts.none() != before
