"""The story itself, step by step, on a running world. Everything that is claimed is looked up where it happened."""

from collections.abc import Callable, Sequence
from typing import Any

from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.route import Module
from ocn_permission_agent.sandbox.chain.client import TxReceipt
from ocn_permission_agent.sandbox.parties.client import Reply
from ocn_permission_agent.sandbox.parties.inbox import Received
from ocn_permission_agent.sandbox.parties.objects import a_cdr, a_charging_period, a_session
from ocn_permission_agent.sandbox.parties.platform import OcpiParty
from ocn_permission_agent.sandbox.story.telling import ClaimFailed, Telling
from ocn_permission_agent.sandbox.story.world import CONFIRMATIONS, World

#: how long something that must happen may take; generous, because machines are shared
PATIENCE_SECONDS = 20.0
#: how long to look for something that must not happen
SILENCE_SECONDS = 1.5
_POLL_SECONDS = 0.1
SESSIONS_AND_CDRS = (6, 8)
CDRS = (8,)


async def tell(world: World, telling: Telling) -> None:
    """The whole story.

    Raises:
        ClaimFailed: at the first claim that does not hold.
    """
    await before_anybody_agreed(world, telling)
    await services_list_themselves(world, telling)
    await the_customer_agrees(world, telling)
    await copies_arrive(world, telling)
    await billing_goes_down(world, telling)
    await the_agent_is_killed(world, telling)
    await the_customer_revokes(world, telling)


async def before_anybody_agreed(world: World, telling: Telling) -> None:
    """A session flows; only the eMSP has it."""
    telling.step("A session flows through the agent, and nobody has agreed to anything")
    _accepted(
        telling, "DE*CPO puts session s0", await world.cpo.put_session(_session(world, "s0"), to=world.emsp.party)
    )
    await _quiet(world)
    telling.claims("the eMSP has it", held=_seen(world.emsp) == ["PUT s0"], seen=_seen(world.emsp))
    telling.claims("billing and analytics have nothing", held=not _seen(world.billing) and not _seen(world.analytics))


async def services_list_themselves(world: World, telling: Telling) -> None:
    """Two services, two transactions."""
    telling.step("Two services list themselves in the Permissions contract")
    _mined(
        telling,
        "billing asks for 6 and 8: sessions and CDRs that go to a receiver interface",
        await world.actor(world.billing).set_service("Billing", "https://billing.example", SESSIONS_AND_CDRS),
    )
    receipt = await world.actor(world.analytics).set_service("Analytics", "https://analytics.example", CDRS)
    _mined(telling, "analytics asks for 8: CDRs alone", receipt)
    await _processed(world, receipt.block_number)


async def the_customer_agrees(world: World, telling: Telling) -> None:
    """Two agreements; they count once they are confirmed."""
    telling.step("DE*CPO agrees with both; DE*CP2 does not")
    _mined(
        telling, "agreement with billing", await world.actor(world.cpo).create_agreement(_address(world, world.billing))
    )
    receipt = await world.actor(world.cpo).create_agreement(_address(world, world.analytics))
    _mined(telling, "agreement with analytics", receipt)
    telling.says(f"it counts when {CONFIRMATIONS} blocks lie above it …")
    await _processed(world, receipt.block_number + CONFIRMATIONS)
    status = await world.agent.status()
    telling.claims(
        "the agent knows 2 services and 2 agreements",
        held=(status["services"], status["agreements"]) == (2, 2),
        seen=status,
    )


