"""The platforms connected to a node: tokens, roles, endpoints (ocn-protocol.md a.5)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.sandbox.node.rules import Rules


@dataclass(frozen=True, slots=True, kw_only=True)
class PartyRole:
    """A role of a platform as it stood in its credentials, e.g. CPO."""

    party: Party
    role: str
    business_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """One platform. `endpoints` maps (module identifier, "SENDER" or "RECEIVER") to the URL it gave.

    `token_a` invites it, `token_b` is what the node shows the platform, `token_c` what the platform shows the node.
    """

    number: int
    invited: tuple[Party, ...]
    token_a: str | None
    token_b: str | None = None
    token_c: str | None = None
    versions_url: str | None = None
    roles: tuple[PartyRole, ...] = ()
    endpoints: Mapping[tuple[str, str], str]
    rules: Rules = field(default_factory=Rules)
    last_updated: datetime

    @property
    def status(self) -> str:
        """Connection status of OCPI's HubClientInfo."""
        return "PLANNED" if self.token_c is None else "CONNECTED"

    def has_role(self, party: Party) -> bool:
        """Whether the party is one of the platform's, ignoring case."""
        return any(role.party.folded == party.folded for role in self.roles)


class Platforms:
    """All of them, in memory; as short-lived as the sandbox."""

    def __init__(self) -> None:
        self._platforms: dict[int, Platform] = {}
        self._last_number = 0

    def all(self) -> tuple[Platform, ...]:
        """In the order of their invitations."""
        return tuple(self._platforms.values())

    def invite(self, parties: tuple[Party, ...], *, token_a: str, now: datetime) -> Platform:
        """A platform that may introduce itself with `token_a`."""
        self._last_number += 1
        platform = Platform(number=self._last_number, invited=parties, token_a=token_a, endpoints={}, last_updated=now)
        return self.save(platform)

    def save(self, platform: Platform) -> Platform:
        """Keep its new state."""
        self._platforms[platform.number] = platform
        return platform

    def remove(self, platform: Platform) -> None:
        """Forget it."""
        self._platforms.pop(platform.number, None)

    def by_token_a(self, token: str) -> Platform | None:
        """The platform invited with this token."""
        return next((found for found in self._platforms.values() if found.token_a == token), None)

    def by_token_c(self, token: str) -> Platform | None:
        """The connected platform that shows this token."""
        return next((found for found in self._platforms.values() if found.token_c == token), None)

    def by_party(self, party: Party) -> Platform | None:
        """The connected platform that has the party, ignoring case."""
        return next((found for found in self._platforms.values() if found.token_c and found.has_role(party)), None)

    def is_taken(self, party: Party) -> bool:
        """Whether the party is connected or invited."""
        folded = party.folded
        return any(
            found.has_role(party) or folded in {invited.folded for invited in found.invited}
            for found in self._platforms.values()
        )


def connected(
    platform: Platform,
    *,
    token_b: str,
    token_c: str,
    versions_url: str,
    roles: tuple[PartyRole, ...],
    endpoints: Mapping[tuple[str, str], str],
    keep_token_a: bool,
    rules: Rules,
    now: datetime,
) -> Platform:
    """The platform after its credentials were taken."""
    return replace(
        platform,
        token_a=platform.token_a if keep_token_a else None,
        token_b=token_b,
        token_c=token_c,
        versions_url=versions_url,
        roles=roles,
        endpoints=endpoints,
        rules=rules,
        last_updated=now,
    )
