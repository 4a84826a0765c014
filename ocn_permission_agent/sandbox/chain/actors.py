"""Those who write to the contracts: operators, parties, providers. For the demo and for tests.

::

    wallets = {name: Wallet.from_seed(name) for name in ("deployer", "operator", "cpo", "billing")}
    server = ChainServer(chain_id=246, accounts={wallet.address: ETHER for wallet in wallets.values()})
    async with ChainClient(server.start_thread()) as client:
        contracts = await deploy(client, wallets["deployer"])
        operator, cpo, billing = (
            Actor(client, contracts, wallets[name]) for name in ("operator", "cpo", "billing")
        )
        await operator.set_node("http://127.0.0.1:8080")
        await cpo.set_party("DE", "CPO", roles=[0], operator=operator.address)
        await billing.set_party("DE", "BIL", roles=[6], operator=operator.address)
        await billing.set_service("Billing", "https://billing.example", [6, 8])
        receipt = await cpo.create_agreement(billing.address)
        assert await contracts.read(client, Contract.PERMISSIONS, "hasUserAgreementByAddress",
                                    cpo.address, billing.address) == (True,)
    server.stop()

A verb waits until its transaction is mined and raises `RpcFault` (code 3, the contract's sentence in the message) when
the contract refuses; nothing is sent then. `send` only sends, with gas of the caller's choice, also what will revert.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eth_abi.abi import encode
from eth_utils.address import to_checksum_address

from ocn_permission_agent.clock import Clock, SystemClock
from ocn_permission_agent.sandbox.chain.calls import (
    Contract,
    ContractCall,
    Signature,
    contract_call,
    packed_address,
    packed_node,
    packed_party,
    packed_service,
    read_result,
)
from ocn_permission_agent.sandbox.chain.client import ChainClient, TxReceipt
from ocn_permission_agent.sandbox.chain.faults import REVERTED, RpcFault
from ocn_permission_agent.sandbox.chain.wallet import Wallet
from ocn_permission_agent.sandbox.contracts import ContractCodes, own_contracts

__all__ = ["ETHER", "Actor", "Contracts", "Wallet", "deploy"]

ETHER = 10**18
RECEIPT_WAIT_SECONDS = 30.0
RECEIPT_POLL_SECONDS = 0.02
TIP = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Contracts:
    """Where the two contracts are; `block_number` is the first block that can hold their events."""

    chain_id: int
    registry: str
    permissions: str
    block_number: int

    def address_of(self, contract: Contract) -> str:
        """The address of one of them."""
        return self.registry if contract is Contract.REGISTRY else self.permissions

    async def read(
        self, client: ChainClient, contract: Contract, name: str, *arguments: Any, block: Any = "latest"
    ) -> tuple[Any, ...]:
        """The results of a getter, at a tag, a 0x number or `{"blockHash": …}`. Addresses come in lower case.

        Raises:
            RpcFault: it reverted, or the block is unknown.
        """
        call = contract_call(contract, name, *arguments)
        return read_result(call, await client.call(self.address_of(contract), call.data, block=block))


async def deploy(client: ChainClient, wallet: Wallet, codes: ContractCodes | None = None) -> Contracts:
    """Deploy Registry, then Permissions upon it: our own contracts, or those of `codes`.

    The chain must mine by itself ("auto" or "interval").

    Raises:
        RpcFault: the chain refused, or the wallet cannot pay about 10 million gas.
        TimeoutError: no block within half a minute.
    """
    chosen = codes or own_contracts()
    sender = _Sender(client=client, wallet=wallet, clock=SystemClock())
    first = await _deploy_one(sender, chosen.registry.bytecode)
    registry = str(first.contract_address)
    argument = encode(["address"], [registry])
    second = await _deploy_one(sender, chosen.permissions.bytecode + argument)
    return Contracts(
        chain_id=await client.chain_id(),
        registry=registry,
        permissions=str(second.contract_address),
        block_number=first.block_number,
    )


async def _deploy_one(sender: "_Sender", bytecode: bytes) -> TxReceipt:
    gas = await sender.estimate(None, bytecode)
    receipt = await sender.wait_for(await sender.send(None, bytecode, gas=gas))
    if not receipt.succeeded:
        raise RpcFault(REVERTED, "the contract was not deployed")
    return receipt


class Actor:
    """One wallet that uses the contracts. Its own transactions are sent one after the other, also when awaited at once.

    Args:
        client: to the chain; shared between actors.
        contracts: where they are.
        wallet: who signs and pays.
        clock: paces the wait for a block.
    """

    def __init__(
        self, client: ChainClient, contracts: Contracts, wallet: Wallet, *, clock: Clock | None = None
    ) -> None:
        self.wallet = wallet
        self._contracts = contracts
        self._sender = _Sender(client=client, wallet=wallet, clock=clock or SystemClock())

    @property
    def address(self) -> str:
        """The wallet's checksummed address."""
        return self.wallet.address

    async def transact(self, call: ContractCall) -> TxReceipt:
        """Send a call, also somebody else's raw one, and wait until it is mined.

        Raises:
            RpcFault: the contract refuses (nothing was sent), or refused when it was mined.
            TimeoutError: no block within half a minute.
        """
        gas = await self._sender.estimate(self._contracts.address_of(call.contract), call.data)
        receipt = await self._sender.wait_for(await self.send(call, gas=gas))
        if not receipt.succeeded:
            raise RpcFault(REVERTED, f"reverted when mined: {receipt.transaction_hash}")
        return receipt

    async def send(self, call: ContractCall, *, gas: int = 1_000_000) -> str:
        """Send a call without asking whether it will succeed. Gives the transaction's hash at once."""
        return await self._sender.send(self._contracts.address_of(call.contract), call.data, gas=gas)

    async def wait_for(self, transaction_hash: str) -> TxReceipt:
        """The receipt, as soon as the transaction is mined, whatever became of it.

        Raises:
            TimeoutError: no block within half a minute.
        """
        return await self._sender.wait_for(transaction_hash)

    # Registry

    async def set_node(self, domain: str) -> TxReceipt:
        """Registry.setNode."""
        return await self._registry("setNode", domain)

    async def delete_node(self) -> TxReceipt:
        """Registry.deleteNode."""
        return await self._registry("deleteNode")

    async def set_party(
        self, country_code: str | bytes, party_id: str | bytes, *, roles: Sequence[int], operator: str
    ) -> TxReceipt:
        """Registry.setParty; roles: 0 CPO, 1 EMSP, 2 HUB, 3 NAP, 4 NSP, 5 OTHER, 6 SCSP."""
        return await self._registry("setParty", country_code, party_id, list(roles), operator)

    async def set_party_modules(self, sender: Sequence[int], receiver: Sequence[int]) -> TxReceipt:
        """Registry.setPartyModules; modules: 0 cdrs, 1 chargingprofiles, … 6 tokens in alphabetical order."""
        return await self._registry("setPartyModules", list(sender), list(receiver))

    async def delete_party(self) -> TxReceipt:
        """Registry.deleteParty."""
        return await self._registry("deleteParty")

    async def set_node_raw(self, operator: str, domain: str, signature: Signature) -> TxReceipt:
        """Registry.setNodeRaw for whoever signed."""
        return await self._registry("setNodeRaw", operator, domain, *signature.arguments)

    async def set_party_raw(
        self,
        party: str,
        country_code: str | bytes,
        party_id: str | bytes,
        *,
        roles: Sequence[int],
        operator: str,
        signature: Signature,
    ) -> TxReceipt:
        """Registry.setPartyRaw for `party`, or for address zero with a broken signature (T13)."""
        return await self._registry(
            "setPartyRaw", party, country_code, party_id, list(roles), operator, *signature.arguments
        )

    async def delete_party_raw(self, party: str, signature: Signature) -> TxReceipt:
        """Registry.deletePartyRaw."""
        return await self._registry("deletePartyRaw", party, *signature.arguments)

    # Permissions

    async def set_service(self, name: str | bytes, url: str | bytes, permissions: Sequence[int]) -> TxReceipt:
        """Permissions.setService."""
        return await self._permissions("setService", name, url, list(permissions))

    async def set_service_raw(
        self, name: str | bytes, url: str | bytes, permissions: Sequence[int], signature: Signature
    ) -> TxReceipt:
        """Permissions.setServiceRaw for whoever signed."""
        return await self._permissions("setServiceRaw", name, url, list(permissions), *signature.arguments)

    async def delete_service(self) -> TxReceipt:
        """Permissions.deleteService."""
        return await self._permissions("deleteService")

    async def delete_service_raw(self, provider: str, signature: Signature) -> TxReceipt:
        """Permissions.deleteServiceRaw for whoever signed."""
        return await self._permissions("deleteServiceRaw", provider, *signature.arguments)

    async def create_agreement(self, provider: str) -> TxReceipt:
        """Permissions.createAgreement."""
        return await self._permissions("createAgreement", provider)

    async def create_agreement_raw(self, provider: str, signature: Signature) -> TxReceipt:
        """Permissions.createAgreementRaw for whoever signed."""
        return await self._permissions("createAgreementRaw", provider, *signature.arguments)

    async def revoke_agreement(self, provider: str) -> TxReceipt:
        """Permissions.revokeAgreement."""
        return await self._permissions("revokeAgreement", provider)

    async def revoke_agreement_raw(self, provider: str, signature: Signature) -> TxReceipt:
        """Permissions.revokeAgreementRaw for whoever signed."""
        return await self._permissions("revokeAgreementRaw", provider, *signature.arguments)

    # What this wallet would sign for others to send

    def sign_address(self, address: str) -> Signature:
        """For createAgreementRaw, revokeAgreementRaw and every delete…Raw: they all sign one address (T5)."""
        return self.wallet.sign_packed(packed_address(address))

    def sign_service(self, name: str | bytes, url: str | bytes, permissions: Sequence[int]) -> Signature:
        """For setServiceRaw."""
        return self.wallet.sign_packed(packed_service(name, url, permissions))

    def sign_node(self, domain: str) -> Signature:
        """For setNodeRaw of this wallet."""
        return self.wallet.sign_packed(packed_node(self.address, domain))

    def sign_party(
        self, country_code: str | bytes, party_id: str | bytes, *, roles: Sequence[int], operator: str
    ) -> Signature:
        """For setPartyRaw of this wallet."""
        return self.wallet.sign_packed(packed_party(self.address, country_code, party_id, roles, operator))

    async def _registry(self, name: str, *arguments: Any) -> TxReceipt:
        return await self.transact(contract_call(Contract.REGISTRY, name, *arguments))

    async def _permissions(self, name: str, *arguments: Any) -> TxReceipt:
        return await self.transact(contract_call(Contract.PERMISSIONS, name, *arguments))


