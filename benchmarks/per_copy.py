"""What a copy costs step by step, in one thread that nobody disturbs: CPU time, the kernel's part included.

    python -m benchmarks.per_copy

A session PUT of 1.5 kB for one service. Not in it: what the proxy does for every request, what the store's thread does
(`python -m benchmarks.store`), the hand-over between the two threads, and the dispatcher's tasks.
"""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import msgspec
import structlog
import uvloop

from benchmarks.figures import Figure, table
from benchmarks.nginx import REPLY, a_fixed_node
from benchmarks.per_message import a_customer, an_index
from ocn_permission_agent import logs
from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.consent.index import ConsentIndex, ProviderRoute
from ocn_permission_agent.log import Log
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.net.answer import Answer, NoAnswer
from ocn_permission_agent.net.own import OwnNode
from ocn_permission_agent.ocn.keys import OperatorKey
from ocn_permission_agent.ocn.message import copy_message
from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.route import find_route
from ocn_permission_agent.outbox.after_attempt import after_attempt
from ocn_permission_agent.outbox.breaker import Breaker
from ocn_permission_agent.outbox.courier import Courier
from ocn_permission_agent.outbox.gaps import GapBook
from ocn_permission_agent.outbox.intents import Intents
from ocn_permission_agent.outbox.model import CopyPlan, Delivery, DeliveryState, Place
from ocn_permission_agent.outbox.prepared import Planning
from ocn_permission_agent.outbox.report import Report
from ocn_permission_agent.outbox.settings import DeliverySettings
from ocn_permission_agent.outbox.store import Settled
from ocn_permission_agent.outbox.writing import Ready
from ocn_permission_agent.proxy.copier import Candidate, Copier
from ocn_permission_agent.proxy.settings import NodeSettings, ProxySettings
from ocn_permission_agent.sandbox.parties.objects import a_session

_ROUNDS = 5
_CALLS = 3_000
_KEY = bytes(range(1, 33))
_HEADERS = {
    "x-request-id": "0a0a0a0a-0000-4000-8000-000000000001",
    "x-correlation-id": "c0ffee00-0000-4000-8000-000000000001",
    "ocpi-to-country-code": "NL",
    "ocpi-to-party-id": "MSP",
}


@dataclass(slots=True)
class _View:
    """A view that is always fresh."""

    index: ConsentIndex
    fresh: bool = True


class _Kept:
    """In place of the store: keeps the plan and returns at once."""

    can_record = True

    def __init__(self) -> None:
        self.plans: list[CopyPlan] = []

    async def record(self, plan: CopyPlan) -> int:
        self.plans[:] = [plan]
        return len(plan.deliveries)


class _Accepting:
    """In place of the own node."""

    async def request(
        self,
        method: str,  # noqa: ARG002
        url: str,  # noqa: ARG002
        *,
        headers: Mapping[str, str],  # noqa: ARG002
        body: bytes,  # noqa: ARG002
        timeout_seconds: float,  # noqa: ARG002
    ) -> Answer | NoAnswer:
        return Answer(status=200, headers={"content-type": "application/json"}, body=REPLY.encode())


class _OfV1:
    """The node's version is configured."""

    def known_of(self, route: ProviderRoute) -> NodeVersion | None:  # noqa: ARG002
        return NodeVersion.V1

    async def version_of(self, route: ProviderRoute) -> NodeVersion | None:  # noqa: ARG002
        return NodeVersion.V1

    def forget(self, route: ProviderRoute) -> None:
        raise AssertionError(route)


async def measure() -> list[Figure]:
    """One figure for each step."""
    async with AsyncExitStack() as opened:
        opened.callback(logs.configure, logs.LogSettings(format="console"))
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        log_file = opened.enter_context((folder / "agent.log").open("w"))
        logs.configure(logs.LogSettings(), secrets=[_KEY.hex(), "an admin token of usual length"], stream=log_file)
        node_url = opened.enter_context(a_fixed_node(folder))
        own = await opened.enter_async_context(OwnNode(url=node_url, clock=SystemClock()))
        return await _steps(folder, node_url, own, structlog.get_logger())


