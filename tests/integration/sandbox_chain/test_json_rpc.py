"""What the sandbox chain answers over real HTTP: batches, errors, pinned calls, logs."""

from typing import Any

import aiohttp
import pytest

from ocn_permission_agent.sandbox.chain.calls import Contract, contract_call
from ocn_permission_agent.sandbox.chain.client import ChainClient
from ocn_permission_agent.sandbox.chain.faults import INVALID_PARAMS, NOT_FOUND, REVERTED, RpcFault
from tests.chain_fixtures import CHAIN_ID, WALLETS, Deployment

AGREEMENT_TOPIC = "0x91aba333be281959a9130cefbc0e18d32a4f1c6bc3a922c7fdb084c1179f413a"
UNKNOWN_HASH = "0x" + "ab" * 32


async def agreed(deployed: Deployment) -> int:
    """A node, a customer, a service and an agreement; gives the agreement's block number."""
    operator, cpo, billing = (deployed.actor(name) for name in ("operator", "cpo", "billing"))
    await operator.set_node("http://127.0.0.1:1")
    await cpo.set_party("DE", "CPO", roles=[0], operator=operator.address)
    await billing.set_party("DE", "BIL", roles=[6], operator=operator.address)
    await billing.set_service("Billing", "https://billing.example", [6, 8])
    return (await cpo.create_agreement(billing.address)).block_number


async def test_batch_answers_every_request_under_its_own_id(chain_client: ChainClient) -> None:
    answers = await chain_client.post(
        [
            {"jsonrpc": "2.0", "id": "b", "method": "eth_chainId", "params": []},
            {"jsonrpc": "2.0", "id": 7, "method": "eth_nothing"},
            {"jsonrpc": "2.0", "method": "eth_chainId"},
            5,
        ]
    )
    assert [answer["id"] for answer in answers] == ["b", 7, None]
    assert answers[0]["result"] == hex(CHAIN_ID)
    assert [answer["error"]["code"] for answer in answers[1:]] == [-32601, -32600]


@pytest.mark.parametrize(
    ("body", "code"), [(b"{not json", -32700), (b"[]", -32600), (b"7", -32600), (b'{"id":1,"method":7}', -32600)]
)
async def test_what_is_no_request_is_told_so(chain_client: ChainClient, body: bytes, code: int) -> None:
    async with aiohttp.ClientSession() as session, session.post(chain_client.url, data=body) as response:
        assert (await response.json())["error"]["code"] == code


async def test_notification_is_not_answered(chain_client: ChainClient) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(chain_client.url, json={"jsonrpc": "2.0", "method": "evm_mine"}) as response,
    ):
        assert (response.status, await response.read()) == (204, b"")
    assert await chain_client.block_number() == 1


async def test_call_at_a_block_hash_reads_the_state_of_that_block(deployed: Deployment) -> None:
    number = await agreed(deployed)
    client, contracts = deployed.client, deployed.contracts
    cpo, billing = WALLETS["cpo"].address, WALLETS["billing"].address
    before, at = [await client.request("eth_getBlockByNumber", hex(height), False) for height in (number - 1, number)]
    await deployed.actor("cpo").revoke_agreement(billing)

    async def standing(block: Any) -> bool:
        name = "hasUserAgreementByAddress"
        (answer,) = await contracts.read(client, Contract.PERMISSIONS, name, cpo, billing, block=block)
        return bool(answer)

    assert await standing({"blockHash": before["hash"]}) is False
    assert await standing({"blockHash": at["hash"], "requireCanonical": True}) is True
    assert await standing(hex(number)) is True
    assert await standing("latest") is False


async def test_unknown_block_is_an_error_for_calls_and_null_for_headers(deployed: Deployment) -> None:
    client = deployed.client
    for block in ({"blockHash": UNKNOWN_HASH}, "0xffff", "finalized", UNKNOWN_HASH):
        with pytest.raises(RpcFault, match="header not found") as fault:
            await client.call(deployed.contracts.registry, b"", block=block)
        assert fault.value.code == NOT_FOUND
    assert await client.request("eth_getBlockByHash", UNKNOWN_HASH, False) is None
    assert await client.request("eth_getBlockByNumber", "0xffff", False) is None
    assert await client.request("eth_getBlockByNumber", "finalized", False) is None
    with pytest.raises(RpcFault, match="unknown block"):
        await client.request("eth_getLogs", {"blockHash": UNKNOWN_HASH})


