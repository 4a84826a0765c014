"""The format of the ledger: fixed texts and hashes, and what a proof finds."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocn_permission_agent.ledger import entry as ledger_entry
from ocn_permission_agent.ledger.chain import (
    Chain,
    ChainedEntry,
    Checkpoint,
    beginning,
    commitment,
    next_link,
    statement,
    verify,
)
from ocn_permission_agent.ledger.entry import Entry, body_hash, read_entry
from ocn_permission_agent.ocn.keys import OperatorKey, recover

CUSTOMER = "0x" + "c1" * 20
KEY, OTHER = OperatorKey(b"\x11" * 32), OperatorKey(b"\x22" * 32)
SALT = bytes(range(16))
ENTRY = Entry(
    outcome="delivered",
    customer="DE*CPO",
    customer_address=CUSTOMER,
    provider="DE*PAY",
    provider_address="0x" + "51" * 20,
    module="sessions",
    interface_role="receiver",
    method="PATCH",
    sent_as="PUT",
    owner="DE*CPO",
    object_id='s"1',
    correlation_id="c-1",
    size=2,
    body_hash=body_hash(SALT, b"{}"),
    recorded_at=datetime(2026, 3, 1, 10, tzinfo=UTC),
    started_at=datetime(2026, 3, 1, 10, 0, 1, 5, tzinfo=UTC),
    ended_at=datetime(2026, 3, 1, 10, 0, 2, tzinfo=UTC),
    attempts=2,
    agreement="0x" + "ab" * 32 + ":3",
    agreement_block=77,
)


def entry_text(entry: Entry) -> bytes:
    return ledger_entry.entry_text(entry, size=entry.size, body_hash=entry.body_hash)


def test_the_text_of_an_entry_is_what_it_was_on_the_first_day() -> None:
    assert entry_text(ENTRY).decode() == (
        '{"format":1,"outcome":"delivered","customer":"DE*CPO",'
        '"customer_address":"0xc1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1","provider":"DE*PAY",'
        '"provider_address":"0x5151515151515151515151515151515151515151","module":"sessions",'
        '"interface_role":"receiver","method":"PATCH","sent_as":"PUT","owner":"DE*CPO","object_id":"s\\"1",'
        '"correlation_id":"c-1","size":2,'
        '"body_hash":"b5c1f9361eb9fbedd3e628a72d1c8fef46544361fd79fa6781baf6d932b1c3f6",'
        '"recorded_at":"2026-03-01T10:00:00.000000Z","started_at":"2026-03-01T10:00:01.000005Z",'
        '"ended_at":"2026-03-01T10:00:02.000000Z","attempts":2,'
        '"agreement":"0xabababababababababababababababababababababababababababababababab:3","agreement_block":77}'
    ).replace(
        "b5c1f9361eb9fbedd3e628a72d1c8fef46544361fd79fa6781baf6d932b1c3f6", hashlib.sha256(SALT + b"{}").hexdigest()
    )


def test_instants_are_told_in_utc_wherever_they_were_taken() -> None:
    elsewhere = ENTRY.started_at.astimezone(timezone(timedelta(hours=-3, minutes=-30))) if ENTRY.started_at else None
    assert elsewhere is not None
    assert entry_text(replace(ENTRY, started_at=elsewhere)) == entry_text(ENTRY)


@given(st.datetimes(timezones=st.just(UTC)))
def test_every_instant_is_told_to_the_microsecond(at: datetime) -> None:
    told = json.loads(entry_text(replace(ENTRY, ended_at=at)))["ended_at"]
    assert told == at.strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")


@pytest.mark.parametrize("entry", [ENTRY, replace(ENTRY, sent_as=None, started_at=None, agreement_block=0)])
def test_an_entry_is_read_as_it_was_written(entry: Entry) -> None:
    assert read_entry(entry_text(entry)) == entry


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", entry_text(ENTRY).replace(b'"format":1', b'"format":2')])
def test_what_is_no_entry_of_this_format_is_not_read(text: bytes) -> None:
    with pytest.raises(ValueError, match="entry"):
        read_entry(text)


def test_the_chain_is_made_of_these_hashes() -> None:
    first = beginning(CUSTOMER)
    assert first == hashlib.sha256(b"ocn-permission-agent ledger 1\n" + CUSTOMER.encode()).digest()
    text = entry_text(ENTRY)
    committed = commitment(SALT, text)
    assert committed == hashlib.sha256(SALT + text).digest()
    assert next_link(first, 1, committed) == hashlib.sha256(first + b"\0\0\0\0\0\0\0\1" + committed).digest()


def a_chain(length: int, *, first_number: int = 1) -> Chain:
    before = link = beginning(CUSTOMER) if first_number == 1 else b"\x07" * 32
    entries = []
    for number in range(first_number, first_number + length):
        salt = hashlib.md5(b"%d" % number).digest()  # noqa: S324  any 16 bytes
        text = entry_text(replace(ENTRY, object_id=f"s{number}"))
        committed = commitment(salt, text)
        link = next_link(link, number, committed)
        entries.append(ChainedEntry(number=number, salt=salt, text=text, commitment=committed, link=link))
    return Chain(customer_address=CUSTOMER, first_number=first_number, link_before=before, entries=tuple(entries))


def sealed(chain: Chain, number: int, key: OperatorKey = KEY, **changed: object) -> Chain:
    link = next(each.link for each in chain.entries if each.number == number)
    said = {"customer_address": CUSTOMER, "number": number, "link": link, "at": "2026-03-01T10:00:00.000000Z"}
    text = statement(**(said | changed))  # type: ignore[arg-type]
    checkpoint = Checkpoint(number=number, statement=text, signature=key.sign(text.encode()))
    return replace(chain, checkpoints=(*chain.checkpoints, checkpoint))


def faults(chain: Chain) -> tuple[str, ...]:
    return verify(chain, signer=KEY.address, recover=recover)


def with_entry(chain: Chain, number: int, **changed: object) -> Chain:
    entries = tuple(replace(each, **changed) if each.number == number else each for each in chain.entries)  # type: ignore[arg-type]
    return replace(chain, entries=entries)


def test_an_honest_chain_verifies_from_its_beginning_and_from_where_it_was_cut() -> None:
    assert faults(a_chain(0)) == ()
    assert faults(sealed(sealed(a_chain(5), 2), 5)) == ()
    assert faults(sealed(a_chain(3, first_number=9), 10)) == ()


def test_an_erased_entry_leaves_the_chain_whole_and_says_nothing_any_more() -> None:
    erased = with_entry(with_entry(a_chain(5), 2, salt=None, text=None), 5, salt=None, text=None)
    assert faults(sealed(erased, 5)) == ()


@pytest.mark.parametrize(
    ("chain", "told"),
    [
        (with_entry(a_chain(3), 2, text=entry_text(replace(ENTRY, size=1))), "entry 2 was changed"),
        (with_entry(a_chain(3), 2, salt=None), "entry 2 is erased by half"),
        (with_entry(a_chain(3), 2, commitment=b"\0" * 32), "entry 2 does not continue"),
        (with_entry(a_chain(3), 2, link=b"\0" * 32), "entry 3 does not continue"),
        (replace(a_chain(3), entries=a_chain(3).entries[1:]), "entry 1 is missing"),  # type: ignore[index]
        (replace(a_chain(3), link_before=b"\0" * 32), "does not begin where"),
        (sealed(a_chain(3), 2, OTHER), "is not signed by"),
        (sealed(a_chain(3), 2, link=b"\0" * 32), "has signed another link"),
        (sealed(a_chain(3), 2, customer_address="0x" + "c2" * 20), "about something else"),
        (replace(sealed(a_chain(5), 5), entries=a_chain(3).entries), "an entry that is missing"),
        (
            replace(a_chain(1), checkpoints=(Checkpoint(number=1, statement="{}", signature="00" * 65),)),
            "cannot be read",
        ),
    ],
)
def test_what_was_tampered_with_is_found(chain: Chain, told: str) -> None:
    found = faults(chain)
    assert any(told in fault for fault in found), found


def test_a_rewritten_chain_verifies_but_not_against_what_was_signed_before() -> None:
    honest = sealed(a_chain(3), 3)
    forged = with_entry(
        a_chain(3), 1, text=(text := entry_text(replace(ENTRY, size=9))), commitment=commitment(SALT, text)
    )
    link = forged.link_before
    entries = []
    for each in forged.entries:
        salt = SALT if each.number == 1 else each.salt
        link = next_link(link, each.number, each.commitment)
        entries.append(replace(each, salt=salt, link=link))
    rewritten = replace(forged, entries=tuple(entries))
    assert faults(rewritten) == ()
    assert faults(replace(rewritten, checkpoints=honest.checkpoints)) == (
        "the checkpoint at entry 3 has signed another link",
    )


def test_a_statement_is_json_of_fixed_order() -> None:
    text = statement(customer_address=CUSTOMER, number=3, link=b"\1" * 32, at="2026-03-01T10:00:00.000000Z")
    assert list(json.loads(text)) == ["ledger", "customer_address", "number", "link", "at"]
