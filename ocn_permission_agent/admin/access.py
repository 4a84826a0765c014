"""Who may ask the admin listener: pure decisions about a request's Host and Authorization."""

import hmac
from collections.abc import Collection
from ipaddress import ip_address

#: answered without a token
OPEN_PATHS = frozenset({"/livez", "/readyz", "/metrics"})


def host_allowed(host_header: str, *, allowed: Collection[str]) -> bool:
    """Whether the listener answers under this name.

    A browser that was led here by a rebound DNS name sends that name; a plain IP address cannot be rebound, so probes
    and scrapers that call an address pass. `allowed` holds lower-case names without ports.
    """
    name = _without_port(host_header.strip().lower())
    return _is_address(name) or name in allowed


def token_accepted(authorization: str, *, token: str | None) -> bool:
    """Whether the header is ``Bearer`` with our token; never, when there is none. Takes the same time for any guess."""
    scheme, _, given = authorization.partition(" ")
    if token is None or scheme.lower() != "bearer":
        return False
    return hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), token.encode())


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() and ":" not in name else host


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
