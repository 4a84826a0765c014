"""`deliveries` and `explain`: at a running agent, on the store of one that does not run, refused with a sentence."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ocn_permission_agent.admin.clerk import Clerk
from ocn_permission_agent.admin.server import AdminServer
from ocn_permission_agent.admin.settings import AdminSettings
from ocn_permission_agent.admin.status import Status
from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.consent.view import ConsentView
from ocn_permission_agent.errors import StoreUnavailable
from ocn_permission_agent.ledger.store import LedgerStore
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.outbox.after_attempt import Decision
from ocn_permission_agent.outbox.casework import NotCopiedBook
from ocn_permission_agent.outbox.model import AttemptVerdict, DeliveryState
from ocn_permission_agent.outbox.settings import DeliverySettings
from ocn_permission_agent.outbox.stored import StoredOutbox
from ocn_permission_agent.outbox.stored_casework import StoredCasework
from ocn_permission_agent.store.sqlite import SqliteDatabase
from tests.desks import a_closed_desk
from tests.outbox_fixtures import ANALYTICS, BILLING, Lines, a_plan, an_attempt, an_outbox, cdr, session

Calling = Callable[..., Awaitable[Any]]
TOKEN = "a-token-of-enough-length"


async def fill(database: SqliteDatabase) -> StoredOutbox:
    """1 and 2: a CDR that two services refused. 3: a session that is owed. 4: a CDR that was delivered."""
    clock, store = SystemClock(), an_outbox(database)
    await store.record(a_plan(cdr("c1"), BILLING, ANALYTICS, at=clock.now()))
    for delivery in await store.claim(now=clock.now(), room={}, default_room=8):
        started = await store.start(delivery, at=clock.now())
        attempt = an_attempt(
            AttemptVerdict.REFUSED, at=clock.now(), seconds=0, http_status=400, detail="kwh is missing"
        )
        decision = Decision(state=DeliveryState.PARKED, decided_at=clock.now(), reason="the service said no")
        await store.settle(started, decision, attempt=attempt)
    await store.record(a_plan(cdr("c2"), at=clock.now()))
    (delivered,) = await store.claim(now=clock.now(), room={}, default_room=8)
    await store.settle(delivered, Decision(state=DeliveryState.DELIVERED, decided_at=clock.now()))
    await store.record(a_plan(session(correlation_id="c/7"), at=clock.now()))
    return store


@dataclass
class Running:
    store: StoredOutbox
    notes: NotCopiedBook
    revived: list[None]
    lines: Lines
    url: str


async def no_status() -> Status:
    raise StoreUnavailable("not asked here")


@pytest.fixture
async def agent(config_file: Path) -> AsyncIterator[Running]:
    """What a running agent's admin listener does."""
    metrics, clock = Metrics(), SystemClock()
    database = await SqliteDatabase.open(config_file.parent / "agent.db", metrics=metrics, clock=clock)
    store, notes, lines = await fill(database), NotCopiedBook(), Lines()
    casework = StoredCasework(database, settings=DeliverySettings(), ledger=LedgerStore(database))
    revived: list[None] = []
    server = AdminServer(
        settings=AdminSettings(listen_port=0, token=TOKEN),
        ready=lambda: True,
        status=no_status,
        consent=ConsentView(clock=clock, max_staleness_seconds=60, metrics=metrics),
        desk=a_closed_desk(),
        clerk=Clerk(
            casework=lambda: casework, notes=notes, clock=clock, log=lines, on_revived=lambda: revived.append(None)
        ),
        metrics=metrics,
    )
    await server.start()
    port = server.address[1]
    point_at(config_file, port)
    yield Running(store, notes, revived, lines, f"http://127.0.0.1:{port}/api/v1")
    await server.stop()
    await database.close()


def point_at(config_file: Path, port: int) -> None:
    config_file.write_text(config_file.read_text().replace('listen = "127.0.0.1:1"', f'listen = "127.0.0.1:{port}"'))


async def states(store: StoredOutbox) -> dict[str, int]:
    return {state.value: n for state, n in (await store.counts()).by_state.items()}


async def test_deliveries_are_listed_and_chosen(calling: Calling, config_file: Path, agent: Running) -> None:
    listed = await calling("deliveries", "list", "--config", config_file, COLUMNS="200")
    assert (listed.code, listed.err) == (0, "")
    assert [word in listed.out for word in ("parked", "pending", "delivered", "DE*PAY", "NL*ANA")] == [True] * 5
    chosen = await calling(
        "deliveries", "list", "--state", "parked", "--provider", "NL*ANA", "--json", "--config", config_file
    )
    assert [each["id"] for each in json.loads(chosen.out)["deliveries"]] == [2]
    some = await calling("deliveries", "list", "--limit", "1", "--config", config_file)
    assert "There are older ones" in some.out


async def test_one_is_shown_with_its_attempts(calling: Calling, config_file: Path, agent: Running) -> None:
    shown = await calling("deliveries", "show", "1", "--config", config_file)
    assert (shown.code, "kwh is missing" in shown.out, "total" in shown.out) == (0, True, False)
    absent = await calling("deliveries", "show", "99", "--config", config_file)
    assert (absent.code, absent.err) == (1, "There is no such delivery, or it is longer ago than is kept.\n")


