"""`services`, `agreements` and `parties` ask the running agent, and read the store when none runs."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from ocn_permission_agent.admin.server import AdminServer
from ocn_permission_agent.admin.settings import AdminSettings
from ocn_permission_agent.admin.status import Status
from ocn_permission_agent.consent.view import ConsentView
from ocn_permission_agent.errors import StoreUnavailable
from ocn_permission_agent.metrics import Metrics
from tests.chain_fixtures import WALLETS, Deployment, chain_client, deployed, sandbox_chain  # noqa: F401
from tests.chain_harness import OWN_DOMAIN, agree, confirm, furnish, revoke, wallet_address, watching
from tests.consent_factories import a_history, address_of
from tests.desks import a_closed_desk
from tests.fakes import FakeClock

Calling = Callable[..., Awaitable[Any]]
TOKEN = "a-token-of-enough-length"
CPO, BIL = address_of("DE*CPO"), address_of("NL*BIL")


async def no_status() -> Status:
    raise StoreUnavailable("not asked for here")


@pytest.fixture
async def where() -> AsyncIterator[dict[str, str]]:
    """The environment that leads to an agent for which one of two agreements was revoked."""
    history = a_history([("DE*CPO", "NL*BIL", {6, 8}), ("DE*CPO", "DE*ANA", {0})])
    history.toggle(CPO, BIL)
    metrics = Metrics()
    view = ConsentView(clock=FakeClock(), max_staleness_seconds=60, metrics=metrics)
    view.publish(history.index())
    settings = AdminSettings(listen_port=0, token=TOKEN)
    server = AdminServer(
        settings=settings, ready=lambda: True, status=no_status, consent=view, desk=a_closed_desk(), metrics=metrics
    )
    await server.start()
    yield {"OCN_AGENT_ADMIN_LISTEN": f"127.0.0.1:{server.address[1]}", "COLUMNS": "160"}
    await server.stop()


async def test_the_running_agent_lists_services(calling: Calling, config_file: Path, where: dict[str, str]) -> None:
    finished = await calling("services", "list", "--config", config_file, **where)

    assert (finished.code, finished.err) == (0, "")
    assert table(finished.out)[1:] == [
        ["Provider", "Address", "Name", "URL", "Permissions", "State"],
        ["DE*ANA", address_of("DE*ANA"), "a service", "https://service.example", "0", "listed"],
        ["NL*BIL", BIL, "a service", "https://service.example", "6,8", "listed"],
    ]


async def test_a_terminal_without_lines_gets_a_table_too(
    calling: Calling, config_file: Path, where: dict[str, str]
) -> None:
    finished = await calling("services", "list", "--config", config_file, PYTHONIOENCODING="ascii", **where)

    assert (finished.code, finished.err) == (0, "")
    assert [row[0] for row in table(finished.out)[-2:]] == ["DE*ANA", "NL*BIL"]


async def test_agreements_come_with_their_reason(calling: Calling, config_file: Path, where: dict[str, str]) -> None:
    finished = await calling("agreements", "list", "--config", config_file, **where)

    assert table(finished.out)[1:] == [
        ["Customer", "Provider", "Standing", "Rule", "Reason", "Agreed in", "Block"],
        ["DE*CPO", "DE*ANA", "open", "C2", "the agreement stands", "9", "9"],
        ["DE*CPO", "NL*BIL", "closed", "C2", "the customer revoked the agreement", "6", "10"],
    ]


async def test_agreements_can_be_chosen_and_had_as_json(
    calling: Calling, config_file: Path, where: dict[str, str]
) -> None:
    finished = await calling(
        "agreements", "list", "--standing", "open", "--customer", "de*cpo", "--json", "--config", config_file, **where
    )

    document = json.loads(finished.out)
    assert (document["source"], document["block"], document["fresh"]) == ("agent", 10, True)
    assert [each["provider"] for each in document["agreements"]] == ["DE*ANA"]


async def test_one_of_each_can_be_shown(calling: Calling, config_file: Path, where: dict[str, str]) -> None:
    service = await calling("services", "show", "NL*BIL", "--config", config_file, **where)
    agreement = await calling("agreements", "show", "DE*CPO", BIL, "--config", config_file, **where)
    party = await calling("parties", "show", "de*cpo", "--config", config_file, **where)

    assert ["Asks for", "6 sessions, receiver interface"] in table(service.out)
    assert "Agreements: 1" in service.out
    assert ["Reason", "C2: the customer revoked the agreement"] in table(agreement.out)
    assert ["sessions", "receiver", "closed", "C2", "the customer revoked the agreement"] in table(agreement.out)
    assert ["Address", CPO] in table(party.out)
    assert ["On this node", "yes"] in table(party.out)
    assert "As customer: 2" in party.out
    assert "As provider: none" in party.out


async def test_nobody_is_told_as_one_sentence(calling: Calling, config_file: Path, where: dict[str, str]) -> None:
    unknown = await calling("parties", "show", "DE*XXX", "--config", config_file, **where)
    unreadable = await calling("parties", "show", "DEXXX", "--config", config_file, **where)

    assert (unknown.code, unknown.out) == (1, "")
    assert unknown.err == "No party DE*XXX is registered. One that left can be shown by its address.\n"
    assert (unreadable.code, unreadable.out) == (2, "")
    assert unreadable.err.startswith("party: 'DEXXX' is not a party")


async def test_without_agent_and_store_there_is_nothing_to_tell(calling: Calling, config_file: Path) -> None:
    finished = await calling("services", "list", "--config", config_file)

    assert (finished.code, finished.out) == (1, "")
    assert finished.err == f"No agent runs, and there is no store {config_file.with_name('agent.db')} yet.\n"


async def test_without_an_agent_the_store_tells_by_the_same_rules(
    deployed: Deployment,  # noqa: F811
    calling: Calling,
    config_file: Path,
) -> None:
    store = config_file.with_name("agent.db")
    await furnish(deployed)
    await agree(deployed)
    await agree(deployed, "cpo_b")
    await confirm(deployed)
    await revoke(deployed, "cpo_b")
    async with watching(deployed, store) as watched:
        await watched.poll()
        block = watched.view.index.block_number
    follow(config_file, deployed)
    before = store.read_bytes()

    listed = await calling("agreements", "list", "--json", "--config", config_file)
    shown = await calling("parties", "show", "NL*BIL", "--config", config_file, COLUMNS="160")

    assert listed.code == shown.code == 0, listed.err + shown.err
    assert listed.err == "No agent runs at 127.0.0.1:1; this is what its store holds.\n"
    document = json.loads(listed.out)
    assert (document["source"], document["block"], document["fresh"]) == ("store", block, False)
    assert [(each["customer"], each["standing"], each["rule"]) for each in document["agreements"]] == [
        ("DE*CPB", "closed", "C2"),
        ("DE*CPO", "open", "C2"),
    ]
    assert "not fresh: what is open is held until it is (C8)" in shown.out
    assert ["Address", wallet_address("billing")] in table(shown.out)
    assert ["On this node", "no"] in table(shown.out)
    assert "As provider: 2" in shown.out
    assert store.read_bytes() == before


async def test_a_store_of_other_contracts_is_not_read(
    deployed: Deployment,  # noqa: F811
    calling: Calling,
    config_file: Path,
) -> None:
    await furnish(deployed)
    async with watching(deployed, config_file.with_name("agent.db")) as watched:
        await watched.poll()

    finished = await calling("agreements", "list", "--config", config_file, OCN_AGENT_CHAIN_NETWORK="volta")

    assert (finished.code, finished.out) == (2, "")
    assert "the store was made for chain_id 246, not 73799" in finished.err


def follow(config_file: Path, deployment: Deployment) -> None:
    """Let the configuration be that of the chain's own node."""
    contracts = deployment.contracts
    chain = (
        f'chain_id = {contracts.chain_id}\nregistry = "{contracts.registry}"\npermissions = "{contracts.permissions}"'
    )
    text = config_file.read_text().replace('network = "volta"', f"{chain}\nconfirmations = 2")
    config_file.write_text(text.replace("https://node.example", OWN_DOMAIN))
    config_file.with_name("operator.key").write_text(WALLETS["operator"].key.hex())


def table(out: str) -> list[list[str]]:
    """Cells of each line; two spaces separate columns."""
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in out.splitlines() if line.strip()]