class _Sender:
    """Signs and sends transactions of one wallet, one nonce at a time."""

    def __init__(self, *, client: ChainClient, wallet: Wallet, clock: Clock) -> None:
        self._client = client
        self._wallet = wallet
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()

    async def estimate(self, to: str | None, data: bytes) -> int:
        """Gas for a transaction, with a fifth to spare; `RpcFault` when it would fail."""
        message = {"from": self._wallet.address, "data": "0x" + data.hex()}
        found = await self._client.request("eth_estimateGas", message if to is None else message | {"to": to})
        return int(found, 16) * 6 // 5

    async def send(self, to: str | None, data: bytes, *, gas: int) -> str:
        """Sign with the next nonce and send; gives the hash."""
        async with self._one_at_a_time:
            chain_id, nonce, price = await self._client.batch(
                ("eth_chainId", []),
                ("eth_getTransactionCount", [self._wallet.address, "pending"]),
                ("eth_gasPrice", []),
            )
            transaction: dict[str, Any] = {
                "type": 2,
                "chainId": int(chain_id, 16),
                "nonce": int(nonce, 16),
                "gas": gas,
                "maxFeePerGas": 2 * int(price, 16),
                "maxPriorityFeePerGas": TIP,
                "value": 0,
                "data": data,
            }
            if to is not None:
                transaction["to"] = to_checksum_address(to)
            raw = self._wallet.sign_transaction(transaction)
            return str(await self._client.request("eth_sendRawTransaction", "0x" + raw.hex()))

    async def wait_for(self, transaction_hash: str) -> TxReceipt:
        """The receipt once it is there."""
        async with asyncio.timeout(RECEIPT_WAIT_SECONDS):
            while True:
                receipt = await self._client.receipt(transaction_hash)
                if receipt is not None:
                    return receipt
                await self._clock.sleep(RECEIPT_POLL_SECONDS)
