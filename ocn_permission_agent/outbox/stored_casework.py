"""What people ask of the outbox, from the store; see `casework.Casework`."""

import json
from datetime import datetime

from ocn_permission_agent.consent.address import AgreementId
from ocn_permission_agent.outbox.after_attempt import Decision
from ocn_permission_agent.outbox.casework import (
    DISCARDABLE,
    Choice,
    Listed,
    Missed,
    NotCopiedNote,
    Preview,
    Repeated,
    Shown,
    Step,
    Story,
)
from ocn_permission_agent.outbox.model import Attempt, AttemptVerdict, DeliveryState
from ocn_permission_agent.outbox.policy import REVIVABLE, class_of_route, window_of_class
from ocn_permission_agent.outbox.rows import from_us, from_us_or_none, read_route, span_us, to_us
from ocn_permission_agent.outbox.settings import DeliverySettings
from ocn_permission_agent.outbox.settling import Ledger, Settling
from ocn_permission_agent.store.database import Connection, Database, Row
from ocn_permission_agent.store.sql import Sql

#: newer than any delivery
_END_OF_IDS = 2**62


class StoredCasework:
    """See `casework.Casework`.

    Args:
        database: open and migrated, or opened for looking only.
        settings: windows.
        ledger: gets what is discarded.
    """

    def __init__(self, database: Database, *, settings: DeliverySettings, ledger: Ledger) -> None:
        self._database = database
        self._settings = settings
        self._sql = Sql.of("outbox", database.dialect, "casework")
        self._settling = Settling(Sql.of("outbox", database.dialect), settings, ledger)

    async def find(self, choice: Choice, *, before_id: int | None, most: int) -> tuple[Listed, ...]:
        """See `Casework.find`."""
        values = _values(choice) | {"before_id": _END_OF_IDS if before_id is None else before_id, "most": most}
        rows = await self._database.read(lambda connection: self._sql.rows(connection, "find", **values))
        return tuple(map(_listed, rows))

    async def preview(self, choice: Choice) -> Preview:
        """See `Casework.preview`."""
        rows = await self._database.read(lambda connection: self._sql.rows(connection, "preview", **_values(choice)))
        return Preview(
            by_state={DeliveryState(row["state"]): row["n"] for row in rows},
            able={DeliveryState(row["state"]): row["able"] for row in rows},
        )

    async def show(self, delivery_id: int, *, now: datetime) -> Shown | None:
        """See `Casework.show`."""
        return await self._database.read(lambda connection: self._show(connection, delivery_id, to_us(now)))

    async def retry(self, choice: Choice, *, by: str, now: datetime, after_id: int, most: int) -> Step:
        """See `Casework.retry`."""

        def work(connection: Connection) -> Step:
            rows = self._to_act_on(connection, choice, REVIVABLE, after_id, most)
            # A lane whose head is under way keeps it until it is settled.
            able = [row for row in rows if row["payload_until_us"] != 0 and not row["in_flight"]]
            for row in able:
                self._revive(connection, row, by, to_us(now))
            return _step(rows, able, most)

        return await self._database.write(work)

    async def discard(self, choice: Choice, *, by: str, now: datetime, after_id: int, most: int) -> Step:
        """See `Casework.discard`."""

        def work(connection: Connection) -> Step:
            rows = self._to_act_on(connection, choice, DISCARDABLE, after_id, most)
            able = [
                row
                for row in rows
                if row["payload_until_us"] != 0 and not (row["in_flight"] and row["head_id"] == row["id"])
            ]
            for row in able:
                self._discard(connection, row, by, now)
            return _step(rows, able, most)

        return await self._database.write(work)

    async def explain(self, correlation_id: str, *, now: datetime) -> Story:
        """See `Casework.explain`."""
        now_us = to_us(now)

        def work(connection: Connection) -> Story:
            asked = {"correlation_id": correlation_id}
            shown = (
                self._show(connection, row["id"], now_us)
                for row in self._sql.rows(connection, "by_correlation", **asked)
            )
            return Story(
                copies=tuple(each for each in shown if each is not None),
                repeated=tuple(
                    Repeated(
                        delivery_id=row["delivery_id"],
                        provider=row["provider"],
                        noted_at=from_us(row["noted_at_us"]),
                        receiver=row["receiver"],
                    )
                    for row in self._sql.rows(connection, "repeated", **asked)
                ),
                not_copied=tuple(_note(row) for row in self._sql.rows(connection, "not_copied", **asked)),
                missed=tuple(
                    Missed(reason=row["reason"], at=from_us(row["first_at_us"]))
                    for row in self._sql.rows(connection, "missed", **asked)
                ),
            )

        return await self._database.read(work)

    async def note_not_copied(self, notes: tuple[NotCopiedNote, ...]) -> None:
        """See `Casework.note_not_copied`."""

        def work(connection: Connection) -> None:
            for note in notes:
                self._sql.do(
                    connection,
                    "note_not_copied",
                    noted_at_us=to_us(note.noted_at),
                    correlation_id=note.correlation_id,
                    sender=note.sender,
                    receiver=note.receiver,
                    module=note.module,
                    interface_role=note.interface_role,
                    method=note.method,
                    reason=note.reason,
                )

        await self._database.write(work)

    def _show(self, connection: Connection, delivery_id: int, now_us: int) -> Shown | None:
        row = self._sql.row(connection, "show", id=delivery_id, now=now_us)
        if row is None:
            return None
        return Shown(
            listed=_listed(row),
            customer_address=row["customer_address"],
            provider_address=row["provider_address"],
            agreement=AgreementId.parse(row["agreement"]),
            agreement_block=row["agreement_block"],
            receiver=row["receiver"],
            url_path=row["url_path"],
            expires_at=from_us(row["expires_at_us"]),
            in_flight=bool(row["in_flight"]),
            held=bool(row["held"]),
            paused=row["paused"],
            sent_as=row["sent_as"],
            attempts=tuple(
                _attempt(each, now_us) for each in self._sql.rows(connection, "attempts_of", id=delivery_id)
            ),
        )

    def _to_act_on(
        self,
        connection: Connection,
        choice: Choice,
        possible: frozenset[DeliveryState],
        after_id: int,
        most: int,
    ) -> list[Row]:
        states = possible & set(choice.states) if choice.states else possible
        values = _values(choice) | {"states": json.dumps(sorted(state.value for state in states))}
        return self._sql.rows(connection, "to_act_on", after_id=after_id, most=most, **values)

    def _revive(self, connection: Connection, row: Row, by: str, now_us: int) -> None:
        window = window_of_class(class_of_route(row["method"], read_route(row)), self._settings.windows)
        reason = f"to be tried again, as {by} asked"
        self._sql.do(connection, "revive", id=row["id"], reason=reason, now=now_us, window_us=span_us(window))
        self._sql.do(connection, "put_in_front", id=row["id"], lane_id=row["lane_id"], now=now_us)

    def _discard(self, connection: Connection, row: Row, by: str, now: datetime) -> None:
        state, reason = DeliveryState(row["state"]), f"discarded by {by}"
        if state in (DeliveryState.PENDING, DeliveryState.PARKED):
            decision = Decision(state=DeliveryState.WITHDRAWN, decided_at=now, reason=reason)
            self._settling.decide(connection, row["id"], decision)
            if state is DeliveryState.PENDING and not row["in_flight"]:
                self._settling.free_lane(connection, row["lane_id"], decision)
            return
        # The service has seen it: that stays on record, only the payload goes.
        self._sql.do(connection, "mark_discarded", id=row["id"], reason=f"{row['reason']}; {reason}")
        self._settling.let_go(connection, row["id"], row["envelope_id"])


