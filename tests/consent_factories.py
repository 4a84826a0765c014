"""Arranging consent: parties, services and agreements as they would follow from events on the chain."""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime

from ocn_permission_agent.consent.address import Address, AgreementId, Position
from ocn_permission_agent.consent.decisions import Decisions
from ocn_permission_agent.consent.events import (
    AgreementToggled,
    Event,
    Evidence,
    OperatorChanged,
    PartyChanged,
    PinsBegun,
    Sent,
    ServiceListed,
)
from ocn_permission_agent.consent.facts import Facts
from ocn_permission_agent.consent.fold import apply
from ocn_permission_agent.consent.index import ConsentIndex
from ocn_permission_agent.consent.settings import ConsentSettings
from ocn_permission_agent.ocpi.party import Party

#: the operator of "this" node, and of the node that providers are on unless a test says otherwise
OWN_OPERATOR = Address("0x" + "0a" * 20)
OTHER_OPERATOR = Address("0x" + "0b" * 20)
OWN_DOMAIN = "https://node-a.example"
OTHER_DOMAIN = "https://node-b.example"
BLOCK_TIME = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)


def address_of(party: Party | str) -> Address:
    """The same address for the same spelling, another one for every other."""
    return Address("0x" + hashlib.sha256(str(party).encode()).hexdigest()[:40])


def transaction(number: int) -> str:
    return f"0x{number:064x}"


def evidence(block_number: int, log_index: int = 0) -> Evidence:
    """A log; its transaction's hash is told by its position."""
    return Evidence(
        position=Position(block_number, log_index),
        transaction_hash=transaction(block_number * 1000 + log_index),
    )


def observed(block_number: int) -> Evidence:
    return Evidence(position=Position(block_number, 1_000_000_000))


class History:
    """Events one after another, each in a block of its own."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.block_number = 0

    def mine(self, blocks: int = 1) -> Evidence:
        self.block_number += blocks
        return evidence(self.block_number)

    def operator(self, operator: Address, domain: str) -> None:
        self.events.append(OperatorChanged(evidence=self.mine(), operator=operator, domain=domain))

    def party(self, party: Party | None, *, operator: Address, address: Address | None = None) -> None:
        found = address or address_of(party or "")
        self.events.append(PartyChanged(evidence=self.mine(), address=found, party=party, operator=operator))

    def service(
        self,
        provider: Address,
        permissions: Iterable[int],
        *,
        nameless: bool = False,
        sent: Sent = Sent.DIRECT,
    ) -> None:
        self.events.append(
            ServiceListed(
                evidence=self.mine(),
                provider=provider,
                name="" if nameless else "a service",
                url="" if nameless else "https://service.example",
                permissions=frozenset(permissions),
                nameless=nameless,
                sent=sent,
            )
        )

    def begin_pins(self) -> None:
        """The first complete sync ends here."""
        self.mine()
        self.events.append(PinsBegun(evidence=observed(self.block_number)))

    def toggle(self, customer: Address, provider: Address, sent: Sent = Sent.DIRECT) -> AgreementId:
        event = AgreementToggled(evidence=self.mine(), customer=customer, provider=provider, sent=sent)
        self.events.append(event)
        return event.evidence.agreement

    def facts(self) -> Facts:
        facts = Facts.none()
        for event in self.events:
            facts = apply(facts, event)
        return facts

    def index(
        self,
        *,
        confirmations: int = 0,
        settings: ConsentSettings | None = None,
        distrust: str | None = None,
        doubt: str | None = None,
        decisions: Decisions | None = None,
    ) -> ConsentIndex:
        return ConsentIndex(
            facts=self.facts(),
            block_number=self.block_number,
            block_hash=transaction(self.block_number),
            block_time=BLOCK_TIME,
            own_operator=OWN_OPERATOR,
            confirmations=confirmations,
            settings=settings or ConsentSettings(),
            distrust=distrust,
            doubt=doubt,
            decisions=decisions,
        )


def a_history(
    agreements: Iterable[tuple[str, str, Iterable[int]]] = (), *, own_providers: Iterable[str] = ()
) -> History:
    """Two operators with domains, and for each (customer, provider, permissions) both parties, listing, agreement.

    Customers are on our own node, providers on the other one unless named in `own_providers`.
    """
    history = History()
    history.operator(OWN_OPERATOR, OWN_DOMAIN)
    history.operator(OTHER_OPERATOR, OTHER_DOMAIN)
    known: set[str] = set()
    for customer, provider, permissions in agreements:
        if customer not in known:
            history.party(Party.parse(customer), operator=OWN_OPERATOR)
        if provider not in known:
            operator = OWN_OPERATOR if provider in own_providers else OTHER_OPERATOR
            history.party(Party.parse(provider), operator=operator)
            history.service(address_of(provider), permissions)
        known |= {customer, provider}
        history.toggle(address_of(customer), address_of(provider))
    return history


def an_index(
    agreements: Iterable[tuple[str, str, Iterable[int]]] = (), *, own_providers: Iterable[str] = ()
) -> ConsentIndex:
    """An index in which these agreements stand: ``an_index([("DE*CPO", "NL*BIL", {6, 8})])``.

    Addresses are `address_of(party)`; ask the index itself for agreement ids. No confirmations are needed.
    """
    return a_history(agreements, own_providers=own_providers).index()
