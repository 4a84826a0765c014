"""C12 through the life of an agent: whether the followed endpoint serves what we were told of."""

from dataclasses import dataclass

from ocn_permission_agent.chain.checks import Findings, check_chain
from ocn_permission_agent.chain.endpoints import Endpoints
from ocn_permission_agent.chain.settings import ChainSettings
from ocn_permission_agent.chain.store import ChainStore, Identity
from ocn_permission_agent.consent.address import Address
from ocn_permission_agent.errors import ChainReorganised, ChainUnavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class Distrust:
    """Why nothing may leave; `readable` tells whether the followed endpoint's chain is the right one all the same."""

    sentence: str
    readable: bool


class Trust:
    """Asks once, and again after any trouble: behind the same name there may be another server.

    Args:
        endpoints: whom to ask.
        store: remembers for which chain it was made.
        settings: which chain we were told of.
        operator: address of the operator key.
        public_url: what the Registry must have as this operator's domain.
    """

    def __init__(
        self, *, endpoints: Endpoints, store: ChainStore, settings: ChainSettings, operator: Address, public_url: str
    ) -> None:
        self._endpoints = endpoints
        self._store = store
        self._settings = settings
        self._operator = operator
        self._public_url = public_url
        self._given = False
        self._mismatched: set[int] = set()

    def withdraw(self) -> None:
        """There was trouble: ask everything again."""
        self._given = False

    async def demand_store(self) -> None:
        """Make sure that the store was made for the configured contracts.

        Raises:
            StoreMismatch: it was not.
            StoreUnavailable: it cannot be read.
        """
        genesis_hash = await self._store.genesis_hash()
        if genesis_hash is not None:
            await self._store.demand(self._identity(genesis_hash))

    async def findings(self) -> Findings:
        """Ask the followed endpoint everything of C12 now; changes nothing.

        Raises:
            ChainUnavailable: no usable answer.
        """
        try:
            return await check_chain(
                self._endpoints.followed,
                settings=self._settings,
                remembered_genesis=await self._store.genesis_hash(),
                operator=self._operator,
                public_url=self._public_url,
            )
        except ChainReorganised as error:
            raise ChainUnavailable(str(error)) from error

    async def distrust(self) -> "Distrust | None":
        """What is wrong by every endpoint there is; None when the followed one is right.

        Raises:
            ChainUnavailable: no usable answer, or a wrong one while another endpoint may still be right.
        """
        if self._given:
            return None
        findings = await self.findings()
        if findings.sentence is not None:
            self._mismatched.add(self._endpoints.place)
            if len(self._mismatched) < self._endpoints.count:
                raise ChainUnavailable(findings.sentence)
            return Distrust(sentence=findings.sentence, readable=findings.readable)
        self._mismatched.clear()
        await self._store.claim(self._identity(findings.genesis_hash))
        self._given = True
        return None

    def _identity(self, genesis_hash: str) -> Identity:
        return Identity(
            chain_id=self._settings.chain_id,
            genesis_hash=genesis_hash,
            registry=self._settings.registry,
            permissions=self._settings.permissions,
        )
