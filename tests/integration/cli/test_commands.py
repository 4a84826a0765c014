"""Exit codes and sentences: 0 fine, 1 failed, 2 bad usage or configuration, never a traceback."""

import json
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

Calling = Callable[..., Awaitable[Any]]
NO_NETWORK = (
    'chain.network: is missing; say "prod" or "volta", or give chain.chain_id, chain.registry and chain.permissions.'
)


def respell(file: Path, old: str, new: str) -> None:
    file.write_text(file.read_text().replace(old, new))


async def test_help_names_every_command(calling: Calling) -> None:
    finished = await calling("--help")

    assert finished.code == 0
    for command in (
        "run",
        "sync",
        "check-config",
        "status",
        "demo",
        "services",
        "agreements",
        "parties",
        "service",
        "agreement",
    ):
        assert f"  {command} " in finished.out
    assert "Exit codes: 0 fine, 1 failed, 2 bad usage or configuration." in finished.out


async def test_help_imports_nothing_heavy(calling: Calling) -> None:
    finished = await calling("--help", PYTHONPROFILEIMPORTTIME="1")

    imported = {line.rpartition("|")[2].strip() for line in finished.err.splitlines()}
    assert "click" in imported
    assert not imported & {"aiohttp", "structlog", "rich", "web3", "eth_account", "sqlite3", "asyncio", "orjson"}


@pytest.mark.parametrize(
    "arguments", [["walk"], ["run", "--confg", "x"], ["status", "unasked"], ["demo", "--proxy-port", "x"]]
)
async def test_bad_usage_exits_with_2(calling: Calling, arguments: list[str]) -> None:
    finished = await calling(*arguments)

    assert (finished.code, finished.out) == (2, "")
    assert "Error: " in finished.err


async def test_a_good_configuration_is_said_to_be_fine(calling: Calling, config_file: Path) -> None:
    finished = await calling("check-config", "--config", config_file)

    assert (finished.code, finished.out, finished.err) == (0, f"{config_file}: the configuration is fine.\n", "")


async def test_what_a_terminal_cannot_show_is_told_otherwise(calling: Calling, config_file: Path) -> None:
    file = shutil.copy(config_file, config_file.with_name("Straße….toml"))
    finished = await calling("check-config", "--config", file, PYTHONIOENCODING="latin-1")
    assert (finished.code, finished.err) == (0, "")
    assert finished.out.endswith("Straße\\u2026.toml: the configuration is fine.\n")


@pytest.mark.parametrize(("unbuffered", "code"), [("", 0), ("1", 1)])
async def test_a_reader_that_has_gone_is_no_error(
    calling: Calling, config_file: Path, unbuffered: str, code: int
) -> None:
    """As with ``| head``, whether it goes before or after the last word."""
    reading, writing = os.pipe()
    os.close(reading)
    finished = await calling("check-config", "--config", config_file, stdout=writing, PYTHONUNBUFFERED=unbuffered)
    os.close(writing)
    assert (finished.code, finished.err) == (code, "")


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--version"], 1, "Standard output cannot be written: No space left on device.\n"),
        (["check-config", "--config", "gone.toml"], 2, "There is no configuration file gone.toml.\n"),
    ],
)
async def test_output_that_finds_no_room_is_one_sentence(
    calling: Calling, arguments: list[str], code: int, told: str
) -> None:
    """What was not to be printed there does not mind."""
    full = os.open("/dev/full", os.O_WRONLY)
    finished = await calling(*arguments, stdout=full)
    os.close(full)
    assert (finished.code, finished.err) == (code, told)


async def test_the_configuration_file_can_be_named_by_the_environment(calling: Calling, config_file: Path) -> None:
    finished = await calling("check-config", OCN_AGENT_CONFIG=str(config_file))

    assert finished.code == 0


async def test_all_problems_are_told_at_once(calling: Calling, config_file: Path) -> None:
    respell(config_file, "network =", "poll_seconds = 0\nnetwrk =")
    config_file.with_name("operator.key").unlink()

    finished = await calling("check-config", "--config", config_file)

    assert (finished.code, finished.out) == (2, "")
    assert finished.err.splitlines() == [
        "chain.netwrk: there is no such key; did you mean network?",
        f"operator.key_file: names {config_file.with_name('operator.key')}, which does not exist.",
        "chain.poll_seconds: must be a number above 0 to 3600, not 0.",
        NO_NETWORK,
    ]


async def test_problems_and_warnings_can_be_had_as_json(calling: Calling, config_file: Path) -> None:
    config_file.with_name("operator.key").chmod(0o644)

    fine = await calling("check-config", "--json", "--config", config_file)
    bad = await calling("check-config", "--json", "--config", config_file, OCN_AGENT_LOG_LEVEL="loud")

    assert (fine.code, json.loads(fine.out)["problems"]) == (0, [])
    assert "chmod 600" in json.loads(fine.out)["warnings"][0]
    assert (bad.code, len(json.loads(bad.out)["problems"])) == (2, 1)


@pytest.mark.parametrize("command", ["run", "sync", "check-config", "status"])
async def test_broken_toml_is_one_sentence_with_its_line(calling: Calling, config_file: Path, command: str) -> None:
    respell(config_file, "listen =", "listen")

    finished = await calling(command, "--config", config_file)

    assert finished.code == 2
    [sentence] = finished.err.splitlines()
    assert sentence.startswith(f"The configuration file {config_file} is not valid TOML: ")
    assert "line 3" in sentence


async def test_an_unreadable_key_is_one_sentence(calling: Calling, config_file: Path) -> None:
    config_file.with_name("operator.key").write_text("no key at all")

    finished = await calling("run", "--config", config_file)

    assert finished.code == 2
    [sentence] = finished.err.splitlines()
    assert sentence.startswith("operator.key_file: ")
    assert "no key at all" not in sentence