async def copies_arrive(world: World, telling: Telling) -> None:
    """PUT, PATCH and CDR arrive once each and in order; the other CPO's do not."""
    telling.step("From now on billing hears what DE*CPO says, and analytics its CDRs")
    emsp = world.emsp.party
    _accepted(telling, "DE*CPO puts session s1", await world.cpo.put_session(_session(world, "s1"), to=emsp))
    patch = {"charging_periods": [a_charging_period(4.5)], "kwh": 4.5, "last_updated": "2026-03-01T10:20:00Z"}
    _accepted(telling, "DE*CPO patches it", await world.cpo.patch_session("s1", patch, to=emsp))
    _accepted(telling, "DE*CPO posts its CDR c1", await world.cpo.post_cdr(a_cdr(world.cpo.party, "c1"), to=emsp))
    other = _session(world, "x1", owner=world.other_cpo.party)
    _accepted(telling, "DE*CP2 puts session x1", await world.other_cpo.put_session(other, to=emsp))
    _accepted(
        telling, "DE*CP2 posts its CDR y1", await world.other_cpo.post_cdr(a_cdr(world.other_cpo.party, "y1"), to=emsp)
    )
    await _until(world, lambda: len(_seen(world.billing)) >= 3 and _seen(world.analytics))
    await _quiet(world)
    telling.claims(
        "billing has PUT and PATCH of s1 in order and c1, once each",
        held=_of_object(world.billing, "s1") == ["PUT s1", "PATCH s1"]
        and sorted(_seen(world.billing)) == ["PATCH s1", "POST c1", "PUT s1"],
        seen=_seen(world.billing),
    )
    telling.claims(
        "analytics has c1 and nothing else", held=_seen(world.analytics) == ["POST c1"], seen=_seen(world.analytics)
    )
    telling.claims("nothing of DE*CP2 went to either", held=not _from(world, world.other_cpo.party))
    _who_received_what(world, telling)


async def billing_goes_down(world: World, telling: Telling) -> None:
    """Three messages wait, and arrive in order when billing is back."""
    telling.step("Billing goes down; three messages wait for it")
    emsp, before = world.emsp.party, len(_seen(world.billing))
    await world.billing.down()
    waiting = ("c21", "c22", "c23")
    for cdr_id in waiting:
        reply = await world.cpo.post_cdr(a_cdr(world.cpo.party, cdr_id), to=emsp)
        _accepted(telling, f"DE*CPO posts its CDR {cdr_id}", reply)
    await _until_status(world, lambda deliveries: deliveries["pending"] == 3)
    expected = [f"POST {cdr_id}" for cdr_id in waiting]
    telling.claims(
        "the eMSP has them, DE*CPO was not held up, and three copies wait on disk",
        held=_seen(world.emsp)[-3:] == expected and len(_seen(world.billing)) == before,
        seen=_seen(world.emsp)[-3:],
    )
    await world.billing.up()
    telling.says("billing is back …")
    await _until(world, lambda: len(_seen(world.billing)) >= before + 3)
    await _quiet(world)
    late = _seen(world.billing)[before:]
    telling.claims("they arrived, in order, once each", held=late == expected, seen=late)
    ids = [cdr["id"] for cdr in world.billing.cdrs()]
    telling.claims("billing holds four CDRs, no two alike", held=ids == ["c1", *waiting], seen=ids)


async def the_agent_is_killed(world: World, telling: Telling) -> None:
    """SIGKILL with copies pending; nothing is lost."""
    telling.step("The agent is killed (SIGKILL) with copies pending, and started again")
    emsp, before = world.emsp.party, len(_seen(world.billing))
    await world.billing.down()
    _accepted(telling, "DE*CPO puts session s3", await world.cpo.put_session(_session(world, "s3"), to=emsp))
    _accepted(telling, "DE*CPO posts its CDR c3", await world.cpo.post_cdr(a_cdr(world.cpo.party, "c3"), to=emsp))
    await _until(world, lambda: "POST c3" in _seen(world.analytics))
    await world.agent.kill()
    telling.says(f"kill -9 of process {world.agent.process_id}; a request now finds nobody")
    await world.agent.start()
    await _until_status(world, lambda deliveries: deliveries["pending"] == 2)
    telling.says("it is back, and still owes billing two copies")
    await world.billing.up()
    await _until(world, lambda: len(_seen(world.billing)) >= before + 2)
    await _quiet(world)
    late = _seen(world.billing)[before:]
    telling.claims("both arrived, once each", held=sorted(late) == ["POST c3", "PUT s3"], seen=late)
    telling.claims("analytics got c3 as well, once", held=_of_object(world.analytics, "c3") == ["POST c3"])


