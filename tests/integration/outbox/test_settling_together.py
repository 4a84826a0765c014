"""What is settled at the same time shares statements, and comes to the same as if it was settled one by one."""

import asyncio
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.outbox.model import Attempt, AttemptVerdict, Delivery
from ocn_permission_agent.outbox.settings import DeliverySettings
from tests.fakes import FakeClock
from tests.outbox_desk import Outboxed
from tests.outbox_fixtures import ANALYTICS, BILLING, a_plan, an_attempt, cdr, command, open_outbox, session
from tests.stores import Where

#: how everything stands that a settlement touches
_ROWS = """
SELECT d.id, d.state, d.reason, d.attempts, d.in_doubt, d.next_attempt_at_us, d.expires_base_us, d.ended_at_us,
       d.payload_until_us, d.forget_at_us, l.head_id, l.due_at_us, l.resting_until_us, l.in_flight, l.collapse,
       l.held_since_us, l.stood_still_us, l.newest_id, e.needed, e.body, m.through_id, m.body AS merged,
       c.paused_since_us, c.probe_at_us, c.still_since_us, c.stood_still_us AS channel_still_us, c.returned_at_us,
       p.failures, p.paused_since_us AS provider_paused, p.probe_at_us AS provider_probe
FROM deliveries d
JOIN envelopes e ON e.id = d.envelope_id
JOIN lanes l ON l.id = d.lane_id
JOIN channels c ON c.id = l.channel_id
JOIN providers p ON p.id = c.provider_id
LEFT JOIN merged_sessions m ON m.lane_id = l.id
ORDER BY d.id
"""
_TALLIES = "SELECT scope_id, state, sum(n) FROM tallies GROUP BY scope_id, state HAVING sum(n) > 0 ORDER BY 1, 2"
_ATTEMPTS = "SELECT delivery_id, number, started_at_us, ended_at_us, verdict, http_status FROM attempts ORDER BY 1, 2"
_ENDINGS: list[dict[str, Any]] = [
    {"verdict": AttemptVerdict.ACCEPTED, "ocpi_status": 1000},
    {"verdict": AttemptVerdict.ACCEPTED, "ocpi_status": 1000},
    {"verdict": AttemptVerdict.ACCEPTED, "ocpi_status": 1000},
    {"verdict": AttemptVerdict.REFUSED, "ocpi_status": 2001},
    {"verdict": AttemptVerdict.UNCONFIRMED, "ocpi_status": 3000},
    {"verdict": AttemptVerdict.UNKNOWN, "http_status": None, "unreachable": True},
    {"verdict": AttemptVerdict.NOT_PROCESSED, "http_status": None, "unreachable": True},
    {"verdict": AttemptVerdict.SETUP, "http_status": 404},
]


def _requests(chance: random.Random) -> list[tuple[Any, tuple[Party, ...]]]:
    def one() -> Any:
        name = f"s{chance.randrange(4)}"
        return chance.choice(
            [
                lambda: session("PUT", name, b'{"id":"s","kwh":%d}' % chance.randrange(99)),
                lambda: session("PUT", name, b'{"id":"s","status":"COMPLETED","kwh":%d}' % chance.randrange(99)),
                lambda: session("PATCH", name, b'{"kwh":%d}' % chance.randrange(99)),
                lambda: cdr(f"c{chance.randrange(99)}", b'{"total":1}'),
                command,
            ]
        )()

    to = [(BILLING,), (ANALYTICS,), (BILLING, ANALYTICS)]
    return [(one(), chance.choice(to)) for _ in range(chance.randrange(1, 7))]


async def _settle(it: Outboxed, claimed: list[tuple[Delivery, Attempt]], *, together: bool) -> None:
    if not together:
        for delivery, attempt in claimed:
            await it.settle(delivery, attempt)
        return
    async with asyncio.TaskGroup() as group:
        for delivery, attempt in claimed:
            group.create_task(it.settle(delivery, attempt))


async def _step(it: Outboxed, chance: random.Random, *, together: bool) -> int:
    for request, to in _requests(chance):
        await it.store.record(a_plan(request, *to, at=it.clock.now()))
    started = [await it.store.start(each, at=it.clock.now()) for each in await it.claim()]
    ends = [an_attempt(at=it.clock.now(), seconds=0, **chance.choice(_ENDINGS)) for _ in started]
    await _settle(it, list(zip(started, ends, strict=True)), together=together)
    return len(started)


async def _rows(it: Outboxed) -> list[list[tuple[Any, ...]]]:
    def read(connection: Any) -> list[list[tuple[Any, ...]]]:
        return [[tuple(row) for row in connection.execute(sql).fetchall()] for sql in (_ROWS, _TALLIES, _ATTEMPTS)]

    return await it.database.read(read)


@pytest.fixture
def other_where(where: Where, tmp_path: Path, request: pytest.FixtureRequest) -> Where:
    """A second store of the same engine."""
    return tmp_path / "other.db" if isinstance(where, Path) else request.getfixturevalue("postgres").new_database()


@pytest.mark.parametrize(
    "seed", [*range(5), *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(5, 200))]
)
async def test_settled_together_is_as_settled_one_by_one(where: Where, other_where: Where, seed: int) -> None:
    settings = DeliverySettings()
    chances = [random.Random(seed), random.Random(seed)]  # noqa: S311
    its = [
        Outboxed(*await open_outbox(each, clock, settings=settings), clock, settings)
        for each, clock in ((where, FakeClock()), (other_where, FakeClock()))
    ]
    settled, pauses = 0, random.Random(-seed)  # noqa: S311
    for _ in range(10):
        counts = [
            await _step(it, chance, together=together)
            for it, chance, together in zip(its, chances, (True, False), strict=True)
        ]
        assert counts[0] == counts[1]
        settled += counts[0]
        assert await _rows(its[0]) == await _rows(its[1])
        entries = [[replace(entry, body_hash="of a salt") for entry in await it.entries()] for it in its]
        assert entries[0] == entries[1]
        later = pauses.choice([1, 700, 4000])
        for it in its:
            it.clock.step(later)
    assert settled > 10
    for it in its:
        await it.database.close()
