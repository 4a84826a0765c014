"""A watcher beside a sandbox chain, with a real store: polled by the test, never by time."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from ocn_permission_agent.chain.announcement import Perspective
from ocn_permission_agent.chain.audit import Auditor
from ocn_permission_agent.chain.decisions import DecisionStore
from ocn_permission_agent.chain.endpoints import Endpoints
from ocn_permission_agent.chain.errands import Errands
from ocn_permission_agent.chain.rpc import RpcClient
from ocn_permission_agent.chain.scan import SyncProgress
from ocn_permission_agent.chain.settings import ChainSettings
from ocn_permission_agent.chain.store import ChainStore
from ocn_permission_agent.chain.watcher import Watcher
from ocn_permission_agent.clock import Clock, SystemClock
from ocn_permission_agent.consent.address import Address, address
from ocn_permission_agent.consent.index import AgreementStatus, Entitlement
from ocn_permission_agent.consent.settings import ConsentSettings
from ocn_permission_agent.consent.verdict import Verdict
from ocn_permission_agent.consent.view import ConsentView
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.route import InterfaceRole, Module
from ocn_permission_agent.store.database import Database
from tests.chain_fixtures import WALLETS, Deployment
from tests.stores import Where, open_at

OWN_DOMAIN = "https://node-a.example"
OTHER_DOMAIN = "https://node-b.example"
CONFIRMATIONS = 2
CPO = Party("DE", "CPO")
BILLING = Party("NL", "BIL")


@dataclass(slots=True)
class Lines:
    """A log that remembers: (event, fields)."""

    lines: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def debug(self, event: str, **fields: Any) -> None:
        self.lines.append((event, fields))

    info = warning = error = debug

    def named(self, event: str) -> list[dict[str, object]]:
        return [fields for name, fields in self.lines if name == event]


def wallet_address(name: str) -> Address:
    return address(WALLETS[name].address)


def settings_for(deployment: Deployment, *, url: str | None = None, start_block: int = 0) -> ChainSettings:
    return ChainSettings(
        rpc_urls=(url or deployment.url,),
        chain_id=deployment.contracts.chain_id,
        registry=address(deployment.contracts.registry),
        permissions=address(deployment.contracts.permissions),
        start_block=start_block,
        confirmations=CONFIRMATIONS,
    )


@dataclass(kw_only=True)
class Watched:
    """A watcher, its view, and short questions to it."""

    watcher: Watcher
    errands: Errands
    auditor: Auditor
    endpoints: Endpoints
    view: ConsentView
    database: Database
    log: Lines
    metrics: Metrics

    async def poll(self) -> None:
        await self.watcher.poll_once()

    def providers(
        self,
        sender: Party = CPO,
        module: Module = Module.SESSIONS,
        role: InterfaceRole = InterfaceRole.RECEIVER,
    ) -> tuple[Entitlement, ...]:
        return self.view.index.providers_for(sender, module, role)

    def agreement(self, customer: str = "cpo", provider: str = "billing") -> AgreementStatus:
        wanted = (wallet_address(customer), wallet_address(provider))
        (found,) = [
            each for each in self.view.index.agreements() if (each.customer_address, each.provider_address) == wanted
        ]
        return found

    def verdict(self, entitlement: Entitlement, module: Module = Module.SESSIONS) -> Verdict:
        """Of a delivery that was planned under this entitlement."""
        return self.view.index.verdict(
            entitlement.customer_address,
            entitlement.provider_address,
            agreement=entitlement.agreement,
            module=module,
            role=InterfaceRole.RECEIVER,
            fresh=self.view.fresh,
        )


@asynccontextmanager
async def watching(
    deployment: Deployment,
    path: Where,
    *,
    settings: ChainSettings | None = None,
    consent: ConsentSettings | None = None,
    public_url: str = OWN_DOMAIN,
    clock: Clock | None = None,
    announces: bool = False,
    **changed: Any,
) -> AsyncIterator[Watched]:
    """Open a store and a watcher on it, that tells others or not; `changed` replaces settings."""
    clock, metrics, log = clock or SystemClock(), Metrics(), Lines()
    chosen = replace(settings or settings_for(deployment), **changed)
    view = ConsentView(clock=clock, max_staleness_seconds=chosen.max_staleness_seconds, metrics=metrics)
    database = await open_at(path, metrics=metrics, clock=clock)
    try:
        async with AsyncExitStack() as opened:
            rpcs = [await opened.enter_async_context(RpcClient(url=url, clock=clock)) for url in chosen.rpc_urls]
            errands = Errands()
            endpoints = Endpoints(rpcs=rpcs, settings=chosen, clock=clock, metrics=metrics, log=log)
            watcher = Watcher(
                errands=errands,
                endpoints=endpoints,
                store=ChainStore(database),
                decisions=DecisionStore(database),
                view=view,
                clock=clock,
                settings=chosen,
                perspective=Perspective(
                    operator=wallet_address("operator"),
                    confirmations=chosen.confirmations,
                    consent=consent or ConsentSettings(),
                ),
                public_url=public_url,
                log=log,
                jitter=lambda: 0.5,
                announces=announces,
            )
            auditor = Auditor(
                errands=errands,
                watcher=watcher,
                endpoints=endpoints,
                store=ChainStore(database),
                settings=chosen,
                clock=clock,
                metrics=metrics,
                log=log,
            )
            yield Watched(
                watcher=watcher,
                errands=errands,
                auditor=auditor,
                endpoints=endpoints,
                view=view,
                database=database,
                log=log,
                metrics=metrics,
            )
    finally:
        await database.close()


async def furnish(deployment: Deployment, *, permissions: tuple[int, ...] = (6, 8)) -> None:
    """Two nodes; a customer and a stranger's CPO on ours, a billing service on the other."""
    own, other = deployment.actor("operator"), deployment.actor("operator_b")
    await own.set_node(OWN_DOMAIN)
    await other.set_node(OTHER_DOMAIN)
    await deployment.actor("cpo").set_party("DE", "CPO", roles=[0], operator=own.address)
    await deployment.actor("cpo_b").set_party("DE", "CPB", roles=[0], operator=own.address)
    await deployment.actor("billing").set_party("NL", "BIL", roles=[6], operator=other.address)
    await deployment.actor("billing").set_service("Billing", "https://billing.example", list(permissions))


async def agree(deployment: Deployment, customer: str = "cpo", provider: str = "billing") -> None:
    await deployment.actor(customer).create_agreement(WALLETS[provider].address)


async def revoke(deployment: Deployment, customer: str = "cpo", provider: str = "billing") -> None:
    await deployment.actor(customer).revoke_agreement(WALLETS[provider].address)


async def confirm(deployment: Deployment, blocks: int = CONFIRMATIONS) -> None:
    await deployment.client.mine(blocks)


def remember(into: list[SyncProgress]) -> "_Remember":
    return _Remember(into)


@dataclass(slots=True)
class _Remember:
    into: list[SyncProgress]

    def __call__(self, progress: SyncProgress) -> None:
        self.into.append(progress)
