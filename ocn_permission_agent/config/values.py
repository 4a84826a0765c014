"""What a single configuration value may look like: one `Kind` per form, each refusing with the end of a sentence.

A `ValueError` raised here reads on from the name of the key: "must be a whole number from 0 to 1000, not 'abc'". A kind
whose values may hold credentials (URLs) never repeats the value.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from urllib.parse import SplitResult, urlsplit

from ocn_permission_agent.consent.address import Address, address
from ocn_permission_agent.ocpi.party import Party

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_HASH = re.compile(r"0x[0-9a-fA-F]{64}")
_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How a value is read.

    `read` takes what TOML gives (str, int, float, bool, list) and returns the typed value. `from_text` turns the text
    of an environment variable into what TOML would have given. Both raise ValueError.
    """

    read: Callable[[object], object]
    from_text: Callable[[str], object] = str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenAddress:
    """Where to listen. Port 0 lets the system choose. `host` carries no brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        """``127.0.0.1:8080`` or ``[::1]:8080``."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _shown(value: object) -> str:
    shown = "true" if value is True else "false" if value is False else repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "…"


def _refusal(expected: str, value: object) -> ValueError:
    return ValueError(f"must be {expected}, not {_shown(value)}")


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise _refusal(what, value)
    return value.strip()


def _list(value: object, what: str) -> list[object]:
    if not isinstance(value, list):
        raise _refusal(what, value)
    return value


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _to_number(text: str) -> object:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


def list_from_text(text: str) -> list[str]:
    """``a,b`` as a list of texts; lines count as well."""
    return [part.strip() for part in text.replace("\n", ",").split(",") if part.strip()]


def numbers_from_text(text: str) -> list[object]:
    """``5,30,300`` as a list of numbers."""
    return [_to_number(part) for part in list_from_text(text)]


def text(value: object) -> str:
    """Any text, without surrounding space."""
    return _text(value, "a text")


def file_path(value: object) -> str | None:
    """The path of a file; empty: not given."""
    return _text(value, "the path of a file") or None


def flag() -> Kind:
    """``true`` or ``false``; in the environment also 1, 0, yes, no."""

    def read(value: object) -> bool:
        if not isinstance(value, bool):
            raise _refusal("true or false", value)
        return value

    return Kind(read=read, from_text=lambda text: _TRUTH.get(text.strip().lower(), text))


def whole(*, least: int = 0, most: int | None = None) -> Kind:
    """A whole number within bounds."""
    bounds = f"a whole number from {least} {'on' if most is None else f'to {most}'}"

    def read(value: object) -> int:
        if (
            isinstance(value, bool)
            or not isinstance(value, int)
            or value < least
            or (most is not None and value > most)
        ):
            raise _refusal(bounds, value)
        return value

    return Kind(read=read, from_text=_to_number)


def number(*, above: float = 0, most: float, or_zero: bool = False) -> Kind:
    """A number greater than `above`, at most `most`; 0 as well with `or_zero`."""
    bounds = f"a number {f'from {above:g}' if or_zero else f'above {above:g}'} to {most:g}"

    def read(value: object) -> float:
        read = _number(value)
        if read is None or not (above < read <= most or (or_zero and read == 0)):
            raise _refusal(bounds, value)
        return read

    return Kind(read=read, from_text=_to_number)


def choice(*allowed: str) -> Kind:
    """One of a few words."""
    listed = " or ".join(f'"{word}"' for word in allowed)

    def read(value: object) -> str:
        if value not in allowed:
            raise _refusal(listed, value)
        return str(value)

    return Kind(read=read)


def listen(value: object) -> ListenAddress:
    """``host:port``; IPv6 in brackets."""
    written = _text(value, '"host:port"')
    host, colon, port = written.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not bare or (":" in bare and bare == host) or not port.isascii() or not port.isdigit():
        raise ValueError(f'must be "host:port", as in "127.0.0.1:8080" or "[::1]:8080", not {_shown(value)}')
    if int(port) > 65535:
        raise ValueError(f"has no such port: {port} is above 65535")
    return ListenAddress(host=bare, port=int(port))


def _split_url(value: object) -> SplitResult:
    written = _text(value, "an http:// or https:// URL")
    try:
        parts = urlsplit(written)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or any(not char.isprintable() or char.isspace() for char in written):
        raise ValueError("must be an http:// or https:// URL with a host (its value is not repeated here)")
    return parts


def base_url(value: object) -> str:
    """A URL to which paths are appended: no credentials, query or fragment; a trailing slash is dropped."""
    parts = _split_url(value)
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user name or password")
    if parts.query or parts.fragment:
        raise ValueError("must end with host or path: no '?' and no '#'")
    return parts.geturl().rstrip("/")


def origin_url(value: object) -> str:
    """A URL of nothing but scheme, host and port."""
    url = base_url(value)
    if urlsplit(url).path:
        raise ValueError("must end with host or port: no path")
    return url


