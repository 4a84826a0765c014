"""What single values cannot tell: keys that need, or contradict, each other (pure)."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from ocn_permission_agent.config.contracts import NETWORKS, Contracts
from ocn_permission_agent.config.evaluate import Evaluated
from ocn_permission_agent.config.keys import SERVICES
from ocn_permission_agent.config.values import ListenAddress

_EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104  compared with, not bound to
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_SHORTEST_TOKEN = 16


def problems_between(evaluated: Evaluated) -> Iterator[str]:
    """One sentence for each contradiction. Keys that have a problem of their own are passed over."""
    yield from _listeners(evaluated)
    yield from _buffers(evaluated)
    yield from _tls(evaluated)
    yield from _node(evaluated)
    yield from _token(evaluated)
    yield from _store(evaluated)
    yield from _direct_routes(evaluated)
    yield from _contracts(evaluated)


def contracts(evaluated: Evaluated) -> Contracts | None:
    """The contracts to follow: those of the named network, or those written out; None when neither is complete."""
    values = evaluated.values
    if network := values.get("chain.network"):
        return NETWORKS[network]
    chain_id, registry, permissions = (values.get(f"chain.{name}") for name in ("chain_id", "registry", "permissions"))
    if chain_id and registry and permissions:
        return Contracts(chain_id=chain_id, registry=registry, permissions=permissions)
    return None


def _listeners(evaluated: Evaluated) -> Iterator[str]:
    proxy: ListenAddress | None = evaluated.values.get("proxy.listen")
    admin: ListenAddress | None = evaluated.values.get("admin.listen")
    if proxy is None:
        return
    if admin is not None and proxy.port == admin.port != 0 and _meet(proxy.host, admin.host):
        yield f"{evaluated.named['admin.listen']}: needs a port of its own, {proxy} is the proxy's (proxy.listen)."
    node = evaluated.values.get("node.url")
    if node is not None and proxy.port != 0 and _port(node) == proxy.port:
        host = urlsplit(node).hostname or ""
        if _meet(proxy.host, host) and (host in _LOOPBACK or host == proxy.host):
            yield f"{evaluated.named['node.url']}: is the proxy itself (proxy.listen); it must be the node behind it."


def _meet(host: str, other: str) -> bool:
    both_local = host in _LOOPBACK and other in _LOOPBACK
    return host == other or both_local or bool(_EVERYWHERE & {host, other})


def _port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme == "https" else 80)


def _buffers(evaluated: Evaluated) -> Iterator[str]:
    limit = evaluated.values.get("proxy.body_limit_bytes")
    total = evaluated.values.get("proxy.buffer_total_bytes")
    if limit is not None and total is not None and total < limit:
        named = evaluated.named["proxy.buffer_total_bytes"]
        yield f"{named}: must be at least proxy.body_limit_bytes ({limit}), or no large body could ever be copied."


def _tls(evaluated: Evaluated) -> Iterator[str]:
    values, named = evaluated.values, evaluated.named
    pair = ("proxy.tls_certificate_file", "proxy.tls_key_file")
    for path, other in (pair, pair[::-1]):
        if values.get(path) is not None and values.get(other, ...) is None:
            yield f"{named[path]}: needs {other} too."
    node, ca_file = values.get("node.url"), values.get("node.ca_file")
    if ca_file is not None and node is not None and urlsplit(node).scheme != "https":
        yield f"{named['node.ca_file']}: is of use only with an https:// URL of the node."


def _node(evaluated: Evaluated) -> Iterator[str]:
    values = evaluated.values
    if values.get("node.url") is not None and values.get("node.url") == values.get("proxy.public_url"):
        yield (
            f"{evaluated.named['node.url']}: equals proxy.public_url, where platforms reach the proxy; "
            "it must be the node behind it."
        )
    if values.get("node.version") == "2" and values.get("node.own_party", ...) is None:
        yield 'node.own_party: is needed with a 2.x node: its own party, as in "DE*XXX".'


def _token(evaluated: Evaluated) -> Iterator[str]:
    token = evaluated.values.get("admin.token")
    if token is None:
        return
    if len(token) < _SHORTEST_TOKEN:
        yield f"{evaluated.named['admin.token']}: is too short; a token needs {_SHORTEST_TOKEN} characters or more."
    if not (token.isascii() and token.isprintable()) or " " in token:
        yield f"{evaluated.named['admin.token']}: must be one line of ASCII characters without spaces."


def _store(evaluated: Evaluated) -> Iterator[str]:
    url, folder = evaluated.values.get("store.url"), evaluated.values.get("store.spool_folder")
    if folder is not None and url is not None and url.startswith("sqlite:"):
        named = evaluated.named["store.spool_folder"]
        yield f"{named}: is for PostgreSQL; with SQLite these files lie beside the store."


def _direct_routes(evaluated: Evaluated) -> Iterator[str]:
    for party in evaluated.services:
        url, token = (f'{SERVICES}."{party}".{name}' for name in ("url", "token"))
        if url not in evaluated.values or token not in evaluated.values:
            continue
        if evaluated.values[url] is not None and evaluated.values[token] is None:
            yield f"{evaluated.named[url]}: needs token_file, the token that the service gave you."
        if evaluated.values[url] is None and evaluated.values[token] is not None:
            yield f"{evaluated.named[token]}: is of use only together with url."
        if (text := evaluated.values[token]) is not None and not (text.isascii() and text.isprintable()):
            yield f"{evaluated.named[token]}: must be one line of ASCII characters."


def _contracts(evaluated: Evaluated) -> Iterator[str]:
    values, named = evaluated.values, evaluated.named
    written = {name: values.get(f"chain.{name}") for name in ("chain_id", "registry", "permissions")}
    network = values.get("chain.network")
    if network:
        for name, value in written.items():
            if value and value != getattr(NETWORKS[network], name):
                yield (
                    f'{named[f"chain.{name}"]}: {value} is not that of the network "{network}" '
                    f"({getattr(NETWORKS[network], name)}); give either chain.network or all three of "
                    "chain.chain_id, chain.registry and chain.permissions."
                )
        return
    missing = [f"chain.{name}" for name, value in written.items() if f"chain.{name}" in values and not value]
    if network is not None and len(missing) == 3:
        yield (
            'chain.network: is missing; say "prod" or "volta", '
            "or give chain.chain_id, chain.registry and chain.permissions."
        )
    elif network is not None:
        yield from (f"{path}: is missing; without chain.network all three must be given." for path in missing)