def _values(choice: Choice) -> dict[str, object]:
    """A choice as parameters: NULL chooses all."""
    return {
        "ids": json.dumps(choice.ids) if choice.ids else None,
        "customer": choice.customer,
        "provider": choice.provider,
        "module": choice.module,
        "states": json.dumps([state.value for state in choice.states]) if choice.states else None,
        "since": None if choice.since is None else to_us(choice.since),
        "until": None if choice.until is None else to_us(choice.until),
    }


def _step(rows: list[Row], able: list[Row], most: int) -> Step:
    return Step(
        done=len(able),
        passed_over=len(rows) - len(able),
        last_id=rows[-1]["id"] if len(rows) == most else None,
    )


def _listed(row: Row) -> Listed:
    state = DeliveryState(row["state"])
    return Listed(
        id=row["id"],
        state=state,
        customer=row["customer"],
        provider=row["provider"],
        module=row["module"],
        interface_role=row["interface_role"],
        method=row["method"],
        owner=row["owner"],
        object_id=row["object_id"],
        correlation_id=row["correlation_id"],
        recorded_at=from_us(row["recorded_at_us"]),
        ended_at=from_us_or_none(row["ended_at_us"]),
        next_attempt_at=from_us(row["next_attempt_at_us"]) if state is DeliveryState.PENDING else None,
        attempts=row["attempts"],
        payload_kept=bool(row["payload_kept"]),
        reason=row["reason"],
    )


def _attempt(row: Row, now_us: int) -> Attempt:
    """A try; one that has not ended yet, or whose process died, is of unknown outcome."""
    under_way = row["ended_at_us"] is None
    return Attempt(
        started_at=from_us(row["started_at_us"]),
        ended_at=from_us(max(now_us, row["started_at_us"]) if under_way else row["ended_at_us"]),
        verdict=AttemptVerdict.UNKNOWN if under_way else AttemptVerdict(row["verdict"]),
        http_status=row["http_status"],
        ocpi_status=row["ocpi_status"],
        detail="it has not ended yet" if under_way else row["detail"],
    )


def _note(row: Row) -> NotCopiedNote:
    return NotCopiedNote(
        noted_at=from_us(row["noted_at_us"]),
        correlation_id=row["correlation_id"],
        sender=row["sender"],
        receiver=row["receiver"],
        module=row["module"],
        interface_role=row["interface_role"],
        method=row["method"],
        reason=row["reason"],
    )
