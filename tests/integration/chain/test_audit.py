"""What no log told is found: by the state, by counting, and in the logs of the whole chain."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from ocn_permission_agent.chain import abi
from ocn_permission_agent.consent.verdict import Standing
from ocn_permission_agent.errors import ChainUnavailable
from tests.chain_fixtures import WALLETS, Deployment
from tests.chain_harness import BILLING, Watched, agree, confirm, revoke, watching
from tests.fakes import FakeClock
from tests.faulty_rpc import faulty_rpc
from tests.stores import Where


def counted(watched: Watched) -> float:
    found = watched.metrics.registry.get_sample_value("ocn_agent_consent_audit_differences_total")
    assert found is not None
    return found


async def test_an_audit_of_a_quiet_chain_finds_nothing(chain: Deployment, path: Where) -> None:
    await agree(chain)
    await revoke(chain)
    await agree(chain)
    await chain.actor("billing").delete_service()
    await chain.actor("billing").set_service("Billing", "https://billing.example", [6])
    async with watching(chain, path) as watched:
        assert await watched.auditor.audit_once() is None
        await watched.poll()
        report = await watched.auditor.audit_once()
        assert report is not None
        assert (report.differences, report.recovered) == (0, 0)
        assert report.block_number == watched.view.index.block_number
        assert len(watched.log.named("audit.completed")) == 1


async def test_a_hidden_revoke_is_closed_at_once_where_the_block_itself_tells_of_it(
    chain: Deployment, path: Where
) -> None:
    """The block's own filter says that there is a log; whoever loses logs seldom forges blocks."""
    await agree(chain)
    await confirm(chain)
    async with faulty_rpc(chain.url) as rpc, watching(chain, path, rpc_urls=(rpc.url,)) as watched:
        await watched.poll()
        rpc.faults.honest_filters = True
        receipt = await chain.actor("cpo").revoke_agreement(WALLETS["billing"].address)
        rpc.faults.hide.add(receipt.transaction_hash)
        await watched.poll()
        assert watched.agreement().verdict.rule == "C2"
        assert watched.providers() == ()
        (line,) = watched.log.named("logs.missed")
        assert line["blocks"] == [receipt.block_number]
        async with asyncio.timeout(5):
            await watched.errands.contradiction()

        rpc.faults.hide.clear()
        await watched.auditor.audit_once()
        await watched.poll()
        assert watched.agreement().verdict.transaction_hash == receipt.transaction_hash
        assert watched.agreement().verdict.rule == "C2"


async def test_no_block_of_an_honest_endpoint_is_suspected(chain: Deployment, path: Where) -> None:
    async with watching(chain, path) as watched:
        await watched.poll()
        for _ in range(3):
            await agree(chain)
            await chain.actor("billing").set_service("Billing", "https://billing.example", [6])
            await revoke(chain)
            await chain.actor("operator_b").set_node(f"https://{await chain.client.block_number()}.example")
            await watched.poll()
        assert watched.log.named("logs.missed") == []


async def test_a_hidden_revoke_is_closed_and_its_log_found(chain: Deployment, path: Where) -> None:
    await agree(chain)
    await confirm(chain)
    async with faulty_rpc(chain.url) as rpc, watching(chain, path, rpc_urls=(rpc.url,)) as watched:
        await watched.poll()
        receipt = await chain.actor("cpo").revoke_agreement(WALLETS["billing"].address)
        rpc.faults.hide.add(receipt.transaction_hash)
        await watched.poll()
        assert len(watched.providers()) == 1
        await watched.auditor.audit_once()
        await watched.poll()
        assert watched.agreement().verdict.rule == "C2"
        assert watched.providers() == ()
        assert len(watched.log.named("agreement.contradicted")) == 1
        assert counted(watched) == 1

        rpc.faults.hide.clear()
        await watched.auditor.audit_once()
        await watched.poll()
        verdict = watched.agreement().verdict
        assert verdict.transaction_hash == receipt.transaction_hash, "repaired: the revoke itself is known now"
        assert len(watched.log.named("logs.recovered")) == 1
        assert counted(watched) == 1
    async with watching(chain, path) as watched:
        await watched.poll()
        assert watched.agreement().verdict.transaction_hash == receipt.transaction_hash


async def test_a_hidden_revoke_and_grant_are_found_by_counting(chain: Deployment, path: Where) -> None:
    await agree(chain)
    await confirm(chain)
    async with faulty_rpc(chain.url) as rpc, watching(chain, path, rpc_urls=(rpc.url,)) as watched:
        await watched.poll()
        (old,) = watched.providers()
        billing = WALLETS["billing"].address
        for receipt in (
            await chain.actor("cpo").revoke_agreement(billing),
            await chain.actor("cpo").create_agreement(billing),
        ):
            rpc.faults.hide.add(receipt.transaction_hash)
        await confirm(chain)
        await watched.poll()
        assert watched.verdict(old).standing is Standing.OPEN, "flag and parity are as they were"
        await watched.auditor.audit_once()
        await watched.poll()
        assert "counts other grants" in watched.agreement().verdict.reason
        rpc.faults.hide.clear()
        await watched.auditor.audit_once()
        await watched.poll()
        assert watched.agreement().verdict.standing is Standing.OPEN
        assert watched.verdict(old).closed, "the old agreement has ended"


async def test_a_hidden_deletion_ends_agreements_by_counting(chain: Deployment, path: Where) -> None:
    await agree(chain)
    await confirm(chain)
    async with faulty_rpc(chain.url) as rpc, watching(chain, path, rpc_urls=(rpc.url,)) as watched:
        await watched.poll()
        receipt = await chain.actor("billing").delete_service()
        rpc.faults.hide.add(receipt.transaction_hash)
        await chain.actor("billing").set_service("Billing", "https://billing.example", [6, 8])
        await watched.poll()
        assert watched.agreement().verdict.rule == "C5", "the new listing alone makes us count"
        await watched.auditor.audit_once()
        await watched.poll()
        assert watched.agreement().verdict.rule == "C5"


