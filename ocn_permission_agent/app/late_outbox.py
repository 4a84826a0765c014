"""The outbox as the proxy sees it: there from the first request on, even while the store is not."""

from typing import Protocol

from ocn_permission_agent.errors import StoreUnavailable
from ocn_permission_agent.outbox.model import CopyPlan


class Outbox(Protocol):
    """What recording needs of a store."""

    async def record(self, plan: CopyPlan) -> int:
        """Store a plan; durable on return."""
        ...


class LateOutbox:
    """Hands plans to the store once it is open; before that, and after, every plan is a gap."""

    def __init__(self) -> None:
        self._outbox: Outbox | None = None

    def attach(self, outbox: Outbox) -> None:
        """The store is open."""
        self._outbox = outbox

    def detach(self) -> None:
        """The store is closed."""
        self._outbox = None

    async def record(self, plan: CopyPlan) -> int:
        """See `OutboxStore.record`.

        Raises:
            StoreUnavailable: nothing was stored.
        """
        if self._outbox is None:
            raise StoreUnavailable("the store is not open")
        return await self._outbox.record(plan)
