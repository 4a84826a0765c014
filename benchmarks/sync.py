"""What following the contracts costs: a cold sync of 10,000 agreements, a block, memory, look-ups; and the ratio to
asking the chain for each message as the reference node does (1 + N calls for a sender with N agreements).

    python -m benchmarks.sync [--only chain|index] [--customers 100] [--providers 100] [--large 1000]

``chain`` is all that needs one: anvil, from its npm package, on this machine. ``index`` is memory and look-ups of
synthetic indices, customers × providers, folded from events without a chain: of the size of the chain's, and of a
large one. Without a choice both are done.
"""

import argparse
import asyncio
import contextlib
import gc
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from eth_utils.address import to_checksum_address

from benchmarks.index import lookups, measure_index, party, resident_mb
from ocn_permission_agent.chain import abi
from ocn_permission_agent.chain.rpc import RpcClient
from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.consent.address import address
from ocn_permission_agent.errors import ChainReorganised
from ocn_permission_agent.sandbox.chain.actors import ETHER, Actor, Wallet, deploy
from ocn_permission_agent.sandbox.chain.calls import Contract, contract_call
from ocn_permission_agent.sandbox.chain.client import ChainClient
from tests.anvil import running_anvil
from tests.chain_fixtures import CHAIN_ID, WALLETS, Deployment
from tests.chain_harness import OWN_DOMAIN, Watched, watching
from tests.real_contracts import real_contracts

#: polls of one block before it is given up
_TRIES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Furnished:
    """A chain on which everybody agreed with everybody."""

    chain: Deployment
    customers: list[Actor]
    providers: list[Actor]


@asynccontextmanager
async def furnished(customers: int, providers: int) -> AsyncIterator[Furnished]:
    """Customers × providers agreements with the real contracts."""
    with running_anvil(CHAIN_ID) as url:
        async with ChainClient(url) as client:
            wallets = {
                kind: [Wallet.from_seed(f"sync {kind} {number}") for number in range(count)]
                for kind, count in (("customer", customers), ("provider", providers))
            }
            for wallet in (*WALLETS.values(), *wallets["customer"], *wallets["provider"]):
                await client.request("anvil_setBalance", wallet.address, hex(1000 * ETHER))
            contracts = await deploy(client, WALLETS["deployer"], real_contracts())
            chain = Deployment(url=url, client=client, contracts=contracts)
            operator = chain.actor("operator")
            await operator.set_node(OWN_DOMAIN)
            actors = {kind: [Actor(client, contracts, wallet) for wallet in own] for kind, own in wallets.items()}
            for kind, code in (("customer", "DE"), ("provider", "NL")):
                for number, actor in enumerate(actors[kind]):
                    name = party(code, number)
                    await actor.set_party(name.country_code, name.party_id, roles=[0], operator=operator.address)
            for actor in actors["provider"]:
                await actor.set_service("A service", "https://service.example", [6, 8])
            await client.request("evm_setAutomine", False)
            for customer in actors["customer"]:
                await _agree_with_all(chain, customer, actors["provider"])
            await client.request("evm_setAutomine", True)
            yield Furnished(chain=chain, customers=actors["customer"], providers=actors["provider"])


async def _agree_with_all(chain: Deployment, customer: Actor, providers: list[Actor]) -> None:
    """All of a customer's agreements, in one block: anvil writes its whole state to the disk with each block."""
    nonce = int(await chain.client.request("eth_getTransactionCount", customer.address, "latest"), 16)
    price = {"maxFeePerGas": 100 * 10**9, "maxPriorityFeePerGas": 10**9, "gas": 150_000, "value": 0}
    raw = [
        customer.wallet.sign_transaction(
            {
                "type": 2,
                "chainId": CHAIN_ID,
                "nonce": nonce + place,
                "to": to_checksum_address(chain.contracts.permissions),
                "data": contract_call(Contract.PERMISSIONS, "createAgreement", provider.address).data,
                **price,
            }
        )
        for place, provider in enumerate(providers)
    ]
    sent = await chain.client.batch(*(("eth_sendRawTransaction", ["0x" + each.hex()]) for each in raw))
    await chain.client.request("anvil_mine", "0x1")
    receipts = [await customer.wait_for(each) for each in (sent[0], sent[-1])]
    if not all(receipt.succeeded for receipt in receipts):
        raise RuntimeError("an agreement was refused")