async def test_a_grant_of_which_no_log_was_told_is_found(chain: Deployment, path: Where) -> None:
    async with faulty_rpc(chain.url) as rpc, watching(chain, path, rpc_urls=(rpc.url,)) as watched:
        await watched.poll()
        receipt = await chain.actor("cpo").create_agreement(WALLETS["billing"].address)
        rpc.faults.hide.add(receipt.transaction_hash)
        await confirm(chain)
        await watched.poll()
        assert watched.providers() == ()
        rpc.faults.hide.clear()
        report = await watched.auditor.audit_once()
        assert report is not None
        assert (report.differences, report.recovered) == (1, 1)
        await watched.poll()
        assert [each.provider for each in watched.providers()] == [BILLING]


async def test_an_omitted_registration_is_found(chain: Deployment, path: Where) -> None:
    async with faulty_rpc(chain.url) as rpc, watching(chain, path, rpc_urls=(rpc.url,)) as watched:
        await watched.poll()
        receipt = await chain.actor("cpo").delete_party()
        rpc.faults.hide.add(receipt.transaction_hash)
        await watched.poll()
        report = await watched.auditor.audit_once()
        assert report is not None
        assert report.differences > 0
        await watched.poll()
        facts = watched.view.index.facts
        assert facts.parties[next(iter(facts.parties))] is not None
        assert watched.view.index.route_to(next(a for a, p in facts.parties.items() if p.party is None)) is None


@pytest.mark.parametrize("found_block", ["a recent one", "an old one"])
async def test_found_logs_are_put_into_their_places(
    chain: Deployment, path: Where, tmp_path: Path, found_block: str
) -> None:
    async with faulty_rpc(chain.url) as rpc:
        receipt = await chain.actor("cpo").create_agreement(WALLETS["billing"].address)
        rpc.faults.hide.add(receipt.transaction_hash)
        await confirm(chain)
        if found_block == "an old one":
            await chain.client.mine(280)
        async with watching(chain, path, rpc_urls=(rpc.url,)) as watched:
            await watched.poll()
            rpc.faults.hide.clear()
            await watched.auditor.audit_once()
            await watched.poll()
            repaired = watched.view.index.facts
            assert watched.agreement().verdict.standing is Standing.OPEN
        async with watching(chain, tmp_path / "whole.db") as whole:
            await whole.poll()
            assert whole.view.index.facts.pairs == repaired.pairs


async def spin_until(held: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not held():  # noqa: ASYNC110  real sockets answer meanwhile, the clock stands still
            await asyncio.sleep(0.005)


async def test_audits_come_at_the_start_every_hour_and_after_a_contradiction(chain: Deployment, path: Where) -> None:
    await agree(chain)
    await confirm(chain)
    clock = FakeClock()
    async with faulty_rpc(chain.url) as rpc, watching(chain, path, rpc_urls=(rpc.url,), clock=clock) as watched:

        def audits(event: str = "audit.completed") -> int:
            return len(watched.log.named(event))

        async with asyncio.TaskGroup() as group:
            auditing = group.create_task(watched.auditor.run())
            await asyncio.sleep(0)
            assert audits() == 0, "nothing was read yet"
            await watched.poll()
            await spin_until(lambda: audits() == 1 and clock.sleepers == 1)
            clock.step(3599)
            assert audits() == 1
            clock.step(1)
            await spin_until(lambda: audits() == 2 and clock.sleepers == 1)

            receipt = await chain.actor("cpo").revoke_agreement(WALLETS["billing"].address)
            rpc.faults.hide.add(receipt.transaction_hash)
            await agree(chain)
            await watched.poll()
            await spin_until(lambda: audits() == 3)
            rpc.faults.hide.clear()
            rpc.faults.status = 503
            await spin_until(lambda: clock.sleepers >= 1)
            clock.step(3600)
            await spin_until(lambda: audits("audit.failed") == 1)
            rpc.faults.status = None
            await spin_until(lambda: clock.sleepers >= 1)
            clock.step(60)
            await spin_until(lambda: audits() == 4)
            await watched.poll()
            assert len(watched.log.named("logs.recovered")) == 1
            auditing.cancel()


async def test_a_list_over_our_limit_is_passed_over_by_the_audit(chain: Deployment, path: Where) -> None:
    """Anybody can make the list of providers long; what is known is compared all the same."""
    await agree(chain)
    await confirm(chain)
    async with faulty_rpc(chain.url) as rpc, watching(chain, path, rpc_urls=(rpc.url,)) as watched:
        await watched.poll()
        for question in (abi.get_providers(), abi.get_parties()):
            rpc.faults.lies[f"0x{question.hex()}"] = "0x" + "00" * (17 * 1024 * 1024)
        report = await watched.auditor.audit_once()
        assert report is not None
        assert report.differences == 0


@pytest.mark.parametrize("answer", ["0x" + "ff" * 64, "0x"])
async def test_an_audit_that_gets_nonsense_fails(chain: Deployment, path: Where, answer: str) -> None:
    async with faulty_rpc(chain.url) as rpc, watching(chain, path, rpc_urls=(rpc.url,)) as watched:
        await watched.poll()
        rpc.faults.lies[f"0x{abi.get_parties().hex()}"] = answer
        with pytest.raises(ChainUnavailable):
            await watched.auditor.audit_once()
