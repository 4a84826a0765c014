"""An outbox to try things on, in each of the two stores."""

from collections.abc import AsyncIterator

import pytest

from tests.fakes import FakeClock
from tests.outbox_desk import Outboxed
from tests.outbox_fixtures import open_outbox
from tests.stores import Where


@pytest.fixture
async def outboxed(where: Where) -> AsyncIterator[Outboxed]:
    clock = FakeClock()
    database, store = await open_outbox(where, clock)
    yield Outboxed(database, store, clock)
    await database.close()