@dataclass(frozen=True, slots=True, kw_only=True)
class PollCosts:
    """Median milliseconds with an empty new block, and with one that holds a revoke or a grant; how many were repeated.

    A poll during which the chain changes ends in `ChainReorganised`; the agent polls again, and so do we: what counts
    is the time from the first try to the poll that stood.
    """

    empty: float
    full: float
    repeated: int


async def poll_costs(place: Furnished, watched: Watched) -> PollCosts:
    """Of twenty empty blocks and twice as many full ones."""
    empty, full = [], []
    provider = place.providers[0].address
    for _ in range(20):
        await place.chain.client.request("anvil_mine", "0x1")
        empty.append(await _timed_poll(watched))
        await place.customers[0].revoke_agreement(provider)
        full.append(await _timed_poll(watched))
        await place.customers[0].create_agreement(provider)
        full.append(await _timed_poll(watched))
    return PollCosts(
        empty=statistics.median(seconds for seconds, _ in empty) * 1000,
        full=statistics.median(seconds for seconds, _ in full) * 1000,
        repeated=sum(repeated for _, repeated in (*empty, *full)),
    )


async def _timed_poll(watched: Watched) -> tuple[float, int]:
    """Seconds until a poll stood, and how many did not."""
    start = time.perf_counter()
    for repeated in range(_TRIES):
        with contextlib.suppress(ChainReorganised):
            await watched.poll()
            return time.perf_counter() - start, repeated
    raise RuntimeError(f"the chain never stood still during {_TRIES} polls")


async def asked_each_time(place: Furnished) -> float:
    """Microseconds of the reference node's way for one message: the list, then each service, by eth_call."""
    permissions = place.chain.contracts.permissions
    customer, providers = place.customers[1], place.providers
    async with RpcClient(url=place.chain.url, clock=SystemClock()) as rpc:
        asked = [abi.agreements_of(address(customer.address))]
        asked += [abi.get_service(address(provider.address)) for provider in providers]
        start = time.perf_counter()
        for data in asked:
            await rpc.call("eth_call", {"to": permissions, "data": f"0x{data.hex()}"}, "latest")
        return (time.perf_counter() - start) * 1e6


async def measure_chain(customers: int, providers: int) -> None:
    """Cold sync, audit, a block, look-ups, and the reference node's way, with the real contracts."""
    async with furnished(customers, providers) as place:
        height = await place.chain.client.block_number()
        with tempfile.TemporaryDirectory() as folder:
            async with watching(place.chain, Path(folder) / "agent.db", confirmations=0) as watched:
                gc.collect()
                before, start = resident_mb(), time.perf_counter()
                await watched.poll()
                cold = time.perf_counter() - start
                gc.collect()
                print(
                    f"cold sync: {customers * providers} agreements in {height} blocks: {cold:.2f} s, "
                    f"resident +{resident_mb() - before:.0f} MB (index, 256 blocks, buffers)"
                )
                start = time.perf_counter()
                report = await watched.auditor.audit_once()
                print(f"audit of all of it without logs: {time.perf_counter() - start:.2f} s, {report}")
                costs = await poll_costs(place, watched)
                print(
                    f"one block: {costs.empty:.1f} ms empty, {costs.full:.1f} ms with an agreement made or revoked; "
                    f"{costs.repeated} of 60 polls repeated"
                )
                found = lookups(watched.view.index, party("DE", 1), providers)
        calls = await asked_each_time(place)
    print(f"look-ups of a sender with {providers} agreements of {customers * providers}, microseconds: {found}")
    print(
        f"asking the chain for each message, 1 + {providers} calls on this machine: {calls / 1000:.1f} ms; "
        f"ratio to a look-up {calls / found.later:,.0f} later, {calls / found.first:,.0f} first"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("chain", "index"))
    parser.add_argument("--customers", type=int, default=100)
    parser.add_argument("--providers", type=int, default=100)
    parser.add_argument("--large", type=int, default=1000)
    given = parser.parse_args()
    if given.only != "chain":
        for each_side in (given.providers, given.large):
            measure_index(each_side)
    if given.only != "index":
        asyncio.run(measure_chain(given.customers, given.providers))
