"""Two RPC endpoints: who contradicts holds everything, who is silent holds nobody, who fails is replaced."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from ocn_permission_agent.chain import abi
from ocn_permission_agent.chain.scan import SyncProgress
from ocn_permission_agent.consent.index import Entitlement
from ocn_permission_agent.consent.verdict import Standing
from ocn_permission_agent.errors import ChainForkedDeeply, ChainUnavailable, ContractMismatch
from ocn_permission_agent.sandbox.chain.client import ChainClient
from tests.chain_fixtures import WALLETS, Deployment, funded_server
from tests.chain_harness import Watched, agree, confirm, remember, revoke, wallet_address, watching
from tests.faulty_rpc import Faults, faulty_rpc
from tests.stores import Where

YES = f"0x{1:064x}"
NO = f"0x{0:064x}"


@dataclass
class Two:
    watched: Watched
    first: Faults
    second: Faults
    agreed: Entitlement

    @property
    def standing(self) -> tuple[Standing, str]:
        verdict = self.watched.verdict(self.agreed)
        return verdict.standing, verdict.rule

    @property
    def disagreements(self) -> float:
        found = self.watched.metrics.registry.get_sample_value("ocn_agent_rpc_disagreements_total")
        assert found is not None
        return found


OPEN, HELD = (Standing.OPEN, "C2"), (Standing.HELD, "C8")


@asynccontextmanager
async def two_endpoints(chain: Deployment, path: Where) -> AsyncIterator[Two]:
    """An agreement stands, and both endpoints say so."""
    await agree(chain)
    await confirm(chain)
    async with (
        faulty_rpc(chain.url) as first,
        faulty_rpc(chain.url) as second,
        watching(chain, path, rpc_urls=(first.url, second.url)) as watched,
    ):
        await watched.poll()
        (entitlement,) = watched.providers()
        two = Two(watched=watched, first=first.faults, second=second.faults, agreed=entitlement)
        assert two.standing == OPEN
        yield two


async def test_two_that_agree_are_open_and_told_in_the_status(chain: Deployment, path: Where) -> None:
    async with two_endpoints(chain, path) as two:
        one, other = two.watched.endpoints.states()
        assert (one.followed, one.reachable, other.followed, other.reachable) == (True, True, False, True)
        assert one.head == other.head == two.watched.view.index.block_number
        assert "secret" not in one.name


async def test_another_block_at_the_same_height_holds_everybody(chain: Deployment, path: Where, tmp_path: Path) -> None:
    async with two_endpoints(chain, path) as two:
        with funded_server() as elsewhere:
            await _as_high(elsewhere.url, chain)
            async with watching(chain, tmp_path / "b.db", rpc_urls=(chain.url, elsewhere.url)) as watched:
                await watched.poll()
                verdict = watched.verdict(two.agreed)
                assert (verdict.standing, verdict.rule) == HELD
                assert "have different blocks" in verdict.reason
                (line,) = watched.log.named("endpoint.contradicted")
                assert str(line["endpoint"]) in elsewhere.url
                await watched.poll()
                assert len(watched.log.named("endpoint.contradicted")) == 1
                assert watched.endpoints.states()[1].complaint is not None


async def _as_high(url: str, chain: Deployment) -> None:
    async with ChainClient(url) as client:
        await client.mine(await chain.client.block_number())


async def test_one_that_lags_by_more_than_the_confirmations_holds(chain: Deployment, path: Where) -> None:
    async with two_endpoints(chain, path) as two:
        head = await chain.client.block_number()
        await chain.client.mine(2)
        two.second.latest = head
        await two.watched.poll()
        assert two.standing == OPEN
        await chain.client.mine(1)
        await two.watched.poll()
        assert two.standing == HELD
        lag = two.watched.metrics.registry.get_sample_value(
            "ocn_agent_chain_head_lag_blocks", {"endpoint": two.watched.endpoints.states()[1].name}
        )
        assert lag == 3
        two.second.latest = None
        await two.watched.poll()
        assert two.standing == OPEN
        assert len(two.watched.log.named("endpoint.agreed")) == 1
        assert two.disagreements == 1


async def test_the_followed_one_lagging_behind_the_other_holds_too(chain: Deployment, path: Where) -> None:
    async with two_endpoints(chain, path) as two:
        two.first.latest = await chain.client.block_number()
        await chain.client.mine(3)
        await two.watched.poll()
        assert two.standing == HELD


async def test_another_chain_id_at_the_other_holds(chain: Deployment, path: Where) -> None:
    async with two_endpoints(chain, path) as two:
        two.second.chain_id = 1
        await chain.client.mine()
        await two.watched.poll()
        assert two.standing == HELD
        assert "serves chain 1" in two.watched.verdict(two.agreed).reason


async def test_a_lie_about_the_state_holds_everybody_until_it_is_taken_back(chain: Deployment, path: Where) -> None:
    """The first hides a revoke's log and says that the agreement stands; the second tells the truth."""
    async with two_endpoints(chain, path) as two:
        receipt = await chain.actor("cpo").revoke_agreement(WALLETS["billing"].address)
        question = f"0x{abi.has_agreement(wallet_address('cpo'), wallet_address('billing')).hex()}"
        two.first.hide.add(receipt.transaction_hash)
        two.first.lies[question] = YES
        await two.watched.poll()
        assert two.standing == OPEN, "nobody has told anything yet"

        report = await two.watched.auditor.audit_once()
        assert report is not None
        assert (report.differences, report.recovered) == (1, 1)
        await two.watched.poll()
        assert two.watched.verdict(two.agreed).closed, "the log was found"
        assert two.disagreements == 1
        assert two.watched.view.index.doubt is not None


