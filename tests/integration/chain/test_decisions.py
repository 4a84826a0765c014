"""Stops and confirmations on a store: in force at once, kept, audited, never undone by the chain."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from ocn_permission_agent.admin.desk import Desk
from ocn_permission_agent.chain.decisions import Decider, DecisionStore
from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.consent.deciding import DecisionRefused
from ocn_permission_agent.consent.verdict import Standing
from ocn_permission_agent.ocpi.route import Module
from tests.chain_fixtures import WALLETS, Deployment
from tests.chain_harness import Watched, agree, confirm, revoke, wallet_address, watching
from tests.stores import Where


@dataclass
class Withdrawals:
    count: int = 0
    calls: list[int] = field(default_factory=list)

    async def __call__(self) -> int:
        self.calls.append(self.count)
        return self.count


@asynccontextmanager
async def at_the_desk(chain: Deployment, path: Where) -> AsyncIterator[tuple[Watched, Desk, Withdrawals]]:
    async with watching(chain, path) as watched:
        withdrawals = Withdrawals()
        decider = Decider(
            store=DecisionStore(watched.database),
            view=watched.view,
            clock=SystemClock(),
            log=watched.log,
            withdraw=withdrawals,
        )
        yield watched, Desk(index=lambda: watched.view.index, decider=lambda: decider), withdrawals


async def test_a_stop_acts_at_once_survives_a_restart_and_new_agreements(chain: Deployment, path: Where) -> None:
    await agree(chain)
    await confirm(chain)
    async with at_the_desk(chain, path) as (watched, desk, withdrawals):
        await watched.poll()
        (entitlement,) = watched.providers()
        withdrawals.count = 7
        done = await desk.add_stop({"customer": "de*cpo", "by": "anna"})
        assert (done["withdrawn"], done["by"], withdrawals.calls) == (7, "anna", [7])
        assert done["customer_address"] == wallet_address("cpo")
        assert watched.verdict(entitlement).rule == "C7"
        assert watched.providers() == ()
        assert len(watched.log.named("decision.recorded")) == 1
    await revoke(chain)
    await agree(chain)
    await confirm(chain)
    async with at_the_desk(chain, path) as (watched, desk, _):
        await watched.watcher.restore()
        assert watched.agreement().verdict.rule == "C7"
        await watched.poll()
        assert watched.agreement().verdict.rule == "C7"

        removed = await desk.remove_stop({"customer": "DE*CPO", "by": "bert"})
        assert removed["what"] == "stop removed"
        assert watched.agreement().verdict.standing is Standing.OPEN
        assert watched.verdict(entitlement).standing is Standing.CLOSED, "the old agreement stays ended"
        history = (await desk.history())["decisions"]
        assert isinstance(history, list)
        assert [(each["what"], each["by"]) for each in history] == [("stop added", "anna"), ("stop removed", "bert")]


async def test_a_stop_for_one_module_leaves_the_others(chain: Deployment, path: Where) -> None:
    await agree(chain)
    await confirm(chain)
    async with at_the_desk(chain, path) as (watched, desk, _):
        await watched.poll()
        await desk.add_stop({"provider": WALLETS["billing"].address, "module": "cdrs"})
        assert watched.providers(module=Module.CDRS) == ()
        assert len(watched.providers()) == 1
        stops = (await desk.stops())["stops"]
        assert isinstance(stops, list)
        assert [(each["module"], each["customer"]) for each in stops] == [("cdrs", None)]


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ({}, "needs a customer, a provider, or both"),
        ({"module": "cdrs"}, "needs a customer, a provider, or both"),
        ({"customer": "DECPO"}, "not a party"),
        ({"provider": "0x12"}, "not an address"),
        ({"customer": "DE*CPO", "module": "everything"}, "not a module"),
        ({"customer": "DE*TWO"}, "on the list already, as number 1"),
    ],
)
async def test_stops_that_make_no_sense_are_refused(
    chain: Deployment, path: Where, written: dict[str, str], sentence: str
) -> None:
    async with at_the_desk(chain, path) as (_, desk, _):
        await desk.add_stop({"customer": "DE*TWO"})
        with pytest.raises(DecisionRefused, match=sentence):
            await desk.add_stop(written)
        with pytest.raises(DecisionRefused, match="no such stop"):
            await desk.remove_stop({"customer": "DE*NOT"})


async def test_a_name_taken_over_by_another_address_is_closed_until_confirmed(chain: Deployment, path: Where) -> None:
    stranger, operator = WALLETS["stranger"], WALLETS["operator"]
    async with at_the_desk(chain, path) as (watched, desk, _):
        await watched.poll()
        await chain.actor("cpo").delete_party()
        await chain.actor("stranger").set_party("DE", "CPO", roles=[0], operator=operator.address)
        await agree(chain, "stranger")
        await confirm(chain)
        await watched.poll()
        verdict = watched.agreement("stranger").verdict
        assert (verdict.standing, verdict.rule) == (Standing.CLOSED, "C1")
        assert watched.providers() == ()

        with pytest.raises(DecisionRefused, match=r"has no DE\*CPO at"):
            await desk.confirm_party({"party": "DE*CPO", "address": WALLETS["cpo"].address})
        with pytest.raises(DecisionRefused, match="another node"):
            await desk.confirm_party({"party": "NL*BIL", "address": WALLETS["billing"].address})
        with pytest.raises(DecisionRefused, match="not an address"):
            await desk.confirm_party({"party": "DE*CPO", "address": "here"})
        await desk.confirm_party({"party": "de*cpo", "address": stranger.address})
        assert watched.agreement("stranger").verdict.standing is Standing.OPEN
    async with watching(chain, path) as watched:
        await watched.poll()
        assert watched.agreement("stranger").verdict.standing is Standing.OPEN, "confirmed for good"


async def test_pins_are_those_of_the_first_sync_even_after_a_restart(chain: Deployment, path: Where) -> None:
    async with watching(chain, path) as watched:
        await watched.poll()
    await chain.actor("cpo").delete_party()
    await chain.actor("stranger").set_party("DE", "CPO", roles=[0], operator=WALLETS["operator"].address)
    await agree(chain, "stranger")
    await chain.client.mine(300)
    async with watching(chain, path) as watched:
        await watched.poll()
        assert watched.agreement("stranger").verdict.rule == "C1"


async def test_a_replayed_signature_is_closed_until_renewed_or_confirmed(chain: Deployment, path: Where) -> None:
    """T5: anybody can use the customer's signature again, for ever, in both directions."""
    billing = WALLETS["billing"].address
    signature = chain.actor("cpo").sign_address(billing)
    stranger = chain.actor("stranger")
    await stranger.create_agreement_raw(billing, signature)
    await confirm(chain)
    async with at_the_desk(chain, path) as (watched, desk, _):
        await watched.poll()
        assert watched.agreement().verdict.standing is Standing.OPEN
        await stranger.revoke_agreement_raw(billing, signature)
        await watched.poll()
        verdict = watched.agreement().verdict
        assert (verdict.rule, "revoked by replay" in verdict.reason) == ("C6", True)
        assert len(watched.log.named("agreement.replayed")) == 1

        receipt = await stranger.create_agreement_raw(billing, signature)
        await confirm(chain)
        await watched.poll()
        verdict = watched.agreement().verdict
        assert (verdict.standing, verdict.rule) == (Standing.CLOSED, "C6")
        assert (verdict.confirmable, verdict.transaction_hash) == (True, receipt.transaction_hash)

        pair = {"customer": "DE*CPO", "provider": "NL*BIL"}
        with pytest.raises(DecisionRefused, match=receipt.transaction_hash):
            await desk.confirm_agreement(pair | {"transaction_hash": "0x" + "1" * 64})
        with pytest.raises(DecisionRefused, match="There is no agreement"):
            await desk.confirm_agreement(pair | {"customer": "DE*CPB", "transaction_hash": receipt.transaction_hash})
        with pytest.raises(DecisionRefused, match="are needed"):
            await desk.confirm_agreement({"customer": "DE*CPO"})
        await desk.confirm_agreement(pair | {"transaction_hash": receipt.transaction_hash.upper().replace("X", "x")})
        assert watched.agreement().verdict.standing is Standing.OPEN

        await revoke(chain)
        await agree(chain)
        await confirm(chain)
        await watched.poll()
        assert watched.agreement().verdict.standing is Standing.OPEN, "a direct grant renews"


