"""When blocks are made, what waits, what is refused, and how a branch is dropped."""

from datetime import UTC, datetime
from typing import Any

import pytest

from ocn_permission_agent.sandbox.chain.calls import Contract, contract_call
from ocn_permission_agent.sandbox.chain.client import ChainClient
from ocn_permission_agent.sandbox.chain.faults import RpcFault
from ocn_permission_agent.sandbox.chain.server import ChainServer
from tests.chain_fixtures import CHAIN_ID, WALLETS, Deployment
from tests.fakes import FakeClock

CPO, STRANGER = WALLETS["cpo"], WALLETS["stranger"]


def transfer(nonce: int, **changes: Any) -> str:
    """A signed transfer of one wei from the CPO."""
    fields = {
        "type": 2,
        "chainId": CHAIN_ID,
        "nonce": nonce,
        "gas": 21_000,
        "maxFeePerGas": 10**10,
        "maxPriorityFeePerGas": 10**9,
        "to": STRANGER.address,
        "value": 1,
        "data": b"",
    } | changes
    return "0x" + CPO.sign_transaction(fields).hex()


async def send(client: ChainClient, raw: str) -> str:
    return str(await client.request("eth_sendRawTransaction", raw))


async def test_each_transaction_gets_its_own_block(chain_client: ChainClient) -> None:
    for nonce in range(3):
        receipt = await chain_client.receipt(await send(chain_client, transfer(nonce)))
        assert receipt is not None
        assert (receipt.block_number, receipt.succeeded, receipt.gas_used) == (nonce + 1, True, 21_000)


async def test_many_transactions_of_one_sender_wait_and_are_mined_in_nonce_order(chain_client: ChainClient) -> None:
    await chain_client.set_mining("manual")
    hashes = {nonce: await send(chain_client, transfer(nonce)) for nonce in (2, 0, 1)}
    assert await chain_client.request("eth_getTransactionCount", CPO.address, "pending") == "0x3"
    assert await chain_client.request("eth_getTransactionCount", CPO.address, "latest") == "0x0"
    waiting = await chain_client.request("eth_getTransactionByHash", hashes[2])
    assert waiting["blockNumber"] is None
    assert await chain_client.receipt(hashes[2]) is None

    await chain_client.mine()
    block = await chain_client.request("eth_getBlockByNumber", "latest", True)
    assert [transaction["hash"] for transaction in block["transactions"]] == [hashes[0], hashes[1], hashes[2]]
    mined = await chain_client.request("eth_getTransactionByHash", hashes[2])
    assert mined == block["transactions"][2]


async def test_a_gap_in_the_nonces_waits_until_it_is_filled(chain_client: ChainClient) -> None:
    later = await send(chain_client, transfer(1))
    assert await chain_client.receipt(later) is None
    await send(chain_client, transfer(0))
    assert await chain_client.receipt(later) is not None