async def test_two_that_tell_different_states_of_one_block_hold(chain: Deployment, path: Where) -> None:
    async with two_endpoints(chain, path) as two:
        question = f"0x{abi.has_agreement(wallet_address('cpo_b'), wallet_address('billing')).hex()}"
        two.second.lies[question] = NO
        await agree(chain, "cpo_b")
        await two.watched.poll()
        assert two.standing == HELD
        assert "tell different states" in two.watched.verdict(two.agreed).reason
        await chain.client.mine()
        await two.watched.poll()
        assert two.standing == HELD, "a contradiction stands until it is taken back"
        two.second.lies.clear()
        await two.watched.poll()
        assert two.standing == OPEN


@pytest.mark.parametrize("trouble", [{"status": 503}, {"raw_answer": b"<html>"}, {"drop_last": True}])
async def test_a_silent_second_holds_nobody(chain: Deployment, path: Where, trouble: dict[str, object]) -> None:
    async with two_endpoints(chain, path) as two:
        for name, value in trouble.items():
            setattr(two.second, name, value)
        for _ in range(3):
            await chain.client.mine()
            await two.watched.poll()
        assert two.standing == OPEN
        assert len(two.watched.log.named("endpoint.unavailable")) == 1
        assert [each.reachable for each in two.watched.endpoints.states()] == [True, False]


async def test_a_second_that_never_answers_costs_three_seconds_once(chain: Deployment, path: Where) -> None:
    async with two_endpoints(chain, path) as two:
        two.second.slow_seconds = 20.0
        await revoke(chain)
        async with asyncio.timeout(10):
            for _ in range(5):
                await two.watched.poll()
        assert two.watched.verdict(two.agreed).closed
        two.second.slow_seconds = 0.0


async def test_the_next_endpoint_is_followed_when_the_first_fails(chain: Deployment, path: Where) -> None:
    async with two_endpoints(chain, path) as two:
        two.first.status = 503
        await revoke(chain)
        with pytest.raises(ChainUnavailable, match="503"):
            await two.watched.poll()
        assert two.standing == OPEN
        await two.watched.poll()
        assert two.watched.verdict(two.agreed).closed
        assert [each.followed for each in two.watched.endpoints.states()] == [False, True]
        assert len(two.watched.log.named("endpoint.followed")) == 1


