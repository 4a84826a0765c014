"""`status` asks the running agent, and reads the store when none runs."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from ocn_permission_agent.admin.server import AdminServer
from ocn_permission_agent.admin.settings import AdminSettings
from ocn_permission_agent.admin.status import ChainStatus, EndpointStatus, Status
from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.consent.view import ConsentView
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.outbox.breaker import Breaker
from ocn_permission_agent.outbox.gaps import GapSum
from ocn_permission_agent.outbox.model import DeliveryState
from ocn_permission_agent.outbox.module_pause import ModulePause
from ocn_permission_agent.outbox.store import Counts, PausedModule, ProviderBacklog
from ocn_permission_agent.store.sqlite import SqliteDatabase
from tests.desks import a_closed_desk

Calling = Callable[..., Awaitable[Any]]
SINCE = datetime(2026, 3, 1, 10, tzinfo=UTC)
TOKEN = "a-token-of-enough-length"


def without_token(file: Path) -> None:
    file.write_text(file.read_text().replace('token_file = "token"', ""))


async def how_things_stand() -> Status:
    return Status(
        version="0.1.0",
        chain=ChainStatus(
            head=812,
            fresh=True,
            age_seconds=2.0,
            held="the endpoint serves chain 1, not 246",
            endpoints=(EndpointStatus(name="rpc.example", head=812, reachable=True),),
        ),
        services=2,
        agreements=7,
        deliveries=Counts(by_state={DeliveryState.PENDING: 3, DeliveryState.DELIVERED: 1234}, held=1),
        backlog=(
            ProviderBacklog(
                provider=Party("DE", "PAY"),
                pending=3,
                oldest=SINCE,
                breaker=Breaker(failures=2, paused_since=SINCE, probe_at=SINCE, reason="no answer"),
                paused_modules=(
                    PausedModule(module="tokens", pause=ModulePause(since=SINCE, probe_at=SINCE, reason="not set up")),
                ),
                paused=2,
                held={"C8": 1},
            ),
        ),
        gaps=(GapSum(reason="first_sync", count=4, first_at=SINCE, last_at=SINCE),),
    )


@pytest.fixture
async def port() -> AsyncIterator[str]:
    """Where an agent's admin listener listens."""
    settings = AdminSettings(listen_port=0, token=TOKEN)
    metrics = Metrics()
    server = AdminServer(
        settings=settings,
        ready=lambda: True,
        status=how_things_stand,
        consent=ConsentView(clock=SystemClock(), max_staleness_seconds=60, metrics=metrics),
        desk=a_closed_desk(),
        metrics=metrics,
    )
    await server.start()
    yield str(server.address[1])
    await server.stop()


async def test_the_running_agent_is_asked(calling: Calling, config_file: Path, port: str) -> None:
    finished = await calling("status", "--json", "--config", config_file, OCN_AGENT_ADMIN_LISTEN=f"0.0.0.0:{port}")

    assert (finished.code, finished.err) == (0, "")
    document = json.loads(finished.out)
    assert (document["source"], document["chain"]["head"], document["agreements"]) == ("agent", 812, 7)
    assert list(document["deliveries"]) == [
        "pending", "held", "paused", "delivered", "unconfirmed", "refused", "superseded", "withdrawn", "expired",
        "parked",
    ]  # fmt: skip
    (owed,) = document["providers"]
    assert (owed["provider"], owed["pending"], owed["held"], owed["paused"]) == ("DE*PAY", 3, 1, 2)
    assert (owed["held_by"], owed["reason"], owed["paused_modules"][0]["module"]) == ({"C8": 1}, "no answer", "tokens")


