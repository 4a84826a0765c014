"""What logs and answers say; that strange ones close only whom they name, and never raise anything else."""

from dataclasses import replace

import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from ocn_permission_agent.chain import abi
from ocn_permission_agent.chain.blocks import RawLog
from ocn_permission_agent.chain.decode import (
    SIZE_LIMIT_BYTES,
    Malformed,
    decode_log,
    read_domain,
    read_flag,
    read_key,
    read_party,
    read_service,
)
from ocn_permission_agent.consent.address import ZERO, Address, Position
from ocn_permission_agent.consent.events import (
    AgreementToggled,
    Event,
    Evidence,
    OperatorChanged,
    OperatorUnreadable,
    PartyChanged,
    PartyUnreadable,
    ServiceListed,
    ServiceUnreadable,
)
from ocn_permission_agent.ocpi.party import Party
from tests.chain_factories import (
    PERMISSIONS,
    REGISTRY,
    TRANSACTION,
    agreement_log,
    operator_log,
    party_log,
    raw_log,
    service_log,
    word,
)
from tests.consent_factories import OWN_OPERATOR, address_of

CPO, BIL = address_of("DE*CPO"), address_of("NL*BIL")
SEEN = Evidence(position=Position(7, 0), transaction_hash=TRANSACTION)


def decoded(log: RawLog) -> Event | None:
    return decode_log(log, registry=REGISTRY, permissions=PERMISSIONS)


def test_a_listing_is_read() -> None:
    assert decoded(service_log(BIL, b"Billing", b"https://b.example", [8, 6, 6, 17, 2**255])) == ServiceListed(
        evidence=SEEN,
        provider=BIL,
        name="Billing",
        url="https://b.example",
        permissions=frozenset({6, 8}),
        unknown_ids=2,
    )


@pytest.mark.parametrize(("name", "url", "nameless"), [(b"", b"", True), (b"n", b"", False), (b"", b"u", False)])
def test_a_listing_without_name_and_url_may_be_a_deletion(name: bytes, url: bytes, nameless: bool) -> None:
    event = decoded(service_log(BIL, name, url, [6]))
    assert isinstance(event, ServiceListed)
    assert event.nameless is nameless


def test_strange_names_are_shown_escaped_and_short() -> None:
    event = decoded(service_log(BIL, b"\xff\n\x00", "é".encode() * 1000, [6]))
    assert isinstance(event, ServiceListed)
    assert (event.name, event.url) == ("\\xff\\n\\x00", "é" * 256)


def test_a_listing_that_is_too_large_names_its_provider() -> None:
    event = decoded(service_log(BIL, b"", b"", [0] * 2100))
    assert isinstance(event, ServiceUnreadable)
    assert (event.provider, event.evidence) == (BIL, SEEN)


@pytest.mark.parametrize(
    "head",
    [
        (2**256 - 1, 2**256 - 1, 2**256 - 1),
        (128, 160, 160),
        (160, 160, 128),
        (160, 160, 161),
    ],
)
def test_a_listing_that_cannot_be_decoded_names_its_provider(head: tuple[int, int, int]) -> None:
    """Offsets beyond the data, and lengths beyond it (the word at 128)."""
    offsets = b"".join(offset.to_bytes(32, "big") for offset in head)
    broken = raw_log(PERMISSIONS, (abi.SERVICE_UPDATE,), offsets + word(BIL) + b"\xff" * 32 + bytes(32))
    event = decoded(broken)
    assert isinstance(event, ServiceUnreadable)
    assert event.provider == BIL


def test_a_log_that_names_nobody_is_nothing() -> None:
    for log in (service_log(BIL, b"", b"", [6]), agreement_log(CPO, BIL)):
        assert decoded(replace(log, data=log.data[:50])) is None
    assert decoded(replace(agreement_log(CPO, BIL), data=b"\xff" * 64)) is None
    assert decoded(replace(party_log(CPO, b"DE", b"CPO", OWN_OPERATOR), topics=(abi.PARTY_UPDATE,))) is None
    assert decoded(replace(operator_log(OWN_OPERATOR, b"x"), topics=(abi.OPERATOR_UPDATE, b"\1" * 32))) is None


def test_logs_of_others_are_nothing() -> None:
    assert decoded(replace(agreement_log(CPO, BIL), contract=REGISTRY)) is None
    assert decoded(replace(party_log(CPO, b"DE", b"CPO", OWN_OPERATOR), contract=PERMISSIONS)) is None
    assert decoded(replace(agreement_log(CPO, BIL), topics=())) is None


def test_an_agreement_is_read_and_the_contracts_user_is_our_customer() -> None:
    assert decoded(agreement_log(CPO, BIL)) == AgreementToggled(evidence=SEEN, customer=CPO, provider=BIL)


def test_an_entry_and_a_departure_are_read() -> None:
    assert decoded(party_log(CPO, b"DE", b"CPO", OWN_OPERATOR)) == PartyChanged(
        evidence=SEEN, address=CPO, party=Party("DE", "CPO"), operator=OWN_OPERATOR
    )
    assert decoded(party_log(CPO, b"DE", b"CPO", ZERO)) == PartyChanged(
        evidence=SEEN, address=CPO, party=None, operator=ZERO
    )