async def test_even_a_direct_revoke_cannot_be_undone_by_a_replay(chain: Deployment, path: Where) -> None:
    billing = WALLETS["billing"].address
    signature = chain.actor("cpo").sign_address(billing)
    await agree(chain)
    await revoke(chain)
    await chain.actor("stranger").create_agreement_raw(billing, signature)
    await confirm(chain)
    async with watching(chain, path) as watched:
        await watched.poll()
        assert watched.agreement().verdict.rule == "C6"
        assert watched.providers() == ()


async def test_a_service_deleted_by_a_replay_is_closed_until_confirmed(chain: Deployment, path: Where) -> None:
    """T5d: whoever has any signature of the provider over its own address can delete its service."""
    await agree(chain)
    billing = WALLETS["billing"]
    signature = chain.actor("billing").sign_address(billing.address)
    await confirm(chain)
    async with at_the_desk(chain, path) as (watched, desk, _):
        await watched.poll()
        receipt = await chain.actor("stranger").delete_service_raw(billing.address, signature)
        await watched.poll()
        assert watched.agreement().verdict.rule == "C5"
        await chain.actor("billing").set_service("Billing", "https://billing.example", [6, 8])
        await confirm(chain)
        await watched.poll()
        verdict = watched.agreement().verdict
        assert (verdict.rule, verdict.confirmable) == ("C5", True)
        await desk.confirm_agreement(
            {"customer": "DE*CPO", "provider": "NL*BIL", "transaction_hash": receipt.transaction_hash}
        )
        assert watched.agreement().verdict.standing is Standing.OPEN
        assert len(watched.providers()) == 1
