"""What group commit brings, and what claiming and counting cost behind a dead service.

Run: ``python -m benchmarks.store [--folder F] [--backlog 1000000]`` – the folder should lie on the disk that is meant
(default: the temporary folder). Prints a table of rates and ratios; every row is fsynced before it counts, and each
rate is the median of rounds that alternate with what it is compared with. A minute with the default backlog, five with
a million.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from statistics import median

from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.consent.address import Address, AgreementId, address
from ocn_permission_agent.ledger.store import LedgerStore
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.request import parse_request
from ocn_permission_agent.outbox.after_attempt import Decision
from ocn_permission_agent.outbox.lane import lane_of
from ocn_permission_agent.outbox.model import CopyPlan, DeliveryState, Envelope, PlannedDelivery
from ocn_permission_agent.outbox.settings import DeliverySettings
from ocn_permission_agent.outbox.sqlite import SqliteOutbox
from ocn_permission_agent.store.sqlite import SqliteDatabase

_CUSTOMER = address("0x" + "c1" * 20)
_DEAD, _WELL = address("0x" + "51" * 20), address("0x" + "52" * 20)
_HEADERS = {
    "x-request-id": "r",
    "ocpi-from-country-code": "DE",
    "ocpi-from-party-id": "CPO",
    "ocpi-to-country-code": "NL",
    "ocpi-to-party-id": "MSP",
}
_ROUNDS = 5
_ALONE, _TOGETHER, _AT_ONCE = 200, 4_096, 256
_DRAINED = 500
_BODY_BYTES, _BACKLOG_BODY_BYTES = 2_000, 200

#: (what, per second, times as many as what it is compared with)
Line = tuple[str, float, float]


class _Bench:
    def __init__(self, database: SqliteDatabase, clock: SystemClock) -> None:
        self._database = database
        self._clock = clock
        self._number = 0
        self.store = SqliteOutbox(
            database, settings=DeliverySettings(), ledger=LedgerStore(database), metrics=Metrics()
        )

    def plans(self, count: int, provider: Address = _WELL, size: int = _BODY_BYTES) -> Iterator[CopyPlan]:
        """So many sessions, each another one, made before anything is measured."""
        return iter([self._plan(provider, size) for _ in range(count)])

    def _plan(self, provider: Address, size: int) -> CopyPlan:
        self._number += 1
        request = parse_request(
            method="PUT",
            raw_path=f"/ocpi/receiver/2.2/sessions/DE/CPO/s{self._number}",
            raw_query="",
            headers=_HEADERS | {"x-correlation-id": f"{self._number * 2654435761 % 2**32:08x}-{self._number}"},
            body=b'{"id":"s%d","filler":"%s"}' % (self._number, b"x" * size),
        )
        if request is None:
            raise AssertionError("the benchmark's own request is no OCPI request")
        planned = PlannedDelivery(
            provider=Party("DE", "PAY") if provider == _WELL else Party("DE", "OFF"),
            provider_address=provider,
            agreement=AgreementId("0x" + "ab" * 32, 0),
            lane=lane_of(request, customer_address=_CUSTOMER, provider_address=provider),
        )
        envelope = Envelope(
            customer=Party("DE", "CPO"),
            customer_address=_CUSTOMER,
            request=request,
            recorded_at=self._clock.now(),
        )
        return CopyPlan(envelope=envelope, deliveries=(planned,))

    async def raw(self) -> None:
        """One bare row: what the engine itself can do."""
        body = b"x" * _BODY_BYTES
        await self._database.write(lambda c: c.execute("INSERT INTO bench (body) VALUES (?)", (body,)))

    async def record(self, plans: Iterator[CopyPlan]) -> None:
        """One copy for one provider."""
        await self.store.record(next(plans))

    async def drain(self, count: int) -> None:
        """Claim and settle so many, eight at a time, as a dispatcher does; the dead provider gets no room."""
        done = 0
        while done < count:
            claimed = await self.store.claim(now=self._clock.now(), room={_DEAD: 0}, default_room=8)
            async with asyncio.TaskGroup() as group:
                for delivery in claimed:
                    decision = Decision(state=DeliveryState.DELIVERED, decided_at=self._clock.now())
                    group.create_task(self.store.settle(delivery, decision))
            done += len(claimed)

    async def rate(self, count: int, at_once: int, work: Callable[[], Awaitable[object]]) -> float:
        """Times per second with so many callers at once."""

        async def caller() -> None:
            for _ in range(count // at_once):
                await work()

        began = self._clock.monotonic()
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(caller())
        return count // at_once * at_once / (self._clock.monotonic() - began)

    async def record_rate(self, count: int, at_once: int) -> float:
        plans = self.plans(count)
        return await self.rate(count, at_once, lambda: self.record(plans))

    async def drain_rate(self) -> float:
        """After as many were recorded."""
        await self.record_rate(_DRAINED // 250 * 250, 250)
        return _DRAINED * await self.rate(1, 1, lambda: self.drain(_DRAINED))


def _line(what: str, rates: list[float], against: list[float]) -> Line:
    return what, median(rates), median(rate / other for rate, other in zip(rates, against, strict=True))


async def _recording(bench: _Bench) -> list[Line]:
    raw_alone, raw_together, alone, together = [], [], [], []
    for _ in range(_ROUNDS):
        raw_alone.append(await bench.rate(_ALONE, 1, bench.raw))
        raw_together.append(await bench.rate(_TOGETHER, _AT_ONCE, bench.raw))
        alone.append(await bench.record_rate(_ALONE, 1))
        together.append(await bench.record_rate(_TOGETHER, _AT_ONCE))
    return [
        _line("bare rows, one transaction each", raw_alone, raw_alone),
        _line(f"bare rows, group commit, {_AT_ONCE} callers", raw_together, raw_alone),
        _line("copies recorded, one transaction each", alone, alone),
        _line(f"copies recorded, group commit, {_AT_ONCE} callers", together, alone),
    ]


async def _behind(bench: _Bench, crowded: _Bench, backlog: int) -> list[Line]:
    """An empty queue against one behind a service that does not answer."""
    for _ in range(0, backlog, 10_000):
        plans = crowded.plans(10_000, _DEAD, _BACKLOG_BODY_BYTES)
        await crowded.rate(10_000, 250, lambda plans=plans: crowded.record(plans))  # type: ignore[misc]
    pairs: dict[str, tuple[list[float], list[float]]] = {}
    for _ in range(_ROUNDS):
        for what, work in _questions().items():
            empty, behind = pairs.setdefault(what, ([], []))
            empty.append(await work(bench))
            behind.append(await work(crowded))
    lines = []
    for what, (empty, behind) in pairs.items():
        lines.append(_line(f"{what}, empty queue", empty, empty))
        lines.append(_line(f"{what}, behind {backlog:,} of a dead service", behind, empty))
    return lines


def _questions() -> dict[str, Callable[[_Bench], Awaitable[float]]]:
    return {
        "claim and settle, 8 at a time": _Bench.drain_rate,
        "count by state": lambda bench: bench.rate(50, 1, bench.store.counts),
        "backlog by provider": lambda bench: bench.rate(50, 1, bench.store.backlog),
    }


async def _measure(folder: Path, backlog: int) -> list[Line]:
    clock = SystemClock()
    async with _opened(folder / "empty.db", clock) as bench, _opened(folder / "crowded.db", clock) as crowded:
        return await _recording(bench) + await _behind(bench, crowded, backlog)


class _opened:  # noqa: N801  reads as what it does
    def __init__(self, path: Path, clock: SystemClock) -> None:
        self._path = path
        self._clock = clock

    async def __aenter__(self) -> _Bench:
        self._database = await SqliteDatabase.open(self._path, metrics=Metrics(), clock=self._clock)
        await self._database.write(lambda c: c.execute("CREATE TABLE IF NOT EXISTS bench (body BLOB)"))
        bench = _Bench(self._database, self._clock)
        while claimed := await bench.store.claim(now=self._clock.now(), room={}, default_room=8):
            raise AssertionError(f"the store is not new: {len(claimed)} are owed")
        return bench

    async def __aexit__(self, *_: object) -> None:
        await self._database.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder")
    parser.add_argument("--backlog", type=int, default=20_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        rows = asyncio.run(_measure(Path(folder), asked.backlog))
    sys.stdout.write(f"{f'{_BODY_BYTES} B bodies, fsync before acknowledging':<62}{'per second':>12}{'ratio':>8}\n")
    for what, rate, ratio in rows:
        sys.stdout.write(f"{what:<62}{rate:>12,.0f}{ratio:>8.2f}\n")


if __name__ == "__main__":
    main()
