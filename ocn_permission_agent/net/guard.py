"""Which addresses a registry-listed URL may lead to. Pure.

Anybody can write a URL into the registry, so what it resolves to is chosen by strangers. The table is our own:
`ipaddress.is_global` of Python 3.11 is wrong for several ranges. Source: the IANA special-purpose address registries
(RFC 6890 and its successors); the newest entries are 3fff::/20 and 5f00::/16.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

_DENIED_4: tuple[tuple[IPv4Network, str], ...] = tuple(
    (IPv4Network(network), name)
    for network, name in (
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared by carriers"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "protocol assignments"),
        ("192.0.2.0/24", "documentation"),
        ("192.31.196.0/24", "AS112"),
        ("192.52.193.0/24", "AMT"),
        ("192.88.99.0/24", "6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "AS112"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)
#: inside 2000::/3, the only part of IPv6 that is routed in public; all outside of it is refused
_DENIED_6: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(network), name)
    for network, name in (
        ("2001::/23", "protocol assignments, Teredo and benchmarking"),
        ("2001:db8::/32", "documentation"),
        ("2620:4f:8000::/48", "AS112"),
        ("3fff::/20", "documentation"),
    )
)
_PUBLIC_6 = IPv6Network("2000::/3")
_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")
_6TO4 = IPv6Network("2002::/16")


def refusal(peer: Address, *, allowed: Iterable[Network] = ()) -> str | None:
    """Why no connection may be made to this address; None if it may.

    Args:
        peer: of the other end.
        allowed: the operator's exceptions; they hold for the address itself and for one that it carries inside.
    """
    inner = carried(peer)
    exceptions = tuple(allowed)
    if any(candidate in network for candidate in (peer, inner) for network in exceptions):
        return None
    if isinstance(inner, IPv4Address):
        return next((name for network, name in _DENIED_4 if inner in network), None)
    if inner not in _PUBLIC_6:
        return "not a public IPv6 address"
    return next((name for network, name in _DENIED_6 if inner in network), None)


def carried(peer: Address) -> Address:
    """The IPv4 address that packets to a mapped, NAT64 or 6to4 address end at; any other address itself."""
    if isinstance(peer, IPv4Address):
        return peer
    value = int(peer)
    if peer in _MAPPED or peer in _NAT64:
        return IPv4Address(value & 0xFFFFFFFF)
    if peer in _6TO4:
        return IPv4Address(value >> 80 & 0xFFFFFFFF)
    return peer


def read_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Read ``allow_addresses``: networks in CIDR form, or single addresses.

    Raises:
        ValueError: not a network; the message says which.
    """
    return tuple(ip_network(text) for text in texts)


def refusal_of_literal(text: str, *, allowed: Iterable[Network] = ()) -> str | None:
    """`refusal` for an address as a socket names it (``fe80::1%eth0``)."""
    try:
        peer = ip_address(text)
    except ValueError:
        return "not an address"
    return refusal(peer, allowed=allowed)
