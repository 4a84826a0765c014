"""Ending what lost its consent or its moment, and forgetting what was kept long enough; inside one transaction each.

Every method does a slice and returns how many rows it found; nothing left to do is 0.
"""

from collections import Counter
from datetime import datetime, timedelta

from ocn_permission_agent.outbox.after_attempt import Decision
from ocn_permission_agent.outbox.model import DeliveryState
from ocn_permission_agent.outbox.rows import span_us, to_us
from ocn_permission_agent.outbox.settling import Settling
from ocn_permission_agent.outbox.store import Scope
from ocn_permission_agent.store.database import Connection, Row
from ocn_permission_agent.store.sql import Sql

#: rows of one transaction, so that upkeep never holds up those who record; each has several statements, which take
#: longer where there is a network between
SLICES = {"sqlite": 500, "postgres": 100}
#: a session of which nothing was heard for so long is not kept as a whole
SESSION_SILENCE = timedelta(days=7)
#: of requests that were not copied
NOT_COPIED_KEPT = timedelta(days=7)
NOT_COPIED_MOST = 100_000


def by_id(rows: list[Row]) -> list[Row]:
    """In the order of deliveries, which is that of their envelopes, where agents that end copies of two services meet.

    The store tells rows in the order of their lanes, which is another one for each service.
    """
    return sorted(rows, key=lambda row: int(row["id"]))


class Tidying:
    """Upkeep of the rows.

    Args:
        sql: the named statements of ``sql/``, for its engine.
        settling: ends deliveries.
        dialect: of the engine.
    """

    def __init__(self, sql: Sql, settling: Settling, dialect: str) -> None:
        self._sql = sql
        self._slice = SLICES[dialect]
        self._settling = settling

    def withdraw(self, connection: Connection, scope: Scope, decision: Decision) -> int:
        """End what is pending in a scope, but what is in flight."""
        done = 0
        for scope_id in self._scope_ids(connection, scope):
            rows = self._sql.rows(connection, "pending_of_scope", scope_id=scope_id, most=self._slice - done)
            self._end(connection, rows, decision)
            done += len(rows)
        return done

    def erase(self, connection: Connection, scope: Scope) -> int:
        """Erase what else is kept of a scope: payloads of what has ended, sessions as a whole."""
        done = 0
        for scope_id in self._scope_ids(connection, scope):
            self._sql.do(connection, "drop_merged_of_scope", scope_id=scope_id)
            rows = self._sql.rows(connection, "kept_of_scope", scope_id=scope_id, most=self._slice - done)
            for row in rows:
                self._settling.let_go(connection, row["id"], row["envelope_id"])
            done += len(rows)
        return done

    def park_all(self, connection: Connection, decision: Decision) -> int:
        """Let a person decide about everything that is pending."""
        self._sql.do(connection, "unmark_all")
        rows = self._sql.rows(connection, "pending_of_all", most=self._slice)
        for row in by_id(rows):
            self._settling.decide(connection, row["id"], decision)
        for lane_id in {row["lane_id"] for row in rows}:
            self._settling.free_lane(connection, lane_id, decision)
        return len(rows)

    def expire_fleeting(self, connection: Connection, now: datetime) -> Counter[tuple[str, str]]:
        """End what was about a moment that is over; how many, by (provider, module)."""
        decision = Decision(
            state=DeliveryState.EXPIRED, decided_at=now, reason="its moment was over before it could go"
        )
        rows = self._sql.rows(connection, "fleeting_over", now=to_us(now), most=self._slice)
        self._end(connection, rows, decision)
        return Counter((row["provider"], row["module"]) for row in rows)

    def let_payloads_go(self, connection: Connection, now: datetime) -> int:
        """Erase payloads that were kept long enough."""
        rows = self._sql.rows(connection, "payloads_to_let_go", now=to_us(now), most=self._slice)
        for row in rows:
            self._settling.let_go(connection, row["id"], row["envelope_id"])
        return len(rows)

    def bring_forward(self, connection: Connection, *, now: datetime, by: timedelta) -> None:
        """The clock was put back: let nothing wait for longer than by the old one."""
        now_us, by_us = to_us(now), span_us(by)
        for what in ("lanes", "deliveries", "providers", "channels"):
            self._sql.do(connection, f"bring_{what}_forward", now=now_us, by=by_us)

    def forget_silent_sessions(self, connection: Connection, now: datetime) -> int:
        """Erase sessions as a whole of which nothing was heard, and nothing is owed."""
        return self._sql.do(connection, "drop_silent_sessions", before=to_us(now - SESSION_SILENCE), most=self._slice)

    def forget_ended(self, connection: Connection, now: datetime) -> int:
        """Remove what ended long ago: deliveries with their attempts, envelopes and lanes that nothing is left of."""
        rows = self._sql.rows(connection, "to_forget", now=to_us(now), most=self._slice)
        for row in by_id(rows):
            self._sql.do(connection, "forget_attempts", id=row["id"])
            self._sql.do(connection, "forget_duplicates", id=row["id"])
            self._sql.do(connection, "drop_collapsed", delivery_id=row["id"])
            self._sql.do(connection, "forget_delivery", id=row["id"])
            self._sql.do(connection, "forget_envelope", envelope_id=row["envelope_id"])
            self._sql.do(connection, "forget_lane", lane_id=row["lane_id"])
        return len(rows)

    def sum_up(self, connection: Connection) -> None:
        """Keep the tallies short."""
        self._sql.do(connection, "sum_up_tallies")

    def forget_scopes(self, connection: Connection) -> int:
        """Remove scopes that nothing is left of."""
        self._sql.do(connection, "hold_scopes")
        return self._sql.do(connection, "forget_empty_scopes")

    def forget_not_copied(self, connection: Connection, now: datetime) -> int:
        """Remove notes about requests that were not copied: the old ones, and the oldest of too many."""
        before = to_us(now - NOT_COPIED_KEPT)
        row = self._sql.row(connection, "newest_not_copied")
        surplus = (0 if row is None else row["id"]) - NOT_COPIED_MOST
        rows = self._sql.rows(connection, "oldest_not_copied", most=self._slice)
        gone = [row["id"] for row in rows if row["noted_at_us"] < before or row["id"] <= surplus]
        if not gone:
            return 0
        return self._sql.do(connection, "forget_not_copied", through=max(gone))

    def _end(self, connection: Connection, rows: list[Row], decision: Decision) -> None:
        for row in by_id(rows):
            self._settling.decide(connection, row["id"], decision)
        for lane_id in {row["lane_id"] for row in rows if not row["in_flight"]}:
            self._settling.free_lane(connection, lane_id, decision)

    def _scope_ids(self, connection: Connection, scope: Scope) -> list[int]:
        rows = self._sql.rows(
            connection,
            "scope_ids",
            customer_address=scope.customer_address,
            provider_address=scope.provider_address,
            agreement=str(scope.agreement),
            module=scope.module.value,
            interface_role=scope.interface_role.value,
        )
        return [row["id"] for row in rows]
