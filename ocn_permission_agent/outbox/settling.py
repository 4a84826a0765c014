"""What happens to rows when a delivery goes on waiting or ends, inside one transaction."""

from datetime import datetime
from typing import Protocol

from ocn_permission_agent.outbox.after_attempt import Decision, Wait
from ocn_permission_agent.outbox.ending import Ending, read_ending
from ocn_permission_agent.outbox.model import Attempt, AttemptVerdict, Delivery, DeliveryState, Place
from ocn_permission_agent.outbox.outcome import Outcome
from ocn_permission_agent.outbox.policy import DeliveryClass, forget_at, payload_until
from ocn_permission_agent.outbox.rows import EPOCH, breaker_columns, module_pause_columns, to_us
from ocn_permission_agent.outbox.session_merge import MergedSession, Said, follow, follow_open
from ocn_permission_agent.outbox.settings import DeliverySettings
from ocn_permission_agent.outbox.store import Settled
from ocn_permission_agent.store.database import Connection
from ocn_permission_agent.store.sql import Sql

#: what `end_alone` is told: its parameters, in their order
AloneColumns = dict[str, object]


class Ledger(Protocol):
    """Where outcomes are entered, inside the transaction in which a delivery ends."""

    def enter(self, connection: Connection, outcome: Outcome) -> None:
        """Add an entry."""
        ...


