import pytest

from ocn_permission_agent.app.node_versions import REMEMBERED_SECONDS, NodeVersions
from ocn_permission_agent.consent.address import address
from ocn_permission_agent.consent.index import ProviderRoute
from ocn_permission_agent.net.answer import Answer, NoAnswer, Sent
from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.ocpi.party import Party
from tests.fakes import FakeClock

INFO = Answer(status=200, body=b'{"url":"https://b.example","address":"0x00"}')
NOT_FOUND = Answer(status=404, body=b"{}")
NODES = Answer(status=200, body=b"[]")
DOWN = NoAnswer(sent=Sent.NO, detail="connection refused")


class Node:
    """Answers two paths, and counts what it was asked."""

    def __init__(self, info: Answer | NoAnswer, nodes: Answer | NoAnswer = DOWN) -> None:
        self.answers = {"/ocn/registry/node-info": info, "/ocn/registry/nodes": nodes}
        self.asked: list[str] = []

    async def get(self, url: str, *, timeout_seconds: float) -> Answer | NoAnswer:
        self.asked.append(url)
        return next(answer for path, answer in self.answers.items() if url.endswith(path))


def a_route(*, own: bool = False, domain: str = "https://b.example/") -> ProviderRoute:
    return ProviderRoute(provider=Party("DE", "BIL"), operator=address("0x" + "0b" * 20), domain=domain, own=own)


def versions(
    node: Node, *, clock: FakeClock, configured: NodeVersion | None = None, seen: NodeVersion | None = None
) -> NodeVersions:
    return NodeVersions(
        configured=configured,
        seen=lambda: seen,
        own_url="http://127.0.0.1:1/ocn-v2",
        own_transport=node,
        remote_transport=node,
        clock=clock,
    )


@pytest.mark.parametrize(
    ("info", "nodes", "version"),
    [
        (INFO, NODES, NodeVersion.V2),
        (INFO, NOT_FOUND, NodeVersion.V1),
        (INFO, Answer(status=405), NodeVersion.V1),
        (INFO, Answer(status=503), None),
        (INFO, DOWN, None),
        (DOWN, NODES, None),
        (NOT_FOUND, NODES, None),
        (Answer(status=200, body=b"<html>hello</html>"), NODES, None),
        (Answer(status=200, body=b"\xff"), NODES, None),
    ],
)
async def test_a_remote_node_is_asked_and_never_guessed(
    info: Answer | NoAnswer, nodes: Answer | NoAnswer, version: NodeVersion | None
) -> None:
    assert await versions(Node(info, nodes), clock=FakeClock()).version_of(a_route()) is version


async def test_an_answer_is_remembered_for_an_hour() -> None:
    node, clock = Node(INFO, NOT_FOUND), FakeClock()
    known = versions(node, clock=clock)
    assert [await known.version_of(a_route()) for _ in range(3)] == [NodeVersion.V1] * 3
    assert node.asked == ["https://b.example/ocn/registry/node-info", "https://b.example/ocn/registry/nodes"]
    node.answers["/ocn/registry/nodes"] = NODES
    clock.step(REMEMBERED_SECONDS + 1)
    assert await known.version_of(a_route()) is NodeVersion.V2


async def test_a_node_that_was_away_is_asked_again_soon() -> None:
    node, clock = Node(DOWN), FakeClock()
    known = versions(node, clock=clock)
    assert await known.version_of(a_route()) is None
    node.answers = {"/ocn/registry/node-info": INFO, "/ocn/registry/nodes": NOT_FOUND}
    assert await known.version_of(a_route()) is None
    clock.step(31)
    assert await known.version_of(a_route()) is NodeVersion.V1


async def test_the_own_node_is_what_was_configured_or_seen_and_asked_only_otherwise() -> None:
    node, clock = Node(INFO, NODES), FakeClock()
    own = a_route(own=True, domain="https://a.example")
    v1, v2 = NodeVersion.V1, NodeVersion.V2
    assert await versions(node, clock=clock, configured=v1, seen=v2).version_of(own) is v1
    assert await versions(node, clock=clock, seen=v1).version_of(own) is v1
    assert node.asked == []
    assert await versions(node, clock=clock).version_of(own) is v2
    assert node.asked[0] == "http://127.0.0.1:1/ocn-v2/ocn/registry/node-info"


async def test_a_node_without_a_domain_is_unclear() -> None:
    node = Node(INFO, NODES)
    assert await versions(node, clock=FakeClock()).version_of(a_route(domain="")) is None
    assert node.asked == []


async def test_a_node_that_was_forgotten_is_asked_again() -> None:
    node, clock = Node(INFO, NOT_FOUND), FakeClock()
    known = versions(node, clock=clock)
    assert await known.version_of(a_route()) is NodeVersion.V1
    node.answers["/ocn/registry/nodes"] = NODES
    assert await known.version_of(a_route()) is NodeVersion.V1
    known.forget(a_route())
    assert await known.version_of(a_route()) is NodeVersion.V2


async def test_what_the_traffic_said_of_the_own_node_is_not_believed_again_until_it_says_otherwise() -> None:
    node, traffic = Node(INFO, NODES), [NodeVersion.V1]
    known = NodeVersions(
        configured=None,
        seen=lambda: traffic[-1],
        own_url="http://127.0.0.1:1/ocn-v2",
        own_transport=node,
        remote_transport=Node(DOWN),
        clock=FakeClock(),
    )
    assert await known.version_of(a_route(own=True)) is NodeVersion.V1
    known.forget(a_route(own=True))
    assert await known.version_of(a_route(own=True)) is NodeVersion.V2
    asked = len(node.asked)
    traffic.append(NodeVersion.V2)
    assert await known.version_of(a_route(own=True)) is NodeVersion.V2
    assert len(node.asked) == asked


async def test_what_was_configured_is_never_forgotten() -> None:
    known = versions(Node(INFO, NODES), clock=FakeClock(), configured=NodeVersion.V1)
    known.forget(a_route(own=True))
    assert await known.version_of(a_route(own=True)) is NodeVersion.V1
