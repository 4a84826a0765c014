"""Every example object of the OCPI specification, with every method and in both layouts of paths, through the agent.

What the node sees and what the platform gets is compared with the same bytes sent to a node directly.
"""

from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.sandbox.story.bare import a_bare_agent
from tests.integration.proxy.differential import assert_same, customers, exchanged
from tests.integration.proxy.house import CUSTOMER, a_put
from tests.integration.proxy.wire import RawNode, Seen, listening, reply
from tests.lonely import address_of
from tests.peers.presence import missing
from tests.under_load import until_settled

EXAMPLES = Path(__file__).parents[3] / "shared" / "ocpi-examples" / "2.2.1"
METHODS = ("PUT", "PATCH", "POST", "DELETE", "GET", "HEAD", "OPTIONS")
OBJECT_ID = "a%20%C3%A4+1"


@dataclass(frozen=True)
class Layout:
    """Where a node has its routes: 1.x, and 2.x below its prefix."""

    version: str
    ocpi: str
    prefix: str = ""
    node: dict[str, str] = field(default_factory=dict)

    def paths(self, module: str) -> tuple[str, ...]:
        """An object, a list, what POST is for, and the one module that has version before role."""
        role = f"{self.prefix}/ocpi/receiver/{self.ocpi}"
        post = {
            "cdrs": f"{role}/cdrs",
            "tokens": f"{self.prefix}/ocpi/sender/{self.ocpi}/tokens/{OBJECT_ID}/authorize?type=RFID",
        }
        return (
            f"{role}/{module}/DE/CPO/{OBJECT_ID}",
            f"{self.prefix}/ocpi/sender/{self.ocpi}/{module}?limit=50&offset=0&date_from=2026-03-01T00%3A00%3A00Z",
            post.get(module, f"{role}/commands/START_SESSION"),
            f"{self.prefix}/ocpi/{self.ocpi}/receiver/chargingprofiles/{OBJECT_ID}",
        )


LAYOUTS = [
    Layout(version="1", ocpi="2.2"),
    Layout(version="2", ocpi="2.2.1", prefix="/ocn-v2", node={"api_prefix": "ocn-v2", "own_party": "CH*OCN"}),
]


def examples() -> Iterator[tuple[str, bytes]]:
    """Module and bytes of each example; a part of an object goes where the whole one goes."""
    for path in sorted(EXAMPLES.glob("*.json")):
        kind = path.name.partition("_")[0].removesuffix("restriction")
        yield f"{kind}s", path.read_bytes()


def requests(layout: Layout, *, all_paths: bool) -> Iterator[bytes]:
    for number, (module, body) in enumerate(examples()):
        paths = layout.paths(module)
        for path in paths if all_paths else (paths[number % len(paths)],):
            for method in METHODS:
                bodiless = method in ("GET", "HEAD", "OPTIONS")
                yield a_put(b"" if bodiless else body, method=method, path=path, framing=b"" if bodiless else None)


def answered(seen: Seen) -> bytes:
    """As nodes answer: in chunks to some, with paging headers, the object handed back."""
    body = b'{"status_code":1000,"data":[%b],"timestamp":"2026-03-01T10:00:00Z"}' % (seen.body or b"{}")
    if seen.request_line.startswith(b"GET ") and b"?" in seen.request_line:
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (body[:9], body[9:]))
        return (
            b'HTTP/1.1 200 \r\nLink: <https://node.example/next>; rel="next"\r\nX-Total-Count: 99\r\nX-Limit: 50\r\n'
            b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
        )
    if seen.request_line.startswith(b"HEAD "):
        return reply(body)[: -len(body)]
    return reply(body, headers=b"Content-Type: application/json;charset=UTF-8\r\nKeep-Alive: timeout=60\r\n")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("all_paths", [False, pytest.param(True, marks=pytest.mark.nightly)], ids=["some", "all"])
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: f"{layout.version}.x")
async def test_every_example_object_passes_unchanged(layout: Layout, all_paths: bool, tmp_path: Path) -> None:
    if not EXAMPLES.is_dir():
        missing("the example objects of OCPI are not beside this repository")
    async with AsyncExitStack() as opened:
        alone = await opened.enter_async_context(listening(RawNode(script=answered)))
        behind = await opened.enter_async_context(listening(RawNode(script=answered)))
        agent = await opened.enter_async_context(
            a_bare_agent(
                folder=tmp_path,
                node_url=behind.url,
                customer=CUSTOMER,
                clock=SystemClock(),
                changed={"node": {"version": layout.version, **layout.node}, "consent": {"copy_commands": ["DE*SVC"]}},
            )
        )
        count = 0
        for request in requests(layout, all_paths=all_paths):
            direct = await exchanged(("127.0.0.1", alone.port), alone, request)
            through = await exchanged(address_of(agent), behind, request)
            assert_same(through, direct)
            count += 1
            alone.seen.clear()
            behind.seen[:] = [seen for seen in behind.seen if seen not in customers(behind)]
        assert count == len(list(examples())) * len(METHODS) * (4 if all_paths else 1) >= 300

        status = await until_settled(agent)
        assert status["gaps"] == 0
        copies = [seen for seen in behind.seen if b"/ocn/message " in seen.request_line]
        assert len(copies) == status["deliveries"]["delivered"] > 30
