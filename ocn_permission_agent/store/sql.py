"""Running named statements on a connection."""

import sqlite3
from collections.abc import Mapping


class Sql:
    """The statements of a ``.sql`` file, run by name.

    Args:
        statements: by name, as `load_statements` gives them.
    """

    def __init__(self, statements: Mapping[str, str]) -> None:
        self._statements = statements

    def __getitem__(self, name: str) -> str:
        return self._statements[name]

    def rows(self, connection: sqlite3.Connection, name: str, **values: object) -> list[sqlite3.Row]:
        """All rows of a query."""
        return connection.execute(self._statements[name], values).fetchall()

    def row(self, connection: sqlite3.Connection, name: str, **values: object) -> sqlite3.Row | None:
        """The first row of a query; None if it has none."""
        found: sqlite3.Row | None = connection.execute(self._statements[name], values).fetchone()
        return found

    def do(self, connection: sqlite3.Connection, name: str, **values: object) -> int:
        """Change something; returns how many rows."""
        return connection.execute(self._statements[name], values).rowcount

    def add(self, connection: sqlite3.Connection, name: str, **values: object) -> int:
        """Insert a row; returns its id."""
        return connection.execute(self._statements[name], values).lastrowid or 0