def test_an_entry_that_cannot_be_read_names_its_party() -> None:
    log = party_log(CPO, b"DE", b"CPO", OWN_OPERATOR)
    for broken in (
        replace(log, data=log.data[:40]),
        replace(log, data=log.data + bytes(SIZE_LIMIT_BYTES)),
        replace(log, topics=log.topics[:2]),
    ):
        event = decoded(broken)
        assert isinstance(event, PartyUnreadable)
        assert event.address == CPO


def test_a_domain_is_read_exactly() -> None:
    assert decoded(operator_log(OWN_OPERATOR, b"https://a.example/")) == OperatorChanged(
        evidence=SEEN, operator=OWN_OPERATOR, domain="https://a.example/"
    )
    assert decoded(operator_log(OWN_OPERATOR, b"")) == OperatorChanged(evidence=SEEN, operator=OWN_OPERATOR, domain="")


@pytest.mark.parametrize("domain", [b"\xff", b"https://a.example\n", b"a" * 257, b"a" * (SIZE_LIMIT_BYTES + 1)])
def test_a_domain_that_is_no_url_is_never_shortened_or_mended(domain: bytes) -> None:
    event = decoded(operator_log(OWN_OPERATOR, domain))
    assert isinstance(event, OperatorUnreadable)
    assert event.operator == OWN_OPERATOR


def test_a_domain_that_cannot_be_decoded_names_its_operator() -> None:
    event = decoded(replace(operator_log(OWN_OPERATOR, b"x"), data=b"\xff" * 64))
    assert isinstance(event, OperatorUnreadable)


@given(
    data=st.binary(max_size=400),
    topic=st.sampled_from(abi.TOPICS),
    extra=st.lists(st.binary(min_size=32, max_size=32), max_size=3),
    contract=st.sampled_from([REGISTRY, PERMISSIONS]),
)
def test_no_log_makes_the_decoder_fail(data: bytes, topic: bytes, extra: list[bytes], contract: Address) -> None:
    decoded(replace(raw_log(REGISTRY, (topic, *extra), data), contract=contract))


@given(
    name=st.binary(max_size=100),
    url=st.binary(max_size=100),
    ids=st.lists(st.integers(0, 2**256 - 1), max_size=20),
)
def test_every_listing_that_can_be_encoded_can_be_read(name: bytes, url: bytes, ids: list[int]) -> None:
    event = decoded(service_log(BIL, name, url, ids))
    assert isinstance(event, ServiceListed)
    assert event.permissions == {number for number in ids if number <= 16}
    assert event.unknown_ids == len({number for number in ids if number > 16})
    assert event.name.isprintable()
    assert event.url.isprintable()


# --- answers ----------------------------------------------------------------------------------------------------------

_SERVICE = ["bytes2", "bytes3", "bytes", "bytes", "uint256[]"]


def test_answers_are_read() -> None:
    listed = read_service(encode(_SERVICE, [b"NL", b"BIL", b"\xff", b"", [6, 17]]))
    assert (listed.permissions, listed.unknown_ids, listed.listed) == (frozenset({6}), 1, True)
    assert read_service(encode(_SERVICE, [b"NL", b"BIL", b"", b"", [99]])).listed
    assert not read_service(encode(_SERVICE, [b"NL", b"BIL", b"", b"", []])).listed
    assert (read_flag(encode(["bool"], [True])), read_flag(encode(["bool"], [False]))) == (True, False)
    assert read_key(word(CPO) + bytes(320)) == CPO
    assert read_domain(encode(["bytes"], [b"\xff"])) == b"\xff"


@pytest.mark.parametrize(
    ("country_code", "party_id", "party"),
    [
        (b"DE", b"CPO", Party("DE", "CPO")),
        (b"\0\0", b"\0\0\0", None),
        (b"\0\0", b"CPO", Party("\\x00\\x00", "CPO")),
        (b"DE", b"\0\0\0", Party("DE", "\\x00\\x00\\x00")),
    ],
)
def test_a_party_is_registered_when_it_has_a_name(country_code: bytes, party_id: bytes, party: Party | None) -> None:
    kinds = ["bytes2", "bytes3", "uint8[]", "uint8[]", "uint8[]", "address", "string"]
    state = read_party(encode(kinds, [country_code, party_id, [], [], [0], OWN_OPERATOR, "x"]))
    assert (state.party, state.operator) == (party, OWN_OPERATOR)


def test_answers_that_are_none_are_malformed() -> None:
    for read in (read_service, read_flag, read_party, read_key, read_domain):
        with pytest.raises(Malformed):
            read(b"\xff" * 40)
    for read in (read_service, read_domain):
        with pytest.raises(Malformed, match="64 KiB"):
            read(bytes(SIZE_LIMIT_BYTES + 1))
