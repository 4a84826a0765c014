"""Random reorganisations of depth 1 to 12 on anvil, the contracts being the real ones.

Nothing is ever open under a grant that a reorganisation removes, and nothing right after a revoke was seen, on
whichever branch that was.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ocn_permission_agent.consent.index import AgreementStatus
from ocn_permission_agent.consent.verdict import Standing
from ocn_permission_agent.sandbox.chain.actors import ETHER, deploy
from ocn_permission_agent.sandbox.chain.calls import Contract, contract_call
from ocn_permission_agent.sandbox.chain.client import ChainClient
from tests.anvil import running_anvil
from tests.chain_fixtures import CHAIN_ID, WALLETS, Deployment
from tests.chain_harness import Watched, furnish, watching
from tests.real_contracts import real_contracts_or_skip

CONFIRMATIONS = 12
DEEPEST = 12
CUSTOMERS = ("cpo", "cpo_b")
Pair = tuple[str, str]


@asynccontextmanager
async def on_anvil() -> AsyncIterator[Deployment]:
    codes = real_contracts_or_skip()
    with running_anvil(CHAIN_ID) as url:
        async with ChainClient(url) as client:
            for wallet in WALLETS.values():
                await client.request("anvil_setBalance", wallet.address, hex(1000 * ETHER))
            contracts = await deploy(client, WALLETS["deployer"], codes)
            chain = Deployment(url=url, client=client, contracts=contracts)
            await furnish(chain)
            await mine(chain, DEEPEST + CONFIRMATIONS)
            yield chain


async def mine(chain: Deployment, blocks: int) -> None:
    await chain.client.request("anvil_mine", hex(blocks))


@dataclass
class Branches:
    """Random lives on random branches, and what must never be seen."""

    chain: Deployment
    watched: Watched
    dice: random.Random
    reorganisations: int = 0
    opened: int = 0
    sent_under: set[tuple[str, int]] = field(default_factory=set)
    #: the grant that was seen to be revoked last, and the head at which the pair was seen to stand again
    revoked: dict[Pair, str] = field(default_factory=dict)
    again_at: dict[Pair, int] = field(default_factory=dict)
    revived: int = 0

    async def live(self) -> None:
        for _ in range(self.dice.randint(1, 3)):
            if self.dice.random() < 0.5:
                await mine(self.chain, self.dice.choice((1, 2, 13)))
                continue
            verb = self.dice.choice(("createAgreement", "createAgreement", "revokeAgreement"))
            call = contract_call(Contract.PERMISSIONS, verb, WALLETS["billing"].address)
            actor = self.chain.actor(self.dice.choice(CUSTOMERS))
            await actor.wait_for(await actor.send(call))

    async def reorganise(self) -> None:
        depth = self.dice.randint(1, DEEPEST)
        before = await self.chain.client.block_number()
        await self.chain.client.request("anvil_rollback", depth)
        height = await self.chain.client.block_number()
        assert height == before - depth
        if self.dice.random() < 0.6:
            await self.live()
        missing = before - await self.chain.client.block_number() + self.dice.randint(1, 3)
        if missing > 0:
            await mine(self.chain, missing)
        self.reorganisations += 1

    async def look(self) -> None:
        await self.watched.poll()
        index = self.watched.view.index
        for transaction_hash, block in self.sent_under:
            receipt = await self.chain.client.receipt(transaction_hash)
            assert receipt is not None, "a copy left under a grant that was reorganised away"
            assert receipt.block_number == block
        for status in index.agreements():
            await self._look_at(status)

    async def _look_at(self, status: AgreementStatus) -> None:
        index, pair = self.watched.view.index, (status.customer_address, status.provider_address)
        (stands,) = await self.chain.contracts.read(
            self.chain.client,
            Contract.PERMISSIONS,
            "hasUserAgreementByAddress",
            *pair,
            block={"blockHash": index.block_hash},
        )
        if not stands:
            self.revoked[pair] = status.agreement.transaction_hash
            self.again_at.pop(pair, None)
            assert status.verdict.closed
            return
        if pair in self.revoked:
            self.again_at.setdefault(pair, index.block_number)
        if status.verdict.standing is not Standing.OPEN:
            return
        receipt = await self.chain.client.receipt(status.agreement.transaction_hash)
        assert receipt is not None
        assert index.block_number - receipt.block_number >= CONFIRMATIONS
        if status.agreement.transaction_hash == self.revoked.get(pair):
            self.revived += 1
            assert index.block_number - self.again_at[pair] >= CONFIRMATIONS, "an old grant did not wait anew"
        self.opened += 1
        self.sent_under.add((status.agreement.transaction_hash, receipt.block_number))


async def live_through(reorganisations: int, path: Path, seed: int) -> Branches:
    async with on_anvil() as chain, watching(chain, path, confirmations=CONFIRMATIONS) as watched:
        branches = Branches(chain=chain, watched=watched, dice=random.Random(seed))  # noqa: S311  can be repeated
        await branches.look()
        while branches.reorganisations < reorganisations:
            await branches.live()
            if branches.dice.random() < 0.8:
                await branches.look()
            await branches.reorganise()
            await branches.look()
        assert len(watched.log.named("chain.reorganised")) >= reorganisations * 0.4
        return branches


@pytest.mark.timeout(240)
async def test_fifty_reorganisations_open_nothing_that_goes_away(tmp_path: Path) -> None:
    branches = await live_through(50, tmp_path / "agent.db", seed=1)
    assert branches.opened > 20, "the test is worth something only when much is open"


@pytest.mark.nightly
async def test_five_hundred_reorganisations_open_nothing_that_goes_away(tmp_path: Path) -> None:
    # anvil keeps the state of about 500 blocks and loses some of what is older when it rolls back: a chain for each 50.
    for seed in range(10):
        folder = tmp_path / str(seed)
        await asyncio.to_thread(folder.mkdir)
        branches = await live_through(50, folder / "agent.db", seed=seed)
        assert branches.opened > 10
