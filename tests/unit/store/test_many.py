"""One statement for many rows, on SQLite: texts for a power of two, rows beyond the last that nobody minds."""

import sqlite3
from collections.abc import Iterator

import pytest

from ocn_permission_agent.store.many import MOST, for_many, is_for_many, run_many
from ocn_permission_agent.store.sqlite_connection import SqliteConnection

ADD = "INSERT INTO noted (place, key) SELECT column1, column2 FROM (VALUES (?, ?)) WHERE column1 IS NOT NULL"
TELL = "SELECT count(*), max(column1) FROM (VALUES (?, ?)) WHERE column1 IS NOT NULL"


@pytest.fixture
def connection() -> Iterator[SqliteConnection]:
    connection = sqlite3.connect(":memory:", isolation_level=None, factory=SqliteConnection)
    connection.execute("CREATE TABLE noted (place INTEGER PRIMARY KEY, key BLOB)")
    yield connection
    connection.close()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 64, 65, MOST, MOST + 1, 3 * MOST + 7])
def test_every_row_is_written_once(connection: SqliteConnection, count: int) -> None:
    rows = [(place, f"key {place}".encode()) for place in range(count)]
    connection.executemany(ADD, rows)
    assert connection.execute("SELECT place, key FROM noted ORDER BY place").fetchall() == rows


@pytest.mark.parametrize(("count", "statements"), [(0, 0), (1, 1), (MOST, 1), (MOST + 1, 2), (2 * MOST + 1, 3)])
def test_as_few_statements_as_the_engine_takes(connection: SqliteConnection, count: int, statements: int) -> None:
    told = [cursor.fetchone() for cursor in run_many(connection, TELL, [(place, None) for place in range(count)])]
    assert len(told) == statements
    assert sum(rows for rows, _ in told) == count
    assert not told or told[-1][1] == count - 1


def test_few_texts_are_ever_compiled() -> None:
    texts = {for_many(TELL, 1 << (count - 1).bit_length()) for count in range(1, MOST + 1)}
    assert len(texts) == 8
    assert for_many(TELL, 2) == TELL.replace("(?, ?)", "(?, ?), (?, ?)")


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO noted (place) VALUES (?)",
        "SELECT * FROM (VALUES (?, 1))",
        "SELECT * FROM (VALUES (?)), (VALUES (?))",
        "SELECT * FROM noted WHERE place IN (?, ?)",
    ],
)
def test_other_statements_are_not_for_many(sql: str) -> None:
    assert not is_for_many(sql)
    with pytest.raises(ValueError, match="not written for many rows"):
        for_many(sql, 2)


def test_a_statement_for_one_is_run_for_each(connection: SqliteConnection) -> None:
    connection.executemany("INSERT INTO noted (place, key) VALUES (?, ?)", [(1, b"a"), (2, b"b")])
    assert connection.execute("SELECT count(*) FROM noted").fetchone() == (2,)


def test_a_row_that_is_refused_takes_its_statement_along(connection: SqliteConnection) -> None:
    connection.execute("INSERT INTO noted VALUES (2, x'00')")
    with pytest.raises(sqlite3.IntegrityError):
        connection.executemany(ADD, [(1, b"a"), (2, b"b"), (3, b"c")])
    assert connection.execute("SELECT place FROM noted").fetchall() == [(2,)]
