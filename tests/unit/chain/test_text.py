"""Foreign bytes as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocn_permission_agent.chain.abi import get_node, get_service, has_agreement, party_by_address, party_by_key
from ocn_permission_agent.chain.text import party_bytes, party_from_bytes, readable_domain, shown
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.sandbox.chain.calls import Contract, contract_call
from tests.consent_factories import address_of

CPO, BIL = address_of("DE*CPO"), address_of("NL*BIL")


@given(raw=st.binary(max_size=2000))
def test_what_is_shown_is_short_and_printable(raw: bytes) -> None:
    text = shown(raw)
    assert len(text) <= 256
    assert text.isprintable()


def test_ordinary_text_is_shown_as_it_is() -> None:
    assert shown("Abrechnung für Köln".encode()) == "Abrechnung für Köln"
    assert shown(b"\x1b[31m\xe2\x80\xaered") == "\\x1b[31m\\u202ered"


@given(country_code=st.binary(min_size=2, max_size=2), party_id=st.binary(min_size=3, max_size=3))
def test_a_party_of_any_bytes_can_be_asked_for_again(country_code: bytes, party_id: bytes) -> None:
    party = party_from_bytes(country_code, party_id)
    assert party_bytes(party) == (country_code, party_id)
    assert str(party).isprintable()


def test_ordinary_parties_keep_their_spelling_and_strange_ones_match_no_header() -> None:
    assert party_from_bytes(b"de", b"CPO") == Party("de", "CPO")
    assert party_from_bytes(b"D\xe9", b"C\\O") == Party("D\\xe9", "C\\x5cO")


@pytest.mark.parametrize("domain", ["", "https://a.example", "https://köln.example"])
def test_a_domain_is_text(domain: str) -> None:
    assert readable_domain(domain.encode()) == domain


def test_questions_are_encoded_as_the_contracts_want_them() -> None:
    registry, permissions = Contract.REGISTRY, Contract.PERMISSIONS
    assert get_service(BIL) == contract_call(permissions, "getService", BIL).data
    assert has_agreement(CPO, BIL) == contract_call(permissions, "hasUserAgreementByAddress", CPO, BIL).data
    assert party_by_address(CPO) == contract_call(registry, "getPartyDetailsByAddress", CPO).data
    assert get_node(CPO) == contract_call(registry, "getNode", CPO).data
    assert (
        party_by_key(Party("D\\xe9", "CPO")) == contract_call(registry, "getPartyDetailsByOcpi", b"D\xe9", b"CPO").data
    )
