"""One cause at a time: everything is put right, then one thing happens, and its confirmations pass.

In a long random history an agreement is mostly closed for several reasons at once, and a rule that is missing would
not be noticed. Here nothing else is in the way.
"""

from collections.abc import Awaitable, Callable

from tests.integration.histories.bench import HOME_KEYS, HUGE, Bench
from tests.integration.histories.model import CONFIRMATIONS, OTHER, OWN

Cause = Callable[[Bench, str, str], Awaitable[object]]


async def nothing(_: Bench, customer: str, provider: str) -> None:
    """All is well: the pair must be open."""


async def a_revoke(bench: Bench, customer: str, provider: str) -> None:
    await bench.agreement(customer, provider, "revokeAgreement", relayed=False)


async def a_replayed_grant(bench: Bench, customer: str, provider: str) -> None:
    """T5: even a direct revoke is undone by a signature that was seen once."""
    await bench.agreement(customer, provider, "revokeAgreement", relayed=False)
    await bench.agreement(customer, provider, "createAgreement", relayed=True)


async def a_wider_listing(bench: Bench, customer: str, provider: str) -> None:
    await bench.service(provider, [0, 1, 2])


async def a_narrower_listing(bench: Bench, customer: str, provider: str) -> None:
    await bench.service(provider, [8])


async def a_deletion(bench: Bench, customer: str, provider: str) -> None:
    """T3: what is listed again finds the old flags."""
    await bench.delete_service(provider)
    await bench.service(provider, [6, 8])


async def a_replayed_deletion(bench: Bench, customer: str, provider: str) -> None:
    await bench.delete_service(provider, relayed=True, named=customer)
    await bench.service(provider, [6, 8])


async def a_huge_listing(bench: Bench, customer: str, provider: str) -> None:
    await bench.service(provider, [0] * HUGE)


async def an_agreement_to_a_huge_listing(bench: Bench, customer: str, provider: str) -> None:
    """C10: nobody can say what was agreed to, also when the listing can be read again."""
    await bench.agreement(customer, provider, "revokeAgreement", relayed=False)
    await bench.service(provider, [0] * HUGE)
    await bench.agreement(customer, provider, "createAgreement", relayed=False)
    await bench.service(provider, [6, 8])


async def a_customer_that_returns(bench: Bench, customer: str, provider: str) -> None:
    """T9: who registers again finds the old flags."""
    await bench.leave(customer)
    await bench.party(customer, HOME_KEYS[customer], OWN)


async def a_provider_that_returns(bench: Bench, customer: str, provider: str) -> None:
    await bench.leave(provider)
    await bench.party(provider, HOME_KEYS[provider], OTHER)


async def a_renamed_provider(bench: Bench, customer: str, provider: str) -> None:
    await bench.party(provider, "XXXXX", OTHER)


async def a_customer_of_another_node(bench: Bench, customer: str, provider: str) -> None:
    await bench.party(customer, HOME_KEYS[customer], OTHER)


async def a_freed_name_taken_over(bench: Bench, customer: str, provider: str) -> None:
    """C1: somebody with an agreement of its own registers under a name that a customer gave up."""
    await bench.renew("cpo_b" if customer == "cpo" else "cpo", provider)
    await bench.leave(customer)
    await bench.party("cpo_b" if customer == "cpo" else "cpo", HOME_KEYS[customer], OWN)


async def a_twin(bench: Bench, customer: str, provider: str) -> None:
    """T11: the customer's name in small letters."""
    await bench.party("stranger", "de" + HOME_KEYS[customer][2:], OTHER)


async def a_squatted_name(bench: Bench, customer: str, provider: str) -> None:
    """T10: a stranger takes the very name; the registry finds the newest."""
    await bench.party("stranger", HOME_KEYS[customer], OWN)


async def a_new_agreement(bench: Bench, customer: str, provider: str) -> None:
    await bench.agreement(customer, provider, "revokeAgreement", relayed=False)
    await bench.agreement(customer, provider, "createAgreement", relayed=False)


async def a_provider_that_moves(bench: Bench, customer: str, provider: str) -> None:
    await bench.party(provider, HOME_KEYS[provider], OWN)


async def a_confirmed_return(bench: Bench, customer: str, provider: str) -> None:
    """The operator confirms that the customer is still the same; its new entry waits all the same."""
    await a_customer_that_returns(bench, customer, provider)
    await bench.poll()
    await bench.confirm(customer, provider)


async def a_twin_of_the_provider(bench: Bench, customer: str, provider: str) -> None:
    """T11: of one of the providers, that is."""
    await bench.party("stranger", "nlBIL", OTHER)


async def a_node_without_domain(bench: Bench, customer: str, provider: str) -> None:
    await bench.node(OTHER, "")


async def our_own_node_leaves(bench: Bench, customer: str, provider: str) -> None:
    await bench.node(OWN, "")


async def our_own_node_moves(bench: Bench, customer: str, provider: str) -> None:
    await bench.home("https://c")


async def a_stop(bench: Bench, customer: str, provider: str) -> None:
    await bench.unstop()
    await bench.stop(customer, provider)


CAUSES: dict[str, Cause] = {
    cause.__name__: cause
    for cause in (
        nothing,
        a_revoke,
        a_replayed_grant,
        a_wider_listing,
        a_narrower_listing,
        a_deletion,
        a_replayed_deletion,
        a_huge_listing,
        an_agreement_to_a_huge_listing,
        a_customer_that_returns,
        a_provider_that_returns,
        a_renamed_provider,
        a_customer_of_another_node,
        a_freed_name_taken_over,
        a_twin,
        a_squatted_name,
        a_new_agreement,
        a_provider_that_moves,
        a_confirmed_return,
        a_twin_of_the_provider,
        a_node_without_domain,
        our_own_node_leaves,
        our_own_node_moves,
        a_stop,
    )
}


async def alone(bench: Bench, cause: str, customer: str, provider: str, *, blocks: int = CONFIRMATIONS + 1) -> None:
    """Put everything right, and let this happen."""
    await bench.unstop()
    for who, (key, _) in (await bench.now()).parties.items():
        if key != HOME_KEYS[who] or who == "stranger":
            await bench.leave(who)
    await bench.renew(customer, provider)
    await bench.poll()
    await CAUSES[cause](bench, customer, provider)
    await bench.mine(blocks)