async def test_a_chain_id_that_changes_behind_a_load_balancer_is_noticed_at_once(
    chain: Deployment, path: Where
) -> None:
    async with two_endpoints(chain, path) as two:
        two.first.chain_id = 73799
        await chain.client.mine()
        with pytest.raises(ChainUnavailable, match="serves another chain"):
            await two.watched.poll()
        await two.watched.poll()
        assert two.watched.verdict(two.agreed).standing is Standing.HELD, "the other one complains now"
        two.first.chain_id = None
        await two.watched.poll()
        assert two.standing == OPEN


async def test_a_wrong_chain_at_every_endpoint_holds_until_one_is_right(chain: Deployment, path: Where) -> None:
    async with two_endpoints(chain, path) as two:
        two.first.chain_id = two.second.chain_id = 1
        await chain.client.mine()
        for _ in range(2):
            with pytest.raises(ChainUnavailable):
                await two.watched.poll()
        for _ in range(3):
            await two.watched.poll()
            assert two.standing == (Standing.HELD, "C12")
        two.second.chain_id = None
        for _ in range(2):
            await two.watched.poll()
        assert [each.followed for each in two.watched.endpoints.states()] == [False, True]
        assert two.standing == HELD, "the first one still contradicts"
        two.first.chain_id = None
        await two.watched.poll()
        assert two.standing == OPEN


async def test_an_empty_store_refuses_only_when_no_endpoint_is_right(
    chain: Deployment, path: Where, tmp_path: Path
) -> None:
    async with (
        faulty_rpc(chain.url) as wrong,
        watching(chain, path, rpc_urls=(wrong.url, chain.url)) as watched,
    ):
        wrong.faults.chain_id = 1
        with pytest.raises(ChainUnavailable, match="serves chain 1"):
            await watched.poll()
        await watched.poll()
        assert watched.view.index.block_number > 0
    async with (
        faulty_rpc(chain.url) as wrong,
        watching(chain, tmp_path / "b.db", rpc_urls=(wrong.url, wrong.url + "/2")) as watched,
    ):
        wrong.faults.chain_id = 1
        with pytest.raises(ChainUnavailable):
            await watched.poll()
        with pytest.raises(ContractMismatch):
            await watched.poll()


async def test_a_first_sync_tries_every_endpoint(chain: Deployment, path: Where) -> None:
    seen: list[SyncProgress] = []
    async with (
        faulty_rpc(chain.url) as silent,
        watching(chain, path, rpc_urls=(silent.url, chain.url)) as watched,
    ):
        silent.faults.status = 503
        await watched.watcher.first_sync(remember(seen))
        assert watched.view.index.block_number == seen[-1].scanned_to
    async with (
        faulty_rpc(chain.url) as silent,
        watching(chain, path, rpc_urls=(silent.url, silent.url)) as watched,
    ):
        silent.faults.status = 503
        with pytest.raises(ChainUnavailable):
            await watched.watcher.first_sync(remember(seen))


async def test_a_deep_fork_that_another_endpoint_does_not_see_is_never_read(chain: Deployment, path: Where) -> None:
    async with two_endpoints(chain, path) as two:
        await chain.client.mine(300)
        await two.watched.poll()
        two.first.fork = "another world"
        await chain.client.mine()
        for _ in range(3):
            with pytest.raises(ChainForkedDeeply):
                await two.watched.poll()
            assert two.standing == HELD
            await two.watched.poll()
            verdict = two.watched.verdict(two.agreed)
            assert (verdict.standing, "have different blocks" in verdict.reason) == (Standing.HELD, True)
            two.second.status = 503
            with pytest.raises(ChainUnavailable):
                await two.watched.poll()
            two.second.status = None
        assert two.watched.log.named("chain.resynced") == []