async def _steps(folder: Path, node_url: str, own: OwnNode, log: Log) -> list[Figure]:
    clock, metrics, settings, key = SystemClock(), Metrics(), DeliverySettings(), OperatorKey(_KEY)
    view, kept = _View(an_index()), _Kept()
    customer = view.index.facts.parties[a_customer(7)].party or Party("", "")
    intents = Intents(folder / "intents")
    intents.open()
    copier = Copier(
        view=view,
        recorder=kept,
        gaps=GapBook(clock=clock, metrics=metrics, log=log),
        intents=intents,
        node=NodeSettings(url=node_url),
        settings=ProxySettings(),
        clock=clock,
        metrics=metrics,
    )
    body = msgspec.json.encode(a_session(customer, "session-1", padding="x" * 700))
    path = f"/ocpi/receiver/2.2/sessions/{customer.country_code}/{customer.party_id}/session-1"
    read = _HEADERS | {"ocpi-from-country-code": customer.country_code, "ocpi-from-party-id": customer.party_id}
    route = find_route("PUT", path)

    def ask() -> Candidate:
        found = copier.candidate(method="PUT", query="", read=read, route=route)
        if found is None:
            raise LookupError("nobody is owed a copy")
        return found

    async def plan() -> None:
        if not await copier.record(due, body=body, http_status=200, reply=REPLY.encode(), reply_encoding=""):
            raise LookupError("nothing was recorded")

    due = copier.intend(ask(), body)
    await plan()
    delivery, planning = _claimed(kept.plans[0]), Planning(settings)

    def courier(to: _Accepting | OwnNode) -> Courier:
        return Courier(
            view=view,
            versions=_OfV1(),
            key=key,
            own_node_url=node_url,
            own_transport=to,
            remote_transport=to,
            clock=clock,
            settings=settings,
        )

    there, at_once = courier(own), courier(_Accepting())
    ready = cast("Ready", await there.prepare(delivery))
    attempt = await there.send(ready)
    decision = after_attempt(delivery, attempt, settings=settings, spread=0.5)
    if decision.state is not DeliveryState.DELIVERED:
        raise LookupError(f"it does not arrive: {decision}")
    report, well = Report(metrics=metrics, log=log, clock=SystemClock()), Settled(before=Breaker(), after=Breaker())
    request, text = delivery.envelope.request, ready.body

    def write() -> bytes:
        return copy_message(request, sender=customer, receiver=delivery.provider, version=NodeVersion.V1)

    steps: list[tuple[str, Callable[[], object] | Callable[[], Awaitable[object]]]] = [
        ("who must hear of it, before the node is asked", ask),
        ("an intent, and its end", lambda: copier.settle(copier.intend(due, body))),
        ("the node's answer, a plan", plan),
        ("the plan in columns", lambda: planning.prepared(kept.plans[0])),
        ("consent once more, a signed message", lambda: there.prepare(delivery)),
        ("  of it: its text", write),
        ("  of it: the signature", lambda: key.sign(text)),
        ("the message posted, its answer read", lambda: there.send(ready)),
        ("  of it: what is not the connection", lambda: at_once.send(ready)),
        ("what follows", lambda: after_attempt(delivery, attempt, settings=settings, spread=0.5)),
        ("counted and told", lambda: report.attempted(delivery, attempt, decision, well)),
    ]
    found: dict[str, list[float]] = {name: [] for name, _ in steps}
    for _ in range(_ROUNDS):
        for name, step in steps:
            found[name].append(await _microseconds(step))
    await asyncio.sleep(0)  # the lines of a turn are written when it is over
    intents.close()
    return [Figure(name=name, unit="µs", rounds=tuple(rounds)) for name, rounds in found.items()]


async def _microseconds(step: Callable[[], object] | Callable[[], Awaitable[object]]) -> float:
    """CPU time of one call."""
    first: Any = step()
    awaited = isinstance(first, Awaitable)
    if awaited:
        await first
    began = time.process_time()
    if awaited:
        for _ in range(_CALLS):
            waiting: Any = step()
            await waiting
    else:
        for _ in range(_CALLS):
            step()
    return (time.process_time() - began) / _CALLS * 1e6


def _claimed(plan: CopyPlan) -> Delivery:
    """The delivery as its lane would be taken at once."""
    planned, at = plan.deliveries[0], plan.envelope.recorded_at
    return Delivery(
        id=1,
        place=Place(
            envelope_id=1,
            lane_id=1,
            scope_id=1,
            channel_id=1,
            provider_id=1,
            agreement_block=planned.agreement_block,
            started_at=at,
        ),
        envelope=plan.envelope,
        provider=planned.provider,
        provider_address=planned.provider_address,
        agreement=planned.agreement,
        lane=planned.lane,
        state=DeliveryState.PENDING,
        attempts=1,
        next_attempt_at=at,
        expires_at=at + DeliverySettings().windows.sessions,
    )


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(table(runner.run(measure())))
