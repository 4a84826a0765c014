"""What stands on the chain, at one block, around a write: who signs, whose service it is, what that lists now."""

from dataclasses import dataclass

from ocn_permission_agent.chain import abi
from ocn_permission_agent.chain.blocks import Header
from ocn_permission_agent.chain.decode import (
    Malformed,
    read_domain,
    read_flag,
    read_key,
    read_party,
    read_service,
    read_service_texts,
)
from ocn_permission_agent.chain.settings import ChainSettings
from ocn_permission_agent.chain.source import ChainSource, Question
from ocn_permission_agent.chain.text import shown
from ocn_permission_agent.consent.address import ZERO, Address
from ocn_permission_agent.errors import ChainUnavailable, WriteRefused
from ocn_permission_agent.ocpi.party import Party


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An address and its party; None when it is not registered. `domain` is its node's, escaped, empty for none."""

    address: Address
    party: Party | None
    domain: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A service as it is listed: name and url escaped and cut, known ids, the number of others."""

    name: str
    url: str
    permissions: frozenset[int]
    unknown_ids: int
    listed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """All of it, read at one block. `agreed` is the contract's flag for signer and provider."""

    block_number: int
    signer: Entry
    provider: Entry
    listing: Listing
    agreed: bool


class SceneReader:
    """Reads scenes from one endpoint."""

    def __init__(self, *, source: ChainSource, settings: ChainSettings) -> None:
        self._source = source
        self._settings = settings

    async def read(self, *, signer: Address, provider: Address, at: Header) -> Scene:
        """The scene at a block. For writes about one's own service, signer and provider are the same.

        Raises:
            WriteRefused: the listing cannot be read; agents close such a provider (consent.md C10).
            ChainUnavailable, ChainReorganised: no usable answer.
        """
        registry, permissions = self._settings.registry, self._settings.permissions
        mine, theirs, service, flag = await self._ask(
            at,
            Question(contract=registry, data=abi.party_by_address(signer)),
            Question(contract=registry, data=abi.party_by_address(provider)),
            Question(contract=permissions, data=abi.get_service(provider)),
            Question(contract=permissions, data=abi.has_agreement(signer, provider)),
        )
        return Scene(
            block_number=at.number,
            signer=await self._entry(signer, mine, at),
            provider=await self._entry(provider, theirs, at),
            listing=_listing(service),
            agreed=_read_flag(flag),
        )

    async def address_of(self, party: Party, at: Header) -> Address:
        """The address that a (country_code, party_id) stands for, in both directions (C1).

        Raises:
            WriteRefused: there is none, or it has another name now: an address must be given.
            ChainUnavailable, ChainReorganised: no usable answer.
        """
        registry = self._settings.registry
        try:
            data = abi.party_by_key(party)
        except UnicodeEncodeError:
            raise WriteRefused(f"No party {party!s} is registered.") from None
        (answer,) = await self._ask(at, Question(contract=registry, data=data))
        found = _read_key(answer)
        if found == ZERO:
            raise WriteRefused(f"No party {party} is registered. Letter case counts in the Registry.")
        (back,) = await self._ask(at, Question(contract=registry, data=abi.party_by_address(found)))
        named = _read_party(back)[0]
        if named != party:
            known = "left the Registry" if named is None else f"is called {named} now"
            raise WriteRefused(f"The address {found}, which the Registry finds for {party}, {known}; give an address.")
        return found

    async def _entry(self, account: Address, answer: bytes, at: Header) -> Entry:
        party, operator = _read_party(answer)
        domain = ""
        if operator != ZERO:
            (raw,) = await self._ask(at, Question(contract=self._settings.registry, data=abi.get_node(operator)))
            domain = _read_domain(raw)
        return Entry(address=account, party=party, domain=domain)

    async def _ask(self, at: Header, *questions: Question) -> list[bytes]:
        answers = await self._source.ask(questions, at)
        if None in answers:
            raise WriteRefused("What the contracts answer about this is too large to be read.")
        return [answer for answer in answers if answer is not None]


def _listing(answer: bytes) -> Listing:
    try:
        state, (name, url) = read_service(answer), read_service_texts(answer)
    except Malformed as error:
        raise WriteRefused(f"The provider's listing cannot be read: {error}. Agents send nothing to it.") from error
    return Listing(
        name=shown(name),
        url=shown(url),
        permissions=state.permissions,
        unknown_ids=state.unknown_ids,
        listed=state.listed,
    )


def _read_flag(answer: bytes) -> bool:
    try:
        return read_flag(answer)
    except Malformed as error:
        raise _unusable(error) from error


def _read_key(answer: bytes) -> Address:
    try:
        return read_key(answer)
    except Malformed as error:
        raise _unusable(error) from error


def _read_party(answer: bytes) -> tuple[Party | None, Address]:
    try:
        state = read_party(answer)
    except Malformed as error:
        raise _unusable(error) from error
    return state.party, state.operator


def _read_domain(answer: bytes) -> str:
    try:
        return shown(read_domain(answer))
    except Malformed as error:
        raise _unusable(error) from error


def _unusable(error: Malformed) -> ChainUnavailable:
    return ChainUnavailable(f"the contracts answered something that {error}")
