"""1.x's own forwarding to services, which the agent replaces (ocn-protocol.md e.1, e.2).

Kept with the defects that make it unfit: it asks the chain anew for every message, never asks whether an agreement
still stands, sends as many copies as agreements were ever made, sends before the receiver has answered, and drops
what fails. Unlike the real one it waits for its copies before the node answers.
"""

import asyncio
from dataclasses import replace

import aiohttp

from ocn_permission_agent.consent.permission import covers
from ocn_permission_agent.ocpi.route import InterfaceRole, Module
from ocn_permission_agent.sandbox.chain.calls import Contract, contract_call, read_result
from ocn_permission_agent.sandbox.chain.client import ChainClient
from ocn_permission_agent.sandbox.chain.faults import RpcFault
from ocn_permission_agent.sandbox.node.call import Call
from ocn_permission_agent.sandbox.node.forwarding import Forwarding
from ocn_permission_agent.sandbox.node.platforms import Platforms
from ocn_permission_agent.sandbox.node.refusal import Crash, Refusal
from ocn_permission_agent.sandbox.node.registry import RegistryReader
from ocn_permission_agent.sandbox.node.seal import Seal


class ServiceForwarding:
    """Copies what the node's platforms send to the services that they ever agreed to.

    Args:
        client: to the chain.
        permissions: address of the Permissions contract.
        registry: to find the parties of providers.
        platforms: of this node.
        forwarding: sends the copies.
        seal: re-signs signed ones.
    """

    def __init__(
        self,
        client: ChainClient,
        *,
        permissions: str,
        registry: RegistryReader,
        platforms: Platforms,
        forwarding: Forwarding,
        seal: Seal,
    ) -> None:
        self._client = client
        self._permissions = permissions
        self._registry = registry
        self._platforms = platforms
        self._forwarding = forwarding
        self._seal = seal

    async def share(self, call: Call) -> None:
        """Send a copy to each matching service; what fails is forgotten, and one failing read ends it all."""
        if call.module not in Module.__members__:
            return
        module, role = Module[call.module], InterfaceRole[call.interface_role]
        async with asyncio.TaskGroup() as copies:
            try:
                for provider in await self._ever_agreed(call):
                    if covers(await self._permission_ids(provider), module, role):
                        copies.create_task(self._copy(call, provider))
            except (RpcFault, aiohttp.ClientError):
                return

    async def _ever_agreed(self, call: Call) -> tuple[str, ...]:
        user = (call.sender.country_code.encode(), call.sender.party_id.encode())
        asked = contract_call(Contract.PERMISSIONS, "getUserAgreementsByOcpi", *user)
        (providers,) = read_result(asked, await self._client.call(self._permissions, asked.data))
        return tuple(providers)

    async def _permission_ids(self, provider: str) -> tuple[int, ...]:
        asked = contract_call(Contract.PERMISSIONS, "getService", provider)
        return tuple(read_result(asked, await self._client.call(self._permissions, asked.data))[4])

    async def _copy(self, call: Call, provider: str) -> None:
        try:
            owner = await self._registry.owner(provider)
            if owner is None:
                return
            copy = replace(call, receiver=owner.party, kind=None)
            copy = replace(copy, ocn_signature=self._seal.readdressed(copy, call.receiver))
            platform = self._platforms.by_party(copy.receiver)
            if platform is not None:
                await self._forwarding.to_platform(copy, platform)
            else:
                await self._forwarding.to_node(copy, domain=owner.registration.domain)
        except (Refusal, Crash, RpcFault, aiohttp.ClientError):
            return
