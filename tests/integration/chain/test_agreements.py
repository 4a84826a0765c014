"""What agreements, listings and registrations on a real chain mean for copies."""

import pytest

from ocn_permission_agent.consent.permission import KNOWN_IDS, covers
from ocn_permission_agent.consent.settings import ConsentSettings
from ocn_permission_agent.consent.verdict import Standing
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.route import InterfaceRole, Module
from ocn_permission_agent.sandbox.chain.calls import Contract, contract_call
from tests.chain_fixtures import WALLETS, Deployment
from tests.chain_harness import BILLING, CONFIRMATIONS, CPO, agree, confirm, revoke, wallet_address, watching
from tests.stores import Where


async def test_an_agreement_counts_after_its_confirmations(chain: Deployment, path: Where) -> None:
    await agree(chain)
    async with watching(chain, path) as watched:
        for _ in range(CONFIRMATIONS):
            await watched.poll()
            assert watched.providers() == ()
            assert watched.agreement().verdict.rule == "C4"
            await chain.client.mine()
        await watched.poll()

        (entitlement,) = watched.providers()
        assert (entitlement.customer, entitlement.provider) == (CPO, BILLING)
        assert entitlement.customer_address == wallet_address("cpo")
        assert watched.verdict(entitlement).standing is Standing.OPEN
        assert watched.providers(Party("DE", "CPB")) == ()
        assert watched.providers(module=Module.LOCATIONS) == ()
        assert watched.view.index.has_agreements(Party("de", "cpo"))


async def test_a_revoke_counts_at_first_sight(chain: Deployment, path: Where) -> None:
    await agree(chain)
    await confirm(chain)
    async with watching(chain, path) as watched:
        await watched.poll()
        (entitlement,) = watched.providers()
        await revoke(chain)
        await watched.poll()

        assert watched.providers() == ()
        assert not watched.view.index.has_agreements(CPO)
        verdict = watched.verdict(entitlement)
        assert (verdict.standing, verdict.rule) == (Standing.CLOSED, "C2")
        assert verdict.transaction_hash is not None
        assert verdict.block_number == watched.view.index.block_number


async def test_agreeing_anew_is_another_agreement(chain: Deployment, path: Where) -> None:
    await agree(chain)
    await confirm(chain)
    async with watching(chain, path) as watched:
        await watched.poll()
        (first,) = watched.providers()
        await revoke(chain)
        await agree(chain)
        await confirm(chain)
        await watched.poll()

        (second,) = watched.providers()
        assert second.agreement != first.agreement
        assert watched.verdict(first).standing is Standing.CLOSED
        assert watched.verdict(second).standing is Standing.OPEN


async def test_toggles_in_one_block_are_counted(chain: Deployment, path: Where) -> None:
    async with watching(chain, path) as watched:
        await watched.poll()
        await chain.client.set_mining("manual")
        cpo, billing = chain.actor("cpo"), WALLETS["billing"].address
        for verb in ("createAgreement", "revokeAgreement", "createAgreement"):
            await cpo.send(contract_call(Contract.PERMISSIONS, verb, billing))
        await chain.client.mine()
        await confirm(chain)
        await watched.poll()

        assert len(watched.providers()) == 1
        assert watched.agreement().agreement.log_index == 2


async def test_what_a_service_adds_later_is_withheld(chain: Deployment, path: Where) -> None:
    await agree(chain)
    await confirm(chain)
    async with watching(chain, path) as watched:
        await chain.actor("billing").set_service("Billing", "https://billing.example", [6, 8, 4])
        await confirm(chain)
        await watched.poll()
        assert watched.providers(module=Module.LOCATIONS) == ()
        assert len(watched.providers()) == 1

        await revoke(chain)
        await agree(chain)
        await confirm(chain)
        await watched.poll()
        assert len(watched.providers(module=Module.LOCATIONS)) == 1


async def test_narrowing_counts_at_once_and_may_be_undone(chain: Deployment, path: Where) -> None:
    await agree(chain)
    await confirm(chain)
    billing = chain.actor("billing")
    async with watching(chain, path) as watched:
        await watched.poll()
        (entitlement,) = watched.providers()
        await billing.set_service("Billing", "https://billing.example", [8])
        await watched.poll()
        assert watched.providers() == ()
        assert watched.verdict(entitlement).rule == "C3"
        assert watched.verdict(entitlement, Module.CDRS).standing is Standing.OPEN

        await billing.set_service("Billing", "https://billing.example", [0])
        await watched.poll()
        assert len(watched.providers()) == 1
        assert watched.providers(module=Module.TOKENS) == ()