async def test_revert_carries_code_3_the_sentence_and_the_data(deployed: Deployment) -> None:
    call = contract_call(Contract.PERMISSIONS, "createAgreement", WALLETS["billing"].address)
    message = {"to": deployed.contracts.permissions, "data": "0x" + call.data.hex()}
    for method in ("eth_call", "eth_estimateGas"):
        with pytest.raises(RpcFault) as fault:
            await deployed.client.request(method, message)
        assert fault.value.code == REVERTED
        assert fault.value.message == "execution reverted: Service user has no party listing in Registry."
        assert str(fault.value.data).startswith("0x08c379a0")


async def test_logs_are_found_by_address_topic_range_and_block_hash(deployed: Deployment) -> None:
    number = await agreed(deployed)
    client, contracts = deployed.client, deployed.contracts
    topics: list[Any]
    for topics, expected in (
        ([AGREEMENT_TOPIC], 1),
        ([[AGREEMENT_TOPIC, "0x" + "00" * 32]], 1),
        ([None], 2),
        ([None, None], 0),
        ([], 2),
    ):
        query = {"address": contracts.permissions, "topics": topics, "fromBlock": "0x0", "toBlock": "latest"}
        assert len(await client.request("eth_getLogs", query)) == expected, topics
    both = {"address": [contracts.permissions, contracts.registry], "fromBlock": "earliest"}
    everything = await client.request("eth_getLogs", both)
    assert len(everything) == 6
    block = await client.request("eth_getBlockByNumber", hex(number), False)
    (log,) = await client.request("eth_getLogs", {"blockHash": block["hash"]})
    assert log == everything[-1]
    assert log["blockHash"] == block["hash"]
    assert [log["transactionHash"]] == block["transactions"]


async def test_log_ranges_outside_the_chain_match_nothing_and_reversed_ones_are_refused(deployed: Deployment) -> None:
    await agreed(deployed)
    assert await deployed.client.request("eth_getLogs", {"fromBlock": "0x1000", "toBlock": "0x2000"}) == []
    for query in ({"fromBlock": "0x3", "toBlock": "0x2"}, {"blockHash": UNKNOWN_HASH, "fromBlock": "0x1"}):
        with pytest.raises(RpcFault) as fault:
            await deployed.client.request("eth_getLogs", query)
        assert fault.value.code == INVALID_PARAMS


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("eth_getBalance", ["0x12"]),
        ("eth_getBalance", []),
        ("eth_getBalance", [7]),
        ("eth_call", ["0x"]),
        ("eth_call", [{"to": "0x" + "00" * 20, "data": "zz"}]),
        ("eth_getLogs", [{"topics": ["0x12"]}]),
        ("eth_getLogs", [{"topics": [None] * 5}]),
        ("eth_sendRawTransaction", ["0x1234"]),
        ("eth_sendRawTransaction", ["0x"]),
        ("eth_feeHistory", ["0x0", "latest", []]),
        ("evm_mine", [{"blocks": -1}]),
        ("evm_mine", [{"timestamp": 1}]),
        ("sandbox_setMining", ["sometimes"]),
        ("sandbox_setMining", ["interval", 0]),
        ("sandbox_dropBlocks", [3]),
    ],
)
async def test_malformed_parameters_are_refused(chain_client: ChainClient, method: str, arguments: list[Any]) -> None:
    with pytest.raises(RpcFault) as fault:
        await chain_client.request(method, *arguments)
    assert fault.value.code == INVALID_PARAMS


async def test_storage_code_balance_and_nonce_are_those_of_the_asked_block(deployed: Deployment) -> None:
    client, contracts = deployed.client, deployed.contracts
    slot = await client.request("eth_getStorageAt", contracts.permissions, "0x0", "latest")
    assert slot[-40:] == contracts.registry[2:].lower()
    assert await client.request("eth_getCode", contracts.registry, "0x0") == "0x"
    assert len(await client.request("eth_getCode", contracts.registry, "latest")) > 1000
    deployer = WALLETS["deployer"].address
    assert await client.request("eth_getTransactionCount", deployer, "latest") == "0x2"
    assert await client.request("eth_getTransactionCount", deployer, "0x1") == "0x1"
    first, last = [int(await client.request("eth_getBalance", deployer, block), 16) for block in ("0x0", "latest")]
    assert first > last


async def test_a_constructor_can_be_called_without_deploying_it(chain_client: ChainClient) -> None:
    returns_42 = "0x602a60005260206000f3"
    answer = await chain_client.request("eth_call", {"data": returns_42}, "latest")
    assert int(answer, 16) == 42
