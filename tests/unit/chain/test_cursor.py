"""Standing on blocks: forks, windows, ranges, pauses, and what must be looked at."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocn_permission_agent.chain.backoff import asked_pause_seconds, pause_seconds
from ocn_permission_agent.chain.cursor import Link, Window, fork_point, is_chain, pairs_that_lost_a_revoke
from ocn_permission_agent.chain.ranges import WIDEST, Width, last_of
from ocn_permission_agent.chain.touched import Touched, everything, keys_of, touched_by, unknown_operators
from ocn_permission_agent.consent.address import ZERO, Address
from ocn_permission_agent.consent.events import (
    AgreementObserved,
    AgreementToggled,
    Event,
    KeyObserved,
    OperatorChanged,
    OperatorUnreadable,
    PartyChanged,
    PartyUnreadable,
    RevokeReorganised,
    ServiceListed,
    ServiceObserved,
    ServiceUnreadable,
)
from ocn_permission_agent.consent.facts import Facts
from ocn_permission_agent.consent.fold import apply
from ocn_permission_agent.ocpi.party import Party
from tests.chain_factories import header
from tests.consent_factories import OTHER_OPERATOR, OWN_OPERATOR, a_history, address_of, evidence, observed

CPO, BIL = address_of("DE*CPO"), address_of("NL*BIL")


def window(*numbers: int, fork: str = "") -> Window:
    return Window(tuple(Link(header=header(number, fork=fork), events=(), facts=Facts.none()) for number in numbers))


def toggled(block: int, log_index: int = 0, customer: Address = CPO) -> AgreementToggled:
    return AgreementToggled(evidence=evidence(block, log_index), customer=customer, provider=BIL)


# --- window -----------------------------------------------------------------------------------------------------------


def test_an_empty_window_stands_on_nothing() -> None:
    assert Window().tip is None
    assert not Window().holds(header(1))
    assert fork_point(Window(), [header(1)]) is None


def test_a_window_knows_its_blocks_by_their_hash() -> None:
    stood = window(1, 2, 3)
    assert stood.tip is not None
    assert stood.tip.header.number == 3
    assert stood.holds(header(2))
    assert not stood.holds(header(2, fork="b"))


def test_a_window_can_be_cut_and_extended() -> None:
    stood = window(1, 2, 3)
    assert [link.header.number for link in stood.above(1)] == [2, 3]
    kept = stood.cut_to(1)
    assert [link.header.number for link in kept.links] == [1]
    on = kept.extended(window(2, 3, fork="b").links)
    assert on.holds(header(3, fork="b"))


def test_a_window_forgets_what_is_older_than_256_blocks() -> None:
    stood = window(*range(300)).extended(window(300).links)
    assert (len(stood.links), stood.links[0].header.number) == (256, 45)


def test_the_fork_point_is_the_newest_common_block() -> None:
    stood = window(1, 2, 3, 4)
    theirs = [header(1), header(2), header(3, fork="b"), header(4, fork="b")]
    assert fork_point(stood, theirs) == 2
    assert fork_point(stood, theirs[2:]) is None


def test_a_chain_is_unbroken() -> None:
    assert is_chain([])
    assert is_chain([header(1), header(2), header(3)])
    assert not is_chain([header(1), header(3)])
    assert not is_chain([header(1), header(2, fork="b")])
    assert is_chain([header(1), header(2, fork="b", parent_fork="")])


def test_a_dropped_revoke_is_told_from_a_dropped_grant() -> None:
    other = address_of("DE*CPB")
    base = apply(Facts.none(), toggled(1))
    listing = ServiceListed(evidence=evidence(2, 1), provider=BIL, name="", url="", permissions=frozenset())
    dropped: list[Event] = [toggled(2), listing, toggled(3, customer=other)]
    assert pairs_that_lost_a_revoke(base, dropped) == {(CPO, BIL)}
    assert pairs_that_lost_a_revoke(base, [*dropped, toggled(4, customer=other)]) == {(CPO, BIL), (other, BIL)}
    assert pairs_that_lost_a_revoke(Facts.none(), [toggled(2)]) == frozenset()
    again = RevokeReorganised(evidence=observed(2), customer=CPO, provider=BIL)
    assert pairs_that_lost_a_revoke(base, [again]) == {(CPO, BIL)}


# --- ranges and pauses ------------------------------------------------------------------------------------------------


def test_a_refused_range_is_halved_and_an_answered_one_grows() -> None:
    width = Width(1000)
    assert width.refused() == Width(500)
    assert width.answered() == Width(1501)
    assert Width(1).answered() == Width(2)
    assert Width(1).refused() is None
    assert Width(WIDEST).answered() == Width(WIDEST)


@given(first=st.integers(0, 10**6), blocks=st.integers(1, WIDEST), more=st.integers(0, 10**6))
def test_ranges_never_go_beyond_the_end(first: int, blocks: int, more: int) -> None:
    last = last_of(first, Width(blocks), first + more)
    assert first <= last <= first + more
    assert last - first < blocks


@given(failures=st.integers(1, 10_000), spread=st.floats(0, 1), asked=st.floats(0, 10_000))
def test_pauses_are_bounded_and_polite(failures: int, spread: float, asked: float) -> None:
    pause = pause_seconds(failures, spread=spread, asked_seconds=asked)
    assert 0.75 <= pause <= 300
    assert pause >= min(asked, 300)


def test_pauses_grow() -> None:
    assert [pause_seconds(n, spread=0.5) for n in (1, 2, 3, 9)] == [1, 2, 4, 30]


@pytest.mark.parametrize(
    ("header_text", "seconds"),
    [(None, 0), ("7", 7), (" 7 ", 7), ("99999", 300), ("-1", 0), ("soon", 0), ("Fri, 20 Nov 2026 11:00:00 GMT", 0)],
)
def test_retry_after_is_read_in_seconds(header_text: str | None, seconds: float) -> None:
    assert asked_pause_seconds(header_text) == seconds


# --- what to look at --------------------------------------------------------------------------------------------------


def test_events_touch_whom_they_name() -> None:
    key, gone = Party("DE", "CPO"), Party("DE", "OLD")
    events: list[Event] = [
        toggled(1),
        AgreementObserved(evidence=observed(1), customer=CPO, provider=BIL, stands=True),
        ServiceListed(evidence=evidence(2), provider=BIL, name="", url="", permissions=frozenset()),
        ServiceObserved(evidence=observed(2), provider=BIL, permissions=frozenset(), listed=False),
        ServiceUnreadable(evidence=evidence(3), provider=BIL, why=""),
        PartyChanged(evidence=evidence(4), address=CPO, party=key, operator=OWN_OPERATOR),
        PartyChanged(evidence=evidence(5), address=CPO, party=None, operator=ZERO),
        PartyUnreadable(evidence=evidence(6), address=OTHER_OPERATOR, why=""),
        KeyObserved(evidence=observed(6), party=gone, address=ZERO),
        OperatorChanged(evidence=evidence(7), operator=OWN_OPERATOR, domain=""),
        OperatorUnreadable(evidence=evidence(8), operator=OTHER_OPERATOR, why=""),
    ]
    assert touched_by(events) == Touched(
        pairs=frozenset({(CPO, BIL)}),
        services=frozenset({BIL}),
        parties=frozenset({CPO, BIL, OTHER_OPERATOR}),
        keys=frozenset({key, gone}),
        operators=frozenset({OWN_OPERATOR, OTHER_OPERATOR}),
        listings=frozenset({BIL}),
    )


def test_the_zero_address_is_never_looked_at() -> None:
    zero = OperatorChanged(evidence=evidence(1), operator=ZERO, domain="")
    assert touched_by([toggled(1, customer=ZERO), zero]) == Touched(services=frozenset({BIL}), parties=frozenset({BIL}))


def test_everything_known_can_be_looked_at() -> None:
    history = a_history([("DE*CPO", "NL*BIL", {6})])
    unregistered = address_of("unregistered")
    history.toggle(unregistered, address_of("nobody"))
    touched = everything(history.facts())
    assert touched.pairs == {(CPO, BIL), (unregistered, address_of("nobody"))}
    assert touched.services == {BIL, address_of("nobody")}
    assert touched.parties == {CPO, BIL, unregistered, address_of("nobody")}
    assert touched.keys == {Party("DE", "CPO"), Party("NL", "BIL")}
    assert touched.operators == {OWN_OPERATOR, OTHER_OPERATOR}


def test_keys_old_and_new_and_unknown_operators_are_looked_at_too() -> None:
    before = a_history([("DE*CPO", "NL*BIL", {6})])
    after = a_history([("DE*CPO", "NL*BIL", {6})])
    after.party(Party("DE", "CPX"), operator=address_of("new operator"), address=CPO)
    wanted = [CPO, BIL, address_of("nobody")]
    assert keys_of(wanted, before.facts(), after.facts()) == {
        Party("DE", "CPO"),
        Party("DE", "CPX"),
        Party("NL", "BIL"),
    }
    assert unknown_operators(wanted, after.facts()) == {address_of("new operator")}
    after.party(None, operator=ZERO, address=CPO)
    assert keys_of([CPO], after.facts()) == frozenset()
    assert unknown_operators([CPO], after.facts()) == frozenset()