async def test_a_waiting_transaction_is_replaced_by_one_that_pays_more(chain_client: ChainClient) -> None:
    await chain_client.set_mining("manual")
    first = await send(chain_client, transfer(0))
    with pytest.raises(RpcFault, match="already known"):
        await send(chain_client, transfer(0))
    with pytest.raises(RpcFault, match="underpriced"):
        await send(chain_client, transfer(0, value=2))
    dearer = await send(chain_client, transfer(0, maxFeePerGas=2 * 10**10, maxPriorityFeePerGas=2 * 10**9))
    await chain_client.mine()
    assert await chain_client.receipt(first) is None
    assert await chain_client.receipt(dearer) is not None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"chainId": 1}, "invalid chain id"),
        ({"value": 10**30}, "insufficient funds"),
        ({"gas": 20_999}, "intrinsic gas too low"),
        ({"gas": 40_000_000}, "exceeds block gas limit"),
        ({"maxPriorityFeePerGas": 10**11}, "priority fee"),
    ],
)
async def test_transactions_that_can_never_be_mined_are_refused(
    chain_client: ChainClient, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(RpcFault, match=sentence):
        await send(chain_client, transfer(0, **changes))


async def test_used_nonces_and_unprotected_transactions_are_refused(chain_client: ChainClient) -> None:
    await send(chain_client, transfer(0))
    with pytest.raises(RpcFault, match="already known"):
        await send(chain_client, transfer(0))
    with pytest.raises(RpcFault, match="nonce too low"):
        await send(chain_client, transfer(0, value=2))
    legacy = {"nonce": 1, "gas": 21_000, "gasPrice": 10**10, "to": STRANGER.address, "value": 1, "data": b""}
    with pytest.raises(RpcFault, match="replay-protected"):
        await send(chain_client, "0x" + CPO.sign_transaction(legacy).hex())
    assert await send(chain_client, "0x" + CPO.sign_transaction(legacy | {"chainId": CHAIN_ID}).hex())


async def test_a_reverted_transaction_is_mined_with_status_0(deployed: Deployment) -> None:
    actor = deployed.actor("cpo")
    call = contract_call(Contract.PERMISSIONS, "createAgreement", WALLETS["billing"].address)
    receipt = await actor.wait_for(await actor.send(call))
    assert (receipt.succeeded, receipt.logs) == (False, ())


async def test_reverting_to_a_snapshot_drops_blocks_logs_and_transactions(deployed: Deployment) -> None:
    client, operator = deployed.client, deployed.actor("operator")
    height = await client.block_number()
    snapshot = await client.snapshot()
    dropped = await operator.set_node("http://127.0.0.1:1")
    assert await client.revert(snapshot) is True

    assert await client.block_number() == height
    assert await client.receipt(dropped.transaction_hash) is None
    assert await client.request("eth_getTransactionByHash", dropped.transaction_hash) is None
    assert await client.request("eth_getBlockByHash", dropped.block_hash, False) is None
    logs = await client.request("eth_getLogs", {"address": deployed.contracts.registry, "fromBlock": "0x2"})
    assert logs == []
    with pytest.raises(RpcFault, match="header not found"):
        await client.call(deployed.contracts.registry, b"", block={"blockHash": dropped.block_hash})
    assert await client.revert(snapshot) is False


async def test_the_other_branch_has_other_hashes_also_with_the_same_content(deployed: Deployment) -> None:
    client, operator = deployed.client, deployed.actor("operator")
    snapshot = await client.snapshot()
    one = await operator.set_node("http://127.0.0.1:1")
    await client.revert(snapshot)
    other = await operator.set_node("http://127.0.0.1:1")
    assert one.block_number == other.block_number
    assert one.transaction_hash == other.transaction_hash
    assert one.block_hash != other.block_hash


async def test_dropped_blocks_give_their_transactions_back(deployed: Deployment) -> None:
    client, operator = deployed.client, deployed.actor("operator")
    receipt = await operator.set_node("http://127.0.0.1:1")
    await client.request("sandbox_dropBlocks", 1)
    assert await client.receipt(receipt.transaction_hash) is None
    await client.mine(2)
    again = await client.receipt(receipt.transaction_hash)
    assert again is not None
    assert (again.block_number, again.block_hash != receipt.block_hash) == (receipt.block_number, True)


async def test_blocks_are_stamped_with_the_clock_and_never_before_their_parent() -> None:
    clock = FakeClock(datetime(2026, 3, 1, 10, 0, tzinfo=UTC))
    start = int(clock.now().timestamp())
    server = ChainServer(chain_id=CHAIN_ID, accounts={}, mining="manual", clock=clock)
    try:
        async with ChainClient(server.start_thread()) as client:
            await client.mine(3)
            clock.step(100)
            await client.mine(1)
            stamps = [
                int((await client.request("eth_getBlockByNumber", hex(number), False))["timestamp"], 16) - start
                for number in range(5)
            ]
    finally:
        server.stop()
    assert stamps == [0, 1, 2, 3, 100]


async def test_interval_mining_makes_empty_blocks_until_it_is_stopped(chain_client: ChainClient) -> None:
    await chain_client.set_mining("interval", 0.01)
    while await chain_client.block_number() < 3:
        pass
    waiting = await send(chain_client, transfer(0))
    while await chain_client.receipt(waiting) is None:
        pass
    await chain_client.set_mining("manual")
    heights = {await chain_client.block_number() for _ in range(50)}
    assert len(heights) == 1


async def test_fees_are_proposed_so_that_a_wallet_can_use_them(chain_client: ChainClient) -> None:
    await send(chain_client, transfer(0))
    history = await chain_client.request("eth_feeHistory", "0x5", "latest", [10, 50.5])
    assert history["oldestBlock"] == "0x0"
    assert [len(history[key]) for key in ("baseFeePerGas", "gasUsedRatio", "reward")] == [3, 2, 2]
    assert history["reward"] == [["0x0", "0x0"], [hex(10**9), hex(10**9)]]
    price = int(await chain_client.request("eth_gasPrice"), 16)
    assert price == int(history["baseFeePerGas"][-1], 16) + 10**9
