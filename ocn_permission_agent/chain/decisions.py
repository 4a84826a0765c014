"""The operator's decisions: written down with their author, and in force from that moment."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import msgspec

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.consent.decisions import DECISION_KINDS, Decided, Decision, Decisions, decide
from ocn_permission_agent.consent.view import ConsentView
from ocn_permission_agent.log import Log
from ocn_permission_agent.store.database import Connection, Database, Row
from ocn_permission_agent.store.sql import Sql

_DECODERS: dict[str, msgspec.json.Decoder[Decision]] = {
    kind.__name__: msgspec.json.Decoder(kind) for kind in DECISION_KINDS
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
#: characters of an author's name
_AUTHOR_LIMIT = 200


class DecisionStore:
    """The table of decisions. Every method raises `StoreUnavailable` when the database cannot be used.

    Args:
        database: with this table.
        fence: for the watcher, which writes only while it is its turn; see `ChainStore`.
    """

    def __init__(self, database: Database, *, fence: Callable[[Connection], None] | None = None) -> None:
        self._database = database
        self._fence = fence
        self._sql = Sql.of("chain", database.dialect)

    async def all(self) -> tuple[Decided, ...]:
        """Everything that was ever decided, in order."""
        rows = await self._database.read(lambda connection: self._sql.rows(connection, "read_decisions"))
        return tuple(map(_read, rows))

    async def add(self, decision: Decision, *, by: str, at: datetime) -> Decided:
        """Write one down; durable when it returns."""
        author = by.strip()[:_AUTHOR_LIMIT] or "nobody in particular"

        def work(connection: Connection) -> int:
            if self._fence is not None:
                self._fence(connection)
            self._sql.do(connection, "lock_decisions")
            return self._sql.add(
                connection,
                "write_decision",
                decided_at_us=(at - _EPOCH) // _MICROSECOND,
                decided_by=author,
                kind=type(decision).__name__,
                body=msgspec.json.encode(decision, order="deterministic").decode(),
            )

        return Decided(number=await self._database.write(work), at=at, by=author, decision=decision)


class Decider:
    """Keeps a `ConsentView` in step with what was decided.

    Args:
        store: of decisions.
        view: follows at once.
        clock: dates the decisions.
        log: one line for each.
        withdraw: called after each decision, to withdraw what it closed; gives the number of deliveries.
    """

    def __init__(
        self,
        *,
        store: DecisionStore,
        view: ConsentView,
        clock: Clock,
        log: Log,
        withdraw: Callable[[], Awaitable[int]],
    ) -> None:
        self._store = store
        self._view = view
        self._clock = clock
        self._log = log
        self._withdraw = withdraw

    async def record(self, decision: Decision, *, by: str) -> tuple[Decided, int]:
        """Write it down and put it in force; gives it back with the number of deliveries that it withdrew.

        A stop is in force before this returns, whatever becomes of the withdrawal: each attempt asks the view.

        Raises:
            StoreUnavailable: it was not written down and is not in force.
        """
        decided = await self._store.add(decision, by=by, at=self._clock.now())
        self._view.decide(decide(self._view.decisions, decided))
        self._log.warning(
            "decision.recorded", number=decided.number, by=decided.by, kind=type(decision).__name__, **_fields(decision)
        )
        return decided, await self._withdraw()

    async def history(self) -> tuple[Decided, ...]:
        """The audit: everything that was ever decided. Raises StoreUnavailable."""
        return await self._store.all()


def fold(history: tuple[Decided, ...]) -> Decisions:
    """What holds after all of it."""
    decisions = Decisions.none()
    for decided in history:
        decisions = decide(decisions, decided)
    return decisions


def _fields(decision: Decision) -> dict[str, object]:
    """Flat fields for the log line."""
    built = msgspec.to_builtins(decision)
    fields = built["stop"] if isinstance(built.get("stop"), dict) else built
    return {
        name: f"{value['country_code']}*{value['party_id']}" if isinstance(value, dict) else value
        for name, value in fields.items()
        if value is not None
    }


def _read(row: Row) -> Decided:
    number, decided_at_us, by, kind, body = row
    return Decided(
        number=number, at=_EPOCH + decided_at_us * _MICROSECOND, by=by, decision=_DECODERS[kind].decode(body)
    )
