"""What is noted before the node is asked, and what `strict` refuses while nothing can be recorded."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from ocn_permission_agent.errors import StoreUnavailable
from ocn_permission_agent.outbox.gaps import Gap
from ocn_permission_agent.outbox.intents import Intents
from ocn_permission_agent.outbox.model import CopyPlan
from tests.integration.proxy.house import SETTINGS, TOKEN, Consent, Outbox, a_house, a_put
from tests.integration.proxy.wire import OK_BODY, RawNode, ask, line_to, read_message, reply

pytestmark = pytest.mark.usefixtures("both_ways")

STRICT = replace(SETTINGS, strict=True)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110  counts tell nobody that they changed
            await asyncio.sleep(0.005)


def left_after_a_death(path: Path) -> list[Gap]:
    """What the next process would find."""
    return list(Intents(path).open().gaps)


async def test_a_request_on_its_way_is_noted_and_its_end_too(tmp_path: Path) -> None:
    path, asked, release = tmp_path / "intents", asyncio.Event(), asyncio.Event()

    async def node(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_message(reader)
        asked.set()
        await release.wait()
        writer.write(reply())
        await writer.drain()

    async with a_house(RawNode(on_connection=node), intents_path=path) as house, asyncio.timeout(5):
        async with line_to(house.address) as line:
            line.writer.write(a_put(b'{"id":"cdr-7"}', method="POST", path="/ocpi/receiver/2.2/cdrs"))
            await asked.wait()
            meanwhile = path.read_bytes()
            release.set()
            assert (await read_message(line.reader)).body == OK_BODY
        assert b"cdr-7" in meanwhile
        assert TOKEN not in meanwhile
        assert left_after_a_death(path) == []
        (tmp_path / "then").write_bytes(meanwhile)
        [gap] = left_after_a_death(tmp_path / "then")
        assert (gap.reason, gap.customer, gap.module, gap.method) == ("unknown_outcome", "DE*CPO", "cdrs", "POST")
        assert (gap.object_id, gap.correlation_id) == ("cdr-7", "c-1")


@pytest.mark.parametrize(
    ("outbox", "noted"),
    [
        (Outbox(), []),
        (Outbox(failure=StoreUnavailable("disk full")), ["store_unavailable"]),
        (Outbox(failure=ValueError("a fault of ours")), ["internal_error"]),
    ],
)
async def test_nothing_stays_noted_but_a_gap_until_it_is_written(
    tmp_path: Path, outbox: Outbox, noted: list[str]
) -> None:
    async with a_house(outbox=outbox, intents_path=tmp_path / "intents") as house:
        await ask(house.address, a_put())
        assert [gap.reason for gap in left_after_a_death(tmp_path / "intents")] == noted


async def test_a_node_that_cuts_its_answer_is_one_gap_with_its_object(tmp_path: Path) -> None:
    async def node(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_message(reader)
        writer.close()

    async with a_house(RawNode(on_connection=node), intents_path=tmp_path / "intents") as house:
        assert (await ask(house.address, a_put())).head.startswith(b"HTTP/1.1 502 ")
        assert house.count("gaps", reason="unknown_outcome") == 1
        assert any("'object_id': 's1'" in line and "'customer': 'DE*CPO'" in line for line in house.log.lines)
        [gap] = left_after_a_death(tmp_path / "intents")
        assert (gap.reason, gap.object_id) == ("unknown_outcome", "s1")


async def test_a_request_that_is_due_to_nobody_is_not_noted(tmp_path: Path) -> None:
    async with a_house(intents_path=tmp_path / "intents") as house:
        await ask(house.address, a_put(sender=("DE", "ABC")))
        assert (tmp_path / "intents").read_bytes() == b""


@dataclass
class Waiting(Outbox):
    """Records nothing before it is told to; or never, when whoever writes is cancelled."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: bool = False

    async def record(self, plan: CopyPlan) -> int:
        self.reached.set()
        await self.goes_on.wait()
        if self.cancelled:
            raise asyncio.CancelledError
        return await super().record(plan)


async def test_what_is_being_recorded_at_the_end_of_the_process_stays_noted(tmp_path: Path) -> None:
    outbox = Waiting()
    async with a_house(outbox=outbox, intents_path=tmp_path / "intents") as house, line_to(house.address) as line:
        line.writer.write(a_put())
        await outbox.reached.wait()
        await house.proxy.stop(grace_seconds=0.05)
        assert await line.ended()
        await until(lambda: house.proxy.in_flight == 0)
        assert house.count("gaps", reason="internal_error") == 0
        assert [gap.reason for gap in left_after_a_death(tmp_path / "intents")] == ["unknown_outcome"]


async def test_what_nobody_will_ever_record_stays_noted_and_is_not_answered(tmp_path: Path) -> None:
    outbox = Waiting(cancelled=True)
    async with a_house(outbox=outbox, intents_path=tmp_path / "intents") as house, line_to(house.address) as line:
        line.writer.write(a_put())
        outbox.goes_on.set()
        assert await line.ended()
        await until(lambda: house.proxy.in_flight == 0 and house.proxy.connections == 0)
        assert [gap.reason for gap in left_after_a_death(tmp_path / "intents")] == ["unknown_outcome"]


async def test_a_platform_that_leaves_while_its_copy_is_recorded_does_not_keep_it_from_that(tmp_path: Path) -> None:
    outbox = Waiting()
    async with a_house(outbox=outbox, intents_path=tmp_path / "intents") as house:
        async with line_to(house.address) as line:
            line.writer.write(a_put())
            await outbox.reached.wait()
            line.writer.transport.abort()
        await ask(house.address, a_put(sender=("DE", "ABC")))  # by then the proxy has seen the other one end
        assert house.proxy.in_flight == 1
        outbox.goes_on.set()
        await until(lambda: house.proxy.in_flight == 0)
        assert len(outbox.plans) == 1
        assert left_after_a_death(tmp_path / "intents") == []


async def test_what_was_held_makes_room_again() -> None:
    async with a_house(settings=replace(SETTINGS, buffer_total_bytes=100_000)) as house, line_to(house.address) as line:
        for _ in range(10):
            await line.ask(a_put(b"x" * 30_000))
        assert len(house.outbox.plans) == 10


async def test_strict_refuses_what_may_be_due_while_nothing_can_be_recorded() -> None:
    outbox = Outbox(can_record=False)
    async with a_house(outbox=outbox, settings=STRICT) as house:
        refused = await ask(house.address, a_put())
        assert refused.head.startswith(b"HTTP/1.1 503 ")
        assert json.loads(refused.body)["status_code"] == 3000
        passed = await ask(house.address, a_put(sender=("DE", "ABC")))
        assert passed.body == OK_BODY
        assert len(house.node.seen) == 1, "what is refused never reaches the node"
        assert house.count("gaps", reason="store_unavailable") == 0
        outbox.can_record = True
        assert (await ask(house.address, a_put())).body == OK_BODY
        assert len(outbox.plans) == 1


async def test_without_strict_the_customer_gets_its_answer() -> None:
    outbox = Outbox(can_record=False, failure=StoreUnavailable("neither store nor spool"))
    async with a_house(outbox=outbox) as house:
        assert (await ask(house.address, a_put())).body == OK_BODY
        assert house.count("gaps", reason="store_unavailable") == 1


async def test_before_the_first_sync_a_flood_is_few_lines() -> None:
    async with a_house(consent=Consent(block_number=0), settings=STRICT) as house:
        for _ in range(50):
            await ask(house.address, a_put())
        assert house.count("gaps", reason="first_sync") == 50
        assert sum("copy.missed" in line for line in house.log.lines) <= 3
