"""The rules C1 to C12 of consent.md, one function each, in the order in which they are asked.

A rule looks at one `Case` and gives the verdict that closes or holds it, or None when it has no objection. Closing
rules come before holding ones, so that a doubt about our view never hides that consent is absent.
C6 (replays), C7 (the stop list) and the pinned addresses of C1 have their place between C5 and C8 and in C1.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ocn_permission_agent.consent.address import ZERO, Address, AgreementId
from ocn_permission_agent.consent.events import Evidence
from ocn_permission_agent.consent.facts import Facts, OperatorFacts, PairFacts, PartyFacts, ServiceFacts
from ocn_permission_agent.consent.permission import EXPLICIT_ONLY, Interface, effective, permission_for
from ocn_permission_agent.consent.settings import ConsentSettings
from ocn_permission_agent.consent.verdict import Standing, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What all cases of one block share.

    `own_operator` is the address of this node's operator. `distrust` says why the chain itself cannot be trusted
    (C12), None while it can.
    """

    facts: Facts
    block_number: int
    own_operator: Address
    confirmations: int
    settings: ConsentSettings
    distrust: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One customer and one provider, with all that is known of them."""

    ground: Ground
    pair: PairFacts
    customer: PartyFacts | None
    provider: PartyFacts | None
    service: ServiceFacts | None
    provider_operator: OperatorFacts | None


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


def judge(case: Case, *, agreement: AgreementId | None = None) -> Verdict:
    """Whether the pair's agreement counts, by every rule but C3's look at an interface and C8.

    Args:
        case: the pair.
        agreement: the agreement that must be the standing one; None for whichever stands.
    """
    if agreement is not None and (objection := _agreement_stands(case, agreement)) is not None:
        return objection
    for rule in _RULES:
        objection = rule(case)
        if objection is not None:
            return objection
    evidence = case.pair.grant.evidence
    return _say(Standing.OPEN, "C2", "the agreement stands", evidence)


def judge_interface(case: Case, interface: Interface) -> Verdict | None:
    """C3: an objection to requests of one interface, or None."""
    grant, service = case.pair.grant, case.service
    current = frozenset[int]() if service is None else service.permissions
    agreed = grant.agreed or frozenset[int]()
    module, role = interface
    if interface not in effective(agreed, current):
        return _closed("C3", f"{module.value} {role.value} is not both agreed to and asked for", grant.evidence)
    if module not in EXPLICIT_ONLY or permission_for(module, role) in agreed & current:
        return None
    provider = case.provider
    if provider is not None and provider.party is not None and provider.party in case.ground.settings.copy_commands:
        return None
    sentence = f"agreed, not sent: {module.value} go only to services that list permission {permission_for(*interface)}"
    return _closed("C3", sentence, grant.evidence)


def when_stale(case: Case) -> Verdict:
    """C8: our view of the chain is too old to send by."""
    return _say(Standing.HELD, "C8", "our view of the chain is not fresh", case.pair.grant.evidence)


# --- C12, C10: can we read the chain, and these entries of it? --------------------------------------------------------


def _c12_chain_is_trusted(case: Case) -> Verdict | None:
    if case.ground.distrust is None:
        return None
    return _closed("C12", case.ground.distrust)


def _c10_nobody_is_quarantined(case: Case) -> Verdict | None:
    for role, facts in (
        ("customer", case.customer),
        ("provider", case.provider),
        ("service", case.service),
        ("provider's operator", case.provider_operator),
    ):
        if facts is not None and facts.doubt is not None:
            return _closed("C10", f"the {role} is quarantined: {facts.doubt.why}", facts.doubt.evidence)
    if case.pair.grant.agreed is None:
        return _closed("C10", "what the service listed at the agreement is unknown", case.pair.grant.evidence)
    return None


# --- C1: who they are -------------------------------------------------------------------------------------------------


def _c1_customer_is_ours(case: Case) -> Verdict | None:
    objection = _is_registered("customer", case.customer, case.ground.facts)
    if objection is not None:
        return objection
    customer = case.customer
    if customer is not None and customer.operator != case.ground.own_operator:
        return _closed("C1", "the customer belongs to another node", customer.redirected or customer.registered)
    return None


def _c1_provider_is_registered(case: Case) -> Verdict | None:
    return _is_registered("provider", case.provider, case.ground.facts)


def _is_registered(role: str, facts: PartyFacts | None, all_facts: Facts) -> Verdict | None:
    """Registered now, non-zero, found by its key, and no other party is spelled alike."""
    if facts is None:
        return _closed("C1", f"the {role} is not in the registry")
    if facts.party is None or facts.address == ZERO:
        return _closed("C1", f"the {role} has left the registry", facts.left)
    if all_facts.key(facts.party) != facts.address:
        return _closed("C1", f"the registry finds another address for {facts.party} than the {role}'s")
    if len(all_facts.spellings.get(facts.party.folded, ())) != 1:
        return _closed("C1", f"more than one party is spelled {facts.party.folded} when letter case is ignored")
    return None


# --- C2: the agreement stands -----------------------------------------------------------------------------------------


def _c2_logs_and_state_agree(case: Case) -> Verdict | None:
    if case.pair.contradicted is None:
        return None
    return _closed(
        "C2", "the contract's flag and its logs contradict each other: logs were lost", case.pair.contradicted
    )


def _c2_not_revoked(case: Case) -> Verdict | None:
    if case.pair.agreed:
        return None
    return _closed("C2", "the customer revoked the agreement", case.pair.newest)


def _agreement_stands(case: Case, agreement: AgreementId) -> Verdict | None:
    """The agreement that a copy was planned under must be the newest grant of the pair."""
    if case.pair.grant.evidence.agreement == agreement:
        return None
    return _closed("C2", "the agreement that this was planned under has ended", case.pair.newest)


# --- C5, C11: endings that leave the contract's flag in place ---------------------------------------------------------


def _c5_service_lives_since(case: Case) -> Verdict | None:
    service = case.service
    if service is None or not service.listed:
        return _closed("C5", "there is no such service", None if service is None else service.deleted)
    return _ended_by(case, service.deleted, "the service was deleted after the agreement: the customer must agree anew")


def _c5_parties_stayed(case: Case) -> Verdict | None:
    for role, facts in (("customer", case.customer), ("provider", case.provider)):
        left = None if facts is None else facts.left
        why = f"the {role} left the registry after the agreement: the customer must agree anew"
        if (objection := _ended_by(case, left, why)) is not None:
            return objection
    return None


def _c11_provider_kept_its_name(case: Case) -> Verdict | None:
    renamed = None if case.provider is None else case.provider.renamed
    return _ended_by(case, renamed, "the provider changed its name after the agreement", rule="C11")


def _ended_by(case: Case, end: Evidence | None, why: str, *, rule: str = "C5") -> Verdict | None:
    if end is None or end.position < case.pair.grant.evidence.position:
        return None
    return _closed(rule, why, end)


# --- C6 and C7 have their place here ----------------------------------------------------------------------------------

# --- C4: what opens or redirects waits for confirmations --------------------------------------------------------------


def _c4_grant_is_confirmed(case: Case) -> Verdict | None:
    pair = case.pair
    if _confirmed(case.ground, pair.waits_from):
        return None
    return _closed("C4", _waiting("the agreement", case.ground, pair.waits_from), pair.grant.evidence)


def _c4_registrations_are_confirmed(case: Case) -> Verdict | None:
    for role, facts in (("customer", case.customer), ("provider", case.provider)):
        if facts is not None and not _confirmed(case.ground, facts.registered.block_number):
            sentence = _waiting(f"the {role}'s registration", case.ground, facts.registered.block_number)
            return _closed("C4", sentence, facts.registered)
    return None


def _c4_redirects_are_confirmed(case: Case) -> Verdict | None:
    operator = case.provider_operator
    redirects = (
        ("the customer's new entry", None if case.customer is None else case.customer.redirected),
        ("the provider's new entry", None if case.provider is None else case.provider.redirected),
        ("the domain of the provider's node", None if operator is None else operator.changed),
    )
    for what, evidence in redirects:
        if evidence is not None and not _confirmed(case.ground, evidence.block_number):
            return _say(Standing.HELD, "C4", _waiting(what, case.ground, evidence.block_number), evidence)
    return None


def _confirmed(ground: Ground, block_number: int) -> bool:
    return ground.block_number - block_number >= ground.confirmations


def _waiting(what: str, ground: Ground, block_number: int) -> str:
    above = max(0, ground.block_number - block_number)
    return f"{what} has {above} of {ground.confirmations} confirmations"


# --- C11: where copies go ---------------------------------------------------------------------------------------------


def _c11_provider_has_a_domain(case: Case) -> Verdict | None:
    operator = case.provider_operator
    if operator is not None and operator.domain:
        return None
    evidence = None if operator is None else operator.changed
    return _say(Standing.HELD, "C11", "the provider's node has no domain in the registry", evidence)


_RULES: tuple[Callable[[Case], Verdict | None], ...] = (
    _c12_chain_is_trusted,
    _c1_customer_is_ours,
    _c1_provider_is_registered,
    _c2_logs_and_state_agree,
    _c2_not_revoked,
    _c10_nobody_is_quarantined,
    _c5_service_lives_since,
    _c5_parties_stayed,
    _c11_provider_kept_its_name,
    _c4_grant_is_confirmed,
    _c4_registrations_are_confirmed,
    _c4_redirects_are_confirmed,
    _c11_provider_has_a_domain,
)


def _closed(rule: str, reason: str, evidence: Evidence | None = None) -> Verdict:
    return _say(Standing.CLOSED, rule, reason, evidence)


def _say(standing: Standing, rule: str, reason: str, evidence: Evidence | None = None) -> Verdict:
    return Verdict(
        standing=standing,
        rule=rule,
        reason=reason,
        transaction_hash=None if evidence is None else evidence.transaction_hash,
        block_number=None if evidence is None else evidence.block_number,
    )
