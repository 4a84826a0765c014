"""What people must hear: alarms of C1, C2, C5, C6 and C10, once each, when they arise; and trouble while it lasts."""

from collections.abc import Mapping

from ocn_permission_agent.chain.follower import Move
from ocn_permission_agent.clock import Clock
from ocn_permission_agent.consent.events import (
    AgreementObserved,
    AgreementToggled,
    DeletionsCounted,
    Event,
    GrantsCounted,
    OperatorUnreadable,
    PartyChanged,
    PartyUnreadable,
    ServiceObserved,
    ServiceUnreadable,
)
from ocn_permission_agent.consent.facts import Facts
from ocn_permission_agent.log import Log


class Alarms:
    """One line per change of trouble, not per poll.

    Args:
        log: where to.
        clock: measures how long the same trouble lasts.
        repeated: events that are told again while they last, and after how many seconds.
    """

    def __init__(self, *, log: Log, clock: Clock, repeated: Mapping[str, float]) -> None:
        self._log = log
        self._clock = clock
        self._repeated = repeated
        self._sounding: str | None = None
        self._sounded_at = 0.0

    def sound(self, event: str, *, endpoint: str, reason: str) -> None:
        """There is trouble of this kind."""
        now = self._clock.monotonic()
        lasting = now - self._sounded_at >= self._repeated.get(event, float("inf"))
        if self._sounding != event or lasting:
            self._log.error(event, endpoint=endpoint, reason=reason)
            self._sounded_at = now
        self._sounding = event

    def end(self) -> bool:
        """It is over; tells whether there was any."""
        sounding, self._sounding = self._sounding, None
        return sounding is not None


def tell_move(log: Log, move: Move, *, endpoint: str) -> None:
    """What happened on the way to a new head; nothing, if nothing did."""
    head = move.tip.header
    if move.dropped_blocks:
        log.warning("chain.reorganised", head=head.number, dropped_blocks=move.dropped_blocks)
    if move.unexplained:
        # Everything was looked at already; what was lost is looked for in the logs, and by another endpoint.
        log.warning("logs.missed", endpoint=endpoint, blocks=list(move.unexplained))
    for event in move.events:
        _tell_event(log, event, move.tip.facts)
    if move.events:
        log.info("head.advanced", head=head.number, events=len(move.events))


def contradicts(move: Move) -> bool:
    """Whether the state, or a block's own filter, told what no log had told."""
    return bool(move.unexplained) or any(_is_contradiction(event, move.tip.facts) for event in move.events)


def _tell_event(log: Log, event: Event, facts: Facts) -> None:
    """One line about a new event, if it is of any concern, by what is known after it."""
    match event:
        case AgreementToggled():
            _tell_replay(log, event, facts)
        case AgreementObserved() | GrantsCounted():
            pair = facts.pair(event.customer, event.provider)
            if pair is not None and (pair.contradicted is not None or pair.miscounted is not None):
                log.error("agreement.contradicted", customer=event.customer, provider=event.provider)
        case DeletionsCounted():
            log.error("agreement.contradicted", provider=event.provider, reason="a deletion was not told by any log")
        case ServiceObserved():
            service = facts.services.get(event.provider)
            if service is not None and service.doubt is not None:
                log.error("entry.quarantined", address=event.provider, reason=service.doubt.why)
        case PartyChanged():
            _tell_other_address(log, event, facts)
        case _:
            _tell_unreadable(log, event)


def _is_contradiction(event: Event, facts: Facts) -> bool:
    """Whether the event is a look at the state that says what no log had said: logs were lost."""
    match event:
        case AgreementObserved() | GrantsCounted():
            pair = facts.pair(event.customer, event.provider)
            return pair is not None and (pair.contradicted is not None or pair.miscounted is not None)
        case DeletionsCounted():
            return True
        case ServiceObserved():
            service = facts.services.get(event.provider)
            return service is not None and service.doubt is not None
        case _:
            return False


def _tell_unreadable(log: Log, event: Event) -> None:
    match event:
        case ServiceUnreadable(provider=account, why=why):
            pass
        case PartyUnreadable(address=account, why=why):
            pass
        case OperatorUnreadable(operator=account, why=why):
            pass
        case _:
            return
    log.error("entry.quarantined", address=account, reason=why)


def _tell_replay(log: Log, event: AgreementToggled, facts: Facts) -> None:
    pair = facts.pair(event.customer, event.provider)
    if pair is None or not pair.replayed or pair.newest != event.evidence:
        return
    log.warning(
        "agreement.replayed",
        customer=event.customer,
        provider=event.provider,
        revoked=not pair.agreed,
        transaction=event.evidence.transaction_hash,
    )


def _tell_other_address(log: Log, event: PartyChanged, facts: Facts) -> None:
    if facts.pins is None or event.party is None:
        return
    pinned = facts.pins.get((event.party.folded, event.operator))
    if pinned is not None and pinned != event.address:
        log.error("party.moved", party=str(event.party), pinned=pinned, address=event.address, operator=event.operator)
