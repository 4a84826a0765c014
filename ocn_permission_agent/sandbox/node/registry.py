"""What a node asks the Registry contract, every time anew: neither version of the node keeps what it learnt."""

from dataclasses import dataclass

from ocn_permission_agent.consent.address import ZERO, Address, address
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.sandbox.chain.calls import Contract, contract_call, read_result
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
        found = read_result(call, await self._client.call(self._registry, call.data))
        registration = Registration(address=address(found[0]), operator=address(found[4]), domain=found[5])
        return None if registration.operator == ZERO else registration

    async def owner(self, party_address: str) -> Owner | None:
        """The party behind an address, or None when it has none or no operator."""
        call = contract_call(Contract.REGISTRY, "getPartyDetailsByAddress", party_address)
        found = read_result(call, await self._client.call(self._registry, call.data))
        if address(found[5]) == ZERO:
            return None
        return Owner(
            party=Party(found[0].decode(errors="replace"), found[1].decode(errors="replace")),
            registration=Registration(address=address(party_address), operator=address(found[5]), domain=found[6]),
        )

    async def nodes(self) -> list[dict[str, str]]:
        """All operators with the domains of their nodes, as 2.x lists them."""
        listed = contract_call(Contract.REGISTRY, "getNodeOperators")
        (operators,) = read_result(listed, await self._client.call(self._registry, listed.data))
        nodes = []
        for operator in operators:
            call = contract_call(Contract.REGISTRY, "getNode", operator)
            (domain,) = read_result(call, await self._client.call(self._registry, call.data))
            nodes.append({"url": domain, "address": operator})
        return nodes
