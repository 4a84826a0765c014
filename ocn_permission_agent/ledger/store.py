"""The ledger in the store: entries are added inside the transaction that ends a delivery."""

import json
import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from ocn_permission_agent.ledger.chain import (
    Chain,
    ChainedEntry,
    Checkpoint,
    beginning,
    commitment,
    next_link,
    statement,
)
from ocn_permission_agent.ledger.entry import SALT_BYTES, Told, body_hash, entry_text
from ocn_permission_agent.store.database import Connection, Database, Row
from ocn_permission_agent.store.sql import Sql

#: a chain is sealed after so many entries, or after so long, whichever comes first
ENTRIES_TO_SEAL = 1_000
TIME_TO_SEAL = timedelta(days=1)
#: where entries are left to the end of a transaction
_LEDGER = "ledger"
#: rows of one transaction
_SLICE = 500
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Outcome(Told, Protocol):
    """What became of a delivery, as the outbox tells it."""

    @property
    def body(self) -> bytes:
        """The customer's original bytes; only their size and hash are kept."""
        ...


class Signer(Protocol):
    """The operator's key."""

    def sign(self, text: bytes) -> str:
        """``r s v`` in hexadecimal (EIP-191)."""
        ...


def _random_salts(count: int) -> list[bytes]:
    """All at once: each call lets go of the interpreter's lock."""
    together = secrets.token_bytes(SALT_BYTES * count)
    return [together[place : place + SALT_BYTES] for place in range(0, len(together), SALT_BYTES)]


class LedgerStore:
    """Adds, seals, reads and forgets entries.

    Args:
        database: open and migrated.
        salts: makes so many new ones, one for each entry.
    """

    def __init__(self, database: Database, *, salts: Callable[[int], Sequence[bytes]] = _random_salts) -> None:
        self._database = database
        self._salts = salts
        self._sql = Sql.of("ledger", database.dialect)

    def enter(self, connection: Connection, outcome: Outcome) -> None:
        """Add an entry, in the transaction in which a delivery ends: last of all, for it locks the customer's chain."""
        connection.leave_to_the_end(_LEDGER, outcome, lambda outcomes: self._enter(connection, outcomes))

    def _enter(self, connection: Connection, outcomes: Sequence[Outcome]) -> None:
        """Chain entries, those of each customer in their order. Chains are locked in the order of their customers."""
        of_customers: dict[str, list[tuple[Outcome, bytes]]] = {}
        for outcome, salt in zip(outcomes, self._salts(len(outcomes)), strict=True):
            of_customers.setdefault(outcome.customer_address, []).append((outcome, salt))
        customers = sorted(of_customers)
        ends = {
            row["customer_address"]: (row["last_number"], row["last_link"]) for row in self._lock(connection, customers)
        }
        new = [customer for customer in customers if customer not in ends]
        if new:
            connection.executemany(self._sql["add_chain"], [(each, beginning(each), beginning(each)) for each in new])
        entries, grown = [], []
        for customer in customers:
            number, link = ends.get(customer) or (0, beginning(customer))
            for outcome, salt in of_customers[customer]:
                number += 1
                body = outcome.body
                text = entry_text(outcome, size=len(body), body_hash=body_hash(salt, body))
                committed = commitment(salt, text)
                link = next_link(link, number, committed)
                entries.append((customer, number, _us(outcome.ended_at), salt, text, committed, link))
            grown.append((customer, number, link, _us(of_customers[customer][0][0].ended_at)))
        connection.executemany(self._sql["add_entry"], entries)
        connection.executemany(self._sql["chain_has_grown"], grown)

    def _lock(self, connection: Connection, customers: Sequence[str]) -> list[Row]:
        """The chains that there are."""
        return self._sql.rows(connection, "lock_chains", customers=json.dumps(customers))

    async def customers(self) -> tuple[str, ...]:
        """Addresses of those who have a chain."""
        rows = await self._database.read(lambda connection: self._sql.rows(connection, "customers"))
        return tuple(row["customer_address"] for row in rows)

    async def chain(self, customer_address: str) -> Chain | None:
        """All that is kept of a customer's chain; None if there is none."""

        def work(connection: Connection) -> Chain | None:
            row = connection.execute(self._sql["get_chain"], (customer_address,)).fetchone()
            if row is None:
                return None
            return Chain(
                customer_address=customer_address,
                first_number=row["first_number"],
                link_before=row["link_before"],
                entries=tuple(
                    ChainedEntry(
                        number=each["number"],
                        salt=each["salt"],
                        text=each["entry"],
                        commitment=each["commitment"],
                        link=each["link"],
                    )
                    for each in self._sql.rows(
                        connection, "get_entries", customer_address=customer_address, after=0, most=-1
                    )
                ),
                checkpoints=tuple(
                    Checkpoint(number=each["number"], statement=each["statement"], signature=each["signature"])
                    for each in self._sql.rows(connection, "get_checkpoints", customer_address=customer_address)
                ),
            )

        return await self._database.read(work)

    async def seal(self, key: Signer, *, now: datetime) -> int:
        """Sign the newest link of every chain that has grown by enough, or for long enough; returns how many."""
        before = _us(now - TIME_TO_SEAL)

        def work(connection: Connection) -> int:
            rows = self._sql.rows(connection, "to_seal", before=before, entries=ENTRIES_TO_SEAL, most=_SLICE)
            for row in rows:
                said = statement(
                    customer_address=row["customer_address"],
                    number=row["last_number"],
                    link=row["last_link"],
                    at=now.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z",
                )
                place = {"customer_address": row["customer_address"], "number": row["last_number"]}
                signature = key.sign(said.encode())
                self._sql.do(connection, "add_checkpoint", statement=said, signature=signature, **place)
                self._sql.do(connection, "chain_is_sealed", now=_us(now), **place)
            return len(rows)

        return await self._in_slices(work)

    async def forget(self, *, before: datetime) -> int:
        """Let go of what ended before that, from the beginning of each chain; returns how many entries."""
        before_us = _us(before)

        def work(connection: Connection) -> int:
            customers = self._sql.rows(connection, "customers_to_purge", before=before_us, most=_SLICE)
            return sum(self._forget_of(connection, row["customer_address"], before_us) for row in customers)

        return await self._in_slices(work)

    def _forget_of(self, connection: Connection, customer_address: str, before_us: int) -> int:
        """A slice of one customer's oldest entries; the chain is continued from the last of them."""
        self._lock(connection, [customer_address])
        gone = None
        count = 0
        for row in self._sql.rows(connection, "oldest_entries", customer_address=customer_address, most=_SLICE):
            if row["ended_at_us"] >= before_us:
                break
            gone = row
            count += 1
        if gone is None:
            return 0
        place = {"customer_address": customer_address}
        self._sql.do(connection, "forget_entries", through=gone["number"], **place)
        self._sql.do(connection, "forget_checkpoints", through=gone["number"], **place)
        self._sql.do(
            connection, "chain_begins_later", first_number=gone["number"] + 1, link_before=gone["link"], **place
        )
        return count

    async def _in_slices(self, work: Callable[[Connection], int]) -> int:
        total = 0
        while done := await self._database.write(work):
            total += done
        return total


def _us(instant: datetime) -> int:
    """Whole microseconds since 1970."""
    return (instant - _EPOCH) // _MICROSECOND
