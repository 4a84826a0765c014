"""Settings of outgoing connections to addresses that come from the registry."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings:
    """`[network]` of the configuration.

    `allow_http` admits plain http to registry-listed URLs. `allow_addresses` lists networks that the deny table of
    `net.guard` would refuse (tests, private networks).
    """

    allow_http: bool = False
    allow_addresses: tuple[IPv4Network | IPv6Network, ...] = ()
