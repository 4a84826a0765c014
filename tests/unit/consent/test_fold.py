"""What each event changes of what is known, and that observations which say nothing new change nothing."""

from dataclasses import replace

import pytest

from ocn_permission_agent.consent.address import ZERO, Address, AgreementId
from ocn_permission_agent.consent.events import (
    AgreementObserved,
    AgreementToggled,
    DeletionsCounted,
    Event,
    GrantsCounted,
    KeyObserved,
    OperatorChanged,
    OperatorUnreadable,
    PartyChanged,
    PartyUnreadable,
    RevokeReorganised,
    Sent,
    ServiceListed,
    ServiceObserved,
    ServiceUnreadable,
)
from ocn_permission_agent.consent.facts import Facts, PartyFacts, ServiceFacts
from ocn_permission_agent.consent.fold import apply
from ocn_permission_agent.consent.pair import PairFacts
from ocn_permission_agent.ocpi.party import Party
from tests.consent_factories import OTHER_OPERATOR, OWN_OPERATOR, address_of, evidence, observed

CPO, BIL = address_of("DE*CPO"), address_of("NL*BIL")
CPO_PARTY = Party("DE", "CPO")


def facts_after(*events: Event) -> Facts:
    facts = Facts.none()
    for event in events:
        facts = apply(facts, event)
    return facts


def toggled(block: int, customer: Address = CPO, provider: Address = BIL) -> AgreementToggled:
    return AgreementToggled(evidence=evidence(block), customer=customer, provider=provider, sent=Sent.DIRECT)


def listed(block: int, *permissions: int, nameless: bool = False, provider: Address = BIL) -> ServiceListed:
    return ServiceListed(
        evidence=evidence(block),
        provider=provider,
        name="" if nameless else "n",
        url="",
        permissions=frozenset(permissions),
        nameless=nameless,
    )


def service_seen(block: int, *permissions: int, is_listed: bool = True) -> ServiceObserved:
    return ServiceObserved(evidence=observed(block), provider=BIL, permissions=frozenset(permissions), listed=is_listed)


def entry(block: int, party: Party | None, operator: Address = OWN_OPERATOR) -> PartyChanged:
    return PartyChanged(evidence=evidence(block), address=CPO, party=party, operator=operator)


def entry_seen(block: int, party: Party | None, operator: Address = OWN_OPERATOR) -> PartyChanged:
    return replace(entry(block, party, operator), evidence=observed(block))


def the_pair(facts: Facts) -> PairFacts:
    pair = facts.pair(CPO, BIL)
    assert pair is not None
    return pair


def the_service(facts: Facts) -> ServiceFacts:
    return facts.services[BIL]


def the_party(facts: Facts) -> PartyFacts:
    return facts.parties[CPO]


# --- agreements -------------------------------------------------------------------------------------------------------


def test_odd_toggles_agree_and_even_ones_revoke() -> None:
    facts = Facts.none()
    for block, expected in ((1, True), (2, False), (3, True), (4, False)):
        facts = apply(facts, toggled(block))
        assert the_pair(facts).agreed is expected
        assert the_pair(facts).newest == evidence(block)


def test_a_grant_keeps_what_the_service_listed_at_that_moment() -> None:
    pair = the_pair(facts_after(listed(1, 6), toggled(2), listed(3, 6, 8)))
    assert pair.grant.agreed == frozenset({6})
    assert pair.grant.evidence.agreement == AgreementId(evidence(2).transaction_hash or "", 0)
    assert pair.waits_from == 2


def test_agreeing_anew_takes_the_listing_of_then() -> None:
    pair = the_pair(facts_after(listed(1, 6), toggled(2), listed(3, 6, 8), toggled(4), toggled(5)))
    assert pair.grant.agreed == frozenset({6, 8})
    assert pair.waits_from == 5


def test_a_revoke_keeps_the_grant_for_its_reason() -> None:
    pair = the_pair(facts_after(listed(1, 6), toggled(2), toggled(3)))
    assert pair.grant.evidence == evidence(2)


