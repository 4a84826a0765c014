"""The facts of the status document, gathered from all parts of a running agent."""

from ocn_permission_agent import __version__
from ocn_permission_agent.admin.status import ChainStatus, EndpointStatus, Status
from ocn_permission_agent.app.engine import Engine
from ocn_permission_agent.app.keeping import Keeping
from ocn_permission_agent.app.watch import Watch
from ocn_permission_agent.consent.view import ConsentView


async def status_of(engine: Engine, keeping: Keeping, view: ConsentView) -> Status:
    """How everything is doing.

    Raises:
        StoreUnavailable: the store cannot be read now.
    """
    counts, gaps = await engine.outbox.counts(), await keeping.gap_sums()
    index, shared = view.index, engine.shared
    return Status(
        version=__version__,
        chain=_chain_status(engine.watch, view),
        services=sum(service.listed for service in index.services()),
        agreements=sum(not agreement.verdict.closed for agreement in index.agreements()),
        deliveries=counts,
        backlog=await engine.outbox.backlog(),
        gaps=gaps,
        spool_bytes=keeping.recorder.spooled_bytes,
        gathered=0 if shared is None else await shared.gathering.waiting(),
        agents=() if shared is None else await shared.statuses(),
    )


def _chain_status(watch: Watch, view: ConsentView) -> ChainStatus:
    index = view.index
    head = index.block_number or None
    return ChainStatus(
        head=head,
        head_time=None if head is None else index.block_time,
        fresh=view.fresh,
        age_seconds=view.age_seconds(),
        held=index.distrust or index.doubt,
        endpoints=tuple(
            EndpointStatus(
                name=each.name,
                head=each.head,
                reachable=each.reachable,
                followed=each.followed,
                complaint=each.complaint,
            )
            for each in watch.endpoint_states()
        ),
    )
