"""An outbox to try things on."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes import FakeClock
from tests.outbox_desk import Outboxed
from tests.outbox_fixtures import open_outbox


@pytest.fixture
async def outboxed(tmp_path: Path) -> AsyncIterator[Outboxed]:
    clock = FakeClock()
    database, store = await open_outbox(tmp_path / "agent.db", clock)
    yield Outboxed(database, store, clock)
    await database.close()
