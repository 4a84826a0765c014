"""The chain beside its caller: in a thread, in a process, and used by web3 as any other node."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Mapping

import pytest
from web3 import AsyncHTTPProvider, AsyncWeb3

from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.sandbox.chain.actors import Wallet, deploy
from ocn_permission_agent.sandbox.chain.calls import Contract
from ocn_permission_agent.sandbox.chain.client import ChainClient
from ocn_permission_agent.sandbox.chain.faults import RpcFault
from ocn_permission_agent.sandbox.chain.server import ChainServer
from ocn_permission_agent.sandbox.contracts import own_contracts
from tests.chain_fixtures import CHAIN_ID, WALLETS, Deployment, funded_server


async def test_agreement_from_registration_to_revocation(deployed: Deployment) -> None:
    operator, cpo, billing = (deployed.actor(name) for name in ("operator", "cpo", "billing"))
    await operator.set_node("http://127.0.0.1:1")
    await cpo.set_party("DE", "CPO", roles=[0], operator=operator.address)
    await billing.set_party("DE", "BIL", roles=[6], operator=operator.address)
    await billing.set_service("Billing", "https://billing.example", [6, 8])
    created = await cpo.create_agreement(billing.address)
    assert created.logs[0].address == deployed.contracts.permissions
    with pytest.raises(RpcFault, match="Agreement already made between user and provider"):
        await cpo.create_agreement(billing.address)
    await cpo.revoke_agreement(billing.address)
    signature = cpo.sign_address(billing.address)
    await deployed.actor("stranger").create_agreement_raw(billing.address, signature)
    details = await deployed.contracts.read(
        deployed.client, Contract.PERMISSIONS, "hasUserAgreementByAddress", cpo.address, billing.address
    )
    assert details == (True,)


async def test_the_real_contracts_run_on_the_same_chain(deployed_real: Deployment) -> None:
    operator = deployed_real.actor("operator")
    await operator.set_node("http://127.0.0.1:1")
    domain = await deployed_real.contracts.read(deployed_real.client, Contract.REGISTRY, "getNode", operator.address)
    assert domain == ("http://127.0.0.1:1",)


async def test_actions_of_one_actor_may_be_awaited_together(deployed: Deployment) -> None:
    operator = deployed.actor("operator")
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(operator.set_node(f"http://127.0.0.1:{port}")) for port in range(1, 6)]
    assert len({task.result().block_number for task in tasks}) == 5


async def test_the_callers_event_loop_goes_on_while_the_chain_works(deployed: Deployment) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0)
            ticks += 1

    async with asyncio.TaskGroup() as group:
        ticking = group.create_task(tick())
        await deploy(deployed.client, WALLETS["deployer"])
        ticking.cancel()
    assert ticks > 10


async def test_web3_uses_it_as_any_other_node(deployed: Deployment) -> None:
    w3 = AsyncWeb3(AsyncHTTPProvider(deployed.url))
    try:
        assert await w3.eth.chain_id == CHAIN_ID
        stranger = WALLETS["stranger"]
        sender = w3.to_checksum_address(stranger.address)
        abi = own_contracts().registry.abi
        registry = w3.eth.contract(address=w3.to_checksum_address(deployed.contracts.registry), abi=abi)
        transaction = await registry.functions.setNode("http://127.0.0.1:9").build_transaction(
            {"from": sender, "nonce": await w3.eth.get_transaction_count(sender)}
        )
        assert transaction["maxFeePerGas"]
        sent = await w3.eth.send_raw_transaction(stranger.sign_transaction(dict(transaction)))
        receipt = await w3.eth.wait_for_transaction_receipt(sent)
        assert receipt["status"] == 1
        (event,) = await registry.events.OperatorUpdate.get_logs(from_block=receipt["blockNumber"])
        assert event["args"]["domain"] == "http://127.0.0.1:9"
        block = await w3.eth.get_block(receipt["blockNumber"], full_transactions=True)
        (mined,) = block["transactions"]
        assert isinstance(mined, Mapping)
        assert mined["hash"] == sent
    finally:
        await w3.provider.disconnect()


async def test_a_process_serves_the_same_and_ends_with_its_starter() -> None:
    server = funded_server()
    url = await asyncio.to_thread(server.start_process)
    try:
        async with ChainClient(url) as client:
            contracts = await deploy(client, WALLETS["deployer"])
            assert contracts.chain_id == CHAIN_ID
        assert server.process_id is not None
    finally:
        server.stop()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))


def test_a_port_in_use_is_told_to_the_starter() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = ChainServer(chain_id=CHAIN_ID, accounts={}, port=taken.getsockname()[1])
        with pytest.raises(OSError, match="address already in use"):
            server.start_thread()
        server.stop()


def test_a_running_chain_is_not_started_twice() -> None:
    with funded_server() as server, pytest.raises(RuntimeError, match="already running"):
        server.start_thread()


async def test_a_transaction_has_its_receipt_soon(deployed: Deployment) -> None:
    """A loose bound for slow machines: about 15 ms each is usual."""
    clock, operator = SystemClock(), deployed.actor("operator")
    started = clock.monotonic()
    for port in range(20):
        await operator.set_node(f"http://127.0.0.1:{port}")
    assert (clock.monotonic() - started) / 20 < 0.5


def test_py_evm_is_imported_only_by_a_chain_that_starts() -> None:
    program = (
        "import sys; import ocn_permission_agent.sandbox.chain.server, ocn_permission_agent.sandbox.chain.actors;"
        "print(sorted({'eth', 'eth_tester'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_a_wallet_is_the_same_for_the_same_word_and_hides_its_key() -> None:
    assert Wallet.from_seed("cpo") == WALLETS["cpo"]
    assert WALLETS["cpo"].key.hex() not in repr(WALLETS["cpo"])
