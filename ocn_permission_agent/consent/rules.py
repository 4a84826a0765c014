"""The rules C1 to C12 of consent.md, one function each, in the order in which they are asked.

A rule looks at one `Case` and gives the verdict that closes or holds it, or None when it has no objection. Closing
rules come before holding ones, so that a doubt about our view never hides that consent is absent.
"""

from collections.abc import Callable

from ocn_permission_agent.consent.address import ZERO, AgreementId
from ocn_permission_agent.consent.case import Case, Ground, closed, say
from ocn_permission_agent.consent.events import Sent
from ocn_permission_agent.consent.facts import End, Facts, PartyFacts
from ocn_permission_agent.consent.permission import EXPLICIT_ONLY, Interface, effective, permission_for
from ocn_permission_agent.consent.verdict import Standing, Verdict

_AGREE_AGAIN = "the customer can agree again, by a transaction of its own"
_AGREE_ANEW = "the customer can revoke and agree again, by transactions of its own"
_REGISTER = "who left can register again; then the customer must agree anew"
_READ_AGAIN = "whoever wrote the entry can write it anew, in a form that can be read; then the customer must agree anew"
_LOOK = "an audit looks for the lost logs; another RPC endpoint may have them"
_WAIT = "it passes by itself, with new blocks"
_RENEW = _AGREE_ANEW + ", or the operator can confirm this transaction with `agreements confirm`"


def judge(case: Case, *, agreement: AgreementId | None = None) -> Verdict:
    """Whether the pair's agreement counts, by every rule but C3's look at an interface and C8.

    Args:
        case: the pair.
        agreement: the agreement that must be the standing one; None for whichever stands.
    """
    if agreement is not None and (objection := _agreement_stands(case, agreement)) is not None:
        return objection
    for rule in RULES:
        objection = rule(case)
        if objection is not None:
            return objection
    evidence = case.pair.grant.evidence
    return say(Standing.OPEN, "C2", "the agreement stands", evidence)


def judge_interface(case: Case, interface: Interface) -> Verdict | None:
    """C7 and C3: an objection to requests of one interface, or None."""
    if case.stop(interface[0]) is not None:
        return _stopped(f"{interface[0].value} are on the stop list for this pair")
    grant, service = case.pair.grant, case.service
    current = frozenset[int]() if service is None else service.permissions
    agreed = grant.agreed or frozenset[int]()
    module, role = interface
    if interface not in effective(agreed, current):
        return closed("C3", f"{module.value} {role.value} is not both agreed to and asked for", grant.evidence)
    if module not in EXPLICIT_ONLY or permission_for(module, role) in agreed & current:
        return None
    provider = case.provider
    if provider is not None and provider.party is not None and provider.party in case.ground.settings.copy_commands:
        return None
    sentence = f"agreed, not sent: {module.value} go only to services that list permission {permission_for(*interface)}"
    return closed("C3", sentence, grant.evidence)


def when_stale(case: Case) -> Verdict:
    """C8: our view of the chain is too old to send by."""
    return say(Standing.HELD, "C8", "our view of the chain is not fresh", case.pair.grant.evidence)


# --- C7: the operator's word ------------------------------------------------------------------------------------------


def _c7_not_stopped(case: Case) -> Verdict | None:
    return None if case.stop(None) is None else _stopped("the pair is on the stop list")


def _stopped(reason: str) -> Verdict:
    return closed("C7", reason, remedy="the operator can remove the stop with `stop remove`")


# --- C12, C10: can we read the chain, and these entries of it? --------------------------------------------------------


def _c10_nobody_is_quarantined(case: Case) -> Verdict | None:
    for role, facts in (
        ("customer", case.customer),
        ("provider", case.provider),
        ("service", case.service),
        ("provider's operator", case.provider_operator),
        ("operator of this node", case.own_operator),
    ):
        if facts is not None and facts.doubt is not None:
            reason = f"the {role} is quarantined: {facts.doubt.why}"
            return closed("C10", reason, facts.doubt.evidence, remedy=_READ_AGAIN)
    if case.pair.grant.agreed is None:
        reason = "what the service listed at the agreement is unknown"
        return closed("C10", reason, case.pair.grant.evidence, remedy=_AGREE_ANEW)
    return None


# --- C1: who they are -------------------------------------------------------------------------------------------------


def _c1_operator_is_registered(case: Case) -> Verdict | None:
    """Without this node's operator in the registry nobody is its customer."""
    own = case.own_operator
    if own is None or own.domain or own.doubt is not None:
        return None
    remedy = "the operator can register again: setNode of the Registry"
    return closed("C1", "this node's operator has left the registry", own.changed, remedy=remedy)


