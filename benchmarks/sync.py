"""What following the contracts costs: a cold sync of 10,000 agreements, a block, memory, look-ups; and the ratio to
asking the chain for each message as the reference node does (1 + N calls for a sender with N agreements).

    python -m benchmarks.sync [--customers 100] [--providers 100] [--large 1000]

The chain is anvil, from its npm package, on this machine. The large index is synthetic: customers × providers, folded
from events without a chain.
"""

import argparse
import asyncio
import gc
import resource
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from eth_utils.address import to_checksum_address

from ocn_permission_agent.chain import abi
from ocn_permission_agent.chain.rpc import RpcClient
from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.consent.address import Address, Position, address
from ocn_permission_agent.consent.events import (
    AgreementToggled,
    Event,
    Evidence,
    OperatorChanged,
    PartyChanged,
    Sent,
    ServiceListed,
)
from ocn_permission_agent.consent.facts import Facts
from ocn_permission_agent.consent.fold import apply
from ocn_permission_agent.consent.index import ConsentIndex
from ocn_permission_agent.consent.settings import ConsentSettings
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.route import InterfaceRole, Module
from ocn_permission_agent.sandbox.chain.actors import ETHER, Actor, Wallet, deploy
from ocn_permission_agent.sandbox.chain.calls import Contract, contract_call
from ocn_permission_agent.sandbox.chain.client import ChainClient
from tests.anvil import running_anvil
from tests.chain_fixtures import CHAIN_ID, WALLETS, Deployment
from tests.chain_harness import OWN_DOMAIN, Watched, watching
from tests.real_contracts import real_contracts

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SESSIONS = (Module.SESSIONS, InterfaceRole.RECEIVER)


def party(kind: str, number: int) -> Party:
    """A party of its own for each number below 36³."""
    digits = "".join(_DIGITS[number // 36**place % 36] for place in (2, 1, 0))
    return Party(kind, digits)


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


def synthetic(customers: int, providers: int) -> Iterator[Event]:
    """The events of such a chain, in their order."""
    block = 0

    def seen() -> Evidence:
        nonlocal block
        block += 1
        return Evidence(position=Position(block, 0), transaction_hash=f"0x{block:064x}")

    yield OperatorChanged(evidence=seen(), operator=_account("op", 0), domain=OWN_DOMAIN)
    for kind, code, count in (("customer", "DE", customers), ("provider", "NL", providers)):
        for number in range(count):
            account = _account(kind, number)
            yield PartyChanged(evidence=seen(), address=account, party=party(code, number), operator=_account("op", 0))
    for number in range(providers):
        ids = frozenset({6, 8})
        yield ServiceListed(
            evidence=seen(), provider=_account("provider", number), name="A service", url="u", permissions=ids
        )
    for one in range(customers):
        for other in range(providers):
            yield AgreementToggled(
                evidence=seen(),
                customer=_account("customer", one),
                provider=_account("provider", other),
                sent=Sent.DIRECT,
            )


def _account(kind: str, number: int) -> Address:
    return Address("0x" + {"op": "0a", "customer": "0c", "provider": "0e"}[kind] + f"{number:038x}")


def index_of(facts: Facts) -> ConsentIndex:
    """An index long after the newest event."""
    return ConsentIndex(
        facts=facts,
        block_number=10**9,
        block_hash="0x" + "1" * 64,
        block_time=datetime.fromtimestamp(0, UTC),
        own_operator=_account("op", 0),
        confirmations=12,
        settings=ConsentSettings(),
    )


def resident_mb() -> float:
    """Memory of this process that is resident now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def timed(work: Callable[[], object], times: int = 1) -> float:
    """Seconds for one call."""
    start = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - start) / times


def lookups(index: ConsentIndex, sender: Party, count: int) -> tuple[float, float, float]:
    """Microseconds of a sender's first look-up at a block, of a later one, and of the verdict before an attempt."""
    first = timed(lambda: index.providers_for(sender, *_SESSIONS))
    entitlements = index.providers_for(sender, *_SESSIONS)
    if len(entitlements) != count:
        raise RuntimeError(f"{len(entitlements)} of {count} are entitled")
    later = timed(lambda: index.providers_for(sender, *_SESSIONS), 10_000)
    one = entitlements[0]

    def verdict() -> object:
        return index.verdict(
            one.customer_address,
            one.provider_address,
            agreement=one.agreement,
            module=Module.SESSIONS,
            role=InterfaceRole.RECEIVER,
            fresh=True,
        )

    return first * 1e6, later * 1e6, timed(verdict, 10_000) * 1e6


async def poll_costs(place: Furnished, watched: Watched) -> tuple[float, float]:
    """Median milliseconds of a poll with an empty new block, and with one that holds a revoke or a grant."""
    empty, full = [], []
    provider = place.providers[0].address
    for _ in range(20):
        await place.chain.client.request("anvil_mine", "0x1")
        empty.append(await _timed_poll(watched))
        await place.customers[0].revoke_agreement(provider)
        full.append(await _timed_poll(watched))
        await place.customers[0].create_agreement(provider)
        full.append(await _timed_poll(watched))
    return statistics.median(empty) * 1000, statistics.median(full) * 1000


async def _timed_poll(watched: Watched) -> float:
    start = time.perf_counter()
    await watched.poll()
    return time.perf_counter() - start


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


async def _main(customers: int, providers: int, large: int) -> None:
    async with furnished(customers, providers) as place:
        height = await place.chain.client.block_number()
        with tempfile.TemporaryDirectory() as folder:
            async with watching(place.chain, Path(folder) / "agent.db", confirmations=0) as watched:
                gc.collect()
                before = resident_mb()
                start = time.perf_counter()
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
                empty, full = await poll_costs(place, watched)
                print(f"one block: {empty:.1f} ms empty, {full:.1f} ms with an agreement made or revoked")
                index = watched.view.index
                first, later, verdict = lookups(index, party("DE", 1), providers)
        calls = await asked_each_time(place)
    print(f"{'look-ups, microseconds':44}{'first':>10}{'later':>10}{'verdict':>10}")
    print(
        f"{customers * providers:>10} agreements, {providers:>5} of the sender "
        f"{first:19.1f}{later:10.2f}{verdict:10.1f}"
    )
    gc.collect()
    before, start = resident_mb(), time.perf_counter()
    facts = Facts.none()
    for event in synthetic(large, large):
        facts = apply(facts, event)
    folded = time.perf_counter() - start
    gc.collect()
    grown = resident_mb() - before
    first_large, later_large, verdict_large = lookups(index_of(facts), party("DE", 1), large)
    print(
        f"{large * large:>10} agreements, {large:>5} of the sender "
        f"{first_large:19.1f}{later_large:10.2f}{verdict_large:10.1f}"
    )
    print(
        f"synthetic index of {large * large} agreements: folded in {folded:.1f} s, resident +{grown:.0f} MB, "
        f"{grown * 1e6 / large / large:.0f} bytes each"
    )
    print(
        f"asking the chain for each message, 1 + {providers} calls on this machine: {calls / 1000:.1f} ms; "
        f"ratio to a look-up {calls / later:,.0f} later, {calls / first:,.0f} first"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=100)
    parser.add_argument("--providers", type=int, default=100)
    parser.add_argument("--large", type=int, default=1000)
    given = parser.parse_args()
    asyncio.run(_main(given.customers, given.providers, given.large))
