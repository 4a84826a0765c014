"""How a platform gets in: invitation, versions, credentials with TOKEN_A, B and C (ocn-protocol.md a.5)."""

from collections.abc import Mapping
from typing import Protocol, TypeVar
from uuid import uuid4

import msgspec

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.sandbox.node.dialect import Dialect
from ocn_permission_agent.sandbox.node.outgoing import Outgoing
from ocn_permission_agent.sandbox.node.platforms import PartyRole, Platform, Platforms, connected
from ocn_permission_agent.sandbox.node.refusal import Crash, FrameworkRefusal, Refusal
from ocn_permission_agent.sandbox.node.registry import Registration, RegistryReader
from ocn_permission_agent.sandbox.node.rules import Rules

Asked = TypeVar("Asked")


class _Role(msgspec.Struct):
    """A party, as the admin's JSON names it."""

    party_id: str
    country_code: str


class _BusinessDetails(msgspec.Struct):
    name: str


class _CredentialsRole(msgspec.Struct):
    role: str
    business_details: _BusinessDetails
    party_id: str
    country_code: str


class _Credentials(msgspec.Struct):
    token: str
    url: str
    roles: list[_CredentialsRole]


class _Version(msgspec.Struct):
    version: str
    url: str


class _Endpoint(msgspec.Struct):
    identifier: str
    role: str
    url: str


class _Details(msgspec.Struct):
    endpoints: list[_Endpoint]


class _Versions(msgspec.Struct):
    data: list[_Version]


class _VersionDetails(msgspec.Struct):
    data: _Details


class Operates(Protocol):
    """Whether a registration names this node."""

    def __call__(self, registration: Registration) -> bool:
        """Compares domain and operator as the version of the node does."""
        ...


class Handshake:
    """Takes platforms in and lets them out. Methods raise `Refusal`, `FrameworkRefusal` and `Crash`.

    `signatures` is the node's setting, which becomes the rule of every platform that registers (b.2).
    """

    def __init__(
        self,
        *,
        dialect: Dialect,
        platforms: Platforms,
        registry: RegistryReader,
        outgoing: Outgoing,
        operates: Operates,
        signatures: bool,
        clock: Clock,
    ) -> None:
        self._dialect = dialect
        self._platforms = platforms
        self._registry = registry
        self._outgoing = outgoing
        self._operates = operates
        self._signatures = signatures
        self._clock = clock

    def invite(self, body: bytes) -> Platform:
        """Make a TOKEN_A for the parties in a JSON array."""
        try:
            roles = msgspec.json.decode(body, type=list[_Role])
        except msgspec.MsgspecError as error:
            raise FrameworkRefusal(400) from error
        parties = tuple(Party(role.country_code, role.party_id) for role in roles)
        for party in parties:
            if self._platforms.is_taken(party):
                taken = self._dialect.texts.role_taken
                raise FrameworkRefusal(400, taken.format(country_code=party.country_code, party_id=party.party_id))
        return self._platforms.invite(parties, token_a=str(uuid4()), now=self._clock.now())

    def platform_of(self, token: str) -> Platform:
        """The platform behind a TOKEN_A or TOKEN_C, for the versions endpoints."""
        found = self._platforms.by_token_a(token) or self._platforms.by_token_c(token)
        if found is None:
            raise self._dialect.refuse(2001, self._dialect.texts.newcomer_unknown)
        return found

    async def connect(self, token_a: str, body: bytes) -> Platform:
        """POST credentials: learn the platform's endpoints and give it TOKEN_C."""
        platform = self._platforms.by_token_a(token_a)
        if platform is None:
            raise self._dialect.refuse(2001, self._dialect.texts.newcomer_unknown)
        credentials = self._read(body)
        for role in credentials.roles:
            await self._admit(role, platform)
        return await self._learn(platform, credentials)

    async def renew(self, platform: Platform, body: bytes) -> Platform:
        """PUT credentials: the same for a platform that is in; TOKEN_C changes."""
        return await self._learn(platform, self._read(body))

    def leave(self, platform: Platform) -> None:
        """DELETE credentials."""
        self._platforms.remove(platform)

    def _read(self, body: bytes) -> _Credentials:
        try:
            return msgspec.json.decode(body, type=_Credentials)
        except msgspec.MsgspecError as error:
            raise Refusal(400, 2001, self._dialect.texts.body_invalid.format(problem=error)) from error

    async def _admit(self, role: _CredentialsRole, platform: Platform) -> None:
        party = Party(role.country_code, role.party_id)
        name = f"Role with party_id={party.party_id} and country_code={party.country_code}"
        registration = await self._registry.registration(party)
        if registration is None or not self._operates(registration):
            raise self._dialect.refuse(2001, f"{name} not listed in OCN Registry with my node info!")
        other = self._platforms.by_party(party)
        if other is not None and other.number != platform.number:
            raise self._dialect.refuse(2001, f"{name} already connected to this node!")

    async def _learn(self, platform: Platform, credentials: _Credentials) -> Platform:
        endpoints = await self._endpoints(credentials)
        roles = tuple(
            PartyRole(
                party=Party(role.country_code, role.party_id), role=role.role, business_name=role.business_details.name
            )
            for role in credentials.roles
        )
        joined = connected(
            platform,
            token_b=credentials.token,
            token_c=str(uuid4()),
            versions_url=credentials.url,
            roles=roles,
            endpoints=endpoints,
            keep_token_a=self._dialect.keeps_token_a,
            rules=platform.rules if platform.token_c else Rules(signatures=self._signatures),
            now=self._clock.now(),
        )
        return self._platforms.save(joined)

    async def _endpoints(self, credentials: _Credentials) -> Mapping[tuple[str, str], str]:
        """Ask the platform for its versions, choose one, and take what it offers."""
        versions = await self._ask(credentials.url, credentials.token, _Versions)
        by_name = {version.version: version.url for version in versions.data}
        chosen = next((by_name[name] for name in self._dialect.accepted_versions if name in by_name), None)
        if chosen is None:
            raise Refusal(200, 3003, f"Expected version {self._dialect.ocpi_version} from {credentials.url}")
        details = await self._ask(chosen, credentials.token, _VersionDetails)
        return {(endpoint.identifier, endpoint.role): endpoint.url for endpoint in details.data.endpoints}

    async def _ask(self, url: str, token: str, kind: type[Asked]) -> Asked:
        unusable = Refusal(200, 3001, f"Could not use {url} of the platform")
        try:
            reply = await self._outgoing.call("GET", url, headers={"Authorization": self._dialect.write_token(token)})
            return msgspec.json.decode(reply.body, type=kind)
        except (Refusal, Crash, msgspec.MsgspecError) as error:
            raise unusable from error
