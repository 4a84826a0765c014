"""Whether a message carries an OCN-Signature: learnt per provider, because node and service both have a say (b.2).

Messages start without one. A node that wants one says so before anything is sent on; from then on the provider's
messages are signed.
"""

from typing import Protocol

from ocn_permission_agent.consent.address import Address
from ocn_permission_agent.errors import StoreUnavailable
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.outbox.settings import DeliverySettings, NotaryUse


class SigningMemory(Protocol):
    """Where it survives a restart. Either may raise `StoreUnavailable`."""

    async def wanting_signatures(self) -> frozenset[Address]:
        """The providers whose messages must be signed, as far as was learnt."""
        ...

    async def remember_wanting_signatures(self, provider: Address) -> None:
        """Learnt just now; the provider has been owed something before."""
        ...


class Signing:
    """Knows whose messages are signed.

    Args:
        settings: what the operator decided per service.
        memory: where what was learnt is kept; None forgets it with the process.
    """

    def __init__(self, *, settings: DeliverySettings, memory: SigningMemory | None) -> None:
        self._settings = settings
        self._memory = memory
        self._learnt: set[Address] = set()
        self._loaded = memory is None

    def known(self, provider: Party, provider_address: Address) -> bool | None:
        """Whether the next message to the provider is to be signed; None before the memory was read."""
        match self._settings.of(provider).notary:
            case NotaryUse.ALWAYS:
                return True
            case NotaryUse.NEVER:
                return False
            case NotaryUse.AUTO:
                return provider_address in self._learnt if self._loaded else None

    async def wanted(self, provider: Party, provider_address: Address) -> bool:
        """The same; the memory is read if need be, and does without while it cannot be."""
        known = self.known(provider, provider_address)
        if known is None:
            await self._load()
            known = provider_address in self._learnt
        return known

    async def learn(self, provider: Party, provider_address: Address) -> bool:
        """The provider, or its node, wants signatures; whether they will be made from now on."""
        if self._settings.of(provider).notary is not NotaryUse.AUTO:
            return False
        self._learnt.add(provider_address)
        if self._memory is not None:
            try:
                await self._memory.remember_wanting_signatures(provider_address)
            except StoreUnavailable:
                return True  # known until the process ends, and learnt again afterwards
        return True

    async def _load(self) -> None:
        if self._memory is None:
            return
        try:
            self._learnt |= await self._memory.wanting_signatures()
        except StoreUnavailable:
            return  # one refused attempt teaches it again
        self._loaded = True