def rpc_urls(value: object) -> tuple[str, ...]:
    """One or more JSON-RPC URLs; they may hold keys, so they are never repeated."""
    written = value if isinstance(value, list) else []
    if not written:
        raise ValueError('must be a list of one or more URLs, as in ["https://rpc.example"]')
    urls = tuple(_split_url(each).geturl() for each in written)
    if len(set(urls)) != len(urls):
        raise ValueError("names one URL twice")
    return urls


def contract(value: object) -> Address | None:
    """A contract's address; empty: not given."""
    written = _text(value, "an address")
    if not written:
        return None
    try:
        return address(written)
    except ValueError:
        raise ValueError(f"must be 0x and 40 hexadecimal digits, not {_shown(value)}") from None


def block_hash(value: object) -> str:
    """A block hash in lower case, or empty: not given."""
    written = _text(value, "a block hash")
    if written and not _HASH.fullmatch(written):
        raise ValueError(f"must be empty or 0x and 64 hexadecimal digits, not {_shown(value)}")
    return written.lower()


def party(value: object) -> Party | None:
    """A party ``DE*CPO``; empty: not given."""
    written = _text(value, "a party")
    if not written:
        return None
    try:
        read = Party.parse(written)
    except ValueError:
        raise ValueError(f'must be a party such as "DE*CPO", not {_shown(value)}') from None
    if not (written.isascii() and read.country_code.isalnum() and read.party_id.isalnum()):
        raise ValueError(f'must be a party such as "DE*CPO", not {_shown(value)}')
    return read


def parties(value: object) -> tuple[Party, ...]:
    """A list of parties."""
    read = [party(each) for each in _list(value, 'a list of parties, as in ["DE*PAY"]')]
    if None in read:
        raise ValueError("must not hold an empty text")
    return tuple(each for each in read if each is not None)


def path_prefix(value: object) -> str:
    """Empty, or a path; comes out without slashes around it."""
    written = _text(value, "a path").strip("/")
    if written and (not re.fullmatch(r"[A-Za-z0-9/_.~-]+", written) or "//" in written or ".." in written):
        raise ValueError(f'must be empty or a path such as "/ocn", not {_shown(value)}')
    return written


def duration(value: object) -> timedelta:
    """``14d``, ``7d``, ``36h``, ``60s``."""
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or float(match[1]) <= 0 or float(match[1]) * _UNITS[match[2]] > 3650 * 86400:
        raise ValueError(f'must be a duration such as "60s", "30m", "12h" or "14d", not {_shown(value)}')
    return timedelta(seconds=float(match[1]) * _UNITS[match[2]])


def schedule(value: object) -> tuple[float, ...]:
    """Pauses between attempts, in seconds."""
    pauses = [_number(each) for each in _list(value, "a list of pauses in seconds, as in [5, 30, 300]")]
    if not pauses or not all(pause is not None and 0 < pause <= 30 * 86400 for pause in pauses):
        raise _refusal("a list of one or more pauses in seconds, as in [5, 30, 300]", value)
    return tuple(pause for pause in pauses if pause is not None)


def networks(value: object) -> tuple[IPv4Network | IPv6Network, ...]:
    """A list of networks such as ``10.0.0.0/8``."""
    return tuple(_network(each) for each in _list(value, 'a list of networks, as in ["10.0.0.0/8"]'))


def _network(value: object) -> IPv4Network | IPv6Network:
    try:
        return ip_network(_text(value, "a network"))
    except ValueError:
        raise ValueError(f"holds {_shown(value)}, which is not a network such as 10.0.0.0/8") from None


def host_names(value: object) -> tuple[str, ...]:
    """A list of host names, lower-cased, without ports."""
    listed = _list(value, 'a list of host names, as in ["agent.internal"]')
    names = tuple(_text(each, "a host name").lower() for each in listed)
    for name in names:
        if not re.fullmatch(r"[a-z0-9._-]+", name):
            raise ValueError(f"holds {_shown(name)}, which is not a host name (no port, no scheme)")
    return names


def store_url(value: object) -> str:
    """``sqlite:///agent.db`` or ``sqlite:////var/lib/agent.db``; or ``postgresql://…``, which may hold a password."""
    written = _text(value, "a URL")
    scheme, _, rest = written.partition("://")
    if scheme in {"postgresql", "postgres"}:
        return _postgres_url(written)
    if scheme != "sqlite" or not rest.startswith("/") or len(rest) < 2 or rest.endswith("/") or "?" in rest:
        raise ValueError(
            'must be "sqlite:///file.db" (relative), "sqlite:////folder/file.db" (absolute) or '
            '"postgresql://user@host/database"'
        )
    if rest == "/:memory:":
        raise ValueError("must name a file: what is only in memory would be lost")
    return written


def _postgres_url(written: str) -> str:
    try:
        # Ports are left to asyncpg: there may be several hosts.
        named = bool(urlsplit(written).path.strip("/"))
    except ValueError:
        named = False
    if not named or any(not char.isprintable() or char.isspace() for char in written):
        raise ValueError(
            'must name a database, as in "postgresql://user@host/database" (its value is not repeated here)'
        )
    return written


def folder_path(value: object) -> str | None:
    """The path of a folder; empty: not given."""
    return _text(value, "the path of a folder") or None
