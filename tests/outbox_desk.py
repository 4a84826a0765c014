"""An outbox whose attempts are decided by a function of the test: no network, no loop, a clock that the test moves."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ocn_permission_agent.consent.address import AgreementId
from ocn_permission_agent.ledger.entry import Entry, read_entry
from ocn_permission_agent.ledger.store import LedgerStore
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.ocpi.request import OcpiRequest
from ocn_permission_agent.outbox.after_attempt import Wait, after_attempt, before_attempt
from ocn_permission_agent.outbox.breaker import after_attempt_at
from ocn_permission_agent.outbox.model import Attempt, AttemptVerdict, Delivery
from ocn_permission_agent.outbox.module_pause import after_attempt_in
from ocn_permission_agent.outbox.settings import DeliverySettings
from ocn_permission_agent.outbox.stored import StoredOutbox
from ocn_permission_agent.store.database import Database
from tests.fakes import FakeClock
from tests.outbox_fixtures import AGREEMENT, BILLING, CUSTOMER_ADDRESS, a_plan, an_attempt

#: what the test's service makes of a delivery
Answering = Callable[[Delivery], Attempt]


@dataclass
class Outboxed:
    """The store with what a dispatcher does to it, step by step. `sent` is what left, in order."""

    database: Database
    store: StoredOutbox
    clock: FakeClock
    settings: DeliverySettings = field(default_factory=DeliverySettings)
    sent: list[Delivery] = field(default_factory=list)

    async def owe(self, *requests: OcpiRequest, to: Party = BILLING, agreement: AgreementId = AGREEMENT) -> None:
        """Recorded one after the other, at this moment."""
        for request in requests:
            await self.store.record(a_plan(request, to, at=self.clock.now(), agreement=agreement))

    async def claim(self, room: int = 100) -> tuple[Delivery, ...]:
        return await self.store.claim(now=self.clock.now(), room={}, default_room=room)

    async def go(self, answering: Answering, *, room: int = 100) -> int:
        """Try all that is due now, once; how many that was."""
        claimed = await self.claim(room)
        for delivery in claimed:
            await self.attempt(delivery, answering)
        return len(claimed)

    async def attempt(self, delivery: Delivery, answering: Answering) -> None:
        over = before_attempt(delivery, self.clock.now())
        if over is not None:
            await self.store.settle(delivery, over)
            return
        delivery = await self.store.start(delivery, at=self.clock.now())
        self.sent.append(delivery)
        await self.settle(delivery, answering(delivery))

    async def settle(self, delivery: Delivery, attempt: Attempt) -> None:
        """As the dispatcher does after an attempt."""
        decision = after_attempt(delivery, attempt, settings=self.settings, spread=0.5)
        not_set_up = decision.wait is Wait.PAUSED
        await self.store.settle(
            delivery,
            decision,
            attempt=attempt,
            breaker_step=lambda breaker: after_attempt_at(breaker, attempt, settings=self.settings, spread=0.5),
            pause_step=lambda pause: after_attempt_in(
                pause, attempt, not_set_up=not_set_up, settings=self.settings, spread=0.5
            ),
        )

    def says(self, verdict: AttemptVerdict, **attempt: Any) -> Answering:
        """The same answer to everything, after no time at all."""
        return lambda _: an_attempt(verdict, at=self.clock.now(), seconds=0, **attempt)

    @property
    def accepts(self) -> Answering:
        return self.says(AttemptVerdict.ACCEPTED, ocpi_status=1000)

    def requests_sent(self) -> list[tuple[str, bytes]]:
        return [(each.envelope.request.method, each.envelope.request.body) for each in self.sent]

    async def states(self) -> dict[str, int]:
        return {state.value: count for state, count in (await self.store.counts()).by_state.items()}

    async def one(self, sql: str) -> Any:
        return await self.database.read(lambda connection: connection.execute(sql).fetchone()[0])

    async def entries(self) -> list[Entry]:
        """Of the customer's ledger, in order."""
        chain = await LedgerStore(self.database).chain(CUSTOMER_ADDRESS)
        return [] if chain is None else [read_entry(each.text) for each in chain.entries if each.text is not None]