class Settling:
    """Writes decisions.

    Args:
        sql: the named statements of ``sql/``, for its engine.
        settings: how long payloads and rows are kept.
        ledger: gets every outcome.
    """

    def __init__(self, sql: Sql, settings: DeliverySettings, ledger: Ledger) -> None:
        self._sql = sql
        self._ledger = ledger
        self._kept_us = {
            (delivery_class, state): _kept_us(delivery_class, state, settings)
            for delivery_class in DeliveryClass
            for state in DeliveryState
        }

    def end_attempt(self, connection: Connection, delivery: Delivery, attempt: Attempt) -> None:
        """Write how a try ended."""
        self._sql.do(
            connection,
            "end_attempt",
            delivery_id=delivery.id,
            number=delivery.attempts,
            **_end_of(attempt),
        )

    def drop_open_attempt(self, connection: Connection, delivery: Delivery) -> None:
        """Nothing has left, though the store had noted that it would, and nobody was told so."""
        self._sql.do(connection, "drop_open_attempt", delivery_id=delivery.id)

    def decide(
        self,
        connection: Connection,
        delivery_id: int,
        decision: Decision,
        *,
        attempt: Attempt | None = None,
        known: Ending | None = None,
    ) -> None:
        """Write the state; a final one goes to the ledger, moves the session on, and may free the payload.

        Args:
            connection: inside a transaction.
            delivery_id: whose.
            decision: what becomes of it.
            attempt: after which.
            known: what its end must know, where that is at hand.
        """
        if decision.due_at is None:
            self._end(connection, known or self._look_up(connection, delivery_id, decision), decision)
            return
        self._sql.do(
            connection,
            "keep_pending",
            id=delivery_id,
            reason=decision.reason,
            next_attempt_at_us=to_us(decision.due_at),
            in_doubt=attempt is not None and attempt.verdict is AttemptVerdict.UNKNOWN,
        )

    def free_lane(self, connection: Connection, lane_id: int, decision: Decision) -> bool:
        """Offer the oldest that is pending, which may be the same as before; whether there is one."""
        head = self._sql.row(connection, "next_in_lane", lane_id=lane_id)
        self._sql.do(
            connection,
            "free_lane",
            lane_id=lane_id,
            head_id=None if head is None else head["id"],
            due_at_us=None if head is None else head["next_attempt_at_us"],
            held=decision.wait is Wait.HELD,
            collapse=decision.collapse,
            resting_until_us=0 if decision.resting_until is None else to_us(decision.resting_until),
            now=to_us(decision.decided_at),
        )
        return head is not None

    def stand(self, connection: Connection, place: Place, standing: Settled, *, now: datetime) -> None:
        """Write how provider and module stand now."""
        provider_id, now_us = place.provider_id, to_us(now)
        before, after = standing.before, standing.after
        pause_before, pause_after = standing.pause_before, standing.pause_after
        begun = after.paused and not before.paused
        if begun or (pause_after is not None and pause_before is None):
            channel_id = None if begun else place.channel_id
            self._sql.do(connection, "begin_still", provider_id=provider_id, channel_id=channel_id, now=now_us)
        if before != after:
            self._sql.do(connection, "set_breaker", provider_id=provider_id, **breaker_columns(after))
        if pause_before != pause_after:
            self._sql.do(
                connection, "set_module_pause", channel_id=place.channel_id, **module_pause_columns(pause_after)
            )
        returned = before.paused and not after.paused
        if returned or (pause_before is not None and pause_after is None):
            self._sql.do(connection, "end_still", provider_id=provider_id, now=now_us)
            self._sql.do(connection, "hurry", provider_id=provider_id, lane_id=place.lane_id, now=now_us)

    def let_go(self, connection: Connection, delivery_id: int, envelope_id: int) -> None:
        """A delivery that has ended needs its payload no longer."""
        self._sql.do(connection, "let_go_of_payload", id=delivery_id)
        self._sql.do(connection, "drop_collapsed", delivery_id=delivery_id)
        self._sql.do(connection, "release_payload", envelope_id=envelope_id)

    def _look_up(self, connection: Connection, delivery_id: int, decision: Decision) -> Ending:
        row = self._sql.row(connection, "to_end", id=delivery_id)
        if row is None:
            raise LookupError(f"delivery {delivery_id} is not in the store")
        return read_ending(row, decision)

    def alone(
        self,
        connection: Connection,
        attempt: Attempt,
        decision: Decision,
        *,
        ending: Ending,
        base: MergedSession | None,
    ) -> AloneColumns:
        """End a delivery after an attempt, when nothing else waits in its lane: what nearly always happens.

        It is entered in the ledger here; the rest is to be written by the statement `end_alone`.

        Args:
            connection: inside a transaction.
            attempt: how its newest has ended.
            decision: its end.
            ending: what that must know.
            base: the session of its lane before.
        """
        now_us = to_us(decision.decided_at)
        payload_until_us, forget_at_us = self._until_us(ending, decision, now_us)
        self._ledger.enter(connection, ending.outcome)
        session, merged = _AS_BEFORE, None
        if _is_followed(ending, decision):
            session, merged = _moved(base, ending, decision, empty=True)
        return {
            "id": ending.id,
            "number": ending.outcome.attempts,
            **_end_of(attempt),
            "state": ending.outcome.outcome,
            "reason": decision.reason,
            "now": now_us,
            "payload_until_us": payload_until_us,
            "forget_at_us": forget_at_us,
            "released_id": None if payload_until_us else ending.envelope_id,
            "lane_id": ending.lane_id,
            "collapse": decision.collapse,
            "resting_until_us": 0 if decision.resting_until is None else to_us(decision.resting_until),
            "session": session,
            "scope_id": ending.scope_id,
            "through_id": None if merged is None else merged.through_id,
            "body": None if merged is None else merged.body,
        }

    def _until_us(self, ending: Ending, decision: Decision, now_us: int) -> tuple[int, int]:
        """Until when payload (0: not any more) and row are kept of what ends now."""
        payload_us, row_us = self._kept_us[ending.delivery_class, decision.state]
        return 0 if payload_us is None else now_us + payload_us, now_us + row_us

    def _end(self, connection: Connection, ending: Ending, decision: Decision) -> None:
        now_us = to_us(decision.decided_at)
        payload_until_us, forget_at_us = self._until_us(ending, decision, now_us)
        self._ledger.enter(connection, ending.outcome)
        self._sql.do(
            connection,
            "end_delivery",
            id=ending.id,
            state=decision.state.value,
            reason=decision.reason,
            ended_at_us=now_us,
            payload_until_us=payload_until_us,
            forget_at_us=forget_at_us,
        )
        if _is_followed(ending, decision):
            self._follow(connection, ending, decision)
        if not payload_until_us and ending.payload_kept:
            if ending.stands_for_others:
                self._sql.do(connection, "drop_collapsed", delivery_id=ending.id)
            self._sql.do(connection, "release_payload", envelope_id=ending.envelope_id)

    def _follow(self, connection: Connection, ending: Ending, decision: Decision) -> None:
        """The session as a whole moves on with what was said."""
        lane_id = ending.lane_id
        base = self.merged_of(connection, lane_id, scope_id=ending.scope_id)
        empty = self._sql.row(connection, "next_in_lane", lane_id=lane_id) is None
        session, merged = _moved(base, ending, decision, empty=empty)
        if session == _OVER:
            self._sql.do(connection, "drop_merged", lane_id=lane_id)
        elif session == _MOVED and merged is not None:
            self.put_merged(connection, lane_id, ending.scope_id, merged, decision.decided_at)

    def merged_of(self, connection: Connection, lane_id: int, *, scope_id: int) -> MergedSession | None:
        """The session of a lane, as far as it was said under this scope."""
        row = self._sql.row(connection, "get_merged", lane_id=lane_id)
        if row is None or row["scope_id"] != scope_id:
            return None
        return MergedSession(through_id=row["through_id"], body=row["body"])

    def put_merged(
        self, connection: Connection, lane_id: int, scope_id: int, merged: MergedSession, now: datetime
    ) -> None:
        """Keep the session of a lane."""
        self._sql.do(
            connection,
            "put_merged",
            lane_id=lane_id,
            scope_id=scope_id,
            through_id=merged.through_id,
            body=merged.body,
            now=to_us(now),
        )