def test_a_grant_under_an_unknown_or_unreadable_listing_agrees_to_nothing_known() -> None:
    assert the_pair(facts_after(toggled(1))).grant.agreed is None
    unreadable = ServiceUnreadable(evidence=evidence(1), provider=BIL, why="large")
    assert the_pair(facts_after(unreadable, toggled(2))).grant.agreed is None


def test_a_flag_that_differs_from_the_logs_is_remembered_until_they_agree() -> None:
    seen = AgreementObserved(evidence=observed(3), customer=CPO, provider=BIL, stands=False)
    facts = facts_after(listed(1, 6), toggled(2), seen)
    assert the_pair(facts).contradicted == observed(3)
    assert apply(facts, replace(seen, evidence=observed(4))) is facts
    facts = apply(facts, toggled(5))
    assert the_pair(facts).contradicted is not None
    facts = apply(facts, replace(seen, evidence=observed(5)))
    assert the_pair(facts).contradicted is None
    facts = apply(apply(facts, replace(seen, evidence=observed(6), stands=True)), toggled(7))
    assert the_pair(facts).contradicted == observed(6), "a new grant does not hide the contradiction"


def test_a_flag_that_agrees_changes_nothing() -> None:
    facts = facts_after(toggled(1))
    assert apply(facts, AgreementObserved(evidence=observed(1), customer=CPO, provider=BIL, stands=True)) is facts
    unknown = AgreementObserved(evidence=observed(1), customer=BIL, provider=CPO, stands=True)
    assert apply(facts, unknown) is facts


def test_a_reorganised_revoke_makes_the_grant_wait_from_there() -> None:
    wait = RevokeReorganised(evidence=observed(9), customer=CPO, provider=BIL)
    assert the_pair(facts_after(toggled(1), wait)).waits_from == 9
    assert the_pair(facts_after(toggled(1), wait, replace(wait, evidence=observed(5)))).waits_from == 9
    assert facts_after(wait) == Facts.none()


# --- services ---------------------------------------------------------------------------------------------------------


def test_a_nameless_listing_counts_as_a_deletion_for_what_was_agreed_before() -> None:
    service = the_service(facts_after(listed(1, 6), listed(2, 6, nameless=True)))
    assert (service.deleted, service.listed) == (evidence(2), False)
    service = the_service(facts_after(listed(1, 6), listed(2, 6, nameless=True), listed(3, 6)))
    assert (service.deleted, service.listed) == (evidence(2), True)


def test_a_nameless_service_that_turns_out_to_be_listed_can_be_agreed_with() -> None:
    facts = facts_after(listed(1, 6, nameless=True), service_seen(1, 6), toggled(2))
    assert the_service(facts).listed
    assert the_service(facts).deleted == evidence(1)
    assert the_pair(facts).grant.agreed == frozenset({6})


def test_a_service_seen_as_its_logs_said_changes_nothing() -> None:
    facts = facts_after(listed(1, 6))
    assert apply(facts, service_seen(1, 6)) is facts
    assert apply(Facts.none(), service_seen(1, is_listed=False)) == Facts.none()


def test_a_service_seen_gone_is_deleted_once() -> None:
    facts = facts_after(listed(1, 6), service_seen(2, is_listed=False))
    assert (the_service(facts).deleted, the_service(facts).listed) == (observed(2), False)
    assert apply(facts, service_seen(3, is_listed=False)) is facts


def test_other_permissions_than_the_logs_said_end_all_agreements() -> None:
    service = the_service(facts_after(listed(1, 6), service_seen(2, 6, 8)))
    assert service.doubt is not None
    assert service.deleted == observed(2)
    unseen = the_service(facts_after(service_seen(2, 6)))
    assert unseen.doubt is not None
    assert unseen.listed


