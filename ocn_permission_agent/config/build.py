"""From checked values to each package's own settings; every key has been read and is there."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ocn_permission_agent.admin.settings import AdminSettings
from ocn_permission_agent.chain.settings import ChainSettings
from ocn_permission_agent.config.contracts import Contracts
from ocn_permission_agent.config.keys import SERVICES
from ocn_permission_agent.consent.settings import ConsentSettings
from ocn_permission_agent.logs import LogSettings
from ocn_permission_agent.net.settings import NetworkSettings
from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.outbox.settings import (
    CdrUnknownOutcome,
    DeliverySettings,
    DirectRoute,
    NotaryUse,
    ServiceSettings,
    TokenStyle,
    Windows,
)
from ocn_permission_agent.proxy.settings import NodeSettings, ProxySettings, TlsFiles
from ocn_permission_agent.store.settings import StoreSettings


def proxy(values: Mapping[str, Any], *, folder: Path) -> ProxySettings:
    """``[proxy]``; relative paths start from `folder`."""
    certificate, key = values["proxy.tls_certificate_file"], values["proxy.tls_key_file"]
    return ProxySettings(
        tls=None if certificate is None else TlsFiles(certificate=folder / certificate, key=folder / key),
        listen_host=values["proxy.listen"].host,
        listen_port=values["proxy.listen"].port,
        preserve_host=values["proxy.preserve_host"],
        copy_reads=values["consent.copy_reads"],
        strict=values["proxy.strict"],
        body_limit_bytes=values["proxy.body_limit_bytes"],
        max_connections=values["proxy.max_connections"],
        buffer_total_bytes=values["proxy.buffer_total_bytes"],
    )


def node(values: Mapping[str, Any], *, folder: Path) -> NodeSettings:
    """``[node]``; relative paths start from `folder`."""
    ca_file = values["node.ca_file"]
    return NodeSettings(
        url=values["node.url"],
        ca_file=None if ca_file is None else folder / ca_file,
        api_prefix=values["node.api_prefix"],
        own_party=values["node.own_party"],
    )


def node_version(values: Mapping[str, Any]) -> NodeVersion | None:
    """``node.version``; None: to be seen in the traffic."""
    written = values["node.version"]
    return None if written == "auto" else NodeVersion(written)


def admin(values: Mapping[str, Any]) -> AdminSettings:
    """``[admin]``."""
    return AdminSettings(
        listen_host=values["admin.listen"].host,
        listen_port=values["admin.listen"].port,
        token=values["admin.token"],
        allow_hosts=values["admin.allow_hosts"],
    )


def chain(values: Mapping[str, Any], followed: Contracts) -> ChainSettings:
    """``[chain]``, with the contracts of the named network or those written out."""
    return ChainSettings(
        rpc_urls=values["chain.rpc_urls"],
        chain_id=followed.chain_id,
        registry=followed.registry,
        permissions=followed.permissions,
        start_block=values["chain.start_block"],
        genesis_hash=values["chain.genesis_hash"],
        confirmations=values["chain.confirmations"],
        poll_seconds=values["chain.poll_seconds"],
        max_staleness_seconds=values["chain.max_staleness_seconds"],
    )


def consent(values: Mapping[str, Any]) -> ConsentSettings:
    """``[consent]``."""
    return ConsentSettings(
        require_direct_grant=values["consent.require_direct_grant"],
        copy_reads=values["consent.copy_reads"],
        copy_commands=frozenset(values["consent.copy_commands"]),
    )


def delivery(values: Mapping[str, Any], services: Iterable[Party]) -> DeliverySettings:
    """``[delivery]`` with its windows and the sections of single services."""
    return DeliverySettings(
        attempt_timeout_seconds=values["delivery.attempt_timeout_seconds"],
        max_rate=values["delivery.max_rate"],
        max_in_flight=values["delivery.max_in_flight"],
        parked_days=values["delivery.parked_days"],
        keep_payload_hours=values["delivery.keep_payload_hours"],
        history_days=values["delivery.history_days"],
        ledger_days=values["delivery.ledger_days"],
        schedule_seconds=values["delivery.schedule_seconds"],
        windows=Windows(
            cdrs=values["delivery.windows.cdrs"],
            sessions=values["delivery.windows.sessions"],
            objects=values["delivery.windows.objects"],
            ephemeral=values["delivery.windows.ephemeral"],
        ),
        services={party: _service(values, party) for party in services},
    )


def _service(values: Mapping[str, Any], party: Party) -> ServiceSettings:
    section = f'{SERVICES}."{party}"'
    return ServiceSettings(
        cdr_unknown_outcome=CdrUnknownOutcome(values[f"{section}.cdr_unknown_outcome"]),
        max_rate=values[f"{section}.max_rate"],
        schedule_seconds=values[f"{section}.schedule_seconds"],
        notary=NotaryUse(values[f"{section}.notary"]),
        direct=_direct_route(values, section),
    )


def _direct_route(values: Mapping[str, Any], section: str) -> DirectRoute | None:
    if values[f"{section}.url"] is None:
        return None
    return DirectRoute(
        url=values[f"{section}.url"],
        token=values[f"{section}.token"],
        token_style=TokenStyle(values[f"{section}.token_style"]),
    )


def store(values: Mapping[str, Any], *, folder: Path) -> StoreSettings:
    """``[store]``; relative paths start from `folder`."""
    url: str = values["store.url"]
    file = url.removeprefix("sqlite:///")
    if file != url:
        return StoreSettings(path=folder / file)
    return StoreSettings(path=folder / (values["store.spool_folder"] or "") / "agent", postgres_url=url)


def network(values: Mapping[str, Any]) -> NetworkSettings:
    """``[network]``."""
    return NetworkSettings(
        allow_http=values["network.allow_http"],
        allow_addresses=values["network.allow_addresses"],
    )


def log(values: Mapping[str, Any]) -> LogSettings:
    """``[log]``."""
    return LogSettings(format=values["log.format"], level=values["log.level"])
