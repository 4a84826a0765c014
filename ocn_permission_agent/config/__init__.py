"""The agent's configuration: one TOML file, the environment over it, all problems told at once."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ocn_permission_agent.admin.settings import AdminSettings
from ocn_permission_agent.chain.settings import ChainSettings
from ocn_permission_agent.config import build
from ocn_permission_agent.config.checks import contracts, problems_between
from ocn_permission_agent.config.evaluate import Evaluated, evaluate
from ocn_permission_agent.config.source import collect, read_document
from ocn_permission_agent.consent.settings import ConsentSettings
from ocn_permission_agent.errors import ConfigError
from ocn_permission_agent.logs import LogSettings
from ocn_permission_agent.net.settings import NetworkSettings
from ocn_permission_agent.ocn.keys import OperatorKey
from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.outbox.settings import DeliverySettings
from ocn_permission_agent.proxy.settings import NodeSettings, ProxySettings
from ocn_permission_agent.proxy.tls import node_context, server_context
from ocn_permission_agent.store.settings import StoreSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that the operator decided; only `config` makes it, only `app` and `cli` read it.

    `public_url` is where platforms reach the proxy, the domain of this operator in the Registry. `node_version` is None
    for ``auto``. `warnings` are sentences to tell at the start. `secrets` must never be shown anywhere.
    """

    proxy: ProxySettings
    public_url: str
    drain_seconds: float
    node: NodeSettings
    node_version: NodeVersion | None
    service_interface_disabled: bool
    admin: AdminSettings
    operator_key: OperatorKey
    chain: ChainSettings = field(repr=False)
    consent: ConsentSettings
    delivery: DeliverySettings
    store: StoreSettings
    network: NetworkSettings
    log: LogSettings
    warnings: tuple[str, ...] = ()
    secrets: frozenset[str] = field(default=frozenset(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminAccess:
    """What a command needs to ask a running agent, or to look into its store."""

    admin: AdminSettings
    store: StoreSettings


def load(path: Path | None, *, environ: Mapping[str, str] | None = None) -> Config:
    """Read and check everything.

    Args:
        path: the TOML file, or None when all comes from the environment. Relative paths in the configuration start from
            its folder, or from the working directory when there is no file.
        environ: the environment; the process's own by default.

    Raises:
        ConfigError: with every problem.
    """
    folder = _folder(path)
    evaluated = _evaluated(path, folder=folder, environ=environ)
    problems = [*evaluated.problems, *problems_between(evaluated)]
    key = _operator_key(evaluated, problems)
    followed = contracts(evaluated)
    if problems or key is None or followed is None:
        raise ConfigError(problems)
    proxy, node = build.proxy(evaluated.values, folder=folder), build.node(evaluated.values, folder=folder)
    _check_tls(proxy, node)
    return Config(
        proxy=proxy,
        public_url=evaluated.values["proxy.public_url"],
        drain_seconds=evaluated.values["proxy.drain_seconds"],
        node=node,
        node_version=build.node_version(evaluated.values),
        service_interface_disabled=evaluated.values["node.service_interface_disabled"],
        admin=build.admin(evaluated.values),
        operator_key=key,
        chain=build.chain(evaluated.values, followed),
        consent=build.consent(evaluated.values),
        delivery=build.delivery(evaluated.values, evaluated.services),
        store=build.store(evaluated.values, folder=folder),
        network=build.network(evaluated.values),
        log=build.log(evaluated.values),
        warnings=evaluated.warnings,
        secrets=evaluated.secrets | key.to_hide(),
    )


def load_admin_access(path: Path | None, *, environ: Mapping[str, str] | None = None) -> AdminAccess:
    """Read only what asking for the status needs: whoever asks need not be able to read the operator's key.

    Raises:
        ConfigError: the file cannot be read, or those few keys have problems.
    """
    folder = _folder(path)
    evaluated = _evaluated(path, folder=folder, environ=environ)
    needed = ("admin.", "store.", "OCN_AGENT_ADMIN", "OCN_AGENT_STORE")
    if problems := [problem for problem in evaluated.problems if problem.startswith(needed)]:
        raise ConfigError(problems)
    return AdminAccess(admin=build.admin(evaluated.values), store=build.store(evaluated.values, folder=folder))


def load_chain_access(path: Path | None, *, environ: Mapping[str, str] | None = None) -> ChainSettings:
    """Read only ``[chain]``: whoever writes to the contracts need not be a node's operator.

    Raises:
        ConfigError: the file cannot be read, or keys of that section have problems.
    """
    evaluated = _evaluated(path, folder=_folder(path), environ=environ)
    needed = ("chain.", "[chain]", "OCN_AGENT_CHAIN")
    found = (*evaluated.problems, *problems_between(evaluated))
    problems = [problem for problem in found if problem.startswith(needed)]
    followed = contracts(evaluated)
    if problems or followed is None:
        raise ConfigError(problems)
    return build.chain(evaluated.values, followed)


def _check_tls(proxy: ProxySettings, node: NodeSettings) -> None:
    """Read the certificates as the agent will.

    Raises:
        ConfigError: they cannot be used.
    """
    problems: list[str] = []
    try:
        if proxy.tls is not None:
            server_context(proxy.tls)
    except ConfigError as error:
        problems += error.problems
    try:
        node_context(node.ca_file)
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(problems)


def _folder(path: Path | None) -> Path:
    return (Path.cwd() if path is None else path.absolute().parent).resolve()


def _evaluated(path: Path | None, *, folder: Path, environ: Mapping[str, str] | None) -> Evaluated:
    document = {} if path is None else read_document(path)
    return evaluate(collect(document, os.environ if environ is None else environ), folder=folder)


def _operator_key(evaluated: Evaluated, problems: list[str]) -> OperatorKey | None:
    text = evaluated.values.get("operator.key")
    if text is None:
        return None
    try:
        return OperatorKey.load(text, password=evaluated.values.get("operator.password"))
    except ConfigError as error:
        problems.extend(f"{evaluated.named['operator.key']}: {problem}." for problem in error.problems)
        return None
