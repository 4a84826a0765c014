"""A pair is the same after it was packed, and what cannot be packed is kept as it is."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ocn_permission_agent.consent.address import Address, Position
from ocn_permission_agent.consent.events import Evidence, Sent
from ocn_permission_agent.consent.facts import Facts
from ocn_permission_agent.consent.packed import pack, unpack
from ocn_permission_agent.consent.pair import Grant, PairFacts

CUSTOMER, PROVIDER = Address("0x" + "c1" * 20), Address("0x" + "b1" * 20)

numbers = st.integers(0, 2**32 - 1)
logs = st.builds(
    Evidence,
    position=st.builds(Position, st.integers(0, 2**64 - 1), numbers),
    transaction_hash=st.binary(min_size=32, max_size=32).map(lambda each: f"0x{each.hex()}"),
)
grants = st.builds(
    Grant,
    evidence=logs,
    agreed=st.none() | st.frozensets(st.integers(0, 16)),
    sent=st.sampled_from(Sent),
    first=st.booleans(),
)


@st.composite
def pairs(draw: st.DrawFn) -> PairFacts:
    grant = draw(grants)
    return PairFacts(
        customer=CUSTOMER,
        provider=PROVIDER,
        toggles=draw(st.integers(1, 2**32 - 1)),
        newest=draw(st.just(grant.evidence) | logs),
        grant=grant,
        waits_from=draw(st.integers(0, 2**64 - 1)),
        relayed=draw(st.booleans()),
        replayed=draw(st.booleans()),
    )


@given(pairs())
def test_packed_pair_is_the_same_pair(pair: PairFacts) -> None:
    packed = pack(pair)

    assert packed is not None
    assert unpack(CUSTOMER, PROVIDER, packed) == pair


@given(pairs(), logs)
def test_contradicted_pair_is_kept_as_it_is(pair: PairFacts, evidence: Evidence) -> None:
    for doubted in (replace(pair, contradicted=evidence), replace(pair, miscounted=evidence)):
        assert pack(doubted) is None

        facts = Facts.none().with_pair(pair).with_pair(doubted)

        assert facts.pair(CUSTOMER, PROVIDER) == doubted
        assert list(facts.all_pairs()) == list(facts.contradicted_pairs()) == [doubted]


@given(pairs())
def test_pair_that_was_only_observed_is_kept_as_it_is(pair: PairFacts) -> None:
    observed = replace(pair, newest=replace(pair.newest, transaction_hash=None))

    assert pack(observed) is None
    assert Facts.none().with_pair(observed).pair(CUSTOMER, PROVIDER) == observed
