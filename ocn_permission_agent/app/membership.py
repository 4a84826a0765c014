"""This agent among those that use its store: alone with SQLite, one of several with PostgreSQL."""

import secrets
import socket
from dataclasses import dataclass

from ocn_permission_agent import __version__
from ocn_permission_agent.admin.status import AgentStatus
from ocn_permission_agent.clock import Clock
from ocn_permission_agent.cluster.gathering import Gathering
from ocn_permission_agent.cluster.identity import identity
from ocn_permission_agent.cluster.lease import GATHERING, START, Lease, SharedLease, SoleLease
from ocn_permission_agent.cluster.roster import Roster
from ocn_permission_agent.store.database import Connection, Database
from ocn_permission_agent.store.settings import StoreSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What several agents have in common, seen from this one."""

    agent: str
    watching: SharedLease
    starting: SharedLease
    settling: SharedLease
    roster: Roster
    gathering: Gathering

    async def statuses(self) -> tuple[AgentStatus, ...]:
        """Every agent that was seen lately.

        Raises:
            StoreUnavailable: not now.
        """
        holder = await self.watching.holder()
        return tuple(
            AgentStatus(
                id=each.id,
                host=each.host,
                version=each.version,
                started_at=each.started_at,
                seen_at=each.seen_at,
                watches=each.id == holder,
                answers=each.id == self.agent,
                spool_bytes=each.spool_bytes,
            )
            for each in await self.roster.all()
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """`shared` is None for a store that only one agent can open."""

    shared: Shared | None = None

    @property
    def watching(self) -> Lease:
        """The right to watch the chain."""
        return SoleLease() if self.shared is None else self.shared.watching

    @property
    def name(self) -> str:
        """Of this agent, among all that it can be confused with."""
        return "" if self.shared is None else self.shared.agent

    def guard(self, connection: Connection) -> None:
        """See `Gathering.guard`."""
        if self.shared is not None:
            self.shared.gathering.guard(connection)


def membership(database: Database, settings: StoreSettings, *, clock: Clock, beside_others: bool) -> Membership:
    """Of an agent whose store is open.

    Args:
        database: the store.
        settings: where this agent's own files are.
        clock: dates its start, and measures leases.
        beside_others: of a command, which takes part in nothing and needs no name.

    Raises:
        StoreUnavailable: this agent's folder cannot be used.
    """
    if database.dialect == "sqlite":
        return Membership()
    agent = secrets.token_hex(8) if beside_others else identity(settings.beside("id"))

    def lease(name: str) -> SharedLease:
        return SharedLease(database, lease=name, agent=agent, clock=clock)

    roster = Roster(database, agent=agent, host=socket.gethostname(), version=__version__, started_at=clock.now())
    return Membership(
        shared=Shared(
            agent=agent,
            watching=SharedLease(database, agent=agent, clock=clock),
            starting=lease(START),
            settling=lease(GATHERING),
            roster=roster,
            gathering=Gathering(database, agent=agent),
        )
    )
