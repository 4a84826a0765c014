"""Memory and look-ups of a consent index: synthetic, folded from events without a chain. Run by `benchmarks.sync`."""

import gc
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ocn_permission_agent.consent.address import Address, Position
from ocn_permission_agent.consent.events import (
    AgreementToggled,
    Event,
    Evidence,
    OperatorChanged,
    PartyChanged,
    Sent,
    ServiceListed,
)
from ocn_permission_agent.consent.facts import Facts
from ocn_permission_agent.consent.fold import apply
from ocn_permission_agent.consent.index import ConsentIndex, Entitlement
from ocn_permission_agent.consent.settings import ConsentSettings
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.route import InterfaceRole, Module
from tests.chain_harness import OWN_DOMAIN

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SESSIONS = (Module.SESSIONS, InterfaceRole.RECEIVER)


def party(kind: str, number: int) -> Party:
    """A party of its own for each number below 36³."""
    digits = "".join(_DIGITS[number // 36**place % 36] for place in (2, 1, 0))
    return Party(kind, digits)


def synthetic(customers: int, providers: int) -> Iterator[Event]:
    """The events of such a chain, in their order."""
    block = 0

    def seen() -> Evidence:
        nonlocal block
        block += 1
        return Evidence(position=Position(block, 0), transaction_hash=f"0x{block:064x}")

    yield OperatorChanged(evidence=seen(), operator=_account("op", 0), domain=OWN_DOMAIN)
    for kind, code, count in (("customer", "DE", customers), ("provider", "NL", providers)):
        for number in range(count):
            account = _account(kind, number)
            yield PartyChanged(evidence=seen(), address=account, party=party(code, number), operator=_account("op", 0))
    for number in range(providers):
        ids = frozenset({6, 8})
        yield ServiceListed(
            evidence=seen(), provider=_account("provider", number), name="A service", url="u", permissions=ids
        )
    for one in range(customers):
        for other in range(providers):
            yield AgreementToggled(
                evidence=seen(),
                customer=_account("customer", one),
                provider=_account("provider", other),
                sent=Sent.DIRECT,
            )


def _account(kind: str, number: int) -> Address:
    return Address("0x" + {"op": "0a", "customer": "0c", "provider": "0e"}[kind] + f"{number:038x}")


def index_of(facts: Facts) -> ConsentIndex:
    """An index long after the newest event."""
    return ConsentIndex(
        facts=facts,
        block_number=10**9,
        block_hash="0x" + "1" * 64,
        block_time=datetime.fromtimestamp(0, UTC),
        own_operator=_account("op", 0),
        confirmations=12,
        settings=ConsentSettings(),
    )


def resident_mb() -> float:
    """Memory of this process that is resident now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def timed(work: Callable[[], object], times: int = 1) -> float:
    """Seconds for one call."""
    start = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - start) / times


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookups:
    """Microseconds of a sender's first look-up at a block and of a later one; of a verdict and of the same again."""

    first: float
    later: float
    verdict: float
    verdict_later: float

    def __str__(self) -> str:
        return (
            f"{self.first:.0f} first at a block, {self.later:.2f} later, "
            f"{self.verdict:.1f} verdict before an attempt, {self.verdict_later:.2f} the same again"
        )


def lookups(index: ConsentIndex, sender: Party, count: int) -> Lookups:
    """Of a sender that agreed with `count` services, at an index that nobody has asked yet."""
    first = timed(lambda: index.providers_for(sender, *_SESSIONS))
    entitlements = index.providers_for(sender, *_SESSIONS)
    if len(entitlements) != count:
        raise RuntimeError(f"{len(entitlements)} of {count} are entitled")

    def verdict(one: Entitlement) -> None:
        found = index.verdict(
            one.customer_address,
            one.provider_address,
            agreement=one.agreement,
            module=Module.SESSIONS,
            role=InterfaceRole.RECEIVER,
            fresh=True,
        )
        if found.closed:
            raise RuntimeError(found.reason)

    def each_verdict() -> None:
        for one in entitlements:
            verdict(one)

    return Lookups(
        first=first * 1e6,
        later=timed(lambda: index.providers_for(sender, *_SESSIONS), 10_000) * 1e6,
        verdict=timed(each_verdict) / count * 1e6,
        verdict_later=timed(lambda: verdict(entitlements[0]), 10_000) * 1e6,
    )


def measure_index(side: int) -> None:
    """Memory and look-ups of an index without a chain: `side` customers, each of them agreed with `side` services."""
    gc.collect()
    before, start = resident_mb(), time.perf_counter()
    facts = Facts.none()
    for event in synthetic(side, side):
        facts = apply(facts, event)
    folded = time.perf_counter() - start
    gc.collect()
    grown = resident_mb() - before
    found = lookups(index_of(facts), party("DE", 1), side)
    print(
        f"synthetic index of {side * side} agreements: folded in {folded:.1f} s, resident +{grown:.1f} MB, "
        f"{grown * 1e6 / side / side:.0f} bytes each; look-ups of a sender with {side}, microseconds: {found}"
    )
