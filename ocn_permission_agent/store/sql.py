"""Running named statements on a connection."""

from collections.abc import Mapping

from ocn_permission_agent.store.database import Connection, Row
from ocn_permission_agent.store.statements import load_statements


class Sql:
    """The statements of ``.sql`` files, run by name.

    Args:
        statements: by name, as `load_statements` gives them.
    """

    def __init__(self, statements: Mapping[str, str]) -> None:
        self._statements = statements

    @classmethod
    def of(cls, package: str, dialect: str, part: str = "") -> "Sql":
        """Those of a package, for one engine.

        Args:
            package: last part of its dotted name, such as ``outbox``.
            dialect: as `Database.dialect` tells it.
            part: of the package, which has files of its own: ``sql/sqlite_gaps.sql``.
        """
        return cls(load_statements(f"ocn_permission_agent.{package}", dialect, part))

    def __getitem__(self, name: str) -> str:
        return self._statements[name]

    def rows(self, connection: Connection, name: str, **values: object) -> list[Row]:
        """All rows of a query."""
        return connection.execute(self._statements[name], values).fetchall()

    def row(self, connection: Connection, name: str, **values: object) -> Row | None:
        """The first row of a query; None if it has none."""
        found: Row | None = connection.execute(self._statements[name], values).fetchone()
        return found

    def do(self, connection: Connection, name: str, **values: object) -> int:
        """Change something; returns how many rows."""
        return connection.execute(self._statements[name], values).rowcount

    def do_each(self, connection: Connection, name: str, values: list[dict[str, object]]) -> None:
        """Change something with each of several sets of values."""
        if values:
            connection.executemany(self._statements[name], values)

    def add(self, connection: Connection, name: str, **values: object) -> int:
        """Insert a row; returns its id."""
        return connection.execute(self._statements[name], values).lastrowid or 0
