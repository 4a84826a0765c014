"""What the operator decides: stops that always win, and confirmations of one fact each."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ocn_permission_agent.consent.decisions import (
    AgreementConfirmed,
    Decided,
    Decision,
    Decisions,
    PartyConfirmed,
    Stop,
    StopAdded,
    StopRemoved,
    decide,
)
from ocn_permission_agent.consent.events import Sent, ServiceObserved
from ocn_permission_agent.consent.index import ConsentIndex
from ocn_permission_agent.consent.settings import ConsentSettings
from ocn_permission_agent.consent.verdict import Standing, Verdict
from ocn_permission_agent.consent.view import ConsentView
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.route import InterfaceRole, Module
from tests.consent_factories import OTHER_OPERATOR, OWN_OPERATOR, History, a_history, address_of, observed, transaction
from tests.fakes import FakeClock

CPO, BIL = Party("DE", "CPO"), Party("NL", "BIL")
CPO_ADDRESS, BIL_ADDRESS = address_of(CPO), address_of(BIL)
RECEIVER = InterfaceRole.RECEIVER


def decided(*decisions: Decision) -> Decisions:
    holding = Decisions.none()
    for number, decision in enumerate(decisions, 1):
        at = datetime(2026, 3, 1, tzinfo=UTC)
        holding = decide(holding, Decided(number=number, at=at, by="anna", decision=decision))
    return holding


def stopped(stop: Stop) -> Decisions:
    return decided(StopAdded(stop=stop))


def billing(sent: Sent = Sent.DIRECT) -> History:
    history = a_history([("DE*CPO", "NL*BIL", {6, 8})])
    history.events.pop()
    history.toggle(CPO_ADDRESS, BIL_ADDRESS, sent)
    return history


def verdict_of(index: ConsentIndex, module: Module = Module.SESSIONS) -> Verdict:
    (status,) = [each for each in index.agreements() if each.customer_address == CPO_ADDRESS]
    return index.verdict(CPO_ADDRESS, BIL_ADDRESS, agreement=status.agreement, module=module, role=RECEIVER, fresh=True)


def assert_closed(index: ConsentIndex, rule: str, module: Module = Module.SESSIONS) -> Verdict:
    verdict = verdict_of(index, module)
    assert (verdict.standing, verdict.rule) == (Standing.CLOSED, rule), verdict
    assert index.providers_for(CPO, module, RECEIVER) == ()
    return verdict


def assert_open(index: ConsentIndex, module: Module = Module.SESSIONS) -> None:
    verdict = verdict_of(index, module)
    assert verdict.standing is Standing.OPEN, verdict
    assert len(index.providers_for(CPO, module, RECEIVER)) == 1


# --- C7 ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stop",
    [
        Stop(customer=CPO),
        Stop(customer=Party("de", "cpo")),
        Stop(provider=BIL),
        Stop(provider_address=BIL_ADDRESS),
        Stop(customer=CPO, provider=Party("nl", "bil")),
        Stop(customer=CPO, provider_address=BIL_ADDRESS),
    ],
)
def test_a_stop_closes_a_customer_a_provider_or_a_pair(stop: Stop) -> None:
    index = billing().index(decisions=stopped(stop))
    assert "stop remove" in assert_closed(index, "C7").remedy
    assert not index.has_agreements(CPO)


@pytest.mark.parametrize(
    "stop",
    [
        Stop(customer=Party("DE", "CPB")),
        Stop(provider=Party("NL", "BIX")),
        Stop(customer=CPO, provider=Party("FR", "ANA")),
        Stop(provider_address=CPO_ADDRESS),
        Stop(),
    ],
)
def test_a_stop_of_others_closes_nobody_else(stop: Stop) -> None:
    assert_open(billing().index(decisions=stopped(stop)))


def test_a_stop_may_be_for_one_module() -> None:
    index = billing().index(decisions=stopped(Stop(customer=CPO, module=Module.CDRS)))
    assert_closed(index, "C7", Module.CDRS)
    assert_open(index)


def test_a_stop_survives_new_agreements() -> None:
    history = billing()
    history.toggle(CPO_ADDRESS, BIL_ADDRESS)
    history.toggle(CPO_ADDRESS, BIL_ADDRESS)
    assert_closed(history.index(decisions=stopped(Stop(customer=CPO))), "C7")


def test_a_new_name_does_not_go_around_a_stop() -> None:
    history = a_history()
    history.party(Party("DE", "NEW"), operator=OWN_OPERATOR, address=CPO_ADDRESS)
    history.party(BIL, operator=OTHER_OPERATOR)
    history.service(BIL_ADDRESS, {6})
    history.toggle(CPO_ADDRESS, BIL_ADDRESS)
    index = history.index(decisions=stopped(Stop(customer=CPO, customer_address=CPO_ADDRESS)))
    assert verdict_of(index).rule == "C7"


def test_a_removed_stop_is_gone_and_removing_it_twice_is_harmless() -> None:
    stop = Stop(customer=CPO)
    added, removed = StopAdded(stop=stop), StopRemoved(stop=1)
    assert decided(added).number_of(Stop(customer=Party("de", "CPO"), customer_address=CPO_ADDRESS)) == 1
    assert decided(added).number_of(Stop(customer=CPO, module=Module.CDRS)) is None
    holding = decided(added, removed, removed)
    assert holding.number_of(stop) is None
    assert_open(billing().index(decisions=holding))


def test_decisions_act_at_once_and_on_every_index_to_come() -> None:
    clock = FakeClock()
    view = ConsentView(clock=clock, max_staleness_seconds=60, metrics=Metrics())
    told: list[int] = []
    view.on_publish(lambda: told.append(1))
    view.publish(billing().index())
    clock.step(10)
    age = view.age_seconds()
    view.decide(stopped(Stop(customer=CPO)))
    assert_closed(view.index, "C7")
    assert (view.age_seconds(), len(told)) == (age, 2)
    assert view.decisions == stopped(Stop(customer=CPO))
    view.publish(billing().index())
    assert_closed(view.index, "C7")
    view.decide(Decisions.none())
    assert_open(view.index)


# --- C1: pinned addresses ---------------------------------------------------------------------------------------------


def taken_over(*, begin: bool = True) -> History:
    """After the first sync the customer leaves, and somebody else takes its name at this node and agrees."""
    history = a_history([("NL*XXX", "NL*BIL", {6})])
    history.party(CPO, operator=OWN_OPERATOR, address=address_of("the old one"))
    if begin:
        history.begin_pins()
    history.party(None, operator=OWN_OPERATOR, address=address_of("the old one"))
    history.party(CPO, operator=OWN_OPERATOR, address=CPO_ADDRESS)
    history.toggle(CPO_ADDRESS, BIL_ADDRESS)
    return history


def test_a_freed_name_at_another_address_is_closed_until_confirmed() -> None:
    verdict = assert_closed(taken_over().index(), "C1")
    assert str(address_of("the old one")) in verdict.reason
    assert f"parties confirm DE*CPO --address {CPO_ADDRESS}" in verdict.remedy
    assert_open(taken_over().index(decisions=decided(PartyConfirmed(party=Party("de", "cpo"), address=CPO_ADDRESS))))
    other = decided(PartyConfirmed(party=CPO, address=address_of("the old one")))
    assert_closed(taken_over().index(decisions=other), "C1")


def test_the_first_sync_pins_what_it_finds() -> None:
    assert_open(taken_over(begin=False).index())
    history = taken_over(begin=False)
    history.begin_pins()
    history.begin_pins()
    assert_open(history.index())


def test_a_customer_that_left_is_at_no_other_address() -> None:
    history = taken_over()
    history.party(None, operator=OWN_OPERATOR, address=CPO_ADDRESS)
    (status,) = [each for each in history.index().agreements() if each.customer_address == CPO_ADDRESS]
    assert "has left the registry" in status.verdict.reason


def test_what_no_transaction_did_cannot_be_confirmed() -> None:
    history = billing()
    history.events.append(
        ServiceObserved(evidence=observed(99), provider=BIL_ADDRESS, permissions=frozenset(), listed=False)
    )
    history.service(BIL_ADDRESS, {6, 8})
    history.block_number = 100
    history.service(BIL_ADDRESS, {6, 8})
    assert not assert_closed(history.index(), "C5").confirmable


def test_a_first_registration_after_the_first_sync_is_pinned() -> None:
    history = a_history([("NL*XXX", "NL*BIL", {6})])
    history.begin_pins()
    history.party(CPO, operator=OWN_OPERATOR)
    history.toggle(CPO_ADDRESS, BIL_ADDRESS)
    assert_open(history.index())
    history.party(None, operator=OWN_OPERATOR, address=CPO_ADDRESS)
    history.party(CPO, operator=OWN_OPERATOR, address=address_of("a thief"))
    history.toggle(address_of("a thief"), BIL_ADDRESS)
    assert history.index().providers_for(CPO, Module.SESSIONS, RECEIVER) == ()


def test_a_party_that_was_at_another_node_before_is_not_pinned_by_that() -> None:
    history = a_history([("NL*XXX", "NL*BIL", {6})])
    history.party(CPO, operator=OTHER_OPERATOR, address=address_of("elsewhere"))
    history.begin_pins()
    history.party(None, operator=OTHER_OPERATOR, address=address_of("elsewhere"))
    history.party(CPO, operator=OWN_OPERATOR)
    history.toggle(CPO_ADDRESS, BIL_ADDRESS)
    assert_open(history.index())


# --- C6 ---------------------------------------------------------------------------------------------------------------

RELAYED = [Sent.RELAYED, Sent.INNER, Sent.UNKNOWN]


@pytest.mark.parametrize("sent", RELAYED)
def test_a_relayed_first_grant_counts_and_is_flagged(sent: Sent) -> None:
    index = billing(sent).index()
    assert_open(index)
    (status,) = index.agreements()
    assert status.sent is sent


@pytest.mark.parametrize("sent", RELAYED)
def test_a_relayed_first_grant_can_be_refused(sent: Sent) -> None:
    settings = ConsentSettings(require_direct_grant=True)
    verdict = assert_closed(billing(sent).index(settings=settings), "C6")
    assert verdict.confirmable
    assert_open(billing().index(settings=settings))


@pytest.mark.parametrize("sent", RELAYED)
def test_a_relayed_grant_after_any_revoke_is_closed_until_confirmed(sent: Sent) -> None:
    history = billing()
    history.toggle(CPO_ADDRESS, BIL_ADDRESS)
    agreement = history.toggle(CPO_ADDRESS, BIL_ADDRESS, sent)
    verdict = assert_closed(history.index(), "C6")
    assert (verdict.confirmable, verdict.transaction_hash) == (True, agreement.transaction_hash)
    assert "agreements confirm" in verdict.remedy
    confirmed = AgreementConfirmed(
        customer=CPO_ADDRESS, provider=BIL_ADDRESS, transaction_hash=agreement.transaction_hash
    )
    assert_open(history.index(decisions=decided(confirmed)))
    assert_closed(history.index(decisions=decided(replace(confirmed, transaction_hash=transaction(1)))), "C6")
    assert_closed(history.index(decisions=decided(replace(confirmed, customer=BIL_ADDRESS))), "C6")


def test_a_direct_grant_renews_what_replays_closed() -> None:
    history = billing(Sent.RELAYED)
    history.toggle(CPO_ADDRESS, BIL_ADDRESS, Sent.RELAYED)
    history.toggle(CPO_ADDRESS, BIL_ADDRESS, Sent.RELAYED)
    assert_closed(history.index(), "C6")
    history.toggle(CPO_ADDRESS, BIL_ADDRESS)
    assert_closed(history.index(), "C2")
    history.toggle(CPO_ADDRESS, BIL_ADDRESS)
    assert_open(history.index())


def test_a_revoke_with_a_signature_seen_before_is_marked() -> None:
    history = billing(Sent.RELAYED)
    history.toggle(CPO_ADDRESS, BIL_ADDRESS, Sent.RELAYED)
    assert "revoked by replay" in assert_closed(history.index(), "C6").reason
    first_use = billing()
    first_use.toggle(CPO_ADDRESS, BIL_ADDRESS, Sent.RELAYED)
    assert_closed(first_use.index(), "C2")


# --- C5, C11: facts that may be confirmed -----------------------------------------------------------------------------


def confirmed_by(verdict: Verdict) -> Decisions:
    assert verdict.transaction_hash is not None
    return decided(
        AgreementConfirmed(customer=CPO_ADDRESS, provider=BIL_ADDRESS, transaction_hash=verdict.transaction_hash)
    )


@pytest.mark.parametrize(("sent", "confirmable"), [(Sent.DIRECT, False), (Sent.RELAYED, True), (Sent.INNER, True)])
def test_only_a_deletion_by_others_can_be_confirmed(sent: Sent, *, confirmable: bool) -> None:
    history = billing()
    history.service(BIL_ADDRESS, {6, 8}, nameless=True, sent=sent)
    history.service(BIL_ADDRESS, {6, 8})
    verdict = assert_closed(history.index(), "C5")
    assert verdict.confirmable is confirmable
    again = history.index(decisions=confirmed_by(verdict))
    if confirmable:
        assert_open(again)
    else:
        assert_closed(again, "C5")


def test_confirming_one_deletion_does_not_undo_another() -> None:
    history = billing()
    history.service(BIL_ADDRESS, {6, 8}, nameless=True)
    history.service(BIL_ADDRESS, {6, 8}, nameless=True, sent=Sent.RELAYED)
    relayed = history.events[-1].evidence.transaction_hash
    history.service(BIL_ADDRESS, {6, 8})
    verdict = assert_closed(history.index(), "C5")
    assert not verdict.confirmable, "the provider's own deletion is for good"
    assert relayed is not None
    confirmed = AgreementConfirmed(customer=CPO_ADDRESS, provider=BIL_ADDRESS, transaction_hash=relayed)
    assert_closed(history.index(decisions=decided(confirmed)), "C5")


def test_each_departure_is_confirmed_by_itself() -> None:
    history = billing()
    for _ in range(2):
        history.party(None, operator=OWN_OPERATOR, address=CPO_ADDRESS)
        history.party(CPO, operator=OWN_OPERATOR)
    first = assert_closed(history.index(), "C5")
    second = assert_closed(history.index(decisions=confirmed_by(first)), "C5")
    assert second.transaction_hash != first.transaction_hash
    both = [
        AgreementConfirmed(customer=CPO_ADDRESS, provider=BIL_ADDRESS, transaction_hash=each.transaction_hash or "")
        for each in (first, second)
    ]
    assert_open(history.index(decisions=decided(*both)))


def test_of_very_many_ends_the_oldest_cannot_be_confirmed_away() -> None:
    history = billing()
    confirmed = []
    for _ in range(101):
        history.party(None, operator=OWN_OPERATOR, address=CPO_ADDRESS)
        transaction_hash = history.events[-1].evidence.transaction_hash or ""
        confirmed.append(
            AgreementConfirmed(customer=CPO_ADDRESS, provider=BIL_ADDRESS, transaction_hash=transaction_hash)
        )
        history.party(CPO, operator=OWN_OPERATOR)
    assert len(history.facts().parties[CPO_ADDRESS].departures) == 100
    assert not assert_closed(history.index(decisions=decided(*confirmed)), "C5").confirmable


@pytest.mark.parametrize("party", [CPO, BIL])
def test_a_party_that_left_and_returned_can_be_confirmed(party: Party) -> None:
    operator = OWN_OPERATOR if party is CPO else OTHER_OPERATOR
    history = billing()
    history.party(None, operator=operator, address=address_of(party))
    history.party(party, operator=operator)
    assert_open(history.index(decisions=confirmed_by(assert_closed(history.index(), "C5"))))


def test_a_new_name_of_the_provider_can_be_confirmed_once() -> None:
    history = billing()
    history.party(Party("NL", "NEW"), operator=OTHER_OPERATOR, address=BIL_ADDRESS)
    first = confirmed_by(assert_closed(history.index(), "C11"))
    assert_open(history.index(decisions=first))
    history.party(Party("NL", "ODD"), operator=OTHER_OPERATOR, address=BIL_ADDRESS)
    assert_closed(history.index(decisions=first), "C11")


# --- C8 ---------------------------------------------------------------------------------------------------------------


def test_a_doubt_about_our_view_holds_everybody_and_is_named() -> None:
    index = billing().index(doubt="two endpoints contradict each other")
    verdict = verdict_of(index)
    assert (verdict.standing, verdict.rule) == (Standing.HELD, "C8")
    assert verdict.reason == "two endpoints contradict each other"
    assert len(index.providers_for(CPO, Module.SESSIONS, RECEIVER)) == 1
    assert (index.doubt, index.distrust) == ("two endpoints contradict each other", None)


def test_a_doubt_never_hides_that_consent_is_absent() -> None:
    history = billing()
    history.toggle(CPO_ADDRESS, BIL_ADDRESS)
    assert verdict_of(history.index(doubt="a doubt")).rule == "C2"
