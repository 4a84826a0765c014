"""What the index says, as JSON values: services, agreements, parties (pure).

Verdicts are those of C1 to C7. ``fresh`` says whether C8 holds back what is open (consent.md).
"""

from dataclasses import dataclass

from ocn_permission_agent.consent.address import ZERO, Address
from ocn_permission_agent.consent.events import Evidence
from ocn_permission_agent.consent.facts import PartyFacts
from ocn_permission_agent.consent.index import AgreementStatus, ConsentIndex, ServiceStatus
from ocn_permission_agent.consent.name import Name, is_named
from ocn_permission_agent.consent.permission import describe, interfaces
from ocn_permission_agent.consent.verdict import Standing, Verdict
from ocn_permission_agent.ocpi.party import Party

Document = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementFilter:
    """Which agreements are meant; None for any."""

    customer: Name | None = None
    provider: Name | None = None
    standing: Standing | None = None

    def lets_pass(self, agreement: AgreementStatus) -> bool:
        """Whether this one is meant."""
        return (
            (self.standing is None or agreement.verdict.standing is self.standing)
            and _means(self.customer, agreement.customer, agreement.customer_address)
            and _means(self.provider, agreement.provider, agreement.provider_address)
        )


def services_document(index: ConsentIndex, *, fresh: bool) -> Document:
    """Every service ever listed, those that are listed first."""
    services = sorted(
        index.services(), key=lambda service: (not service.listed, _shown(service.party), service.provider)
    )
    return _head(index, fresh) | {"services": [_service(service) for service in services]}


def service_document(index: ConsentIndex, name: Name, *, fresh: bool) -> Document | None:
    """One provider's service and the agreements with it; None when it never listed one."""
    found = [each for each in index.services() if is_named(name, party=each.party, account=each.provider)]
    if not found:
        return None
    agreements = _agreements(index, AgreementFilter(provider=name))
    return _head(index, fresh) | {
        "services": [
            _service(service) | {"asks_for": [describe(number) for number in service.permissions]} for service in found
        ],
        "agreements": agreements,
    }


def agreements_document(index: ConsentIndex, chosen: AgreementFilter, *, fresh: bool) -> Document:
    """The newest agreement of every pair that is meant, revoked ones too."""
    return _head(index, fresh) | {"agreements": _agreements(index, chosen)}


def agreement_document(index: ConsentIndex, customer: Name, provider: Name, *, fresh: bool) -> Document | None:
    """One pair's agreement, with a verdict for each interface; None when they never agreed."""
    chosen = AgreementFilter(customer=customer, provider=provider)
    found = [agreement for agreement in index.agreements() if chosen.lets_pass(agreement)]
    if not found:
        return None
    return _head(index, fresh) | {
        "agreements": [_agreement(each, index) | {"interfaces": _interfaces(each, index)} for each in found]
    }


def party_document(index: ConsentIndex, name: Name, *, fresh: bool) -> Document | None:
    """Whoever goes by a name, in any letter case, and all their agreements; None when nobody does."""
    known = index.facts.parties
    addresses = index.facts.spellings.get(name.folded, ()) if isinstance(name, Party) else (name,)
    entries = [known[account] for account in addresses if account in known]
    if not entries:
        return None
    return _head(index, fresh) | {
        "asked": str(name),
        "parties": [_party(facts, index) for facts in entries],
        "as_customer": _agreements(index, AgreementFilter(customer=name)),
        "as_provider": _agreements(index, AgreementFilter(provider=name)),
    }


def _means(name: Name | None, party: Party | None, account: Address) -> bool:
    return name is None or is_named(name, party=party, account=account)


def _head(index: ConsentIndex, fresh: bool) -> Document:
    return {
        "block": index.block_number or None,
        "block_time": index.block_time.isoformat() if index.block_number else None,
        "fresh": fresh,
        "distrust": index.distrust,
        "doubt": index.doubt,
    }


def _service(service: ServiceStatus) -> Document:
    return {
        "party": _text(service.party),
        "address": service.provider,
        "name": service.name,
        "url": service.url,
        "permissions": list(service.permissions),
        "unknown_ids": service.unknown_ids,
        "listed": service.listed,
        "doubt": service.doubt,
    }


def _agreements(index: ConsentIndex, chosen: AgreementFilter) -> list[Document]:
    found = [agreement for agreement in index.agreements() if chosen.lets_pass(agreement)]
    found.sort(key=lambda each: (_shown(each.customer), _shown(each.provider), each.customer_address))
    return [_agreement(agreement, index) for agreement in found]


def _agreement(agreement: AgreementStatus, index: ConsentIndex) -> Document:
    pair = index.facts.pair(agreement.customer_address, agreement.provider_address)
    return {
        "customer": _text(agreement.customer),
        "customer_address": agreement.customer_address,
        "provider": _text(agreement.provider),
        "provider_address": agreement.provider_address,
        "agreed_in": None if pair is None else _evidence(pair.grant.evidence),
        "agreed": None if agreement.agreed is None else list(agreement.agreed),
        "sent": agreement.sent.value,
    } | _verdict(agreement.verdict)


def _interfaces(agreement: AgreementStatus, index: ConsentIndex) -> list[Document]:
    """Everything that was agreed to or is asked for, and whether it is sent."""
    service = index.facts.services.get(agreement.provider_address)
    current = frozenset[int]() if service is None else service.permissions
    mentioned = interfaces(agreement.agreed or ()) | interfaces(current)
    return [
        {"module": module.value, "role": role.value}
        | _verdict(
            index.verdict(
                agreement.customer_address,
                agreement.provider_address,
                agreement=agreement.agreement,
                module=module,
                role=role,
                fresh=True,
            )
        )
        for module, role in sorted(mentioned, key=lambda interface: (interface[0].value, interface[1].value))
    ]


def _party(facts: PartyFacts, index: ConsentIndex) -> Document:
    route = index.route_to(facts.address)
    found = ZERO if facts.party is None else index.facts.key(facts.party)
    return {
        "party": _text(facts.party),
        "address": facts.address,
        "operator": None if facts.operator == ZERO else facts.operator,
        "domain": index.facts.domain(facts.operator) or None,
        "own_node": None if route is None else route.own,
        "registry_finds": None if found == ZERO else found,
        "registered": _evidence(facts.registered),
        "redirected": _evidence(facts.redirected),
        "renamed": _evidence(facts.renamed),
        "left": _evidence(facts.left),
        "doubt": None if facts.doubt is None else facts.doubt.why,
    }


def _verdict(verdict: Verdict) -> Document:
    return {
        "standing": verdict.standing.value,
        "rule": verdict.rule,
        "reason": verdict.reason,
        "remedy": verdict.remedy,
        "confirmable": verdict.confirmable,
        "transaction": verdict.transaction_hash,
        "block": verdict.block_number,
    }


def _evidence(evidence: Evidence | None) -> Document | None:
    """Where it can be seen on the chain; without a transaction when we saw it in the state."""
    if evidence is None:
        return None
    return {"block": evidence.block_number, "transaction": evidence.transaction_hash}


def _text(party: Party | None) -> str | None:
    return None if party is None else str(party)


def _shown(party: Party | None) -> str:
    """For sorting: those without a name come last."""
    return "~" if party is None else str(party)
