"""The agent between stand-in nodes of both versions, with and without message signing: what is sent is accepted."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.ocn.json_text import JsonValue, parse_json
from ocn_permission_agent.ocn.keys import OperatorKey
from ocn_permission_agent.ocn.notary import verify
from ocn_permission_agent.ocn.notary_wire import parse_notary
from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.route import InterfaceRole, Module
from ocn_permission_agent.sandbox.node.node import Node, NodeSettings
from ocn_permission_agent.sandbox.parties.behaviour import Behaviour
from ocn_permission_agent.sandbox.parties.client import HttpClient, Reply, invite
from ocn_permission_agent.sandbox.parties.inbox import Received
from ocn_permission_agent.sandbox.parties.objects import (
    a_cdr,
    a_location,
    a_session,
    a_start_session,
    a_tariff,
    a_token,
)
from ocn_permission_agent.sandbox.parties.platform import OcpiParty
from ocn_permission_agent.sandbox.serving import Answer, Incoming, LoopbackServer
from ocn_permission_agent.sandbox.story.world import CONFIRMATIONS, World, a_world

V1, V2 = NodeVersion.V1, NodeVersion.V2
OWN_PARTY = Party("CH", "OCN")
PATIENCE_SECONDS = 20.0
EVERYTHING = (0,)


@dataclass(frozen=True, kw_only=True)
class Wire:
    """What stands at both ends: the customers' node A, behind the agent, and the billing service's node B."""

    a: NodeVersion = V1
    b: NodeVersion = V1
    a_signs: bool = False
    b_signs: bool = False
    agent: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def node_settings(self) -> dict[str, dict[str, Any]]:
        return {
            "A": {"version": self.a, "api_prefix": "ocn-v2" if self.a is V2 else "", "signatures": self.a_signs},
            "B": {"version": self.b, "api_prefix": "other/v2" if self.b is V2 else "", "signatures": self.b_signs},
        }

    def configuration(self) -> dict[str, Mapping[str, Any]]:
        node: dict[str, Any] = {"version": self.a.value}
        if self.a is V2:
            node |= {"api_prefix": "ocn-v2", "own_party": str(OWN_PARTY)}
        return {"node": node, "consent": {"copy_commands": ["DE*BIL", "DE*ANA"]}} | dict(self.agent)


@asynccontextmanager
async def agreed(wire: Wire, folder: Path) -> AsyncIterator[World]:
    """A world in which DE*CPO, DE*CP2 and NL*MSP, all on node A, agreed to everything with both services."""
    async with a_world(
        folder=folder,
        clock=SystemClock(),
        changed=wire.configuration(),
        node_settings=wire.node_settings(),
        emsp_at="A",
    ) as world:
        await world.chain.set_mining("auto")
        for service in (world.billing, world.analytics):
            await world.actor(service).set_service(str(service.party), "https://service.example", EVERYTHING)
        for customer in (world.cpo, world.other_cpo, world.emsp):
            for service in (world.billing, world.analytics):
                receipt = await world.actor(customer).create_agreement(world.actor(service).address)
        await world.chain.set_mining("interval", 0.5)
        await until_status(world, lambda status: (status["chain"]["head"] or 0) >= receipt.block_number + CONFIRMATIONS)
        yield world


async def until_status(world: World, enough: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    deadline = world.clock.monotonic() + PATIENCE_SECONDS
    while True:
        status = await world.agent.status_if_open()
        if status is not None and enough(status):
            return status
        assert world.clock.monotonic() < deadline, f"{status}\n{world.agent.last_words(3000)}"
        await world.clock.sleep(0.1)


async def until_settled(world: World, **expected: int) -> None:
    """Wait until nothing is pending and everything stands as expected."""

    def enough(status: dict[str, Any]) -> bool:
        deliveries = {state: count for state, count in status["deliveries"].items() if count}
        return bool(deliveries == expected)

    await until_status(world, enough)


def sign_with_own_keys(world: World, *parties: OcpiParty) -> None:
    for party in parties:
        party.sign_with(OperatorKey.load(world.wallets[str(party.party)].key.hex()))


def signatories(received: Received) -> list[str]:
    """Who signed what a service got, newest first, after everything of it was verified as a platform does."""
    notary = parse_notary(received.headers["ocn-signature"])
    names = (
        "x-correlation-id",
        "ocpi-from-country-code",
        "ocpi-from-party-id",
        "ocpi-to-country-code",
        "ocpi-to-party-id",
    )
    values: dict[str, JsonValue] = {"headers": {name: received.headers[name] for name in names}}
    values["params"] = dict(parse_qsl(received.raw_query))
    if received.body:
        values["body"] = parse_json(received.body.decode())
    verify(notary, values)
    return [notary.signatory.lower(), *(rewrite.signatory.lower() for rewrite in reversed(notary.rewrites))]


def seen(party: OcpiParty) -> list[tuple[str, str]]:
    """Method and path behind version and role."""
    return [(received.method, "/".join(received.path.split("/")[4:])) for received in party.inbox.all()]


def accepted(reply: Reply) -> None:
    assert reply.accepted, (reply.http_status, reply.body)


def agents_files(folder: Path) -> bytes:
    """Database and logs."""
    return b"".join(path.read_bytes() for path in folder.glob("agent.*"))


async def say_everything(world: World) -> list[tuple[str, str]]:
    """One request of every kind that is copied, by both kinds of customers; as services are to see them, sorted."""
    cpo, emsp = world.cpo, world.emsp
    # A real 2.x node cannot pass on what its own customers say about an id that needs encoding.
    odd_id = "s%20%C3%A4+1" if world.nodes["A"].settings.version is V1 else "s:2+1"
    session = {"status": "COMPLETED", "kwh": 15.5, "last_updated": "2026-03-01T12:00:00Z"}
    replies = [
        await cpo.put_session(a_session(cpo.party, "s1", kwh=4.5), to=emsp.party),
        await cpo.patch_session("s1", session, to=emsp.party),
        await cpo.patch_session(odd_id, {"kwh": 1.25}, to=emsp.party),
        await cpo.post_cdr(a_cdr(cpo.party, "c1"), to=emsp.party),
        await cpo.put_location(a_location(cpo.party, "L1"), to=emsp.party),
        await cpo.put_tariff(a_tariff(cpo.party, "T1"), to=emsp.party),
        await cpo.delete_tariff("T1", to=emsp.party),
        await emsp.put_token(a_token(emsp.party, "U1"), to=cpo.party),
        await emsp.command("START_SESSION", a_start_session(emsp.party, emsp.response_url), to=cpo.party),
        await emsp.send(
            "PUT",
            emsp.path(Module.CHARGING_PROFILES, InterfaceRole.RECEIVER, "s1"),
            {"charging_profile": {"charging_rate_unit": "W"}, "response_url": emsp.response_url},
            to=cpo.party,
        ),
    ]
    for reply in replies:
        accepted(reply)
    said = [
        ("DELETE", "tariffs/DE/CPO/T1"),
        ("PATCH", "sessions/DE/CPO/s1"),
        ("PATCH", f"sessions/DE/CPO/{odd_id}"),
        ("POST", "cdrs"),
        ("POST", "commands/START_SESSION"),
        ("PUT", "chargingprofiles/s1"),
        ("PUT", "locations/DE/CPO/L1"),
        ("PUT", "sessions/DE/CPO/s1"),
        ("PUT", "tariffs/DE/CPO/T1"),
        ("PUT", "tokens/NL/MSP/U1?type=RFID"),
    ]
    return sorted(said)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "wire",
    [Wire(), Wire(a=V2, b=V2), Wire(a=V2, b=V1), Wire(a=V1, b=V2)],
    ids=["1-to-1", "2-to-2", "2-to-1", "1-to-2"],
)
async def test_every_kind_of_copy_is_taken_in_the_text_of_the_receiving_node(wire: Wire, tmp_path: Path) -> None:
    async with agreed(wire, tmp_path) as world:
        said = await say_everything(world)
        await until_settled(world, delivered=2 * len(said))
        for service in (world.billing, world.analytics):
            assert sorted(seen(service)) == said
            assert all("ocn-signature" not in received.headers for received in service.inbox.all())
        status = {received.headers.get("ocn-verification-status") for received in world.billing.inbox.all()}
        assert status == ({None} if wire.b is V1 else {"NOT_PRESENTED"})
        await the_callbacks_of_services_reach_nobody(world)


async def the_callbacks_of_services_reach_nobody(world: World) -> None:
    """A copied command and a copied profile bring a `response_url` that answers politely and leads nowhere."""
    before = [len(party.inbox) for party in world.parties]
    urls = set()
    for received in (*world.billing.inbox.all(), *world.analytics.inbox.all()):
        if received.module in (Module.COMMANDS, Module.CHARGING_PROFILES):
            body = json.loads(received.body)
            urls.add(body["response_url"])
            async with HttpClient() as client:
                reply = await client.call("POST", body["response_url"], headers={}, body=b'{"result":"ACCEPTED"}')
            assert (reply.http_status, reply.status_code) == (200, 1000)
    assert len(urls) == 1
    assert urls.pop().startswith(world.agent.proxy_url + "/ocn-agent/inert/")
    assert [len(party.inbox) for party in world.parties] == before


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "wire",
    [Wire(a_signs=True, b_signs=True), Wire(a=V2, b=V2, a_signs=True, b_signs=True)],
    ids=["1-to-1", "2-to-2"],
)
async def test_with_signing_on_everywhere_copies_verify_at_the_services(wire: Wire, tmp_path: Path) -> None:
    async with agreed(wire, tmp_path) as world:
        sign_with_own_keys(world, *world.parties)
        said = await say_everything(world)
        await until_settled(world, delivered=2 * len(said))
        operator = world.nodes["A"].operator_address
        for service in (world.billing, world.analytics):
            assert sorted(seen(service)) == said
            if wire.a is V2:
                # 2.x demands nothing, so nothing is signed, and services are told so.
                assert all("ocn-signature" not in received.headers for received in service.inbox.all())
                continue
            for received in service.inbox.all():
                customer = world.emsp if received.headers["ocpi-from-party-id"] == "MSP" else world.cpo
                assert signatories(received) == [operator, world.actor(customer).address.lower()]


@pytest.mark.timeout(120)
async def test_a_node_that_wants_signatures_gets_them_from_customers_who_do_not_sign(tmp_path: Path) -> None:
    async with agreed(Wire(b_signs=True), tmp_path) as world:
        sign_with_own_keys(world, world.cpo, world.emsp, world.billing)
        operator = world.nodes["A"].operator_address
        emsp = world.emsp.party

        accepted(await world.cpo.put_session(a_session(world.cpo.party, "s1", kwh=4.5), to=emsp))
        accepted(await world.other_cpo.put_session(a_session(world.other_cpo.party, "x1", kwh=4.5), to=emsp))
        await until_settled(world, delivered=4)

        by_customer = {received.headers["ocpi-from-party-id"]: received for received in world.billing.inbox.all()}
        assert signatories(by_customer["CPO"]) == [operator, world.actor(world.cpo).address.lower()]
        assert signatories(by_customer["CP2"]) == [operator]
        # Node A demands nothing, and its service never signs: nothing is signed there, so nothing is withheld.
        assert all("ocn-signature" not in received.headers for received in world.analytics.inbox.all())

        # What the customer signed in JavaScript as 15 is spelled so that Java says 15 too.
        reply = await world.cpo.send(
            "PATCH",
            world.cpo.path(Module.SESSIONS, InterfaceRole.RECEIVER, "DE", "CPO", "s1"),
            b'{"kwh": 15, "total_cost": {"excl_vat": 2.50}}',
            to=emsp,
        )
        accepted(reply)
        await until_settled(world, delivered=6)
        newest = world.billing.inbox.all()[-1]
        assert newest.body == b'{"kwh":15,"total_cost":{"excl_vat":2.5}}'
        assert signatories(newest) == [operator, world.actor(world.cpo).address.lower()]

        # A service that does not sign its answers has processed the copy, but its answer is withheld.
        world.billing.sign_with(None)
        accepted(await world.other_cpo.post_cdr(a_cdr(world.other_cpo.party, "y1"), to=emsp))
        await until_settled(world, delivered=7, unconfirmed=1)
        assert world.billing.cdrs()[0]["id"] == "y1"

        # It is remembered across a restart: no message without a signature ever reaches node B again.
        world.billing.sign_with(OperatorKey.load(world.wallets["DE*BIL"].key.hex()))
        assert await world.agent.stop() == 0
        await world.agent.start()
        accepted(await world.other_cpo.post_cdr(a_cdr(world.other_cpo.party, "y2"), to=emsp))
        await until_settled(world, delivered=9, unconfirmed=1)
        assert signatories(world.billing.inbox.all()[-1]) == [operator]


@pytest.mark.timeout(120)
async def test_a_node_that_is_upgraded_and_rolled_back_is_understood_again_at_once(tmp_path: Path) -> None:
    async with agreed(Wire(), tmp_path) as world:
        emsp, old = world.emsp.party, world.nodes["B"]
        accepted(await world.cpo.put_session(a_session(world.cpo.party, "s1"), to=emsp))
        await until_settled(world, delivered=2)

        await old.down()
        settings = NodeSettings(
            name="B2",
            operator_key=old.settings.operator_key,
            rpc_url=world.rpc_url,
            registry=world.contracts.registry,
            version=V2,
            port=int(old.listen_url.rpartition(":")[2]),
        )
        async with Node(settings, clock=world.clock) as new:
            await world.billing.register(await invite(new.admin_url, new.settings.api_key, world.billing.party))
            accepted(await world.cpo.put_session(a_session(world.cpo.party, "s2"), to=emsp))
            await until_settled(world, delivered=4)
            assert world.billing.inbox.all()[-1].headers["ocn-verification-status"] == "NOT_PRESENTED"

        # What was rolled back still knows the service from before.
        await old.up()
        accepted(await world.cpo.put_session(a_session(world.cpo.party, "s3"), to=emsp))
        await until_settled(world, delivered=6)
        assert [path for _, path in seen(world.billing)] == [f"sessions/DE/CPO/s{number}" for number in (1, 2, 3)]
    assert "node.signature_refused" not in (tmp_path / "agent.log").read_text()


@pytest.mark.timeout(120)
async def test_what_the_own_party_of_a_2_x_node_takes_unchecked_is_never_copied(tmp_path: Path) -> None:
    async with agreed(Wire(a=V2, b=V2), tmp_path) as world:
        path = world.cpo.path(Module.LOCATIONS, InterfaceRole.RECEIVER, "DE", "CPO", "L9")
        forged = {"Authorization": "Token whatever"}
        reply = await world.cpo.send("PUT", path, a_location(world.cpo.party, "L9"), to=OWN_PARTY, headers=forged)
        accepted(reply)
        # A receiver that closes without an answer leaves an HTTP 200 with nothing in it: nobody knows, nothing is due.
        world.emsp.behave(Behaviour.CLOSES)
        empty = await world.cpo.put_session(a_session(world.cpo.party, "s8"), to=world.emsp.party)
        assert (empty.http_status, empty.body) == (200, b"")
        world.emsp.behave(Behaviour.PROPER)
        accepted(await world.cpo.put_session(a_session(world.cpo.party, "s9"), to=world.emsp.party))
        await until_settled(world, delivered=2)
        assert seen(world.billing) == seen(world.analytics) == [("PUT", "sessions/DE/CPO/s9")]
        assert (await world.agent.status())["gaps"] == 1


@pytest.mark.timeout(120)
@pytest.mark.parametrize("b", [V1, V2], ids=["1.x", "2.x"])
async def test_a_service_that_closes_without_an_answer_is_never_taken_for_one_that_accepted(
    b: NodeVersion, tmp_path: Path
) -> None:
    service = {'delivery.services."DE*BIL"': {"cdr_unknown_outcome": "park"}}
    async with agreed(Wire(b=b, agent=service), tmp_path) as world:
        world.billing.behave(Behaviour.CLOSES)
        accepted(await world.cpo.post_cdr(a_cdr(world.cpo.party, "c1"), to=world.emsp.party))
        await until_settled(world, delivered=1, parked=1)
        assert len(world.billing.inbox) == 1


@pytest.mark.timeout(120)
async def test_a_service_without_a_node_is_reached_directly(tmp_path: Path) -> None:
    arrived: list[Incoming] = []

    async def take(incoming: Incoming) -> Answer:
        arrived.append(incoming)
        if incoming.headers.get("authorization") != "Token czNjcmV0LXRva2Vu":
            return Answer(http_status=401)
        return Answer(body=b'{"status_code":1000,"timestamp":"2026-03-01T10:00:00Z"}')

    (tmp_path / "billing.token").write_text("s3cret-token\n")
    async with LoopbackServer(take) as direct:
        keys = {"url": f"{direct.url}/ocpi/2.2.1", "token_file": "billing.token", "token_style": "base64"}
        async with agreed(Wire(agent={'delivery.services."DE*BIL"': keys}), tmp_path) as world:
            said = await say_everything(world)
            await until_settled(world, delivered=2 * len(said))
            assert len(world.billing.inbox) == 0
            session = next(
                incoming for incoming in arrived if incoming.method == "PUT" and "sessions" in incoming.raw_path
            )
            agreement = session.headers["ocn-agreement-tx"]
            assert (await world.chain.request("eth_getTransactionReceipt", agreement))["status"] == "0x1"
    paths = [(incoming.method, incoming.raw_path.removeprefix("/ocpi/2.2.1/")) for incoming in arrived]
    assert sorted(paths) == sorted((method, path.partition("?")[0]) for method, path in said)
    assert len({incoming.headers["ocn-copy-id"] for incoming in arrived}) == len(arrived)
    left_behind = agents_files(tmp_path)
    for secret in (b"s3cret-token", b"czNjcmV0LXRva2Vu"):
        assert secret not in left_behind
