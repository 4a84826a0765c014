"""From what the operator wrote to a decision, or to the sentence that tells why it cannot be decided. Pure."""

from ocn_permission_agent.consent.address import Address
from ocn_permission_agent.consent.decisions import AgreementConfirmed, PartyConfirmed, Stop
from ocn_permission_agent.consent.facts import Facts
from ocn_permission_agent.consent.index import AgreementStatus, ConsentIndex
from ocn_permission_agent.consent.name import Name, is_named
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.route import Module


class DecisionRefused(ValueError):
    """It makes no sense to decide this; the message is a sentence for the operator."""


def make_stop(facts: Facts, *, customer: Name | None, provider: Name | None, module: Module | None) -> Stop:
    """A stop by name, with the addresses that the names have now.

    Raises:
        DecisionRefused: nobody is named.
    """
    stop = Stop(
        customer=customer if isinstance(customer, Party) else None,
        customer_address=_address_of(facts, customer),
        provider=provider if isinstance(provider, Party) else None,
        provider_address=_address_of(facts, provider),
        module=module,
    )
    if not stop.names_somebody:
        raise DecisionRefused("A stop needs a customer, a provider, or both.")
    return stop


def _address_of(facts: Facts, name: Name | None) -> Address | None:
    if name is None or not isinstance(name, Party):
        return name
    found = facts.spellings.get(name.folded, ())
    return found[0] if len(found) == 1 else None


def confirm_party(index: ConsentIndex, party: Party, account: Address) -> PartyConfirmed:
    """The decision that a party is at an address (C1).

    Raises:
        DecisionRefused: the registry does not say so, or the party belongs to another node.
    """
    facts = index.facts.parties.get(account)
    if facts is None or facts.party is None or facts.party.folded != party.folded:
        raise DecisionRefused(f"The Registry has no {party} at {account}.")
    if facts.operator != index.own_operator:
        raise DecisionRefused(f"{party} at {account} belongs to another node.")
    return PartyConfirmed(party=facts.party, address=account)


def confirm_agreement(index: ConsentIndex, customer: Name, provider: Name, transaction_hash: str) -> AgreementConfirmed:
    """The decision that what one transaction did leaves, or made, the agreement of a pair (C5, C6, C11).

    Raises:
        DecisionRefused: the pair has no agreement, or is not closed by that transaction.
    """
    status = _the_pair(index, customer, provider)
    verdict = status.verdict
    if not verdict.confirmable or verdict.transaction_hash != transaction_hash.lower():
        raise DecisionRefused(
            f"That transaction is not what closes {customer} with {provider}: it is {verdict.standing.value} "
            f"by {verdict.rule}, {verdict.reason}."
            + (f" The transaction to confirm is {verdict.transaction_hash}." if verdict.confirmable else "")
        )
    return AgreementConfirmed(
        customer=status.customer_address,
        provider=status.provider_address,
        transaction_hash=transaction_hash.lower(),
    )


def _the_pair(index: ConsentIndex, customer: Name, provider: Name) -> AgreementStatus:
    found = [
        each
        for each in index.agreements()
        if is_named(customer, party=each.customer, account=each.customer_address)
        and is_named(provider, party=each.provider, account=each.provider_address)
    ]
    if len(found) != 1:
        how_many = "There is no agreement" if not found else "There is more than one agreement"
        raise DecisionRefused(f"{how_many} of {customer} with {provider}.")
    return found[0]
