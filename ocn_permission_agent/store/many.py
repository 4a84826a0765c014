"""One statement for many rows, in SQLite.

Each statement lets go of the interpreter's lock and has to get it back, from an event loop that may not pause for
milliseconds. One for a whole group does that once, and the engine works beside the loop meanwhile.

Such a statement is written for one row, ``… (VALUES (?, ?, ?)) …``, and is given as many as are needed: the next power
of two, so that few texts are ever compiled. Rows beyond the last are NULL throughout, and the statement must not mind:
``WHERE column1 IS NOT NULL``. Its rows go through `run_many` where it tells something, else through
`Connection.executemany`.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain

from ocn_permission_agent.store.database import Connection, Cursor

#: rows of one statement; what is more is told in several
MOST = 128
_ROW = re.compile(r"(?<=\(VALUES )\(\?(?:, \?)*\)(?=\))")


def run_many(connection: Connection, sql: str, rows: Sequence[Sequence[object]]) -> Iterator[Cursor]:
    """Run a statement with many rows, some at a time.

    Args:
        connection: inside a transaction.
        sql: is for many.
        rows: all of the same length, the first value never None.
    """
    for begin in range(0, len(rows), MOST):
        part = rows[begin : begin + MOST]
        size = 1 << (len(part) - 1).bit_length()
        values = list(chain.from_iterable(part))
        values.extend([None] * (len(part[0]) * (size - len(part))))
        yield connection.execute(for_many(sql, size), values)


@cache
def is_for_many(sql: str) -> bool:
    """Whether a statement is given all of its rows at once."""
    return len(_ROW.findall(sql)) == 1


@cache
def for_many(sql: str, size: int) -> str:
    """The text for so many rows.

    Raises:
        ValueError: there is not exactly one row of marks.
    """
    if not is_for_many(sql):
        raise ValueError(f"this statement is not written for many rows: {sql}")
    return _ROW.sub(lambda row: ", ".join([row.group()] * size), sql)
