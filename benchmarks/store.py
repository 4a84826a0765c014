"""Both stores: what recording, claiming and settling cost, and what a million rows of a dead service change.

Run: ``python -m benchmarks.store [recording] [dead] [pending] [--folder F] [--pending 1000000]`` – the folder should
lie on the disk that is meant (default: the temporary folder). SQLite and PostgreSQL (a server of its own, one agent,
everything on this machine) take turns in every round; every row is fsynced before it counts. Ratios compare what was
measured in the same round. The event loop is the agent's; for `recording` the garbage collector and the hand-over
between threads are set as in the agent too. Five minutes with a million pending.

=====================  =============================================================================================
bare rows              2 kB into a table without anything, as a measure of the engine and the disk
copies recorded        lane, envelope, delivery, tally: with 256 callers at once, and one after the other, each with a
                       commit of its own as soon as it is there; in two stores that hold as much as each other
latency                copies that arrive at a fixed rate, from when each was due to be recorded until it was; in a
                       store of their own
claim, settle          eight at a time: claimed, started, ended as delivered with an entry of the ledger; commits are
                       not paced, for a pause would be all that is measured
=====================  =============================================================================================
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

import uvloop

from benchmarks.store_places import BODY_BYTES, DEAD, WELL, Place, opened
from ocn_permission_agent.app.engine_room import tune_the_interpreter
from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.outbox.after_attempt import Decision
from ocn_permission_agent.outbox.breaker import Breaker
from ocn_permission_agent.outbox.model import Attempt, AttemptVerdict, Delivery, DeliveryState
from tests.postgres_server import postgres_server

_ROUNDS = 3
_ALONE, _TOGETHER, _AT_ONCE = 100, 4_096, 256
_DRAINED = 400
_RATES = (100, 1_000, 5_000)
_PARTS = ("recording", "dead", "pending")
_STORES = ("SQLite", "PostgreSQL")
SERVER = {"shared_buffers": "256MB", "max_wal_size": "4GB"}


@dataclass
class Table:
    """What was measured, by line and store: a value for each round."""

    lines: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def note(self, line: str, store: str, value: float) -> None:
        sys.stderr.write(f"{store:<11} {line:<66}{value:>12,.2f}\n")
        self.lines.setdefault(line, {}).setdefault(store, []).append(value)

    def ratio(self, line: str, store: str, above: str, below: str) -> None:
        """Of the newest round."""
        self.note(line, store, self.lines[above][store][-1] / self.lines[below][store][-1])

    def text(self) -> str:
        head = f"{'median of the rounds':<66}" + "".join(f"{store:>14}" for store in _STORES)
        rows = [
            f"{line:<66}" + "".join(_told(values.get(store)) for store in _STORES)
            for line, values in self.lines.items()
        ]
        return "\n".join([head, *rows, ""])


def _told(values: list[float] | None) -> str:
    if not values:
        return f"{'–':>14}"
    value = median(values)
    return f"{value:>14,.0f}" if value >= 100 else f"{value:>14.2f}"


async def _rate(count: int, at_once: int, work: Callable[[], Awaitable[object]]) -> float:
    """Times per second with so many callers at once."""

    async def caller() -> None:
        for _ in range(count // at_once):
            await work()

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(caller())
    return count // at_once * at_once / (time.perf_counter() - began)


async def _record_rate(place: Place, count: int, at_once: int) -> float:
    plans = place.plans(count)
    return await _rate(count, at_once, lambda: place.store.record(next(plans)))


async def _bare_rate(place: Place, count: int, at_once: int) -> float:
    body, mark = b"x" * BODY_BYTES, "?" if place.database.dialect == "sqlite" else "$1"
    insert = f"INSERT INTO bench (body) VALUES ({mark})"  # noqa: S608  our own mark
    return await _rate(
        count, at_once, lambda: place.database.write(lambda connection: connection.execute(insert, (body,)))
    )


async def _bare_grouped_rate(place: Place, count: int, at_once: int) -> float:
    """What a transaction can take of bare rows: on PostgreSQL as one statement."""
    if place.database.dialect == "sqlite":
        return await _bare_rate(place, count, at_once)
    bodies = [b"x" * BODY_BYTES] * at_once
    insert = "INSERT INTO bench (body) SELECT unnest($1::bytea[])"
    rate = await _rate(
        count // at_once, 1, lambda: place.database.write(lambda connection: connection.execute(insert, (bodies,)))
    )
    return rate * at_once


async def _latencies(place: Place, rate: int, seconds: float) -> list[float]:
    """Milliseconds from when a copy was due to be recorded, whether its caller was ready or not."""
    plans, taken = place.plans(int(rate * seconds)), list[float]()
    began = time.perf_counter() + 0.01

    async def one(due: float) -> None:
        await place.store.record(next(plans))
        taken.append((time.perf_counter() - due) * 1000)

    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            due = began + number / rate
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            group.create_task(one(due))
    return taken


async def _claim(place: Place) -> tuple[Delivery, ...]:
    return await place.store.claim(now=place.clock.now(), room={}, default_room=8)


async def _settle(place: Place, started: Delivery) -> None:
    """As after an attempt that was accepted."""
    now = place.clock.now()
    attempt = Attempt(started_at=now, ended_at=now, verdict=AttemptVerdict.ACCEPTED, http_status=200, ocpi_status=1000)
    decision = Decision(state=DeliveryState.DELIVERED, decided_at=now)
    await place.store.settle(started, decision, attempt=attempt)


@dataclass(frozen=True)
class Drained:
    """Deliveries per second: all together, claimed, settled; and per second of CPU of agent and server."""

    rate: float
    claimed: float
    settled: float
    per_cpu: float


async def _drain(place: Place, count: int) -> Drained:
    """Claim, start and settle so many that are owed, eight at a time."""
    claiming = settling = 0.0
    done = 0
    began, cpu = time.perf_counter(), time.process_time() + place.server_cpu_seconds()
    while done < count:
        claim_began = time.perf_counter()
        claimed = await _claim(place)
        claiming += time.perf_counter() - claim_began
        if not claimed:
            raise AssertionError("less is owed than was recorded")
        async with asyncio.TaskGroup() as group:
            starting = [group.create_task(place.store.start(each, at=place.clock.now())) for each in claimed]
        settle_began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for started in starting:
                group.create_task(_settle(place, started.result()))
        settling += time.perf_counter() - settle_began
        done += len(claimed)
    used = time.process_time() + place.server_cpu_seconds() - cpu
    took = time.perf_counter() - began
    return Drained(done / took, done / claiming, done / settling, done / max(used, 0.01))


async def _recording(table: Table, place: Place, unpaced: Place, store: str) -> None:
    table.note("bare rows/s, one transaction each", store, await _bare_rate(unpaced, _ALONE, 1))
    table.note("bare rows/s, group commit", store, await _bare_grouped_rate(place, _TOGETHER, _AT_ONCE))
    table.note("copies recorded/s, one transaction each", store, await _record_rate(unpaced, _ALONE, 1))
    cpu = time.process_time() + place.server_cpu_seconds()
    table.note("copies recorded/s, group commit", store, await _record_rate(place, _TOGETHER, _AT_ONCE))
    used = time.process_time() + place.server_cpu_seconds() - cpu
    table.note("  CPU µs per copy, agent and server", store, used / _TOGETHER * 1e6)
    await _record_rate(unpaced, _TOGETHER - _ALONE, _AT_ONCE)
    pairs = (("bare rows", "bare rows/s, {}"), ("copies", "copies recorded/s, {}"))
    for what, line in pairs:
        above, below = line.format("group commit"), line.format("one transaction each")
        table.ratio(f"  ratio, {what}: group commit ÷ one transaction each", store, above, below)


async def _added(table: Table, place: Place, store: str, seconds: float) -> None:
    for rate in _RATES:
        taken = quantiles(await _latencies(place, rate, seconds), n=100)
        table.note(f"added ms at {rate:,}/s, p50", store, taken[49])
        table.note(f"added ms at {rate:,}/s, p99", store, taken[98])


async def _pending(table: Table, places: dict[str, Place], most: int) -> None:
    """Claim and settle from queues of growing length, all of it due."""
    filled = 1
    for pending in [size for size in (1_000, 100_000, 1_000_000) if size <= most]:
        for place in places.values():
            await place.fill(pending - filled, WELL)
        filled = pending
        for _ in range(_ROUNDS):
            for store, place in places.items():
                drained = await _drain(place, _DRAINED // 4)
                table.note(f"claim, start and settle/s with {pending:,} pending", store, drained.rate)
                table.note(f"  claimed/s with {pending:,} pending", store, drained.claimed)
                table.note(f"  settled/s with {pending:,} pending", store, drained.settled)
                table.note(f"  drained per CPU second with {pending:,} pending", store, drained.per_cpu)


async def _dead(table: Table, empty: dict[str, Place], crowded: dict[str, Place], most: int) -> None:
    """An empty queue against one behind a service that does not answer, which is paused."""
    lines = "claim, start and settle/s, empty queue", f"claim, start and settle/s, behind {most:,} of a dead service"
    for place in crowded.values():
        await place.fill(most, DEAD)
        for delivery in (await _claim(place))[:1]:
            now = place.clock.now()
            paused = Breaker(failures=5, paused_since=now, probe_at=now.replace(year=now.year + 1), reason="refused")
            decision = Decision(state=DeliveryState.PENDING, decided_at=now, reason="refused", due_at=now)
            await place.store.settle(delivery, decision, breaker_step=lambda _, paused=paused: paused)  # type: ignore[misc]
    for _ in range(_ROUNDS):
        for store in _STORES:
            for line, place in zip(lines, (empty[store], crowded[store]), strict=True):
                await _record_rate(place, _DRAINED // 200 * 200, 200)
                table.note(line, store, (await _drain(place, _DRAINED)).rate)
            table.ratio("  ratio: behind the dead service ÷ empty queue", store, lines[1], lines[0])


async def _measure(folder: Path, parts: list[str], most: int, seconds: float) -> Table:
    table, clock = Table(), SystemClock()
    async with AsyncExitStack() as stack:
        server = stack.enter_context(postgres_server(disk=str(folder), **SERVER))

        async def fresh(name: str, *, paced: bool = True) -> dict[str, Place]:
            wheres: dict[str, Path | str] = {"SQLite": folder / f"{name}.db", "PostgreSQL": server.new_database()}
            return {
                store: await stack.enter_async_context(
                    opened(where, clock, server if isinstance(where, str) else None, paced=paced)
                )
                for store, where in wheres.items()
            }

        if "recording" in parts:
            recorded, alone, timed = await fresh("recorded"), await fresh("alone", paced=False), await fresh("timed")
            tune_the_interpreter()
            for _ in range(_ROUNDS):
                for store in _STORES:
                    await _recording(table, recorded[store], alone[store], store)
                    await _added(table, timed[store], store, seconds)
        if "dead" in parts:
            await _dead(table, await fresh("empty", paced=False), await fresh("crowded", paced=False), most)
        if "pending" in parts:
            await _pending(table, await fresh("pending", paced=False), most)
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[[], *_PARTS], help="which of them; all, if none is named")
    parser.add_argument("--folder")
    parser.add_argument("--pending", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=2.0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        Path(folder).chmod(0o755)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            table = runner.run(_measure(Path(folder), asked.parts or [*_PARTS], asked.pending, asked.seconds))
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    sys.stdout.write(f"{os.cpu_count()} cores, load {load}; {BODY_BYTES} B bodies, fsync before acknowledging\n\n")
    sys.stdout.write(table.text())


if __name__ == "__main__":
    main()