def test_only_a_readable_listing_lifts_a_quarantine() -> None:
    unreadable = ServiceUnreadable(evidence=evidence(2), provider=BIL, why="large")
    facts = facts_after(listed(1, 6), unreadable, service_seen(2, 6))
    assert the_service(facts).doubt is not None
    assert the_service(facts).deleted == evidence(2)
    assert the_service(apply(facts, listed(3, 6))).doubt is None


# --- parties and operators --------------------------------------------------------------------------------------------


def test_a_party_can_be_found_both_ways() -> None:
    facts = facts_after(entry(1, CPO_PARTY))
    assert facts.key(CPO_PARTY) == CPO
    assert facts.spellings[CPO_PARTY] == (CPO,)
    assert the_party(facts).registered == evidence(1)
    assert apply(facts, entry_seen(1, CPO_PARTY)) is facts


def test_a_party_that_left_cannot_be_found_and_has_left() -> None:
    facts = facts_after(entry(1, CPO_PARTY), entry(2, None, ZERO))
    assert facts.key(CPO_PARTY) == ZERO
    assert CPO_PARTY not in facts.spellings
    assert the_party(facts).left == evidence(2)
    assert apply(facts, entry(3, None, ZERO)) is facts
    assert facts_after(entry(3, None, ZERO)) == Facts.none()
    back = the_party(apply(facts, entry(4, CPO_PARTY)))
    assert (back.registered, back.left, back.party) == (evidence(4), evidence(2), CPO_PARTY)


def test_a_renamed_party_keeps_its_old_key() -> None:
    """permissions-contract.md T10."""
    new = Party("DE", "CPX")
    facts = facts_after(entry(1, CPO_PARTY), entry(2, new))
    assert (facts.key(CPO_PARTY), facts.key(new)) == (CPO, CPO)
    assert list(facts.spellings) == [new]
    assert (the_party(facts).renamed, the_party(facts).redirected) == (evidence(2), evidence(2))


def test_a_renamed_party_that_leaves_frees_its_new_key_alone() -> None:
    new = Party("DE", "CPX")
    facts = facts_after(entry(1, CPO_PARTY), entry(2, new), entry(3, None, ZERO))
    assert (facts.key(CPO_PARTY), facts.key(new)) == (CPO, ZERO)


def test_a_party_whose_key_went_to_another_does_not_free_it() -> None:
    taken = KeyObserved(evidence=observed(2), party=CPO_PARTY, address=BIL)
    facts = facts_after(entry(1, CPO_PARTY), taken, entry(3, None, ZERO))
    assert facts.key(CPO_PARTY) == BIL


def test_a_party_on_another_node_is_redirected() -> None:
    moved = the_party(facts_after(entry(1, CPO_PARTY), entry(2, CPO_PARTY, OTHER_OPERATOR)))
    assert (moved.renamed, moved.redirected, moved.operator) == (None, evidence(2), OTHER_OPERATOR)
    assert the_party(facts_after(entry(1, CPO_PARTY), entry(2, CPO_PARTY))).redirected is None


def test_twins_are_found_under_one_spelling() -> None:
    twin = PartyChanged(evidence=evidence(2), address=BIL, party=Party("de", "cpo"), operator=OWN_OPERATOR)
    facts = facts_after(entry(1, CPO_PARTY), twin)
    assert set(facts.spellings[CPO_PARTY]) == {CPO, BIL}
    assert apply(facts, entry(3, None, ZERO)).spellings[CPO_PARTY] == (BIL,)


def test_an_unreadable_entry_may_be_a_departure() -> None:
    unreadable = PartyUnreadable(evidence=evidence(2), address=CPO, why="large")
    facts = facts_after(entry(1, CPO_PARTY), unreadable)
    assert (the_party(facts).left, the_party(facts).party) == (evidence(2), CPO_PARTY)
    facts = apply(facts, entry_seen(2, CPO_PARTY, OTHER_OPERATOR))
    assert the_party(facts).doubt is not None
    assert the_party(apply(facts, entry(3, CPO_PARTY))).doubt is None

    unknown = facts_after(unreadable, entry_seen(2, CPO_PARTY))
    assert the_party(unknown).doubt is not None
    assert the_party(apply(unknown, entry(3, CPO_PARTY))).doubt is None