async def test_people_get_aligned_tables(calling: Calling, config_file: Path, port: str) -> None:
    finished = await calling("status", "--config", config_file, OCN_AGENT_ADMIN_LISTEN=f"127.0.0.1:{port}")

    lines = [line.rstrip() for line in finished.out.splitlines()]
    assert "Chain head  812" in lines
    assert "Fresh       yes, 2 s old" in lines
    assert "Held        every copy: the endpoint serves chain 1, not 246" in lines
    assert "Gaps        4 since 2026-03-01T10:00:00+00:00: first_sync 4" in lines
    assert "Endpoint    rpc.example: reachable, followed, head 812" in lines
    assert lines[-3:] == [
        "DE*PAY is owed 3, the oldest of 2026-03-01 10:00 UTC",
        "DE*PAY is paused since 2026-03-01 10:00 UTC, next try 2026-03-01 10:00 UTC: no answer",
        "DE*PAY: tokens are paused since 2026-03-01 10:00 UTC, next try 2026-03-01 10:00 UTC: not set up",
    ]
    lines = lines[:-3]
    counts = {name.strip(): count for line in lines[8:] for name, _, count in [line.rpartition(" ")]}
    assert (counts["pending"], counts["of these held"], counts["delivered"]) == ("3", "1", "1234")
    assert len({len(line) for line in lines[8:]}) == 1


async def test_a_wrong_token_is_told(calling: Calling, config_file: Path, port: str) -> None:
    finished = await calling(
        "status",
        "--config",
        config_file,
        OCN_AGENT_ADMIN_LISTEN=f"127.0.0.1:{port}",
        OCN_AGENT_ADMIN_TOKEN="another-token-of-length",
    )

    assert (finished.code, finished.out) == (1, "")
    assert finished.err == f"The agent at 127.0.0.1:{port} does not accept the token of admin.token_file.\n"


async def test_another_program_at_the_admin_port_is_told(calling: Calling, config_file: Path) -> None:
    async def hello(_: web.BaseRequest) -> web.Response:
        return web.Response(text="hello")

    runner = web.ServerRunner(web.Server(hello))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]

    finished = await calling("status", "--config", config_file, OCN_AGENT_ADMIN_LISTEN=f"127.0.0.1:{port}")
    await runner.cleanup()

    assert finished.code == 1
    assert finished.err == f"What listens at 127.0.0.1:{port} is no OCN permission agent (HTTP 200).\n"


async def test_without_an_agent_its_store_is_read_and_not_changed(calling: Calling, config_file: Path) -> None:
    store = config_file.with_name("agent.db")
    database = await SqliteDatabase.open(store, metrics=Metrics(), clock=SystemClock())
    await database.write(
        lambda connection: connection.execute(
            "INSERT INTO chain_blocks (epoch, number, hash, parent_hash, time_s) VALUES (0, 77, ?, ?, 1772355600)",
            ("0x" + "a" * 64, "0x" + "b" * 64),
        )
    )
    await database.close()
    before = store.read_bytes()

    finished = await calling("status", "--json", "--config", config_file)

    assert finished.code == 0
    assert finished.err == "No agent runs at 127.0.0.1:1; this is what its store holds.\n"
    document = json.loads(finished.out)
    assert document["source"] == "store"
    assert document["chain"]["head"] == 77
    assert document["chain"]["fresh"] is False
    assert document["deliveries"]["pending"] == 0
    assert store.read_bytes() == before


async def test_the_store_is_read_beside_a_running_agent_that_has_no_token(calling: Calling, config_file: Path) -> None:
    without_token(config_file)
    database = await SqliteDatabase.open(config_file.with_name("agent.db"), metrics=Metrics(), clock=SystemClock())

    finished = await calling("status", "--config", config_file)
    await database.close()

    assert finished.code == 0
    assert "There is no admin token" in finished.err
    assert "not read yet" in finished.out


async def test_without_agent_and_store_there_is_nothing_to_tell(calling: Calling, config_file: Path) -> None:
    finished = await calling("status", "--config", config_file)

    assert (finished.code, finished.out) == (1, "")
    assert finished.err == f"No agent runs, and there is no store {config_file.with_name('agent.db')} yet.\n"


async def test_a_file_that_is_no_store_is_told(calling: Calling, config_file: Path) -> None:
    config_file.with_name("agent.db").write_text("this is no database, whatever its name may say")

    finished = await calling("status", "--config", config_file)

    assert (finished.code, finished.out) == (1, "")
    assert finished.err.endswith("cannot be read: file is not a database.\n")
