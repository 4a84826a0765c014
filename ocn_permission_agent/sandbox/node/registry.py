"""What a node asks the Registry contract, at the head of the chain at the time of every request.

A real 1.x node calls the contract anew each time. The answers are the same for as long as the head is, so here each
question is asked once per block: the sandbox's chain answers a call far more slowly than a real node's.
"""

from dataclasses import dataclass
from typing import Any

from ocn_permission_agent.consent.address import ZERO, Address, address
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.sandbox.chain.calls import Contract, ContractCall, contract_call, read_result
from ocn_permission_agent.sandbox.chain.client import ChainClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """A party's entry: its own address, and the operator of its node with the node's registered domain."""

    address: Address
    operator: Address
    domain: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The party behind an address."""

    party: Party
    registration: Registration


class RegistryReader:
    """Reads registrations at the head of the chain through `client`."""

    def __init__(self, client: ChainClient, *, registry: str) -> None:
        self._client = client
        self._registry = registry
        self._block_hash = ""
        self._answers: dict[bytes, bytes] = {}

    async def registration(self, party: Party) -> Registration | None:
        """The entry of the party in exactly this spelling, or None: unknown, or without an operator.

        Raises:
            RpcFault: the chain refused the call.
            aiohttp.ClientError: no answer.
        """
        country_code, party_id = party.country_code.encode(), party.party_id.encode()
        if len(country_code) != 2 or len(party_id) != 3:
            return None
        call = contract_call(Contract.REGISTRY, "getPartyDetailsByOcpi", country_code, party_id)
        found = await self._ask(call)
        registration = Registration(address=address(found[0]), operator=address(found[4]), domain=found[5])
        return None if registration.operator == ZERO else registration

    async def owner(self, party_address: str) -> Owner | None:
        """The party behind an address, or None when it has none or no operator."""
        call = contract_call(Contract.REGISTRY, "getPartyDetailsByAddress", party_address)
        found = await self._ask(call)
        if address(found[5]) == ZERO:
            return None
        return Owner(
            party=Party(found[0].decode(errors="replace"), found[1].decode(errors="replace")),
            registration=Registration(address=address(party_address), operator=address(found[5]), domain=found[6]),
        )

    async def nodes(self) -> list[dict[str, str]]:
        """All operators with the domains of their nodes, as 2.x lists them."""
        listed = contract_call(Contract.REGISTRY, "getNodeOperators")
        (operators,) = await self._ask(listed)
        nodes = []
        for operator in operators:
            call = contract_call(Contract.REGISTRY, "getNode", operator)
            (domain,) = await self._ask(call)
            nodes.append({"url": domain, "address": operator})
        return nodes

    async def _ask(self, call: ContractCall) -> tuple[Any, ...]:
        block_hash = str((await self._client.request("eth_getBlockByNumber", "latest", False))["hash"])
        if block_hash != self._block_hash:
            self._block_hash, self._answers = block_hash, {}
        answers = self._answers
        if call.data not in answers:
            answers[call.data] = await self._client.call(self._registry, call.data, block={"blockHash": block_hash})
        return read_result(call, answers[call.data])
