"""What is noted before the node is asked, and what `strict` refuses while nothing can be recorded."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from ocn_permission_agent.errors import StoreUnavailable
from ocn_permission_agent.outbox.gaps import Gap
from ocn_permission_agent.outbox.intents import Intents
from tests.integration.proxy.house import SETTINGS, TOKEN, Consent, Outbox, a_house, a_put
from tests.integration.proxy.wire import OK_BODY, RawNode, ask, line_to, read_message, reply

STRICT = replace(SETTINGS, strict=True)


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
