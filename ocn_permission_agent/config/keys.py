"""Every configuration key: its form and its default. `config/agent.example.toml` says the same for people."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

from ocn_permission_agent.config import values
from ocn_permission_agent.config.values import Kind, ListenAddress


class Required:
    """Marks a key without a default."""


REQUIRED = Required()
SERVICES = "delivery.services"
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key.

    A `secret` key (``admin.token``) is never written in the file: the file names another one (``token_file``), the
    environment holds it as ``OCN_AGENT_ADMIN_TOKEN`` or names a file as ``OCN_AGENT_ADMIN_TOKEN_FILE``. A `private` key
    may hold credentials (RPC URLs): its value is never shown, and the environment may name a file likewise.
    """

    section: str
    name: str
    kind: Kind
    default: object = REQUIRED
    secret: bool = False
    private: bool = False

    @property
    def path(self) -> str:
        """``chain.rpc_urls``; unique."""
        return f"{self.section}.{self.name}"

    @property
    def file_name(self) -> str:
        """What the key is called in the TOML file."""
        return f"{self.name}_file" if self.secret else self.name


def _section(name: str, *keys: Key) -> tuple[Key, ...]:
    return tuple(replace(key, section=name) for key in keys)


def _key(name: str, kind: Kind, default: object = REQUIRED, *, secret: bool = False, private: bool = False) -> Key:
    return Key(section="", name=name, kind=kind, default=default, secret=secret, private=private)


_SCHEDULE = Kind(read=values.schedule, from_text=values.numbers_from_text)
_TEXT = Kind(read=values.text)
_FILE = Kind(read=values.file_path)
_BASE_URL = Kind(read=values.base_url)
_LISTEN = Kind(read=values.listen)
_DURATION = Kind(read=values.duration)
_PARTIES = Kind(read=values.parties, from_text=values.list_from_text)

KEYS: tuple[Key, ...] = (
    *_section(
        "proxy",
        _key("listen", _LISTEN, ListenAddress(host="0.0.0.0", port=8080)),  # noqa: S104  platforms call from outside
        _key("public_url", _BASE_URL),
        _key("tls_certificate_file", _FILE, None),
        _key("tls_key_file", _FILE, None),
        _key("strict", values.flag(), False),
        _key("preserve_host", values.flag(), True),
        _key("drain_seconds", values.number(most=20, or_zero=True), 10.0),
        _key("body_limit_bytes", values.whole(least=1024, most=1024 * _MIB), 8 * _MIB),
        _key("max_connections", values.whole(least=1, most=1_000_000), 4096),
        _key("buffer_total_bytes", values.whole(least=1024, most=64 * 1024 * _MIB), 64 * _MIB),
    ),
    *_section(
        "node",
        _key("url", Kind(read=values.origin_url)),
        _key("ca_file", _FILE, None),
        _key("version", values.choice("1", "2", "auto"), "auto"),
        _key("api_prefix", Kind(read=values.path_prefix), ""),
        _key("own_party", Kind(read=values.party), None),
        _key("service_interface_disabled", values.flag(), False),
    ),
    *_section(
        "admin",
        _key("listen", _LISTEN, ListenAddress(host="127.0.0.1", port=9090)),
        _key("token", _TEXT, None, secret=True),
        _key("allow_hosts", Kind(read=values.host_names, from_text=values.list_from_text), ()),
    ),
    *_section(
        "operator",
        _key("key", _TEXT, secret=True),
        _key("password", _TEXT, None, secret=True),
    ),
    *_section(
        "chain",
        _key("network", values.choice("prod", "volta", ""), ""),
        _key("rpc_urls", Kind(read=values.rpc_urls, from_text=values.list_from_text), private=True),
        _key("chain_id", values.whole(), 0),
        _key("registry", Kind(read=values.contract), None),
        _key("permissions", Kind(read=values.contract), None),
        _key("start_block", values.whole(), 0),
        _key("genesis_hash", Kind(read=values.block_hash), ""),
        _key("confirmations", values.whole(most=10_000), 12),
        _key("poll_seconds", values.number(most=3600), 5.0),
        _key("max_staleness_seconds", values.number(most=86_400), 60.0),
    ),
    *_section(
        "consent",
        _key("require_direct_grant", values.flag(), False),
        _key("copy_reads", values.flag(), False),
        _key("copy_commands", _PARTIES, ()),
    ),
    *_section(
        "store",
        _key("url", Kind(read=values.store_url), "sqlite:///agent.db", private=True),
        _key("spool_folder", Kind(read=values.folder_path), None),
    ),
    *_section(
        "delivery",
        _key("attempt_timeout_seconds", values.number(most=600), 45.0),
        _key("max_rate", values.number(most=10_000), 20.0),
        _key("max_in_flight", values.whole(least=1, most=1000), 8),
        _key("parked_days", values.number(most=3650, or_zero=True), 30.0),
        _key("keep_payload_hours", values.number(most=168, or_zero=True), 0.0),
        _key("history_days", values.number(most=3650), 31.0),
        _key("ledger_days", values.number(most=3650), 396.0),
        _key("schedule_seconds", _SCHEDULE, (5.0, 30.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 43200.0)),
    ),
    *_section(
        "delivery.windows",
        _key("cdrs", _DURATION, timedelta(days=14)),
        _key("sessions", _DURATION, timedelta(days=7)),
        _key("objects", _DURATION, timedelta(days=14)),
        _key("ephemeral", _DURATION, timedelta(seconds=60)),
    ),
    *_section(
        "network",
        _key("allow_http", values.flag(), False),
        _key("allow_addresses", Kind(read=values.networks, from_text=values.list_from_text), ()),
    ),
    *_section(
        "log",
        _key("format", values.choice("json", "console"), "json"),
        _key("level", values.choice("debug", "info", "warning", "error"), "info"),
    ),
)


def service_keys(party: str) -> Iterator[Key]:
    """The keys of ``[delivery.services."DE*PAY"]``: what is not given follows ``[delivery]``."""
    yield from _section(
        f'{SERVICES}."{party}"',
        _key("notary", values.choice("auto", "always", "never"), "auto"),
        _key("cdr_unknown_outcome", values.choice("retry", "park"), "retry"),
        _key("max_rate", values.number(most=10_000), None),
        _key("schedule_seconds", _SCHEDULE, None),
        _key("url", _BASE_URL, None),
        _key("token", _TEXT, None, secret=True),
        _key("token_style", values.choice("plain", "base64"), "plain"),
    )


def environment_name(key: Key) -> str:
    """``OCN_AGENT_DELIVERY_WINDOWS_CDRS``; of a service ``OCN_AGENT_DELIVERY_SERVICES_DE_PAY_NOTARY``."""
    words = key.path.replace('"', "").replace(".", "_").replace("*", "_")
    return f"OCN_AGENT_{words}".upper()
