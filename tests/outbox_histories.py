"""Random histories of an outbox, and how all stands after each step: to hold one way of doing it against another."""

import random
from typing import Any

from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.outbox.model import AttemptVerdict
from ocn_permission_agent.outbox.settings import DeliverySettings
from tests.fakes import FakeClock
from tests.outbox_desk import Outboxed
from tests.outbox_fixtures import ANALYTICS, BILLING, cdr, command, open_outbox, session
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
ENDINGS: list[dict[str, Any]] = [
    {"verdict": AttemptVerdict.ACCEPTED, "ocpi_status": 1000},
    {"verdict": AttemptVerdict.ACCEPTED, "ocpi_status": 1000},
    {"verdict": AttemptVerdict.ACCEPTED, "ocpi_status": 1000},
    {"verdict": AttemptVerdict.REFUSED, "ocpi_status": 2001},
    {"verdict": AttemptVerdict.UNCONFIRMED, "ocpi_status": 3000},
    {"verdict": AttemptVerdict.UNKNOWN, "http_status": None, "unreachable": True},
    {"verdict": AttemptVerdict.NOT_PROCESSED, "http_status": None, "unreachable": True},
    {"verdict": AttemptVerdict.SETUP, "http_status": 404},
]


def requests(chance: random.Random) -> list[tuple[Any, tuple[Party, ...]]]:
    """Some requests about few objects, each with the services that are to get it."""

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


async def rows(it: Outboxed) -> list[list[tuple[Any, ...]]]:
    """Deliveries with all that belongs to them, tallies, attempts."""

    def read(connection: Any) -> list[list[tuple[Any, ...]]]:
        return [[tuple(row) for row in connection.execute(sql).fetchall()] for sql in (_ROWS, _TALLIES, _ATTEMPTS)]

    return await it.database.read(read)


async def two_outboxes(where: Where, other_where: Where) -> list[Outboxed]:
    """Empty ones, each with a clock of its own."""
    settings = DeliverySettings()
    return [
        Outboxed(*await open_outbox(each, clock, settings=settings), clock, settings)
        for each, clock in ((where, FakeClock()), (other_where, FakeClock()))
    ]
