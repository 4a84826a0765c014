"""`stop` and `confirm`: at a running agent, on the store of one that does not run, refused with a sentence."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ocn_permission_agent.admin.desk import Desk
from ocn_permission_agent.admin.server import AdminServer
from ocn_permission_agent.admin.settings import AdminSettings
from ocn_permission_agent.admin.status import Status
from ocn_permission_agent.chain.decisions import Decider, DecisionStore
from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.consent.view import ConsentView
from ocn_permission_agent.errors import StoreUnavailable
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.store.sqlite import SqliteDatabase
from tests.chain_harness import Lines
from tests.consent_factories import OTHER_OPERATOR, a_history, address_of

Calling = Callable[..., Awaitable[Any]]
TOKEN = "a-token-of-enough-length"


def point_at(config_file: Path, port: int) -> None:
    config_file.write_text(config_file.read_text().replace('listen = "127.0.0.1:1"', f'listen = "127.0.0.1:{port}"'))


def admin_port(config_file: Path) -> int:
    return int(config_file.read_text().partition('[admin]\nlisten = "127.0.0.1:')[2].partition('"')[0])


async def withdrawn() -> int:
    return 3


async def no_status() -> Status:
    raise StoreUnavailable("not asked here")


@pytest.fixture
async def store(config_file: Path) -> Path:
    """A store that holds nothing; nobody has it open."""
    path = config_file.parent / "agent.db"
    await (await SqliteDatabase.open(path, metrics=Metrics(), clock=SystemClock())).close()
    return path


@pytest.fixture
async def agent(config_file: Path) -> AsyncIterator[ConsentView]:
    """What a running agent's admin listener does; its provider was renamed, so something can be confirmed."""
    metrics, clock = Metrics(), SystemClock()
    history = a_history([("DE*CPO", "NL*BIL", {6})])
    history.party(Party("NL", "NEW"), operator=OTHER_OPERATOR, address=address_of("NL*BIL"))
    view = ConsentView(clock=clock, max_staleness_seconds=60, metrics=metrics)
    view.publish(history.index())
    database = await SqliteDatabase.open(config_file.parent / "agent.db", metrics=metrics, clock=clock)
    decider = Decider(store=DecisionStore(database), view=view, clock=clock, log=Lines(), withdraw=withdrawn)
    server = AdminServer(
        settings=AdminSettings(listen_port=0, token=TOKEN),
        ready=lambda: True,
        status=no_status,
        consent=view,
        desk=Desk(index=lambda: view.index, decider=lambda: decider),
        metrics=metrics,
    )
    await server.start()
    point_at(config_file, server.address[1])
    yield view
    await server.stop()
    await database.close()


async def test_a_stop_is_told_to_the_running_agent(calling: Calling, config_file: Path, agent: ConsentView) -> None:
    done = await calling("stop", "add", "--customer", "DE*CPO", "--module", "cdrs", "--config", config_file)
    assert (done.code, done.err) == (0, "")
    assert done.out == "Stopped, as number 1; 3 pending copies were withdrawn.\n"
    assert len(agent.decisions.stops) == 1

    twice = await calling("stop", "add", "--customer", "DE*CPO", "--module", "cdrs", "--config", config_file)
    assert (twice.code, twice.err) == (1, "This stop is on the list already, as number 1.\n")
    listed = await calling("stop", "list", "--config", config_file)
    assert [word in listed.out for word in ("DE*CPO", "everybody", "cdrs")] == [True] * 3

    gone = await calling("stop", "remove", "--customer", "DE*CPO", "--module", "cdrs", "--config", config_file)
    assert (gone.code, gone.out) == (0, "Stop 1 is off the list; what it withdrew stays withdrawn.\n")
    assert len(agent.decisions.stops) == 0
    assert "Nobody" in (await calling("stop", "list", "--config", config_file)).out
    audit = json.loads((await calling("stop", "list", "--audit", "--json", "--config", config_file)).out)
    assert [each["what"] for each in audit["decisions"]] == ["stop added", "stop removed"]
    assert all(each["by"] for each in audit["decisions"])
    assert "stop added" in (await calling("stop", "list", "--audit", "--config", config_file)).out


async def test_one_fact_is_confirmed(calling: Calling, config_file: Path, agent: ConsentView) -> None:
    (status,) = agent.index.agreements()
    transaction = status.verdict.transaction_hash or ""
    names = ("agreements", "confirm", "DE*CPO", "NL*NEW", "--config", config_file)
    wrong = await calling(*names, "--tx", "0x" + "0" * 64)
    assert (wrong.code, transaction in wrong.err) == (1, True)
    done = await calling(*names, "--tx", transaction, "--json")
    assert json.loads(done.out)["transaction_hash"] == transaction
    assert not next(iter(agent.index.agreements())).verdict.closed

    account = address_of("DE*CPO")
    party = await calling("parties", "confirm", "DE*CPO", "--address", account, "--config", config_file)
    assert (party.code, party.out) == (0, f"Confirmed, as number 2: DE*CPO is at {account}.\n")


async def test_without_an_agent_its_store_takes_the_decision(calling: Calling, config_file: Path, store: Path) -> None:
    done = await calling("stop", "add", "--provider", "NL*BIL", "--json", "--config", config_file)
    assert done.code == 0
    assert "this is decided on its store" in done.err
    assert json.loads(done.out)["provider"] == "NL*BIL"
    listed = await calling("stop", "list", "--json", "--config", config_file)
    assert [stop["provider"] for stop in json.loads(listed.out)["stops"]] == ["NL*BIL"]
    refused = await calling("stop", "remove", "--customer", "DE*CPO", "--config", config_file)
    assert (refused.code, "There is no such stop on the list." in refused.err) == (1, True)


async def test_a_store_that_an_agent_uses_is_left_alone(calling: Calling, config_file: Path, store: Path) -> None:
    database = await SqliteDatabase.open(store, metrics=Metrics(), clock=SystemClock())
    try:
        refused = await calling("stop", "add", "--provider", "NL*BIL", "--config", config_file)
    finally:
        await database.close()
    assert (refused.code, "is in use by another agent" in refused.err) == (1, True)


async def test_without_agent_and_store_nothing_can_be_decided(calling: Calling, config_file: Path) -> None:
    refused = await calling("stop", "add", "--provider", "NL*BIL", "--config", config_file)
    assert (refused.code, "there is no store" in refused.err) == (1, True)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"customer": 1}'])
async def test_the_api_takes_objects_of_strings(agent: ConsentView, config_file: Path, body: bytes) -> None:
    port = admin_port(config_file)
    async with (
        aiohttp.ClientSession() as client,
        client.post(
            f"http://127.0.0.1:{port}/api/v1/stops", data=body, headers={"Authorization": f"Bearer {TOKEN}"}
        ) as answer,
    ):
        assert answer.status == 400
        assert "JSON object of strings" in (await answer.json())["error"]
