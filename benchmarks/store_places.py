"""The two stores as `benchmarks.store` measures them: opened, filled, and how much CPU their servers have used."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.consent.address import Address, AgreementId, address
from ocn_permission_agent.ledger.store import LedgerStore
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.request import parse_request
from ocn_permission_agent.outbox.lane import lane_of
from ocn_permission_agent.outbox.model import CopyPlan, Envelope, PlannedDelivery
from ocn_permission_agent.outbox.opening import outbox_on
from ocn_permission_agent.outbox.settings import DeliverySettings
from ocn_permission_agent.outbox.stored import StoredOutbox
from ocn_permission_agent.store.database import Connection, Database
from ocn_permission_agent.store.gathering import PACE_SECONDS
from ocn_permission_agent.store.postgres import PostgresDatabase
from ocn_permission_agent.store.sqlite import SqliteDatabase
from tests.postgres_server import PostgresServer

_CUSTOMER = address("0x" + "c1" * 20)
DEAD, WELL = address("0x" + "51" * 20), address("0x" + "52" * 20)
_PARTIES = {DEAD: Party("DE", "OFF"), WELL: Party("DE", "PAY")}
_HEADERS = {
    "x-request-id": "r",
    "ocpi-from-country-code": "DE",
    "ocpi-from-party-id": "CPO",
    "ocpi-to-country-code": "NL",
    "ocpi-to-party-id": "MSP",
}
BODY_BYTES = 2_000
#: the ids of rows that were filled in; far above those that are given out
_FILLED_FROM = 10**12
_FILLED_AT_ONCE = 20_000
#: limits that are not what is measured
_SETTINGS = replace(DeliverySettings(), max_in_flight=100_000, max_rate=1_000_000)

#: a lane, an envelope and a delivery as they were recorded, again and again under other ids; small bodies
_FILL = (
    """
    INSERT INTO lanes (id, key, channel_id, customer_address, owner, object_id, head_id, due_at_us, newest_id)
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
    SELECT {lane}, {key}, l.channel_id, l.customer_address, l.owner, 'b' || n.i, {base} + n.i, l.due_at_us, {base} + n.i
    FROM n JOIN lanes l ON l.head_id = {id}
    """,
    """
    INSERT INTO envelopes (id, copies, needed, recorded_at_us, customer, customer_address, method, module,
                           interface_role, kind, version, segments, url_path, sender, receiver, request_id,
                           correlation_id, body, query)
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
    SELECT {base} + n.i, copies, needed, recorded_at_us, customer, customer_address, method, module, interface_role,
           kind, version, segments, url_path, sender, receiver, request_id, correlation_id || n.i, {body}, query
    FROM n JOIN envelopes e ON e.id = {id}
    """,
    """
    INSERT INTO deliveries (id, envelope_id, lane_id, scope_id, state, fleeting, recorded_at_us, next_attempt_at_us,
                            expires_base_us, content_digest)
    SELECT l.head_id, l.head_id, l.id, d.scope_id, d.state, d.fleeting, d.recorded_at_us, d.next_attempt_at_us,
           d.expires_base_us, d.content_digest
    FROM lanes l JOIN deliveries d ON d.id = {id}
    WHERE l.head_id > {base} AND l.head_id <= {base} + {count}
    """,
)
_TALLY = {
    "sqlite": "UPDATE tallies SET n = n + {count} WHERE scope_id = (SELECT scope_id FROM deliveries WHERE id = {id})"
    " AND state = 'pending'",
    "postgres": "INSERT INTO tallies (scope_id, state, n) SELECT scope_id, 'pending', {count} FROM deliveries"
    " WHERE id = {id}",
}
_KEY = {"sqlite": "randomblob(16)", "postgres": "decode(md5((n.i + {base})::text), 'hex')"}
#: on SQLite the agent, which is alone there, gives out ids itself
_LANE = {"sqlite": "{base} + n.i", "postgres": "nextval(pg_get_serial_sequence('lanes', 'id'))"}
_BODY = {"sqlite": "zeroblob(200)", "postgres": "decode(repeat('00', 200), 'hex')"}


@dataclass
class Place:
    """A store, open. `server` is the process of PostgreSQL."""

    database: Database
    store: StoredOutbox
    clock: Clock
    server: PostgresServer | None
    made: int = 0
    filled: int = 0

    def plans(self, count: int, provider: Address = WELL, size: int = BODY_BYTES) -> Iterator[CopyPlan]:
        """So many sessions, each another one, made before anything is measured."""
        return iter([self._plan(provider, size) for _ in range(count)])

    def _plan(self, provider: Address, size: int) -> CopyPlan:
        self.made += 1
        number = self.made
        request = parse_request(
            method="PUT",
            raw_path=f"/ocpi/receiver/2.2/sessions/DE/CPO/s{number}",
            raw_query="",
            headers=_HEADERS | {"x-correlation-id": f"{number * 2654435761 % 2**32:08x}-{number}"},
            body=b'{"id":"s%d","filler":"%s"}' % (number, b"x" * size),
        )
        if request is None:
            raise AssertionError("the benchmark's own request is no OCPI request")
        planned = PlannedDelivery(
            provider=_PARTIES[provider],
            provider_address=provider,
            agreement=AgreementId("0x" + "ab" * 32, 0),
            lane=lane_of(request, customer_address=_CUSTOMER, provider_address=provider),
        )
        envelope = Envelope(
            customer=Party("DE", "CPO"), customer_address=_CUSTOMER, request=request, recorded_at=self.clock.now()
        )
        return CopyPlan(envelope=envelope, deliveries=(planned,))

    async def fill(self, count: int, provider: Address) -> None:
        """So many more are owed to a provider, each in a lane of its own."""
        await self.store.record(next(self.plans(1, provider)))
        newest = f"SELECT max(id) AS id FROM deliveries WHERE id < {_FILLED_FROM}"  # noqa: S608  our own number
        model = await self.database.read(lambda connection: connection.execute(newest).fetchone()["id"])
        for begun in range(0, count, _FILLED_AT_ONCE):
            await self._fill_some(model, min(_FILLED_AT_ONCE, count - begun))
        await self.database.write(lambda connection: connection.execute("ANALYZE"))

    async def _fill_some(self, model: int, count: int) -> None:
        dialect, base = self.database.dialect, _FILLED_FROM + self.filled
        self.filled += count
        values = {"count": count, "base": base, "id": model}
        values |= {
            "key": _KEY[dialect].format(base=base),
            "body": _BODY[dialect],
            "lane": _LANE[dialect].format(base=base),
        }

        def work(connection: Connection) -> None:
            for statement in (*_FILL, _TALLY[dialect]):
                connection.execute(statement.format(**values))

        await self.database.write(work)

    def server_cpu_seconds(self) -> float:
        """See the function of this name; 0 where there is no server."""
        return 0.0 if self.server is None else server_cpu_seconds(self.server)


def server_cpu_seconds(server: PostgresServer) -> float:
    """What those of PostgreSQL's processes have used so far that work for an agent: vacuum has its own time."""
    if server.process is None:
        return 0.0
    ticks = sum(_ticks(path, server.process.pid) for path in Path("/proc").iterdir() if path.name.isdigit())
    return ticks / os.sysconf("SC_CLK_TCK")


