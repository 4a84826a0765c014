"""C12 on a store that was synced once: what does not go together with what we were told holds, and erases nothing."""

import pytest

from ocn_permission_agent.consent.verdict import Standing
from ocn_permission_agent.errors import ContractMismatch
from tests.chain_fixtures import WALLETS, Deployment
from tests.chain_harness import Watched, agree, confirm, revoke, watching
from tests.fakes import FakeClock
from tests.faulty_rpc import Faults, faulty_rpc
from tests.stores import Where

ELSEWHERE = "https://node-a.exmaple"


async def synced(chain: Deployment, path: Where) -> None:
    """A store from an earlier run, in which an agreement stands."""
    await agree(chain)
    await confirm(chain)
    async with watching(chain, path) as watched:
        await watched.poll()
        assert standing(watched) == (Standing.OPEN, "C2")


def standing(watched: Watched) -> tuple[Standing, str]:
    verdict = watched.agreement().verdict
    return verdict.standing, verdict.rule


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ({"chain_id": 1}, "serves chain 1, not 246"),
        ({"genesis": f"0x{7:064x}"}, "genesis block is"),
        ({"code": "0x"}, "there is no contract at"),
        ({"slot": f"0x{7:064x}"}, "belongs to the Registry"),
    ],
)
async def test_another_chain_or_contract_holds_is_told_each_minute_and_passes(
    chain: Deployment, path: Where, fault: dict[str, object], sentence: str
) -> None:
    await synced(chain, path)
    clock = FakeClock()
    async with faulty_rpc(chain.url) as rpc, watching(chain, path, rpc_urls=(rpc.url,), clock=clock) as watched:
        for name, value in fault.items():
            setattr(rpc.faults, name, value)
        for seconds in (0, 30, 29, 1, 60):
            clock.step(seconds)
            await watched.poll()
            assert standing(watched) == (Standing.HELD, "C12")
        told = watched.log.named("contract.mismatched")
        assert len(told) == 3, "at once, and each minute"
        assert all(sentence in str(line["reason"]) for line in told)
        assert len(watched.providers()) == 1, "what comes in meanwhile is recorded"
        assert not watched.view.fresh, "a look at another chain makes nothing younger"

        for name in fault:
            setattr(rpc.faults, name, getattr(Faults(), name))
        await watched.poll()
        assert standing(watched) == (Standing.OPEN, "C2")
        assert len(watched.log.named("chain.recovered")) == 1


async def test_a_wrong_public_url_holds_while_the_chain_is_followed(chain: Deployment, path: Where) -> None:
    """The right contracts know us by another name: revokes are seen all the same."""
    await synced(chain, path)
    async with watching(chain, path, public_url=ELSEWHERE) as watched:
        await watched.poll()
        assert standing(watched) == (Standing.HELD, "C12")
        (line,) = watched.log.named("contract.mismatched")
        assert ELSEWHERE in str(line["reason"])
        await revoke(chain)
        await watched.poll()
        assert standing(watched) == (Standing.CLOSED, "C2")
        await agree(chain)
        await confirm(chain)
        await watched.poll()
        assert standing(watched) == (Standing.HELD, "C12")
        assert watched.log.named("chain.recovered") == []
    async with watching(chain, path) as watched:
        await watched.poll()
        assert standing(watched) == (Standing.OPEN, "C2")


async def test_an_entry_that_changes_while_the_agent_runs_holds_until_the_agent_is_told(
    chain: Deployment, path: Where
) -> None:
    await synced(chain, path)
    async with watching(chain, path) as watched:
        await watched.poll()
        await chain.actor("operator").set_node(ELSEWHERE)
        await watched.poll()
        assert standing(watched) == (Standing.HELD, "C12")
        assert len(watched.providers()) == 1
    async with watching(chain, path, public_url=ELSEWHERE) as watched:
        await watched.poll()
        assert standing(watched) == (Standing.OPEN, "C2")


async def test_an_operator_that_left_the_registry_has_no_customers(chain: Deployment, path: Where) -> None:
    """That one is no doubt about our view: the chain itself says that the customer is nobody's here."""
    await synced(chain, path)
    async with watching(chain, path) as watched:
        await watched.poll()
        await chain.actor("operator").delete_node()
        await watched.poll()
        assert standing(watched) == (Standing.CLOSED, "C1")
        assert watched.agreement().verdict.transaction_hash is not None
        assert watched.providers() == ()
        (line,) = watched.log.named("contract.mismatched")
        assert WALLETS["operator"].address.lower() in str(line["reason"])


async def test_an_empty_store_is_refused_for_a_wrong_public_url(chain: Deployment, path: Where) -> None:
    await agree(chain)
    async with watching(chain, path, public_url=ELSEWHERE) as watched:
        with pytest.raises(ContractMismatch, match="not at https://node-a"):
            await watched.poll()
