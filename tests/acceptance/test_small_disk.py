"""A real small file system under the store: it fills up and is freed, it is read-only and is made writable again."""

import asyncio
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.test_store_trouble import more
from tests.under_load import DELIVERY, Field, a_field, recorded, until_settled

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(300)]
SIZE = 24 * 1024 * 1024


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, in memory."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = [shutil.which("mount") or "mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("only who may mount a file system can try a small one")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def remount(folder: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True)


def kept_in(folder: Path) -> dict[str, dict[str, Any]]:
    return {"store": {"url": f"sqlite:///{folder}/agent.db"}, "delivery": DELIVERY}


def fill(folder: Path) -> Path:
    """Take all the room that is left."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65_536, 4_096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return filler


async def until_gaps(place: Field, *, grow: bool) -> int:
    """Wait until gaps are counted; or until twenty more requests were answered and none was."""
    async with asyncio.timeout(60):
        while True:
            before = await place.agent.status_if_open()
            await more(place, 20)
            after = await place.agent.status_if_open()
            if before is not None and after is not None and (after["gaps"] > before["gaps"]) == grow:
                gaps: int = after["gaps"]
                return gaps


async def judge(place: Field, store: Path, well: int, *, reason: str) -> None:
    """All is told, and what was said after it got well is there."""
    status = await until_settled(place.agent)
    assert await place.agent.stop() == 0
    kept, said = recorded(store), place.customers.said
    assert kept.integrity == "ok"
    assert kept.gap_count == status["gaps"] > 0
    assert set(status["gaps_by_reason"]) == {reason}
    missing = set(place.node.processed) - kept.correlation_ids
    # Before the store was ever read nobody knows who has agreed: of those gaps only the number is kept.
    assert len(missing) == kept.gap_count if reason == "first_sync" else not missing - kept.gaps
    assert set(said.acknowledged[well:]) <= kept.correlation_ids
    assert not said.unanswered
    assert max(place.node.cdrs.values()) == 1
    arrived = Counter(module for module, _, _, outcome in kept.entered.elements() if outcome == "delivered")
    assert arrived["cdrs"] == place.node.cdrs.total()


async def test_a_disk_fills_up_and_is_freed(tmp_path: Path, small: Path) -> None:
    async with a_field(tmp_path, rate=100, changed=kept_in(small)) as place:
        async with place.customers.sending():
            await more(place, 50)
            filler = fill(small)
            await until_gaps(place, grow=True)
            filler.unlink()
            await until_gaps(place, grow=False)
            well = len(place.customers.said.acknowledged)
            await more(place, 100)
        await judge(place, small / "agent.db", well, reason="store_unavailable")


async def test_a_read_only_disk_keeps_nobody_waiting_and_is_told(tmp_path: Path, small: Path) -> None:
    async with a_field(tmp_path, rate=100, changed=kept_in(small)) as place:
        async with place.customers.sending():
            await more(place, 50)
            place.customers.wait()
            assert await place.agent.stop() == 0
            remount(small, "ro")
            await place.agent.start()
            place.customers.go_on()
            await more(place, 100)
            assert place.customers.said.refused == []
            remount(small, "rw")
            async with asyncio.timeout(60):
                while await place.agent.status_if_open() is None:
                    await more(place, 1)
            await until_gaps(place, grow=False)
            well = len(place.customers.said.acknowledged)
            await more(place, 100)
        await judge(place, small / "agent.db", well, reason="first_sync")
