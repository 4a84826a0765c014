"""Killed again and again while customers speak and services are told: nothing acknowledged is lost, nothing doubled.

What the customers were told is stored, what the service holds, and what ledger and attempts say is compared at the end.
"""

import asyncio
import json
import random
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ocn_permission_agent.ledger.chain import verify
from ocn_permission_agent.ledger.entry import read_entry
from ocn_permission_agent.ledger.store import LedgerStore
from ocn_permission_agent.ocn.keys import OperatorKey, recover
from tests.fakes import FakeClock
from tests.killed_outbox import MOMENTS
from tests.message_service import MessageService, message_service
from tests.outbox_fixtures import CUSTOMER_ADDRESS, open_outbox

ROOT = Path(__file__).parents[3]


@dataclass
class Told:
    """What customers were acknowledged: CDR ids, and how many steps of each session."""

    cdrs: set[str] = field(default_factory=set)
    steps: dict[str, int] = field(default_factory=dict)

    def hear(self, output: str) -> None:
        for line in output.splitlines(keepends=True):
            if not line.endswith("\n"):
                continue  # cut by the death: never told
            kind, name, step = line.split()
            if kind == "cdr":
                self.cdrs.add(name)
            else:
                self.steps[name] = int(step) + 1


class Held:
    """What a service makes of all that arrived: CDRs once by their id, sessions with periods appended blindly."""

    def __init__(self, service: MessageService) -> None:
        self.cdrs: Counter[str] = Counter()
        self.sessions: dict[str, list[int]] = {}
        self.arrived = len(service.received)
        for each in service.received:
            message = json.loads(each.text)
            body = message["body"]
            if message["module"] == "CDRS":
                self.cdrs[body["id"]] += 1
                continue
            name = message["url_path"].rpartition("/")[2]
            periods = [period["n"] for period in body["charging_periods"]]
            self.sessions[name] = periods if message["method"] == "PUT" else [*self.sessions.get(name, []), *periods]


def run_until_dead(store: Path, url: str, run: int, moment: str, count: int) -> tuple[str, int]:
    child = subprocess.run(
        [sys.executable, "-m", "tests.killed_outbox", str(store), url, str(run), moment, str(count)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=90,
        check=False,
    )
    assert child.returncode in (0, -9), child.stderr[-2000:]
    return child.stdout, child.returncode


async def killed(folder: Path, plan: list[tuple[str, int]]) -> None:
    """Kill by the plan, let the rest be delivered, and compare."""
    store, told = folder / "agent.db", Told()
    async with message_service() as service:
        for run, (moment, count) in enumerate(plan):
            output, code = await asyncio.to_thread(run_until_dead, store, service.url, run, moment, count)
            assert code == -9, f"{moment} was never passed {count} times"
            told.hear(output)
        output, code = await asyncio.to_thread(run_until_dead, store, service.url, len(plan), "drain", 0)
        assert (output, code) == ("", 0)
        held = Held(service)
    assert len(told.cdrs) > 5 * len(plan) / 9
    assert told.cdrs <= set(held.cdrs), "a CDR that was acknowledged is lost"
    for name, steps in told.steps.items():
        assert held.sessions[name][:steps] == list(range(steps)), name
    for name, periods in held.sessions.items():
        assert periods == list(range(len(periods))), f"periods of {name} doubled or out of order"
    await compare_with_the_store(store, held)
    again = sum(held.cdrs.values()) - len(held.cdrs)
    sys.stdout.write(
        f"{len(plan)} deaths; acknowledged {len(told.cdrs)} CDRs and {sum(told.steps.values())} steps of "
        f"{len(told.steps)} sessions; {again} CDRs came again\n"
    )


async def compare_with_the_store(path: Path, held: Held) -> None:
    """Each extra arrival is explained by an attempt that a death cut off; the ledger tells of every CDR."""
    database, store = await open_outbox(path, FakeClock())
    chain = await LedgerStore(database).chain(CUSTOMER_ADDRESS)
    assert chain is not None
    assert verify(chain, signer=OperatorKey(b"\x11" * 32).address, recover=recover) == ()
    entries = [read_entry(each.text) for each in chain.entries if each.text is not None]
    delivered = Counter(entry.object_id for entry in entries if entry.module == "cdrs" and entry.outcome == "delivered")
    assert set(delivered) == set(held.cdrs)
    assert set(delivered.values()) == {1}
    tries = {entry.object_id: entry.attempts for entry in entries if entry.module == "cdrs"}
    assert all(times <= tries[name] for name, times in held.cdrs.items())
    assert sum(held.cdrs.values()) - len(held.cdrs) <= sum(tries.values()) - len(tries)
    assert await database.read(lambda c: c.execute("PRAGMA integrity_check").fetchone()[0]) == "ok"
    assert await database.read(lambda c: c.execute("PRAGMA foreign_key_check").fetchall()) == []
    counts = await store.counts()
    rows = await database.read(lambda c: c.execute("SELECT count(*) FROM deliveries").fetchone()[0])
    assert sum(counts.by_state.values()) == rows
    await database.close()


async def test_killed_once_at_each_moment_nothing_is_lost_and_nothing_doubled(tmp_path: Path) -> None:
    counts = {"random": 700, "during_purge": 3, "before_commit": 60, "after_commit": 40}
    await killed(tmp_path, [(moment, counts.get(moment, 20)) for moment in MOMENTS])


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(5))
async def test_killed_fifty_times_nothing_is_lost_and_nothing_doubled(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    plan = []
    for _ in range(50):
        moment = chance.choice(MOMENTS)
        highest = {"random": 1500, "during_purge": 12, "before_commit": 200}.get(moment, 100)
        plan.append((moment, chance.randrange(1, highest)))
    await killed(tmp_path, plan)
