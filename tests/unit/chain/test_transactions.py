"""How a log was sent: by the party itself, relayed, or through another contract (C6)."""

from dataclasses import replace
from typing import Any

import pytest

from ocn_permission_agent.chain.transactions import (
    Transaction,
    must_be_traced,
    read_transaction,
    traced,
)
from ocn_permission_agent.consent.address import ZERO, Address
from ocn_permission_agent.consent.events import AgreementToggled, PinsBegun, Sent, ServiceListed
from ocn_permission_agent.errors import ChainUnavailable
from ocn_permission_agent.sandbox.chain.calls import Contract, Signature, contract_call
from tests.chain_factories import PERMISSIONS, TRANSACTION, block_hash
from tests.consent_factories import address_of, evidence

CPO, BIL, STRANGER = address_of("DE*CPO"), address_of("NL*BIL"), address_of("XX*XXX")
ANY = Signature(v=27, r=bytes(32), s=bytes(32)).arguments
TOGGLED = AgreementToggled(evidence=evidence(1), customer=CPO, provider=BIL)
DELETED = ServiceListed(evidence=evidence(1), provider=BIL, name="", url="", permissions=frozenset({6}), nameless=True)


def a_transaction(name: str, *arguments: Any, sender: Address = CPO, to: Address | None = PERMISSIONS) -> Transaction:
    data = contract_call(Contract.PERMISSIONS, name, *arguments).data
    return Transaction(hash=TRANSACTION, block_hash=block_hash(1), sender=sender, to=to, data=data)


def sent_of(event: AgreementToggled | ServiceListed, transaction: Transaction | None) -> Sent:
    after = traced(event, transaction, permissions=PERMISSIONS)
    assert isinstance(after, AgreementToggled | ServiceListed)
    return after.sent


@pytest.mark.parametrize("name", ["createAgreement", "revokeAgreement"])
def test_an_agreement_by_the_customer_itself_is_direct(name: str) -> None:
    assert sent_of(TOGGLED, a_transaction(name, BIL)) is Sent.DIRECT


@pytest.mark.parametrize("name", ["createAgreementRaw", "revokeAgreementRaw"])
@pytest.mark.parametrize("sender", [CPO, STRANGER])
def test_a_signature_is_relayed_whoever_sends_it(name: str, sender: Address) -> None:
    assert sent_of(TOGGLED, a_transaction(name, BIL, *ANY, sender=sender)) is Sent.RELAYED


def test_dirty_upper_bytes_of_an_address_do_not_matter() -> None:
    clean = a_transaction("createAgreement", BIL)
    dirty = replace(clean, data=clean.data[:4] + b"\xff" * 12 + clean.data[16:])
    assert sent_of(TOGGLED, dirty) is Sent.DIRECT


@pytest.mark.parametrize(
    "transaction",
    [
        a_transaction("createAgreement", BIL, to=STRANGER),
        a_transaction("createAgreement", BIL, to=None),
        a_transaction("createAgreement", BIL, sender=STRANGER),
        a_transaction("createAgreement", STRANGER),
        a_transaction("createAgreementRaw", STRANGER, *ANY),
        a_transaction("deleteService"),
        Transaction(hash=TRANSACTION, block_hash=None, sender=CPO, to=PERMISSIONS, data=b""),
    ],
)
def test_whatever_does_not_fit_the_log_went_through_another_contract(transaction: Transaction) -> None:
    assert sent_of(TOGGLED, transaction) is Sent.INNER


def test_a_deletion_is_traced_too() -> None:
    assert sent_of(DELETED, a_transaction("deleteService", sender=BIL)) is Sent.DIRECT
    assert sent_of(DELETED, a_transaction("setService", "", "", [6], sender=BIL)) is Sent.DIRECT
    assert sent_of(DELETED, a_transaction("deleteServiceRaw", BIL, *ANY, sender=STRANGER)) is Sent.RELAYED
    assert sent_of(DELETED, a_transaction("setServiceRaw", "", "", [6], *ANY, sender=STRANGER)) is Sent.RELAYED
    assert sent_of(DELETED, a_transaction("deleteService", sender=BIL, to=STRANGER)) is Sent.INNER


def test_what_cannot_be_looked_up_is_unknown() -> None:
    assert sent_of(replace(TOGGLED, sent=Sent.DIRECT), None) is Sent.UNKNOWN


def test_only_agreements_and_nameless_listings_are_looked_up() -> None:
    assert must_be_traced(TOGGLED)
    assert must_be_traced(DELETED)
    assert not must_be_traced(replace(DELETED, nameless=False))
    assert not must_be_traced(PinsBegun(evidence=evidence(1)))
    begun = PinsBegun(evidence=evidence(1))
    assert traced(begun, None, permissions=PERMISSIONS) is begun


def an_answer(**changed: Any) -> dict[str, Any]:
    answer = {"hash": TRANSACTION, "blockHash": block_hash(1), "from": CPO, "to": PERMISSIONS, "input": "0x1234"}
    return answer | changed


def test_answers_are_read_in_both_dialects() -> None:
    expected = Transaction(hash=TRANSACTION, block_hash=block_hash(1), sender=CPO, to=PERMISSIONS, data=b"\x12\x34")
    assert read_transaction(an_answer()) == expected
    old = an_answer()
    old["data"] = old.pop("input")
    assert read_transaction(old) == expected
    assert read_transaction(an_answer(to=None, blockHash=None)) == replace(expected, to=None, block_hash=None)
    assert read_transaction(None) is None


@pytest.mark.parametrize("answer", ["0x", [], an_answer(**{"from": None}), an_answer(to="0x1"), an_answer(input=1)])
def test_anything_else_is_no_transaction(answer: object) -> None:
    with pytest.raises(ChainUnavailable):
        read_transaction(answer)


def test_zero_is_nobody() -> None:
    assert sent_of(replace(TOGGLED, customer=ZERO), a_transaction("createAgreement", BIL)) is Sent.INNER