def _ticks(process: Path, server: int) -> int:
    """CPU of a process that serves a connection, in the kernel's ticks (man 5 proc)."""
    try:
        fields = (process / "stat").read_text().rpartition(") ")[2].split()
        if int(fields[1]) != server or not (process / "cmdline").read_bytes().startswith(b"postgres: agent"):
            return 0
    except OSError:
        return 0
    return sum(map(int, fields[11:13]))


@asynccontextmanager
async def opened(
    where: Path | str, clock: Clock, server: PostgresServer | None, *, paced: bool = True
) -> AsyncIterator[Place]:
    """A new store: a file of SQLite, or a database of the server. Not `paced`, it commits as soon as it is asked to."""
    if isinstance(where, str):
        database: Database = await PostgresDatabase.open(where, metrics=Metrics(), clock=clock)
    else:
        pace_seconds = PACE_SECONDS if paced else 0.0
        database = await SqliteDatabase.open(where, metrics=Metrics(), clock=clock, pace_seconds=pace_seconds)
    try:
        blob = "BYTEA" if isinstance(where, str) else "BLOB"
        await database.write(lambda connection: connection.execute(f"CREATE TABLE bench (body {blob})"))
        store = outbox_on(database, agent="bench", settings=_SETTINGS, ledger=LedgerStore(database), metrics=Metrics())
        yield Place(database, store, clock, server)
    finally:
        await database.close()
