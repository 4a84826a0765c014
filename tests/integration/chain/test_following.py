"""Following a real chain: restarts, forks, gaps, lost logs, wrong contracts, strangers' bytes."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ocn_permission_agent.chain.scan import SyncProgress
from ocn_permission_agent.consent.verdict import Standing
from ocn_permission_agent.errors import ChainForkedDeeply, ChainUnavailable, ContractMismatch, StoreMismatch
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.sandbox.chain.calls import Contract, Signature, contract_call
from tests.chain_fixtures import WALLETS, Deployment
from tests.chain_harness import CPO, Watched, agree, confirm, remember, revoke, settings_for, wallet_address, watching
from tests.fakes import FakeClock
from tests.faulty_rpc import faulty_rpc
from tests.stores import Where

NOBODY = "0x" + "0" * 40


async def test_a_restart_goes_on_where_it_stopped(chain: Deployment, path: Where) -> None:
    await agree(chain)
    await confirm(chain)
    async with watching(chain, path) as watched:
        await watched.poll()
        (before,) = watched.providers()
    async with faulty_rpc(chain.url) as rpc, watching(chain, path, rpc_urls=(rpc.url,)) as watched:
        await watched.watcher.restore()
        assert watched.providers() == (before,)
        assert not watched.view.fresh
        assert watched.verdict(before).rule == "C8"
        assert rpc.faults.requests == 0

        await watched.poll()
        assert watched.verdict(before).standing is Standing.OPEN
        assert rpc.faults.asked["eth_getLogs"] == 1
        assert rpc.faults.asked["eth_call"] == 1, "only the operator's domain: nothing was touched"


async def test_what_happened_while_we_were_down_is_found(chain: Deployment, path: Where) -> None:
    await agree(chain)
    await confirm(chain)
    async with watching(chain, path) as watched:
        await watched.poll()
        (before,) = watched.providers()
    await revoke(chain)
    await chain.client.mine(3)
    async with watching(chain, path) as watched:
        await watched.poll()
        assert watched.verdict(before).rule == "C2"


async def test_the_same_history_ends_in_the_same_store(chain: Deployment, tmp_path: Path) -> None:
    """One agent polls after each step, one is rebuilt before each poll: what they know is equal."""
    steps = (agree, confirm, revoke, agree, confirm)
    async with watching(chain, tmp_path / "steady.db") as steady:
        await steady.poll()
        async with watching(chain, tmp_path / "rebuilt.db") as rebuilt:
            await rebuilt.poll()
        for step in steps:
            await step(chain)
            await steady.poll()
            async with watching(chain, tmp_path / "rebuilt.db") as rebuilt:
                await rebuilt.poll()
                assert rebuilt.view.index.facts == steady.view.index.facts
                assert _chain_rows(await rebuilt.database.dump()) == _chain_rows(await steady.database.dump())


def _chain_rows(dump: str) -> list[str]:
    return [line for line in dump.splitlines() if 'INTO "chain_' in line]


async def test_a_gap_wider_than_the_window_is_crossed(chain: Deployment, path: Where) -> None:
    await agree(chain)
    await confirm(chain)
    async with watching(chain, path) as watched:
        await watched.poll()
        (first,) = watched.providers()
        await chain.client.mine(20)
        await revoke(chain)
        await chain.client.mine(300)
        await agree(chain)
        await confirm(chain)
        await watched.poll()

        (second,) = watched.providers()
        assert watched.verdict(first).rule == "C2"
        assert watched.verdict(second).standing is Standing.OPEN


async def test_a_first_sync_over_many_blocks_tells_its_progress_and_resumes(chain: Deployment, path: Where) -> None:
    await agree(chain)
    await chain.client.mine(700)
    seen: list[SyncProgress] = []
    async with faulty_rpc(chain.url) as rpc:
        rpc.faults.widest = 100
        async with watching(chain, path, rpc_urls=(rpc.url,)) as watched:
            with pytest.raises(_Stopped):
                await watched.watcher.first_sync(_StopAfter(seen, 2))
        half = seen[-1].scanned_to
        seen.clear()
        async with watching(chain, path, rpc_urls=(rpc.url,)) as watched:
            await watched.watcher.first_sync(remember(seen))
            assert len(watched.providers()) == 1
            assert watched.agreement().verdict.standing is Standing.OPEN
    assert half < 400
    assert seen[0].scanned_to > half
    assert seen[0].first_block == chain.contracts.block_number
    assert (seen[-1].scanned_to, seen[-1].until) == (watched.view.index.block_number,) * 2


class _Stopped(Exception):
    pass


class _StopAfter:
    def __init__(self, into: list[SyncProgress], ranges: int) -> None:
        self._into = into
        self._ranges = ranges

    def __call__(self, progress: SyncProgress) -> None:
        self._into.append(progress)
        if len(self._into) == self._ranges:
            raise _Stopped


async def test_an_endpoint_without_old_state_is_scanned_from_the_start(chain: Deployment, path: Where) -> None:
    await agree(chain)
    await confirm(chain)
    seen: list[SyncProgress] = []
    async with watching(chain, path, start_block=1) as watched:
        await watched.watcher.first_sync(remember(seen))
        assert len(watched.providers()) == 1
    assert seen[0].first_block == 1


# --- forks ------------------------------------------------------------------------------------------------------------


async def test_a_reorganised_grant_is_forgotten(chain: Deployment, path: Where) -> None:
    await chain.client.mine()
    snapshot = await chain.client.snapshot()
    async with watching(chain, path) as watched:
        await agree(chain)
        await watched.poll()
        assert watched.agreement().verdict.rule == "C4"
        await chain.client.revert(snapshot)
        await chain.client.mine(5)
        await watched.poll()
        assert list(watched.view.index.agreements()) == []
        assert watched.providers() == ()
    async with watching(chain, path) as watched:
        await watched.poll()
        assert list(watched.view.index.agreements()) == []


async def test_a_reorganised_revoke_makes_its_grant_wait_anew(chain: Deployment, path: Where) -> None:
    await agree(chain)
    await confirm(chain)
    async with watching(chain, path) as watched:
        await watched.poll()
        (entitlement,) = watched.providers()
        snapshot = await chain.client.snapshot()
        await revoke(chain)
        await watched.poll()
        assert watched.providers() == ()

        await chain.client.revert(snapshot)
        await chain.client.mine(2)
        await watched.poll()
        assert watched.verdict(entitlement).rule == "C4"
        assert [line["dropped_blocks"] for line in watched.log.named("chain.reorganised")] == [1]
        await confirm(chain)
        await watched.poll()
        assert watched.verdict(entitlement).standing is Standing.OPEN


async def test_a_fork_that_puts_a_grant_elsewhere_is_another_agreement(chain: Deployment, path: Where) -> None:
    snapshot = await chain.client.snapshot()
    async with watching(chain, path) as watched:
        await agree(chain)
        await confirm(chain)
        await watched.poll()
        (first,) = watched.providers()
        await chain.client.revert(snapshot)
        await chain.client.mine(1)
        await chain.actor("billing").set_service("Billing", "https://billing.example", [8])
        await agree(chain)
        await confirm(chain)
        await watched.poll()
        assert watched.providers() == ()
        assert watched.agreement().agreed == (8,)
        assert watched.verdict(first).standing is Standing.CLOSED


async def test_a_fork_down_to_a_lower_head_is_followed(chain: Deployment, path: Where) -> None:
    snapshot = await chain.client.snapshot()
    async with watching(chain, path) as watched:
        await agree(chain)
        await chain.client.mine(6)
        await watched.poll()
        high = watched.view.index.block_number
        await chain.client.revert(snapshot)
        await chain.client.mine(2)
        await watched.poll()
        assert watched.view.index.block_number < high
        assert list(watched.view.index.agreements()) == []


async def test_an_endpoint_that_lags_changes_nothing(chain: Deployment, path: Where) -> None:
    await agree(chain)
    snapshot = await chain.client.snapshot()
    await confirm(chain)
    async with watching(chain, path) as watched:
        await watched.poll()
        before = watched.view.index
        await chain.client.revert(snapshot)
        with pytest.raises(ChainUnavailable, match="behind"):
            await watched.poll()
        assert watched.view.index is before


async def test_a_fork_deeper_than_the_window_holds_and_is_read_anew_beside_what_was_known(
    chain: Deployment, path: Where
) -> None:
    await agree(chain)
    await confirm(chain)
    snapshot = await chain.client.snapshot()
    await agree(chain, "cpo_b")
    await chain.client.mine(300)
    async with watching(chain, path) as watched:
        await watched.poll()
        (first,) = watched.providers()
        assert len(watched.providers(Party("DE", "CPB"))) == 1
        await chain.client.revert(snapshot)
        await chain.client.mine(310)
        for _ in range(2):
            with pytest.raises(ChainForkedDeeply, match="none of the newest 256 blocks"):
                await watched.poll()
            verdict = watched.verdict(first)
            assert (verdict.standing, verdict.rule) == (Standing.HELD, "C8")
            assert len(watched.providers(Party("DE", "CPB"))) == 1, "what was known stays as it was"
        assert len(watched.log.named("chain.forked")) == 1

        await watched.poll()
        assert watched.verdict(first).standing is Standing.OPEN
        assert watched.providers(Party("DE", "CPB")) == ()
        (line,) = watched.log.named("chain.resynced")
        assert line["kept_addresses"] == 2
    async with watching(chain, path) as watched:
        await watched.poll()
        assert watched.verdict(first).standing is Standing.OPEN
        addresses = watched.view.decisions.addresses
        assert addresses[CPO] == wallet_address("cpo"), "who had which name is not forgotten"


@pytest.mark.parametrize("seed", range(3))
async def test_an_agent_that_saw_every_fork_knows_what_a_new_one_learns(
    chain: Deployment, tmp_path: Path, seed: int
) -> None:
    """Random toggles, listings, deletions and forks; only waiting times and sights of the state may differ."""
    dice = random.Random(seed)  # noqa: S311  a history that can be repeated
    async with watching(chain, tmp_path / "steady.db") as steady:
        await steady.poll()
        snapshots: list[str] = []
        for step in range(25):
            match dice.choice(("toggle", "toggle", "list", "delete", "mine", "mark", "fork")):
                case "toggle":
                    verb = dice.choice(("createAgreement", "createAgreement", "revokeAgreement"))
                    call = contract_call(Contract.PERMISSIONS, verb, WALLETS["billing"].address)
                    await chain.actor(dice.choice(("cpo", "cpo_b"))).send(call)
                case "list":
                    ids = dice.sample(range(17), dice.randint(1, 4))
                    await chain.actor("billing").set_service("Billing", "https://billing.example", ids)
                case "delete":
                    await chain.actor("billing").send(contract_call(Contract.PERMISSIONS, "deleteService"))
                case "mine":
                    await chain.client.mine(dice.randint(1, 3))
                case "mark":
                    snapshots.append(await chain.client.snapshot())
                case "fork" if snapshots:
                    height = await chain.client.block_number()
                    await chain.client.revert(snapshots.pop())
                    await chain.client.mine(height - await chain.client.block_number() + dice.randint(1, 3))
                case _:
                    pass
            if dice.random() < 0.3:
                continue
            await steady.poll()
            async with watching(chain, tmp_path / f"new-{step}.db") as new:
                await new.poll()
                assert _known(steady) == _known(new)


def _known(watched: Watched) -> object:
    facts = watched.view.index.facts
    pairs = {
        (pair.customer, pair.provider): (pair.toggles, pair.newest, pair.grant, pair.contradicted)
        for pair in facts.all_pairs()
    }
    return pairs, dict(facts.services), dict(facts.parties), dict(facts.operators), dict(facts.spellings)


# --- lost logs, wrong contracts, strange bytes ------------------------------------------------------------------------


async def test_a_lost_revoke_closes_the_pair(chain: Deployment, path: Where) -> None:
    await agree(chain)
    await confirm(chain)
    async with faulty_rpc(chain.url) as rpc, watching(chain, path, rpc_urls=(rpc.url,)) as watched:
        await watched.poll()
        assert len(watched.providers()) == 1
        receipt = await chain.actor("cpo").revoke_agreement(WALLETS["billing"].address)
        rpc.faults.hide.add(receipt.transaction_hash)
        await watched.poll()
        # Nothing tells of the pair yet; its next log does.
        await agree(chain)
        await watched.poll()
        verdict = watched.agreement().verdict
        assert (verdict.standing, verdict.rule) == (Standing.CLOSED, "C2")
        assert watched.providers() == ()
        assert len(watched.log.named("agreement.contradicted")) == 1


async def test_a_lost_listing_ends_what_was_agreed_under_it(chain: Deployment, path: Where) -> None:
    async with faulty_rpc(chain.url) as rpc, watching(chain, path, rpc_urls=(rpc.url,)) as watched:
        await watched.poll()
        receipt = await chain.actor("billing").set_service("Billing", "https://billing.example", [8])
        rpc.faults.hide.add(receipt.transaction_hash)
        await agree(chain)
        await confirm(chain)
        await watched.poll()
        assert watched.agreement().verdict.rule == "C10"
        assert len(watched.log.named("entry.quarantined")) == 1
        await chain.actor("billing").set_service("Billing", "https://billing.example", [6, 8])
        await watched.poll()
        assert watched.providers() == ()


async def test_the_wrong_chain_is_refused_on_an_empty_store(chain: Deployment, path: Where) -> None:
    async with watching(chain, path, chain_id=73799) as watched:
        with pytest.raises(ContractMismatch, match="serves chain 246, not 73799"):
            await watched.poll()


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"registry": wallet_address("stranger")}, "there is no contract at"),
        ({"permissions": wallet_address("stranger")}, "there is no contract at"),
        ({"genesis_hash": "0x" + "1" * 64}, "genesis block is"),
    ],
)
async def test_wrong_contracts_are_refused_on_an_empty_store(
    chain: Deployment, path: Where, changed: dict[str, Any], sentence: str
) -> None:
    settings = replace(settings_for(chain), **changed)
    async with watching(chain, path, settings=settings) as watched:
        with pytest.raises(ContractMismatch, match=sentence):
            await watched.poll()


async def test_contracts_that_do_not_belong_together_are_refused(chain: Deployment, path: Where) -> None:
    settings = settings_for(chain)
    async with watching(chain, path, registry=settings.permissions) as watched:
        with pytest.raises(ContractMismatch, match="belongs to the Registry"):
            await watched.poll()


async def test_an_operator_registered_elsewhere_is_refused(chain: Deployment, path: Where) -> None:
    async with watching(chain, path, public_url="https://elsewhere.example") as watched:
        with pytest.raises(ContractMismatch, match=r"not at https://elsewhere\.example"):
            await watched.poll()


async def test_an_unregistered_operator_is_refused(chain: Deployment, path: Where) -> None:
    await chain.actor("operator").delete_node()
    async with watching(chain, path) as watched:
        with pytest.raises(ContractMismatch, match="not a registered node operator"):
            await watched.poll()


async def test_a_store_of_other_contracts_is_always_refused(chain: Deployment, path: Where) -> None:
    async with watching(chain, path) as watched:
        await watched.poll()
    async with watching(chain, path, permissions=wallet_address("stranger")) as watched:
        with pytest.raises(StoreMismatch, match="permissions"):
            await watched.watcher.restore()


async def test_names_that_are_no_text_do_not_stop_the_watcher(chain: Deployment, path: Where) -> None:
    await agree(chain)
    stranger = chain.actor("stranger")
    await stranger.set_party(b"\xff\x00", b"\n\\*", roles=[0], operator=WALLETS["operator"].address)
    await stranger.set_service(b"\xff\xfe\x00\n<b>", b"\xc3\x28" * 300, [6, 17, 2**256 - 1, 6])
    await agree(chain, "cpo_b", "stranger")
    await confirm(chain)
    async with watching(chain, path) as watched:
        await watched.poll()
        assert len(watched.providers()) == 1
        (service,) = [each for each in watched.view.index.services() if each.unknown_ids]
        assert service.name == "\\xff\\xfe\\x00\\n<b>"
        assert len(service.url) == 256
        assert (service.permissions, service.unknown_ids) == ((6,), 2)
        assert str(service.party) == "\\xff\\x00*\\x0a\\x5c*"


async def test_a_listing_over_64_kib_closes_its_provider_alone(chain: Deployment, path: Where) -> None:
    await agree(chain)
    stranger = chain.actor("stranger")
    await stranger.set_party("NL", "BIG", roles=[6], operator=WALLETS["operator_b"].address)
    await stranger.set_service("big", "https://big.example", [6])
    await agree(chain, "cpo_b", "stranger")
    await stranger.set_service("big", "https://big.example", [0] * 2100)
    await confirm(chain)
    async with watching(chain, path) as watched:
        await watched.poll()
        assert len(watched.providers()) == 1
        verdict = watched.agreement("cpo_b", "stranger").verdict
        assert (verdict.rule, "64 KiB" in verdict.reason) == ("C10", True)


async def test_the_zero_address_is_nobody(chain: Deployment, path: Where) -> None:
    """Anybody can register and agree in the name of address zero with a broken signature (T13)."""
    broken = Signature(v=0, r=bytes(32), s=bytes(32))
    stranger = chain.actor("stranger")
    operator = WALLETS["operator"].address
    await stranger.set_party_raw(NOBODY, "DE", "NIL", roles=[0], operator=operator, signature=broken)
    await stranger.create_agreement_raw(WALLETS["billing"].address, broken)
    await confirm(chain)
    async with watching(chain, path) as watched:
        await watched.poll()
        assert list(watched.view.index.agreements()) == []
        assert NOBODY not in watched.view.index.facts.parties


async def test_the_view_is_stale_when_the_head_stands_still(chain: Deployment, path: Where) -> None:
    await agree(chain)
    await confirm(chain)
    clock = FakeClock()
    async with watching(chain, path, clock=clock) as watched:
        await watched.poll()
        head = watched.view.index.block_time
        clock.step((head - clock.now()).total_seconds())
        await chain.client.mine()
        await watched.poll()
        (entitlement,) = watched.providers()
        assert watched.verdict(entitlement).standing is Standing.OPEN
        clock.step(61)
        await watched.poll()
        assert watched.verdict(entitlement).rule == "C8"
        assert watched.providers() == (entitlement,)


async def test_a_reverted_transaction_is_nothing(chain: Deployment, path: Where) -> None:
    call = contract_call(Contract.PERMISSIONS, "revokeAgreement", WALLETS["billing"].address)
    await chain.actor("cpo").send(call)
    async with watching(chain, path) as watched:
        await watched.poll()
        assert not watched.view.index.has_agreements(CPO)
