"""The demo's story on ephemeral ports: before our own contracts and the real ones, before nodes of either version."""

import json
from pathlib import Path
from typing import Any

import pytest

from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.sandbox.contracts import ContractCodes, own_contracts
from ocn_permission_agent.sandbox.parties.inbox import Received
from ocn_permission_agent.sandbox.parties.platform import OcpiParty
from ocn_permission_agent.sandbox.story.info import addresses
from ocn_permission_agent.sandbox.story.steps import tell
from ocn_permission_agent.sandbox.story.world import World, a_world
from tests.real_contracts import real_contracts_or_skip

#: what each party must have in the end, object by object, in the order of arrival
BILLING = {
    "s1": ["PUT", "PATCH"],
    "c1": ["POST"],
    "c21": ["POST"],
    "c22": ["POST"],
    "c23": ["POST"],
    "s3": ["PUT"],
    "c3": ["POST"],
}
ANALYTICS = {cdr_id: ["POST"] for cdr_id in ("c1", "c21", "c22", "c23", "c3", "c4")}
EMSP = BILLING | {"s0": ["PUT"], "s4": ["PUT"], "c4": ["POST"], "x1": ["PUT"], "y1": ["POST"]}


class QuietTelling:
    """Keeps the claims, and fails like the demo does."""

    def __init__(self) -> None:
        self.claimed: list[str] = []

    def step(self, title: str) -> None:
        self.claimed.append(title)

    def says(self, line: str) -> None:
        pass

    def claims(self, claim: str, *, held: bool, seen: object = None) -> None:
        assert held, f"{claim}; seen: {seen}"
        self.claimed.append(claim)

    def table(self, title: str, columns: object, rows: object) -> None:
        pass


def object_of(received: Received) -> str:
    body = json.loads(received.body)
    if received.raw_path.endswith("/cdrs"):
        return str(body["id"])
    return received.raw_path.rsplit("/", 1)[1]


def by_object(party: OcpiParty) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for received in party.inbox.all():
        found.setdefault(object_of(received), []).append(received.method)
    return found


def customer_tokens(world: World) -> list[str]:
    return [party.connection.token_c for party in world.parties]


def agents_files(folder: Path) -> bytes:
    """Database and logs; the folder's own name is taken out."""
    content = b"".join(path.read_bytes() for path in folder.glob("agent.*"))
    return content.replace(str(folder).encode(), b"")


#: 2.x nodes as their operators set them up; the agent is told what cannot be seen
_V2 = {"version": NodeVersion.V2, "api_prefix": "ocn-v2"}
_BEFORE_V2 = {"node": {"version": "2", "api_prefix": "ocn-v2", "own_party": "CH*OCN"}}
#: a_world's arguments by network; nodes of different versions pass nothing on to each other, so the eMSP moves
NETWORKS: dict[str, dict[str, Any]] = {
    "1.x": {},
    "2.x": {"node_settings": {"A": _V2, "B": _V2}, "changed": _BEFORE_V2},
    "2.x beside 1.x": {"node_settings": {"A": _V2}, "changed": _BEFORE_V2, "emsp_at": "A"},
}


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("contracts", "network"), [("ours", "1.x"), ("real", "1.x"), ("ours", "2.x"), ("ours", "2.x beside 1.x")]
)
async def test_sessions_and_cdrs_reach_the_services_that_were_agreed_to_and_nobody_else(
    contracts: str, network: str, tmp_path: Path
) -> None:
    codes: ContractCodes = own_contracts() if contracts == "ours" else real_contracts_or_skip()
    telling = QuietTelling()
    async with a_world(folder=tmp_path, clock=SystemClock(), codes=codes, **NETWORKS[network]) as world:
        await tell(world, telling)
        assert by_object(world.billing) == BILLING
        assert by_object(world.analytics) == ANALYTICS
        assert by_object(world.emsp) == EMSP
        assert by_object(world.cpo) == by_object(world.other_cpo) == {}
        copies = [*world.billing.inbox.all(), *world.analytics.inbox.all()]
        originals = {received.headers["x-correlation-id"]: received for received in world.emsp.inbox.all()}
        for copy in copies:
            original = originals[copy.headers["x-correlation-id"]]
            assert json.loads(copy.body) == json.loads(original.body)
            assert copy.headers["ocpi-from-party-id"] == "CPO"
        told = addresses(world)
        status = await world.agent.status()
        tokens, admin_token = customer_tokens(world), world.admin_token
        operator_key = world.nodes["A"].settings.operator_key
        assert await world.agent.stop() == 0

    assert len(telling.claimed) >= 20
    assert status["deliveries"]["delivered"] == len(copies)
    assert status["deliveries"]["pending"] == status["gaps"] == 0
    assert {"rpc_url", "chain_id", "registry", "permissions", "proxy_url", "admin_url", "nodes", "parties"} < set(told)
    assert told["parties"]["DE*CPO"]["token_c"] in tokens

    # A customer token never reaches the database, logs or a service; nor does any other secret of the agent's.
    left_behind = agents_files(tmp_path)
    sent = b"".join(copy.body + repr(dict(copy.headers)).encode() for copy in copies)
    for secret in (*tokens, admin_token, operator_key):
        assert secret.encode() not in left_behind
        assert secret.encode() not in sent
