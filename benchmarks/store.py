"""What group commit brings, and what a claim costs behind a dead service.

Run: ``python -m benchmarks.store [folder]`` – the folder should lie on the disk that is meant (default: the temporary
folder). Prints a table of rates and ratios; every row is fsynced before it counts. Under a minute.
"""

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.consent.address import AgreementId, address
from ocn_permission_agent.ledger.sqlite import SqliteLedger
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.request import OcpiRequest, parse_request
from ocn_permission_agent.outbox.after_attempt import Decision
from ocn_permission_agent.outbox.lane import lane_of
from ocn_permission_agent.outbox.model import CopyPlan, DeliveryState, Envelope, PlannedDelivery
from ocn_permission_agent.outbox.settings import DeliverySettings
from ocn_permission_agent.outbox.sqlite import SqliteOutbox
from ocn_permission_agent.store.database import Database

_CUSTOMER = address("0x" + "c1" * 20)
_DEAD, _WELL = address("0x" + "51" * 20), address("0x" + "52" * 20)
_HEADERS = {
    "x-request-id": "r",
    "x-correlation-id": "c",
    "ocpi-from-country-code": "DE",
    "ocpi-from-party-id": "CPO",
    "ocpi-to-country-code": "NL",
    "ocpi-to-party-id": "MSP",
}
_ALONE, _TOGETHER, _AT_ONCE = 400, 6_000, 256
_BACKLOG, _DRAINED = 20_000, 1_000


class _Bench:
    def __init__(self, database: Database, clock: SystemClock) -> None:
        self._database = database
        self._clock = clock
        self._number = 0
        self._store = SqliteOutbox(
            database, settings=DeliverySettings(), ledger=SqliteLedger(database), metrics=Metrics()
        )

    def _request(self) -> OcpiRequest:
        """A session of 2 kB, each another one."""
        self._number += 1
        request = parse_request(
            method="PUT",
            raw_path=f"/ocpi/receiver/2.2/sessions/DE/CPO/s{self._number}",
            raw_query="",
            headers=_HEADERS,
            body=b'{"id":"s%d","filler":"%s"}' % (self._number, b"x" * 2000),
        )
        if request is None:
            raise AssertionError("the benchmark's own request is no OCPI request")
        return request

    async def raw(self) -> None:
        """One bare row: what the engine itself can do."""
        body = b"x" * 2000
        await self._database.write(lambda c: c.execute("INSERT INTO bench (body) VALUES (?)", (body,)))

    async def record(self, provider: str = _WELL) -> None:
        """One copy for one provider."""
        request = self._request()
        provider_address = address(provider)
        planned = PlannedDelivery(
            provider=Party("DE", "PAY"),
            provider_address=provider_address,
            agreement=AgreementId("0x" + "ab" * 32, 0),
            lane=lane_of(request, customer_address=_CUSTOMER, provider_address=provider_address),
        )
        envelope = Envelope(
            customer=Party("DE", "CPO"),
            customer_address=_CUSTOMER,
            request=request,
            recorded_at=self._clock.now(),
        )
        await self._store.record(CopyPlan(envelope=envelope, deliveries=(planned,)))

    async def drain(self, count: int) -> None:
        """Claim and settle so many, eight at a time, as a dispatcher does; the dead provider gets no room."""
        done = 0
        while done < count:
            claimed = await self._store.claim(now=self._clock.now(), room={_DEAD: 0}, default_room=8)
            async with asyncio.TaskGroup() as group:
                for delivery in claimed:
                    decision = Decision(state=DeliveryState.DELIVERED, decided_at=self._clock.now())
                    group.create_task(self._store.settle(delivery, decision))
            done += len(claimed)

    async def rate(self, count: int, at_once: int, work: Callable[[], Awaitable[None]]) -> float:
        """Rows per second with so many callers at once."""

        async def caller() -> None:
            for _ in range(count // at_once):
                await work()

        began = self._clock.monotonic()
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(caller())
        return count // at_once * at_once / (self._clock.monotonic() - began)


async def _measure(folder: Path) -> list[tuple[str, float, float]]:
    """(what, rate, rate it is compared with)."""
    clock = SystemClock()
    database = await Database.open(folder / "bench.db", metrics=Metrics(), clock=clock)
    await database.write(lambda c: c.execute("CREATE TABLE bench (body BLOB)"))
    bench = _Bench(database, clock)
    alone_raw = await bench.rate(_ALONE, 1, bench.raw)
    together_raw = await bench.rate(_TOGETHER, _AT_ONCE, bench.raw)
    alone = await bench.rate(_ALONE, 1, bench.record)
    together = await bench.rate(_TOGETHER, _AT_ONCE, bench.record)

    async def drain() -> None:
        await bench.drain(_DRAINED)

    empty = await bench.rate(1, 1, drain) * _DRAINED
    await bench.rate(_BACKLOG, _AT_ONCE, lambda: bench.record(_DEAD))
    await bench.rate(_TOGETHER, _AT_ONCE, bench.record)
    behind = await bench.rate(1, 1, drain) * _DRAINED
    await database.close()
    return [
        ("bare rows, one transaction each", alone_raw, alone_raw),
        (f"bare rows, group commit, {_AT_ONCE} callers", together_raw, alone_raw),
        ("copies recorded, one transaction each", alone, alone),
        (f"copies recorded, group commit, {_AT_ONCE} callers", together, alone),
        ("claim and settle, 8 at a time", empty, empty),
        (f"claim and settle behind {_BACKLOG} of a dead service", behind, empty),
    ]


def main() -> None:
    """Measure and print."""
    base = sys.argv[1] if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory(dir=base) as folder:
        rows = asyncio.run(_measure(Path(folder)))
    sys.stdout.write(f"{'2 kB bodies, fsync before acknowledging':<52}{'per second':>12}{'ratio':>8}\n")
    for what, rate, against in rows:
        sys.stdout.write(f"{what:<52}{rate:>12,.0f}{rate / against:>8.1f}\n")


if __name__ == "__main__":
    main()