async def test_a_bulk_action_is_tried_dry_then_asked_for_then_done(
    calling: Calling, config_file: Path, agent: Running
) -> None:
    dry = await calling("deliveries", "retry", "--state", "parked", "--dry-run", "--config", config_file)
    assert (dry.code, dry.out) == (0, "Chosen: 2 parked. 2 of them can be tried again.\n")
    unsure = await calling("deliveries", "retry", "--state", "parked", "--config", config_file)
    assert (unsure.code, await states(agent.store)) == (130, {"parked": 2, "delivered": 1, "pending": 1})
    done = await calling("deliveries", "retry", "--state", "parked", "--yes", "--config", config_file)
    assert (done.code, done.out) == (0, "2 deliveries are pending again.\n")
    assert await states(agent.store) == {"delivered": 1, "pending": 3}
    assert agent.revived == [None]
    (line,) = agent.lines.of("deliveries.retried")
    assert (line["done"], line["choice"], "@" in str(line["by"])) == (2, {"state": "parked"}, True)
    gone = await calling("deliveries", "discard", "1", "3", "--yes", "--json", "--config", config_file)
    assert json.loads(gone.out) == {"done": 1, "passed_over": 0}
    assert await states(agent.store) == {"delivered": 1, "pending": 2, "withdrawn": 1}


async def test_nothing_is_done_to_everything_by_accident(calling: Calling, config_file: Path, agent: Running) -> None:
    vague = await calling("deliveries", "discard", "--yes", "--config", config_file)
    assert (vague.code, vague.err) == (2, "Choose some deliveries by id or by an option, or say --all.\n")
    done = await calling("deliveries", "discard", "--all", "--yes", "--config", config_file)
    assert done.out == "3 deliveries are discarded.\n"
    assert await states(agent.store) == {"delivered": 1, "withdrawn": 3}


async def test_a_story_is_told(calling: Calling, config_file: Path, agent: Running) -> None:
    told = await calling("explain", "c/7", "--config", config_file, COLUMNS="200")
    assert told.code == 0
    assert "Copied to DE*PAY: DE*CPO agreed to sessions, receiver interface (permission 6, or a wider one)" in told.out
    assert "by transaction 0xabab" in told.out
    request = session(correlation_id="refused-one")
    agent.notes.note(request, "receiver_refused", at=SystemClock().now())
    why = await calling("explain", "refused-one", "--config", config_file)
    assert "because the node or the receiver said no to it." in " ".join(why.out.split())
    unheard = await calling("explain", "unheard-of", "--config", config_file)
    assert unheard.out.startswith("Nothing is known of it")


@pytest.mark.parametrize(
    ("method", "path", "body", "told"),
    [
        ("GET", "deliveries?state=lost", None, "'lost' is none of pending"),
        ("GET", "deliveries?module=music", None, "'music' is none of cdrs"),
        ("GET", "deliveries?since=yesterday", None, "no time"),
        ("GET", "deliveries?limit=1001", None, "at most 1000"),
        ("GET", "deliveries/x", None, "not a number"),
        ("POST", "deliveries/retry", {"by": "me"}, "say that all are meant"),
        ("POST", "deliveries/discard", [], "JSON object of strings"),
        ("POST", "deliveries/discard", {"ids": 7}, "JSON object of strings"),
    ],
)
async def test_what_cannot_be_understood_is_refused_with_a_sentence(
    agent: Running, method: str, path: str, body: object, told: str
) -> None:
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session_:
        async with session_.request(method, f"{agent.url}/{path}", json=body) as answer:
            assert (answer.status, told in (await answer.json())["error"]) == (400, True)
        async with session_.get(f"{agent.url}/deliveries", headers={"Authorization": "Bearer wrong"}) as answer:
            assert answer.status == 401


async def test_without_an_agent_its_store_tells_and_is_worked_on(calling: Calling, config_file: Path) -> None:
    database = await SqliteDatabase.open(config_file.parent / "agent.db", metrics=Metrics(), clock=SystemClock())
    await fill(database)
    await database.close()
    listed = await calling("deliveries", "list", "--json", "--config", config_file)
    assert (len(json.loads(listed.out)["deliveries"]), "No agent runs" in listed.err) == (4, True)
    told = await calling("explain", "c/7", "--json", "--config", config_file)
    assert len(json.loads(told.out)["copies"]) == 1
    done = await calling("deliveries", "retry", "1", "--yes", "--config", config_file)
    assert (done.code, done.out) == (0, "1 delivery is pending again.\n")
    bad = await calling("deliveries", "list", "--module", "music", "--config", config_file)
    assert (bad.code, "music" in bad.err) == (1, True)


async def test_without_a_store_it_says_so(calling: Calling, config_file: Path) -> None:
    finished = await calling("deliveries", "list", "--config", config_file)
    assert (finished.code, "there is no store" in finished.err) == (1, True)
