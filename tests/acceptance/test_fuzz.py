"""Requests that nobody would write: the agent neither falls nor stalls, and copies just what the node routed."""

import asyncio
import sqlite3
from collections.abc import Mapping
from pathlib import Path

import pytest

from ocn_permission_agent.errors import CanonicalError
from ocn_permission_agent.ocn.canonical import canonical
from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.ocpi.route import Route, find_route
from ocn_permission_agent.sandbox.parties.inbox import Received
from ocn_permission_agent.sandbox.story.world import World
from tests.acceptance.hostile import (
    PREFIX,
    Speaker,
    a_watched_world,
    envelopes,
    gaps,
    heartbeat,
    metric,
    proxy_address,
    routed,
    unnamed_gaps,
    until_settled,
)
from tests.fuzzing import Fuzz, Platform

_SPEAKERS = 6
_LONGEST_STALL_MS = 100


@pytest.mark.timeout(600)
async def test_two_thousand_odd_requests(tmp_path: Path) -> None:
    await _fuzz(tmp_path, NodeVersion.V1, seed=20_261_126, count=2_000, largest=20_000)


@pytest.mark.nightly
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("part", range(5))
@pytest.mark.parametrize("version", list(NodeVersion))
async def test_fifty_thousand_odd_requests(tmp_path: Path, version: NodeVersion, part: int) -> None:
    # In parts, since of a thousand gaps an hour each has its name, and those beyond are counted only.
    await _fuzz(tmp_path, version, seed=10 * int(version.value) + part, count=10_000, largest=20_000)


@pytest.mark.nightly
@pytest.mark.timeout(1200)
async def test_objects_of_a_million_members(tmp_path: Path) -> None:
    await _fuzz(tmp_path, NodeVersion.V1, seed=5, count=60, largest=1_000_000, body_limit_bytes=16 * 1024 * 1024)


async def _fuzz(
    folder: Path, version: NodeVersion, *, seed: int, count: int, largest: int, body_limit_bytes: int = 8 * 1024 * 1024
) -> None:
    print(f"seed {seed}")  # noqa: T201  how to repeat a failure
    async with a_watched_world(folder, version, body_limit_bytes=body_limit_bytes) as world:
        fuzz = Fuzz(
            seed=seed,
            platforms=[Platform(each.party, each.connection.authorization) for each in world.parties[:3]],
            version="2.2" if version is NodeVersion.V1 else "2.2.1",
            prefix="" if version is NodeVersion.V1 else PREFIX,
            largest=largest,
        )
        speakers = await _say_all(world, fuzz, count)
        await until_settled(world)
        faults = (await metric(world, "refusals_total"))['{cause="fault"}']
        missed = await metric(world, "gaps_total")
        not_copied = await metric(world, "not_copied_total")
        passed_on = routed(world.cpo.inbox.all(), world.other_cpo.inbox.all(), world.emsp.inbox.all())
        assert await world.agent.stop() == 0
    log = (folder / "agent.log").read_text()
    assert faults == 0
    assert "Traceback" not in log
    assert not any(f'"event":"{event}"' in log for event in ("request.failed", "loop.failed", "process.crashed"))
    assert not [reason for reason in missed if "internal_error" in reason], missed
    copied = envelopes(folder / "agent.db")
    for name, row in copied.items():
        assert name in passed_on, f"{name} was copied, and never routed"
        if "body" in row.keys():  # noqa: SIM118  a row is no mapping
            _same(name, row, passed_on[name], version)
    assert unnamed_gaps(folder / "agent.db") == 0, "too many gaps to tell which: fuzz less at a time"
    silent = _neither_copied_nor_told(passed_on, speakers) - copied.keys() - gaps(folder / "agent.db")
    assert not silent, "routed and accepted, but neither copied nor told why not"
    stalls = heartbeat(folder)
    print(f"{len(passed_on)} routed, {len(copied)} copied, not {not_copied}, gaps {missed}, stalls {stalls}")  # noqa: T201
    assert max(stalls["busy_ms"], default=0) <= _LONGEST_STALL_MS, stalls


async def _say_all(world: World, fuzz: Fuzz, count: int) -> list[Speaker]:
    speakers = [Speaker(proxy_address(world)) for _ in range(_SPEAKERS)]

    async def speak(speaker: Speaker) -> None:
        for _ in range(count // _SPEAKERS):
            await speaker.say(*fuzz.next())
        await speaker.close()

    async with asyncio.TaskGroup() as group:
        for speaker in speakers:
            group.create_task(speak(speaker))
    return speakers


def _neither_copied_nor_told(passed_on: Mapping[str, Received], speakers: list[Speaker]) -> set[str]:
    """What the node took as data of an agreed customer, on a path that means the same to everybody."""
    statuses = {name: status for speaker in speakers for name, status in speaker.statuses.items()}
    lines = {name: line for speaker in speakers for name, line in speaker.lines.items()}
    found = set()
    for name, received in passed_on.items():
        # A second space before the version is not of the target.
        method, target = lines[name].decode("utf-8", "surrogateescape").split(" ")[:2]
        clear = isinstance(find_route(method, target.partition("?")[0], api_prefix=_prefix_of(target)), Route)
        if received.method != "GET" and clear and 200 <= statuses[name] < 300:
            found.add(name)
    return found


def _prefix_of(target: str) -> str:
    return PREFIX if target.startswith(f"/{PREFIX}/") else ""


def _same(name: str, row: sqlite3.Row, received: Received, version: NodeVersion) -> None:
    route = find_route(received.method, received.raw_path)
    sent = {side: received.headers[f"ocpi-{side}-country-code"] + "*" + received.headers[f"ocpi-{side}-party-id"]
            for side in ("from", "to")}  # fmt: skip
    assert isinstance(route, Route), name
    said = (received.method, route.module.value, route.interface_role.value, route.url_path)
    assert said == (row["method"], row["module"], row["interface_role"], row["url_path"]), name
    assert (row["sender"].upper(), row["receiver"].upper()) == (sent["from"].upper(), sent["to"].upper()), name
    if row["body"] is not None and received.method not in ("DELETE", "GET"):
        assert _text(row["body"], version) == received.body or b"response_url" in received.body, name


def _text(body: bytes, version: NodeVersion) -> bytes:
    if not body:
        return b""  # an authorisation may be asked for without one
    try:
        return canonical(body, version=version)
    except CanonicalError as error:
        raise AssertionError(f"the node read what we cannot: {error}") from error
