"""Both stores make the same of the same, whether it is recorded one by one or in groups."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ocn_permission_agent.ocpi.request import OcpiRequest
from ocn_permission_agent.outbox.model import CopyPlan
from ocn_permission_agent.outbox.stored import StoredOutbox
from ocn_permission_agent.store.database import Database
from tests.fakes import FakeClock
from tests.outbox_fixtures import ANALYTICS, BILLING, a_plan, cdr, command, open_outbox, session
from tests.postgres_server import PostgresServer

_ROWS = """
SELECT d.id - e.id AS place, d.state, d.recorded_at_us, d.expires_base_us, d.ended_at_us, d.payload_until_us,
       d.forget_at_us, l.owner, l.object_id, l.due_at_us,
       h.recorded_at_us AS head_at_us, n.recorded_at_us AS newest_at_us, e.copies, e.needed, e.body, s.provider,
       (SELECT count(*) FROM duplicates r WHERE r.delivery_id = d.id) AS repeated
FROM deliveries d
JOIN envelopes e ON e.id = d.envelope_id
JOIN lanes l ON l.id = d.lane_id
JOIN scopes s ON s.id = d.scope_id
LEFT JOIN deliveries h ON h.id = l.head_id
JOIN deliveries n ON n.id = l.newest_id
ORDER BY d.id
"""


def _said(chance: random.Random) -> OcpiRequest:
    name, n = f"s{chance.randrange(2)}", chance.randrange(2)
    makes: list[Callable[[], OcpiRequest]] = [
        lambda: session("PUT", name, b'{"kwh":%d}' % n),
        lambda: session("PATCH", name, b'{"kwh":%d}' % n),
        lambda: session("PATCH", name, b'{"charging_periods":[{"n":%d}]}' % n),
        lambda: cdr(f"c{chance.randrange(2)}", b'{"id":"c%d","total":%d}' % (chance.randrange(3), n)),
        command,
    ]
    return chance.choice(makes)()


def _groups(chance: random.Random) -> list[list[CopyPlan]]:
    at, groups = datetime(2026, 1, 1, tzinfo=UTC), []
    for _ in range(8):
        group = []
        for _ in range(chance.randrange(1, 8)):
            at += timedelta(hours=chance.choice([0, 0, 1, 30]), microseconds=1)
            providers = chance.choice([(BILLING,), (ANALYTICS,), (BILLING, ANALYTICS)])
            group.append(a_plan(_said(chance), *providers, at=at))
        groups.append(group)
    return groups


async def _together(store: StoredOutbox, group: list[CopyPlan]) -> list[int]:
    async with asyncio.TaskGroup() as tasks:
        recording = [tasks.create_task(store.record(plan)) for plan in group]
    return [each.result() for each in recording]


async def _one_by_one(store: StoredOutbox, group: list[CopyPlan]) -> list[int]:
    return [await store.record(plan) for plan in group]


@pytest.mark.parametrize(
    "seed", [*range(6), *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(6, 300))]
)
async def test_histories_come_to_the_same_rows_in_every_way(
    postgres: PostgresServer, tmp_path: Path, seed: int
) -> None:
    recorded: list[list[list[int]]] = []
    rows: list[list[tuple[object, ...]]] = []
    counted = []
    ways: list[tuple[Path | str, Callable[[StoredOutbox, list[CopyPlan]], Awaitable[list[int]]]]] = [
        (tmp_path / "alone.db", _one_by_one),
        (tmp_path / "together.db", _together),
        (postgres.new_database(), _together),
    ]
    for where, record in ways:
        database, store = await open_outbox(where, FakeClock())
        groups = _groups(random.Random(seed))  # noqa: S311
        recorded.append([await record(store, group) for group in groups])
        rows.append(await _all(database, _ROWS))
        counted.append(await store.counts())
        await database.close()
    assert recorded[0] == recorded[1] == recorded[2]
    assert rows[0] == rows[1] == rows[2]
    assert counted[0] == counted[1] == counted[2]


async def _all(database: Database, sql: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in await database.read(lambda connection: connection.execute(sql).fetchall())]