def _c1_customer_is_ours(case: Case) -> Verdict | None:
    objection = _is_registered("customer", case.customer, case.ground.facts)
    if objection is not None:
        return objection
    customer = case.customer
    if customer is not None and customer.operator != case.ground.own_operator:
        reason, evidence = "the customer belongs to another node", customer.redirected or customer.registered
        return closed("C1", reason, evidence, remedy="the customer can name this node's operator in its entry again")
    return None


def _c1_customer_is_where_it_was(case: Case) -> Verdict | None:
    """Anybody may register a freed key, while the node's token still belongs to whoever had it before."""
    customer, ground = case.customer, case.ground
    if customer is None or customer.party is None:
        return None
    folded = customer.party.folded
    pinned = ground.decisions.addresses.get(folded)
    if pinned is None and ground.facts.pins is not None:
        pinned = ground.facts.pins.get((folded, ground.own_operator))
    if pinned is None or pinned == customer.address:
        return None
    remedy = f"the operator can confirm it: parties confirm {customer.party} --address {customer.address}"
    reason = f"{customer.party} was at {pinned} before, and is at {customer.address} now"
    return closed("C1", reason, customer.redirected or customer.registered, remedy=remedy)


def _c1_provider_is_registered(case: Case) -> Verdict | None:
    return _is_registered("provider", case.provider, case.ground.facts)


def _is_registered(role: str, facts: PartyFacts | None, all_facts: Facts) -> Verdict | None:
    """Registered now, non-zero, found by its key, and no other party is spelled alike."""
    if facts is None:
        return closed("C1", f"the {role} is not in the registry", remedy=f"the {role} can register")
    if facts.party is None or facts.address == ZERO:
        return closed("C1", f"the {role} has left the registry", facts.left, remedy=_REGISTER)
    if all_facts.key(facts.party) != facts.address:
        reason = f"the registry finds another address for {facts.party} than the {role}'s"
        remedy = f"the {role} can register under a name of its own"
        return closed("C1", reason, facts.redirected or facts.registered, remedy=remedy)
    spelled = all_facts.spellings.get(facts.party.folded, ())
    if len(spelled) != 1:
        reason = f"more than one party is spelled {facts.party.folded} when letter case is ignored"
        entries = [all_facts.parties[each] for each in spelled]
        evidence = max((each.redirected or each.registered for each in entries), key=lambda each: each.position)
        return closed(
            "C1", reason, evidence, remedy="all but one of them must leave the Registry, or take another name"
        )
    return None


# --- C2: the agreement stands -----------------------------------------------------------------------------------------


def _c2_logs_and_state_agree(case: Case) -> Verdict | None:
    if case.pair.contradicted is None:
        return None
    reason = "the contract's flag and its logs contradict each other: logs were lost"
    return closed("C2", reason, case.pair.contradicted, remedy=_LOOK)


def _c2_logs_are_all_there(case: Case) -> Verdict | None:
    if case.pair.miscounted is None:
        return None
    reason = "the contract counts other grants than its logs told: logs were lost"
    return closed("C2", reason, case.pair.miscounted, remedy=_LOOK)


def _c2_not_revoked(case: Case) -> Verdict | None:
    if case.pair.agreed:
        return None
    if case.pair.replayed:
        reason = "revoked by replay: a relayed signature of the customer that was seen before may have been used again"
        return closed("C6", reason, case.pair.newest, remedy=_AGREE_AGAIN)
    return closed("C2", "the customer revoked the agreement", case.pair.newest, remedy=_AGREE_AGAIN)


def _agreement_stands(case: Case, agreement: AgreementId) -> Verdict | None:
    """The agreement that a copy was planned under must be the newest grant of the pair."""
    if case.pair.grant.evidence.agreement == agreement:
        return None
    return closed("C2", "the agreement that this was planned under has ended", case.pair.newest)


# --- C5, C11: endings that leave the contract's flag in place ---------------------------------------------------------


def _c5_service_lives_since(case: Case) -> Verdict | None:
    service = case.service
    if service is None or not service.listed:
        evidence = None if service is None else service.deleted
        remedy = "the provider can list it again; then the customer must agree anew"
        return closed("C5", "there is no such service", evidence, remedy=remedy)
    return _ended_by(case, service.ends, "C5", "the service was deleted after the agreement")