async def the_customer_revokes(world: World, telling: Telling) -> None:
    """A revoke counts at first sight."""
    telling.step("DE*CPO revokes its agreement with billing")
    before = _seen(world.billing)
    receipt = await world.actor(world.cpo).revoke_agreement(_address(world, world.billing))
    _mined(telling, "revoked", receipt)
    await _processed(world, receipt.block_number)
    telling.says("a revoke counts as soon as its block is seen")
    emsp = world.emsp.party
    _accepted(telling, "DE*CPO puts session s4", await world.cpo.put_session(_session(world, "s4"), to=emsp))
    _accepted(telling, "DE*CPO posts its CDR c4", await world.cpo.post_cdr(a_cdr(world.cpo.party, "c4"), to=emsp))
    await _until(world, lambda: "POST c4" in _seen(world.analytics))
    await _quiet(world)
    telling.claims(
        "the eMSP has both", held=_seen(world.emsp)[-2:] == ["PUT s4", "POST c4"], seen=_seen(world.emsp)[-2:]
    )
    telling.claims("billing has heard nothing any more", held=_seen(world.billing) == before, seen=_seen(world.billing))
    telling.claims("analytics, still agreed to, has c4", held=_seen(world.analytics)[-1] == "POST c4")
    _who_received_what(world, telling)


def _session(world: World, session_id: str, *, owner: Party | None = None) -> dict[str, Any]:
    return a_session(owner or world.cpo.party, session_id)


def _address(world: World, party: OcpiParty) -> str:
    return world.actor(party).address


def _what(received: Received) -> str:
    """``PUT s1``: the method and the object's id."""
    route, body = received.route, received.json
    if received.module is Module.CDRS and isinstance(body, dict):
        return f"{received.method} {body['id']}"
    return f"{received.method} {route.segments[-1] if route and route.segments else received.raw_path}"


def _seen(party: OcpiParty) -> list[str]:
    return [_what(received) for received in party.inbox.all()]


def _of_object(party: OcpiParty, object_id: str) -> list[str]:
    return [what for what in _seen(party) if what.endswith(f" {object_id}")]


def _from(world: World, sender: Party) -> list[str]:
    return [
        _what(received)
        for service in (world.billing, world.analytics)
        for received in service.inbox.all()
        if received.headers.get("ocpi-from-party-id") == sender.party_id
    ]


def _accepted(telling: Telling, what: str, reply: Reply) -> None:
    if not reply.accepted:
        raise ClaimFailed(f"{what}: the node answered {reply.http_status} {reply.body.decode(errors='replace')}")
    telling.says(f"{what}: {reply.http_status}/{reply.status_code}")


def _mined(telling: Telling, what: str, receipt: TxReceipt) -> None:
    telling.says(f"{what}: block {receipt.block_number}, {receipt.transaction_hash[:10]}…")


def _who_received_what(world: World, telling: Telling) -> None:
    objects = sorted({what.split(" ")[1] for party in world.parties for what in _seen(party)})
    receivers: Sequence[OcpiParty] = (world.emsp, world.billing, world.analytics)
    rows = []
    for object_id in objects:
        cells = [" ".join(what.split(" ")[0] for what in _of_object(party, object_id)) or "–" for party in receivers]
        rows.append((object_id, *cells))
    telling.table("Who received what", ("object", "eMSP", "billing", "analytics"), rows)


async def _until(world: World, enough: Callable[[], object]) -> None:
    """Wait until something has happened; the claim that follows tells if it did not."""
    deadline = world.clock.monotonic() + PATIENCE_SECONDS
    while not enough() and world.clock.monotonic() < deadline:
        await world.clock.sleep(_POLL_SECONDS)


async def _until_status(world: World, enough: Callable[[dict[str, int]], bool]) -> None:
    """Wait until the agent's deliveries stand as they should.

    Raises:
        ClaimFailed: they never did.
    """
    deadline = world.clock.monotonic() + PATIENCE_SECONDS
    deliveries: dict[str, int] = {}
    while world.clock.monotonic() < deadline:
        status = await world.agent.status_if_open()
        if status is not None:
            deliveries = status["deliveries"]
            if enough(deliveries):
                return
        await world.clock.sleep(_POLL_SECONDS)
    raise ClaimFailed(f"the agent's deliveries are not what they should be: {deliveries}")


async def _processed(world: World, block_number: int) -> None:
    """Wait until the agent has read the chain up to a block."""
    deadline = world.clock.monotonic() + PATIENCE_SECONDS
    while True:
        status = await world.agent.status_if_open()
        chain = {} if status is None else status["chain"]
        if chain.get("fresh") and (chain["head"] or 0) >= block_number:
            return
        if world.clock.monotonic() > deadline:
            raise ClaimFailed(f"the agent has not read block {block_number}: {chain}")
        await world.clock.sleep(_POLL_SECONDS)


async def _quiet(world: World) -> None:
    """Give what must not happen the time to happen."""
    await world.clock.sleep(SILENCE_SECONDS)
