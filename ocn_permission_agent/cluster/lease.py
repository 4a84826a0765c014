"""The lease by which one agent at a time watches the chain.

::

    free ──take──▶ held ──renew──▶ held ──release──▶ free
                    │
                    └── the beat stands still for the lease's length: another takes it, with the next number

Whoever holds it proves so in every write (`fence`), in the same transaction: an agent that was thought dead and comes
back writes nothing. How long the beat stands still is measured by the one who waits, on its monotonic clock, so clocks
that differ neither steal a lease nor keep one.
"""

from typing import Protocol

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.errors import LeaseLost
from ocn_permission_agent.store.database import Connection, Database
from ocn_permission_agent.store.sql import Sql

#: a holder whose beat stands still for so long is thought dead
LEASE_SECONDS = 15.0
#: how often a holder raises the beat
RENEW_SECONDS = 4.0
#: names of leases
WATCHER, START, GATHERING = "watcher", "start", "gathering"


class Lease(Protocol):
    """The right to write of the chain."""

    @property
    def shared(self) -> bool:
        """Whether there may be other agents at all."""
        ...

    @property
    def lost(self) -> bool:
        """Whether a write or a renewal found it in other hands."""
        ...

    async def take(self) -> bool:
        """Get hold of it, if it is free or its holder is dead; raises StoreUnavailable."""
        ...

    async def renew(self) -> None:
        """Show that the holder lives; raises LeaseLost, StoreUnavailable."""
        ...

    async def release(self) -> None:
        """Let go of it, so that nobody has to wait; raises StoreUnavailable."""
        ...

    def fence(self, connection: Connection) -> None:
        """Inside a transaction: make sure that it is held until that is committed; raises LeaseLost."""
        ...


class SoleLease:
    """Of a store that only one agent can open at all: held as long as it is open."""

    shared = False
    lost = False

    async def take(self) -> bool:
        """Always."""
        return True

    async def renew(self) -> None:
        """Nothing can happen to it."""

    async def release(self) -> None:
        """It ends with the process."""

    def fence(self, connection: Connection) -> None:
        """Nobody else can write."""


class SharedLease:
    """Of a store that several agents use.

    Args:
        database: open.
        lease: which one.
        agent: id of this agent, the same after a restart.
        clock: measures how long the beat stands still.
        seconds: length of the lease.
    """

    shared = True

    def __init__(
        self, database: Database, *, lease: str = WATCHER, agent: str, clock: Clock, seconds: float = LEASE_SECONDS
    ) -> None:
        self._database = database
        self._lease = lease
        self._agent = agent
        self._clock = clock
        self._seconds = seconds
        self._sql = Sql.of("cluster", database.dialect)
        self._number: int | None = None
        self._lost = False
        #: (number, beat) as last seen in other hands, and since when that stands still
        self._seen: tuple[int, int] | None = None
        self._since = 0.0

    @property
    def lost(self) -> bool:
        """See `Lease.lost`."""
        return self._lost

    async def take(self) -> bool:
        """See `Lease.take`. What this agent held in a former life is its own at once."""
        row = await self._database.read(lambda connection: self._sql.row(connection, "lease", lease=self._lease))
        if row is None:
            return False
        number, beat = row["number"], row["beat"]
        if row["holder"] not in {None, self._agent} and not self._stands_still(number, beat):
            return False
        values = {"lease": self._lease, "number": number, "beat": beat, "holder": self._agent}
        taken = await self._database.write(lambda connection: self._sql.do(connection, "take_lease", **values))
        if not taken:
            return False
        self._number, self._lost, self._seen = number + 1, False, None
        return True

    async def holder(self) -> str | None:
        """Which agent has it; None for nobody. Raises StoreUnavailable."""
        row = await self._database.read(lambda connection: self._sql.row(connection, "lease", lease=self._lease))
        return None if row is None else row["holder"]

    async def renew(self) -> None:
        """See `Lease.renew`."""
        values = {"lease": self._lease, "number": self._number}
        if not await self._database.write(lambda connection: self._sql.do(connection, "renew_lease", **values)):
            self._lose()

    async def release(self) -> None:
        """See `Lease.release`."""
        number, self._number = self._number, None
        if number is not None and not self._lost:
            values = {"lease": self._lease, "number": number}
            await self._database.write(lambda connection: self._sql.do(connection, "release_lease", **values))

    def fence(self, connection: Connection) -> None:
        """See `Lease.fence`."""
        row = self._sql.row(connection, "fence", lease=self._lease)
        if row is None or row["number"] != self._number:
            self._lose()

    def _stands_still(self, number: int, beat: int) -> bool:
        now = self._clock.monotonic()
        if self._seen != (number, beat):
            self._seen, self._since = (number, beat), now
        return now - self._since >= self._seconds

    def _lose(self) -> None:
        self._lost = True
        raise LeaseLost("another agent does this now")