def _c5_parties_stayed(case: Case) -> Verdict | None:
    for role, facts in (("customer", case.customer), ("provider", case.provider)):
        departures = () if facts is None else facts.departures
        objection = _ended_by(case, departures, "C5", f"the {role} left the registry after the agreement")
        if objection is not None:
            return objection
    return None


def _c11_provider_kept_its_name(case: Case) -> Verdict | None:
    renames = () if case.provider is None else case.provider.renames
    return _ended_by(case, renames, "C11", "the provider changed its name after the agreement")


def _ended_by(case: Case, ends: tuple[End, ...], rule: str, why: str) -> Verdict | None:
    """The newest end after the grant that nobody confirmed away; an end for good goes before one that can be."""
    granted = case.pair.grant.evidence.position
    counting = [
        end
        for end in ends
        if end.evidence.position > granted and not (end.confirmable and case.confirmed_by_operator(end.evidence))
    ]
    if not counting:
        return None
    end = max(counting, key=lambda each: (not each.confirmable, each.evidence.position))
    remedy = _RENEW if end.confirmable else _AGREE_ANEW
    return closed(rule, why, end.evidence, remedy=remedy, confirmable=end.confirmable)


# --- C6: a signature that was seen once can be used for ever ----------------------------------------------------------


def _c6_grant_is_the_customers(case: Case) -> Verdict | None:
    """A relayed grant counts only as the very first log of its pair, unless the operator confirms it.

    Whatever was relayed before, or revoked in any way, leaves a log of the pair: so "seen before" and "after a revoke"
    are both "not the first".
    """
    grant = case.pair.grant
    if grant.sent is Sent.DIRECT or case.confirmed_by_operator(grant.evidence):
        return None
    how = {
        Sent.RELAYED: "was relayed with a signature",
        Sent.INNER: "was made through another contract",
        Sent.UNKNOWN: "was made by a transaction that cannot be looked up",
    }[grant.sent]
    if not grant.first:
        reason = f"the agreement {how} that may have been used before"
    elif case.ground.settings.require_direct_grant:
        reason = f"the agreement {how}, and consent.require_direct_grant refuses that"
    else:
        return None
    return closed("C6", reason, grant.evidence, remedy=_RENEW, confirmable=True)


# --- C4: what opens or redirects waits for confirmations --------------------------------------------------------------


def _c4_grant_is_confirmed(case: Case) -> Verdict | None:
    pair = case.pair
    if _confirmed(case.ground, pair.waits_from):
        return None
    return closed("C4", _waiting("the agreement", case.ground, pair.waits_from), pair.grant.evidence, remedy=_WAIT)


def _c4_registrations_are_confirmed(case: Case) -> Verdict | None:
    for role, facts in (("customer", case.customer), ("provider", case.provider)):
        if facts is not None and not _confirmed(case.ground, facts.registered.block_number):
            sentence = _waiting(f"the {role}'s registration", case.ground, facts.registered.block_number)
            return closed("C4", sentence, facts.registered, remedy=_WAIT)
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
            return say(Standing.HELD, "C4", _waiting(what, case.ground, evidence.block_number), evidence)
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
    return say(Standing.HELD, "C11", "the provider's node has no domain in the registry", evidence)


# --- C12, C8: can we trust our view? ----------------------------------------------------------------------------------


def _c12_chain_is_trusted(case: Case) -> Verdict | None:
    """Whoever looks at another chain, or was told another name, knows nothing new about the customer's will."""
    distrust = case.ground.distrust
    return None if distrust is None else say(Standing.HELD, "C12", distrust, case.pair.grant.evidence)


def _c8_view_is_undoubted(case: Case) -> Verdict | None:
    doubt = case.ground.doubt
    return None if doubt is None else say(Standing.HELD, "C8", doubt, case.pair.grant.evidence)


#: in the order in which they are asked; the first objection is the verdict
RULES: tuple[Callable[[Case], Verdict | None], ...] = (
    _c7_not_stopped,
    _c1_operator_is_registered,
    _c1_customer_is_ours,
    _c1_customer_is_where_it_was,
    _c1_provider_is_registered,
    _c2_logs_and_state_agree,
    _c2_logs_are_all_there,
    _c2_not_revoked,
    _c10_nobody_is_quarantined,
    _c5_service_lives_since,
    _c5_parties_stayed,
    _c11_provider_kept_its_name,
    _c6_grant_is_the_customers,
    _c4_grant_is_confirmed,
    _c4_registrations_are_confirmed,
    _c4_redirects_are_confirmed,
    _c11_provider_has_a_domain,
    _c12_chain_is_trusted,
    _c8_view_is_undoubted,
)