async def test_a_deleted_service_does_not_come_back_to_life(chain: Deployment, path: Where) -> None:
    await agree(chain)
    await confirm(chain)
    billing = chain.actor("billing")
    async with watching(chain, path) as watched:
        await watched.poll()
        (entitlement,) = watched.providers()
        await billing.delete_service()
        await watched.poll()
        assert watched.verdict(entitlement).rule == "C5"
        await billing.set_service("Billing", "https://billing.example", [0])
        await confirm(chain)
        await watched.poll()
        assert watched.providers() == ()
        assert watched.verdict(entitlement).rule == "C5"

        await revoke(chain)
        await agree(chain)
        await confirm(chain)
        await watched.poll()
        assert len(watched.providers()) == 1


async def test_a_deletion_and_listing_between_two_polls_is_noticed(chain: Deployment, path: Where) -> None:
    await agree(chain)
    billing = chain.actor("billing")
    await billing.delete_service()
    await billing.set_service("Billing", "https://billing.example", [6, 8])
    await confirm(chain)
    async with watching(chain, path) as watched:
        await watched.poll()
        assert watched.agreement().verdict.rule == "C5"


@pytest.mark.parametrize("who", ["cpo", "billing"])
async def test_a_party_that_left_and_returned_must_be_agreed_with_anew(
    chain: Deployment, path: Where, who: str
) -> None:
    await agree(chain)
    await confirm(chain)
    key, operator = (("DE", "CPO"), "operator") if who == "cpo" else (("NL", "BIL"), "operator_b")
    async with watching(chain, path) as watched:
        await watched.poll()
        assert len(watched.providers()) == 1
        await chain.actor(who).delete_party()
        await watched.poll()
        assert watched.agreement().verdict.rule == "C1"
        await chain.actor(who).set_party(*key, roles=[0], operator=WALLETS[operator].address)
        await confirm(chain)
        await watched.poll()
        assert watched.agreement().verdict.rule == "C5"
        assert watched.providers() == ()


async def test_a_provider_that_moves_is_held_until_confirmed(chain: Deployment, path: Where) -> None:
    await agree(chain)
    await confirm(chain)
    async with watching(chain, path) as watched:
        await watched.poll()
        (entitlement,) = watched.providers()
        await chain.actor("billing").set_party("NL", "BIL", roles=[6], operator=WALLETS["operator"].address)
        await watched.poll()
        assert watched.verdict(entitlement).standing is Standing.HELD
        assert watched.providers() == (entitlement,)

        await confirm(chain)
        await watched.poll()
        assert watched.verdict(entitlement).standing is Standing.OPEN
        route = watched.view.index.route_to(entitlement.provider_address)
        assert route is not None
        assert (route.own, route.operator) == (True, wallet_address("operator"))


async def test_a_node_without_domain_is_held(chain: Deployment, path: Where) -> None:
    await agree(chain)
    await confirm(chain)
    async with watching(chain, path) as watched:
        await watched.poll()
        (entitlement,) = watched.providers()
        await chain.actor("operator_b").delete_node()
        await confirm(chain)
        await watched.poll()
        verdict = watched.verdict(entitlement)
        assert (verdict.standing, verdict.rule) == (Standing.HELD, "C11")


async def test_a_renamed_provider_is_closed(chain: Deployment, path: Where) -> None:
    await agree(chain)
    await confirm(chain)
    async with watching(chain, path) as watched:
        await watched.poll()
        await chain.actor("billing").set_party("NL", "BIX", roles=[6], operator=WALLETS["operator_b"].address)
        await confirm(chain)
        await watched.poll()
        assert watched.agreement().verdict.rule == "C11"


async def test_a_twin_spelled_alike_closes_both(chain: Deployment, path: Where) -> None:
    await agree(chain)
    await confirm(chain)
    async with watching(chain, path) as watched:
        await watched.poll()
        await chain.actor("stranger").set_party("de", "cpo", roles=[0], operator=WALLETS["operator"].address)
        await watched.poll()
        assert watched.agreement().verdict.rule == "C1"
        assert watched.providers() == ()
        assert watched.providers(Party("de", "cpo")) == ()


async def test_a_customer_of_another_node_is_not_ours(chain: Deployment, path: Where) -> None:
    await agree(chain)
    await confirm(chain)
    async with watching(chain, path) as watched:
        await chain.actor("cpo").set_party("DE", "CPO", roles=[0], operator=WALLETS["operator_b"].address)
        await confirm(chain)
        await watched.poll()
        assert watched.agreement().verdict.rule == "C1"
        assert watched.providers() == ()


@pytest.mark.parametrize("number", sorted(KNOWN_IDS))
async def test_each_permission_lets_through_what_it_covers(chain: Deployment, path: Where, number: int) -> None:
    await chain.actor("billing").set_service("Billing", "https://billing.example", [number])
    await agree(chain)
    await confirm(chain)
    consent = ConsentSettings(copy_commands=frozenset({BILLING}))
    async with watching(chain, path, consent=consent) as watched:
        await watched.poll()
        for module in Module:
            for role in InterfaceRole:
                expected = covers({number}, module, role)
                assert bool(watched.providers(module=module, role=role)) is expected, (module, role)
