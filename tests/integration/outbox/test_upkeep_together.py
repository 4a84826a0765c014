"""Upkeep by three agents on one PostgreSQL at once, while they record and deliver: each thing is done once."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from msgspec.structs import replace

from ocn_permission_agent.consent.address import Address, address
from ocn_permission_agent.ledger.chain import verify
from ocn_permission_agent.ledger.entry import read_entry
from ocn_permission_agent.ledger.keeping import Keeper
from ocn_permission_agent.ledger.store import LedgerStore
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.ocn.keys import OperatorKey, recover
from ocn_permission_agent.ocpi.request import OcpiRequest
from ocn_permission_agent.ocpi.route import Module
from ocn_permission_agent.outbox.after_attempt import Decision, before_attempt
from ocn_permission_agent.outbox.casework import NotCopiedBook
from ocn_permission_agent.outbox.lane import lane_of
from ocn_permission_agent.outbox.model import CopyPlan, Delivery, DeliveryState
from ocn_permission_agent.outbox.settings import DeliverySettings
from ocn_permission_agent.outbox.stored import StoredOutbox
from ocn_permission_agent.outbox.stored_casework import StoredCasework
from ocn_permission_agent.outbox.upkeep import Upkeep
from ocn_permission_agent.store.database import Database
from tests.factories import a_request
from tests.fakes import FakeClock
from tests.outbox_fixtures import ANALYTICS, BILLING, PROVIDERS, Lines, StatedView, a_plan, open_outbox
from tests.postgres_server import PostgresServer

SETTINGS = DeliverySettings(parked_days=5, history_days=7, ledger_days=30)
KEY = OperatorKey(b"\x11" * 32)
CUSTOMERS = tuple(address(f"0x{number:040x}") for number in (0xC1, 0xC2, 0xC3))
#: of each kind and provider: more than a slice of upkeep
COPIES = 120
#: that each agent records meanwhile, to two services
TOKENS = 10
REVOKED = (Module.SESSIONS, Module.CDRS)


def a_session(name: str) -> OcpiRequest:
    return a_request("PUT", f"/ocpi/receiver/2.2/sessions/DE/CPO/{name}", body=b'{"kwh":1}', x_correlation_id=name)


def a_token(name: str) -> OcpiRequest:
    return a_request("PUT", f"/ocpi/receiver/2.2/tokens/DE/CPO/{name}", body=b"{}", x_correlation_id=name)


def a_cdr(name: str) -> OcpiRequest:
    return a_request("POST", "/ocpi/receiver/2.2/cdrs", body=b'{"id":"%s"}' % name.encode(), x_correlation_id=name)


def a_command(name: str) -> OcpiRequest:
    path = "/ocpi/receiver/2.2/commands/START_SESSION"
    return a_request("POST", path, body=b'{"response_url":"https://cpo.example/cb"}', x_correlation_id=name)


def planned(request: OcpiRequest, customer: Address, clock: FakeClock) -> CopyPlan:
    """To both providers."""
    plan = a_plan(request, BILLING, ANALYTICS, at=clock.now())
    return CopyPlan(
        envelope=replace(plan.envelope, customer_address=customer),
        deliveries=tuple(
            replace(each, lane=lane_of(request, customer_address=customer, provider_address=each.provider_address))
            for each in plan.deliveries
        ),
    )


@dataclass(kw_only=True)
class Agent:
    """One of them, and how its own hands ended what it had claimed."""

    database: Database
    store: StoredOutbox
    upkeep: Upkeep
    keeper: Keeper
    casework: StoredCasework
    metrics: Metrics
    lines: Lines
    clock: FakeClock
    ended: Counter[DeliveryState] = field(default_factory=Counter)

    async def record(self, *requests: OcpiRequest) -> None:
        for number, request in enumerate(requests):
            await self.store.record(planned(request, CUSTOMERS[number % 3], self.clock))

    async def end_all(self, room: int = 100) -> None:
        """Claim and end what is due until nothing is: by its window, its consent, else delivered."""
        while claimed := await self.store.claim(now=self.clock.now(), room={}, default_room=room):
            for delivery in claimed:
                decision = before_attempt(delivery, self.clock.now()) or self._decision(delivery)
                await self.store.settle(delivery, decision)
                self.ended[decision.state] += 1

    def _decision(self, delivery: Delivery) -> Decision:
        names = {"old": DeliveryState.DELIVERED, "parked": DeliveryState.PARKED}
        kept = names.get(delivery.envelope.request.correlation_id.partition("-")[0])
        revoked = delivery.envelope.request.module in REVOKED
        state = kept or (DeliveryState.WITHDRAWN if revoked else DeliveryState.DELIVERED)
        return Decision(state=state, decided_at=self.clock.now())

    async def tend(self, begin: int = 0) -> None:
        """What its loops do, round after round without a pause; each agent is somewhere else in its round."""
        works = (
            self.upkeep.withdraw_closed,
            lambda: self.store.expire(self.clock.now()),
            lambda: self.store.purge(self.clock.now()),
            self.keeper.round,
        )
        for number in range(3 * len(works)):
            await works[(begin + number) % len(works)]()

    def counted(self, state: DeliveryState) -> float:
        """What its upkeep has ended so, by its metric."""
        return sum(
            sample.value
            for family in self.metrics.registry.collect()
            for sample in family.samples
            if sample.name == "ocn_agent_copies_total" and sample.labels["outcome"] == state.value
        )


@dataclass(kw_only=True)
class Three:
    clock: FakeClock
    view: StatedView
    agents: list[Agent]
    #: transactions that were in each other's way
    undone: list[str]

    async def rows(self, sql: str) -> list[tuple[object, ...]]:
        database = self.agents[0].database
        return [tuple(row) for row in await database.read(lambda connection: connection.execute(sql).fetchall())]


@pytest.fixture
async def three(postgres: PostgresServer) -> AsyncIterator[Three]:
    url, clock, view = postgres.new_database(), FakeClock(), StatedView()
    found = Three(clock=clock, view=view, agents=[], undone=[])
    async with AsyncExitStack() as opened:
        for name in ("one", "two", "three"):
            metrics, lines = Metrics(), Lines()
            database, store = await open_outbox(url, clock, SETTINGS, metrics, holder=name)
            opened.push_async_callback(database.close)
            database.on_undone(lambda: found.undone.append(repr(sys.exception())))
            ledger = LedgerStore(database)
            keeper = Keeper(ledger=ledger, key=KEY, days=SETTINGS.ledger_days, clock=clock, log=lines)
            found.agents.append(
                Agent(
                    database=database,
                    store=store,
                    upkeep=Upkeep(store=store, view=view, clock=clock, metrics=metrics, log=lines),
                    keeper=keeper,
                    casework=StoredCasework(database, settings=SETTINGS, ledger=ledger),
                    metrics=metrics,
                    lines=lines,
                    clock=clock,
                )
            )
        yield found


async def furnish(three: Three) -> set[str]:
    """Something of each kind for upkeep to do at once; the correlation ids of all that was recorded."""
    first, clock = three.agents[0], three.clock
    await first.record(*(a_session(f"old-{number}") for number in range(COPIES)))
    await first.end_all()
    book = NotCopiedBook()
    for number in range(COPIES):
        book.note(a_session(f"refused-{number}"), "receiver_refused", at=clock.now())
    await book.write(first.casework)
    clock.step(timedelta(days=2).total_seconds())
    await first.record(*(a_cdr(f"parked-{number}") for number in range(COPIES)))
    await first.end_all()
    clock.step(timedelta(days=6).total_seconds())
    await first.record(*(a_command(f"command-{number}") for number in range(COPIES)))
    clock.step(61)
    await first.record(
        *(a_session(f"session-{number}") for number in range(COPIES)),
        *(a_cdr(f"cdr-{number}") for number in range(COPIES)),
    )
    kinds = ("old", "parked", "command", "session", "cdr")
    return {f"{kind}-{number}" for kind in kinds for number in range(COPIES)}


async def test_upkeep_by_several_at_once_does_each_thing_once(three: Three) -> None:
    recorded = await furnish(three)
    first = three.agents[0]
    assert first.ended == {DeliveryState.DELIVERED: 2 * COPIES, DeliveryState.PARKED: 2 * COPIES}
    first.ended.clear()
    for provider in PROVIDERS:
        three.view.index.close(provider, *REVOKED)

    async def live(agent: Agent, name: str) -> None:
        for number in range(TOKENS):
            await agent.record(a_token(f"token-{name}-{number}"))
            await agent.end_all(room=3)

    async with asyncio.TaskGroup() as group:
        for begin, (name, agent) in enumerate(zip("abc", three.agents, strict=True)):
            group.create_task(agent.tend(begin))
            group.create_task(live(agent, name))
            recorded |= {f"token-{name}-{number}" for number in range(TOKENS)}
    await first.tend()  # what was in flight in the last of all rounds

    assert three.undone == [], "neither a deadlock nor anything else that had to be done again"
    await assert_ended_once(three, recorded)
    await assert_consistent(three)


async def assert_ended_once(three: Three, recorded: set[str]) -> None:
    """Once in the ledger, once in metrics and lines, for each provider; the chains hold and are sealed once."""
    told: Counter[tuple[str, str]] = Counter()
    outcomes: Counter[str] = Counter()
    ledger = LedgerStore(three.agents[0].database)
    for customer in CUSTOMERS:
        chain = await ledger.chain(customer)
        assert chain is not None
        assert verify(chain, signer=KEY.address, recover=recover) == ()
        assert chain.checkpoints
        for entry in (read_entry(each.text) for each in chain.entries if each.text is not None):
            told[entry.correlation_id, entry.provider] += 1
            outcomes[entry.outcome] += 1
    assert told == {(each, str(provider)): 1 for each in recorded for provider in PROVIDERS}
    by_hand = sum((agent.ended for agent in three.agents), Counter[DeliveryState]())
    for state, expected in ((DeliveryState.WITHDRAWN, 4 * COPIES), (DeliveryState.EXPIRED, 2 * COPIES)):
        assert outcomes[state.value] == expected
        assert sum(agent.counted(state) for agent in three.agents) + by_hand[state] == expected
    lines = [line for agent in three.agents for line in agent.lines.of("deliveries.withdrawn")]
    assert sum(int(str(line["count"])) for line in lines) + by_hand[DeliveryState.WITHDRAWN] == 4 * COPIES


async def assert_consistent(three: Three) -> None:
    """Tallies, payloads, lanes and scopes agree with the deliveries; what is over is gone."""
    rows = {row[0]: row[1] for row in await three.rows("SELECT state, count(*) FROM deliveries GROUP BY state")}
    counts = await three.agents[0].store.counts()
    assert {state.value: count for state, count in counts.by_state.items()} == rows
    assert rows == {"parked": 2 * COPIES, "withdrawn": 4 * COPIES, "expired": 2 * COPIES, "delivered": 6 * TOKENS}
    assert await three.rows("SELECT count(*) FROM envelopes WHERE body IS NOT NULL OR needed > 0") == [(0,)]
    assert await three.rows("SELECT count(*) FROM not_copied") == [(0,)]
    assert await three.rows("SELECT count(*) FROM lanes WHERE head_id IS NOT NULL OR in_flight") == [(0,)]
    assert await three.rows("SELECT count(*) FROM attempts WHERE ended_at_us IS NULL") == [(0,)]
    lost = "NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.{0}_id = {0}s.id)"
    for table in ("lane", "scope", "envelope"):
        found = await three.rows(f"SELECT count(*) FROM {table}s WHERE " + lost.format(table))  # noqa: S608  our own
        assert found == [(0,)], table


async def test_scopes_that_share_envelopes_are_withdrawn_in_any_order(three: Three) -> None:
    """Two services are owed the same requests; the agents begin with another one each."""
    first = three.agents[0]
    await first.record(*(a_session(f"session-{number}") for number in range(4 * COPIES)))
    scopes = sorted(await first.store.scopes_needed(), key=str)
    assert len(scopes) == 6

    async def withdraw(agent: Agent, begin: int) -> int:
        """How many it found."""
        return sum(
            [
                await agent.store.withdraw(scope, reason="revoked", now=three.clock.now())
                for scope in (*scopes[begin:], *scopes[:begin])
            ]
        )

    async with asyncio.TaskGroup() as group:
        works = [group.create_task(withdraw(agent, place)) for place, agent in enumerate(three.agents)]
    assert sum(work.result() for work in works) == 8 * COPIES
    assert three.undone == []
    assert await three.rows("SELECT count(*) FROM envelopes WHERE body IS NOT NULL OR needed > 0") == [(0,)]