def test_a_key_seen_as_known_changes_nothing() -> None:
    facts = facts_after(entry(1, CPO_PARTY))
    assert apply(facts, KeyObserved(evidence=observed(1), party=CPO_PARTY, address=CPO)) is facts


def test_an_operators_domain_is_known_with_its_last_change() -> None:
    domain = OperatorChanged(evidence=evidence(1), operator=OWN_OPERATOR, domain="https://a.example")
    facts = facts_after(domain)
    assert facts.domain(OWN_OPERATOR) == "https://a.example"
    assert facts.domain(OTHER_OPERATOR) == ""
    assert apply(facts, replace(domain, evidence=evidence(2))) is facts
    gone = apply(facts, replace(domain, evidence=evidence(3), domain=""))
    assert (gone.domain(OWN_OPERATOR), gone.operators[OWN_OPERATOR].changed) == ("", evidence(3))


def test_an_unreadable_domain_is_doubted_until_a_readable_log() -> None:
    unreadable = OperatorUnreadable(evidence=evidence(1), operator=OWN_OPERATOR, why="large")
    seen = OperatorChanged(evidence=observed(1), operator=OWN_OPERATOR, domain="https://a.example")
    facts = facts_after(unreadable, seen)
    assert facts.operators[OWN_OPERATOR].doubt is not None
    facts = apply(facts, replace(seen, evidence=evidence(2)))
    assert facts.operators[OWN_OPERATOR].doubt is None


@pytest.mark.parametrize(
    "event",
    [
        toggled(1, customer=ZERO),
        toggled(1, provider=ZERO),
        listed(1, 6, provider=ZERO),
        PartyChanged(evidence=evidence(1), address=ZERO, party=CPO_PARTY, operator=OWN_OPERATOR),
        OperatorChanged(evidence=evidence(1), operator=ZERO, domain="https://a.example"),
    ],
)
def test_the_zero_address_is_nobody(event: Event) -> None:
    """permissions-contract.md T13."""
    facts = Facts.none()
    assert apply(facts, event) is facts


# --- counts that the contract keeps -----------------------------------------------------------------------------------


def test_a_lost_revoke_and_grant_are_found_by_counting() -> None:
    facts = facts_after(listed(1, 6), toggled(2))
    right = GrantsCounted(evidence=observed(3), customer=CPO, provider=BIL, grants=1)
    assert apply(facts, right) is facts
    doubted = apply(facts, replace(right, grants=2))
    assert the_pair(doubted).miscounted == observed(3)
    assert apply(doubted, replace(right, grants=2)) is doubted
    assert the_pair(apply(doubted, right)).miscounted is None
    assert apply(Facts.none(), right) == Facts.none()


def test_more_deletions_than_logs_end_what_was_agreed() -> None:
    facts = facts_after(listed(1, 6), listed(2, 6, nameless=True), listed(3, 6))
    counted = DeletionsCounted(evidence=observed(4), provider=BIL, deletions=1)
    assert apply(facts, counted) is facts
    after = apply(facts, replace(counted, deletions=2))
    assert (the_service(after).deleted, the_service(after).deletions) == (observed(4), 2)
    assert apply(after, replace(counted, deletions=2)) is after
    assert apply(Facts.none(), counted) == Facts.none()


def test_what_is_seen_to_be_unreadable_again_changes_nothing() -> None:
    party = PartyUnreadable(evidence=evidence(1), address=CPO, why="w")
    operator = OperatorUnreadable(evidence=evidence(1), operator=OTHER_OPERATOR, why="w")
    service = ServiceUnreadable(evidence=evidence(1), provider=BIL, why="w")
    facts = facts_after(party, operator, service)
    for event in (party, operator, service):
        assert apply(facts, replace(event, evidence=observed(2))) is facts
        assert apply(facts, replace(event, evidence=evidence(2))) is not facts