#: what becomes of the session of a lane, as `end_alone` is told
_AS_BEFORE, _MOVED, _OVER = "as before", "moved", "over"
#: ends that leave the session as a whole alone: consent for it is over, or it is in what supersedes it
_NOT_FOLLOWED = frozenset({DeliveryState.WITHDRAWN, DeliveryState.SUPERSEDED})


def _is_followed(ending: Ending, decision: Decision) -> bool:
    return ending.delivery_class is DeliveryClass.SESSION and decision.state not in _NOT_FOLLOWED


def _moved(
    base: MergedSession | None, ending: Ending, decision: Decision, *, empty: bool
) -> tuple[str, MergedSession | None]:
    """What becomes of a session with one more copy, delivered or not; it is erased when it is over."""
    move = follow_open if empty and decision.state is DeliveryState.DELIVERED else follow
    merged = move(base, Said(id=ending.id, method=ending.outcome.method, body=ending.outcome.body))
    if merged is None:
        return _OVER, None
    return (_AS_BEFORE, None) if merged == base else (_MOVED, merged)


def _kept_us(delivery_class: DeliveryClass, state: DeliveryState, settings: DeliverySettings) -> tuple[int | None, int]:
    """For how long payload (None: no longer) and row are kept of what has ended; reckoned for an end at the epoch."""
    fleeting = delivery_class is DeliveryClass.EPHEMERAL
    until = payload_until(state, ended_at=EPOCH, fleeting=fleeting, settings=settings)
    forget = forget_at(delivery_class, ended_at=EPOCH, payload_until=until, settings=settings)
    return None if until is None else to_us(until), to_us(forget)


def _end_of(attempt: Attempt) -> dict[str, object]:
    return {
        "attempt_ended_at_us": to_us(attempt.ended_at),
        "verdict": attempt.verdict._value_,
        "http_status": attempt.http_status,
        "ocpi_status": attempt.ocpi_status,
        "detail": attempt.detail,
    }
