"""The status document: what `/api/v1/status` and `status --json` say (pure)."""

import math
from dataclasses import dataclass
from datetime import datetime

from ocn_permission_agent.outbox.gaps import GapSum
from ocn_permission_agent.outbox.model import DeliveryState
from ocn_permission_agent.outbox.store import Counts, ProviderBacklog


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointStatus:
    """One RPC endpoint. `name` is its host only: paths may hold keys. `head` is None before its first answer.

    `followed` tells that its chain is the one we follow, `complaint` why it holds all copies (C8).
    """

    name: str
    head: int | None
    reachable: bool
    followed: bool = True
    complaint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainStatus:
    """What we know of the chain. `age_seconds` is None, or infinite, when it was never read.

    `held` tells why every copy is held (C8, C12) though the view may be fresh; None when nothing is in doubt.
    """

    head: int | None
    head_time: datetime | None = None
    fresh: bool
    age_seconds: float | None = None
    held: str | None = None
    endpoints: tuple[EndpointStatus, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentStatus:
    """One of several agents on the store. `seen_at` is by its own clock.

    `watches` tells that it follows the chain for all, `answers` that it is the one that was asked.
    """

    id: str
    host: str
    version: str
    started_at: datetime
    seen_at: datetime
    watches: bool
    answers: bool
    spool_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Everything the document is made of.

    `services` counts those that are listed, `agreements` those that are open or held; None: not known, because only
    the store was asked. `backlog` is what each provider is owed, None likewise. `gaps` are copies that were due and
    could not be recorded, by reason. `spool_bytes` wait beside the store of the agent that answers, None likewise;
    `gathered` copies of all agents wait in it to be recorded in their order. `agents` are those on the store, none for
    a store that only one can open.
    """

    version: str
    chain: ChainStatus
    services: int | None
    agreements: int | None
    deliveries: Counts
    backlog: tuple[ProviderBacklog, ...] | None = None
    gaps: tuple[GapSum, ...] = ()
    spool_bytes: int | None = None
    gathered: int = 0
    agents: tuple[AgentStatus, ...] = ()


def status_document(status: Status) -> dict[str, object]:
    """The document as JSON values; names are those of interface.md.

    ``deliveries.pending`` counts all that is owed; ``held`` and ``paused`` are those of them that wait for more than
    time.
    """
    counts = {state.value: status.deliveries.by_state.get(state, 0) for state in DeliveryState}
    waiting = {"held": status.deliveries.held, "paused": status.deliveries.paused}
    chain, age = status.chain, status.chain.age_seconds
    return {
        "version": status.version,
        "chain": {
            "head": chain.head,
            "head_time": None if chain.head_time is None else chain.head_time.isoformat(),
            "fresh": chain.fresh,
            "age_seconds": None if age is None or math.isinf(age) else round(age, 3),
            "held": chain.held,
            "endpoints": [
                {
                    "name": endpoint.name,
                    "head": endpoint.head,
                    "reachable": endpoint.reachable,
                    "followed": endpoint.followed,
                    "complaint": endpoint.complaint,
                }
                for endpoint in chain.endpoints
            ],
        },
        "services": status.services,
        "agreements": status.agreements,
        "deliveries": {"pending": counts.pop("pending")} | waiting | counts,
        "providers": None if status.backlog is None else [_provider(each) for each in status.backlog],
        "gaps": sum(each.count for each in status.gaps),
        "gaps_by_reason": {
            each.reason: {
                "count": each.count,
                "first_at": each.first_at.isoformat(),
                "last_at": each.last_at.isoformat(),
            }
            for each in status.gaps
        },
        "spool_bytes": status.spool_bytes,
        "gathered": status.gathered,
        "agents": [_agent(each) for each in status.agents],
    }


def _agent(agent: AgentStatus) -> dict[str, object]:
    return {
        "id": agent.id,
        "host": agent.host,
        "version": agent.version,
        "started_at": agent.started_at.isoformat(),
        "seen_at": agent.seen_at.isoformat(),
        "watches": agent.watches,
        "answers": agent.answers,
        "spool_bytes": agent.spool_bytes,
    }


def _provider(owed: ProviderBacklog) -> dict[str, object]:
    """What one provider is owed, and what of it is paused: all, or single modules."""
    breaker = owed.breaker
    return {
        "provider": str(owed.provider),
        "pending": owed.pending,
        "held": sum(owed.held.values()),
        "held_by": dict(owed.held),
        "paused": owed.paused,
        "oldest": _instant(owed.oldest),
        "paused_since": _instant(breaker.paused_since),
        "probe_at": _instant(breaker.probe_at),
        "reason": breaker.reason,
        "paused_modules": [
            {
                "module": each.module,
                "paused_since": _instant(each.pause.since),
                "probe_at": _instant(each.pause.probe_at),
                "reason": each.pause.reason,
            }
            for each in owed.paused_modules
        ],
    }


def _instant(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
