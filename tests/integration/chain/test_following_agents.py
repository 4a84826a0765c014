"""Agents that follow the one that watches: the same verdicts, never fresher, decisions at once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest

from ocn_permission_agent.chain.announcement import Perspective
from ocn_permission_agent.chain.decisions import Decider, DecisionStore
from ocn_permission_agent.chain.following import Following
from ocn_permission_agent.chain.store import ChainStore
from ocn_permission_agent.clock import Clock, SystemClock
from ocn_permission_agent.consent.decisions import Stop, StopAdded
from ocn_permission_agent.consent.settings import ConsentSettings
from ocn_permission_agent.consent.verdict import Standing
from ocn_permission_agent.consent.view import ConsentView
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.ocpi.route import InterfaceRole, Module
from tests.chain_fixtures import Deployment
from tests.chain_harness import CONFIRMATIONS, CPO, Watched, agree, confirm, revoke, wallet_address, watching
from tests.fakes import FakeClock
from tests.stores import Where

MAX_STALENESS_SECONDS = 60.0


@dataclass(kw_only=True)
class Follower:
    following: Following
    view: ConsentView

    async def look(self) -> None:
        await self.following.look()


def a_follower(watched: Watched, clock: Clock) -> Follower:
    view = ConsentView(clock=clock, max_staleness_seconds=MAX_STALENESS_SECONDS, metrics=Metrics())
    perspective = Perspective(
        operator=wallet_address("operator"), confirmations=CONFIRMATIONS, consent=ConsentSettings()
    )
    following = Following(
        store=ChainStore(watched.database),
        decisions=DecisionStore(watched.database),
        view=view,
        perspective=perspective,
        clock=clock,
    )
    return Follower(following=following, view=view)


@asynccontextmanager
async def two_agents(
    chain: Deployment, path: Where, clock: Clock | None = None
) -> AsyncIterator[tuple[Watched, Follower]]:
    async with watching(chain, path, announces=True) as watched:
        yield watched, a_follower(watched, clock or SystemClock())


def told(view: ConsentView) -> list[object]:
    """Everything that an index says of agreements and services."""
    agreements = sorted(view.index.agreements(), key=lambda each: (each.customer_address, each.provider_address))
    services = sorted(view.index.services(), key=lambda each: each.provider)
    return [view.index.block_hash, view.index.distrust, view.index.doubt, agreements, services]


async def test_a_follower_says_the_same_of_every_block(chain: Deployment, path: Where) -> None:
    async with two_agents(chain, path) as (watched, follower):
        await follower.look()
        assert follower.view.index.block_number == 0
        for step in (agree, confirm, revoke, agree, confirm):
            await step(chain)
            await watched.poll()
            await follower.look()
            assert told(follower.view) == told(watched.view)
        late = a_follower(watched, SystemClock())
        await late.look()
        assert told(late.view) == told(watched.view), "read at once or bit by bit is the same"


async def test_a_revoke_counts_at_the_next_look(chain: Deployment, path: Where) -> None:
    async with two_agents(chain, path) as (watched, follower):
        await agree(chain)
        await confirm(chain)
        await watched.poll()
        await follower.look()
        (entitlement,) = watched.providers()
        await revoke(chain)
        await watched.poll()
        await follower.look()
        verdict = follower.view.index.verdict(
            entitlement.customer_address,
            entitlement.provider_address,
            agreement=entitlement.agreement,
            module=Module.SESSIONS,
            role=InterfaceRole.RECEIVER,
            fresh=True,
        )
        assert verdict.standing is Standing.CLOSED


async def test_a_reorganisation_is_followed(chain: Deployment, path: Where) -> None:
    async with two_agents(chain, path) as (watched, follower):
        snapshot = await chain.client.snapshot()
        await agree(chain)
        await confirm(chain)
        await watched.poll()
        await follower.look()
        assert len(list(follower.view.index.agreements())) == 1
        await chain.client.revert(snapshot)
        await chain.client.mine(CONFIRMATIONS + 3)
        await watched.poll()
        await follower.look()
        assert told(follower.view) == told(watched.view)
        assert list(follower.view.index.agreements()) == []


async def test_what_was_found_in_old_blocks_reaches_a_follower(chain: Deployment, path: Where) -> None:
    async with two_agents(chain, path) as (watched, follower):
        await agree(chain)
        await confirm(chain)
        await watched.poll()
        await follower.look()
        before = follower.following._rewrites
        await watched.auditor.audit_once()
        (event,) = [
            each
            for each in await ChainStore(watched.database).events(after=-1, until=10**9)
            if type(each).__name__ == "AgreementToggled"
        ]
        await ChainStore(watched.database).add_found([event])
        await watched.poll()
        await follower.look()
        assert follower.following._rewrites == (before or 0) + 1
        assert told(follower.view) == told(watched.view)


async def test_a_decision_at_one_agent_holds_at_all(chain: Deployment, path: Where) -> None:
    async with two_agents(chain, path) as (watched, follower):
        await agree(chain)
        await confirm(chain)
        await watched.poll()
        await follower.look()
        assert follower.view.index.providers_for(CPO, Module.SESSIONS, InterfaceRole.RECEIVER)

        async def nothing_to_withdraw() -> int:
            return 0

        decider = Decider(
            store=DecisionStore(watched.database),
            view=watched.view,
            clock=SystemClock(),
            log=watched.log,
            withdraw=nothing_to_withdraw,
        )
        await decider.record(StopAdded(stop=Stop(customer=CPO)), by="anna")
        await follower.look()
        assert follower.view.index.providers_for(CPO, Module.SESSIONS, InterfaceRole.RECEIVER) == ()


# --- freshness (C8) ---------------------------------------------------------------------------------------------------


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def test_an_announcement_of_unknown_age_makes_nobody_fresh(chain: Deployment, path: Where) -> None:
    async with two_agents(chain, path) as (watched, follower):
        await watched.poll()
        await follower.look()
        assert follower.view.index.block_number > 0
        assert not follower.view.fresh, "it may have stood there for hours"
        await watched.poll()
        await follower.look()
        assert follower.view.fresh


async def test_a_follower_is_never_fresher_than_the_watcher(chain: Deployment, path: Where) -> None:
    async with two_agents(chain, path) as (watched, follower):
        await watched.poll()
        await follower.look()
        for _ in range(3):
            await watched.poll()
            await follower.look()
            assert follower.view.age_seconds() >= watched.view.age_seconds() - 0.001


async def test_a_watcher_that_has_died_makes_its_followers_stale(
    chain: Deployment, path: Where, clock: FakeClock
) -> None:
    """The follower's wall clock is far behind, so that all that it can go by is what it has seen itself."""
    async with two_agents(chain, path, clock) as (watched, follower):
        await watched.poll()
        await follower.look()
        await watched.poll()
        await follower.look()
        assert follower.view.head_age_seconds() < MAX_STALENESS_SECONDS
        for _ in range(61):
            clock.step(1)
            await follower.look()
        assert follower.view.head_age_seconds() >= MAX_STALENESS_SECONDS


async def test_what_was_told_while_nobody_could_look_is_as_old_as_that(
    chain: Deployment, path: Where, clock: FakeClock
) -> None:
    async with two_agents(chain, path, clock) as (watched, follower):
        await watched.poll()
        await follower.look()
        await watched.poll()
        await follower.look()
        await confirm(chain)
        await watched.poll()
        clock.step(300)
        await follower.look()
        assert follower.view.index.block_hash == watched.view.index.block_hash
        assert follower.view.head_age_seconds() >= timedelta(seconds=300).total_seconds()
