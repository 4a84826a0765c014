"""The schema's history: numbered files, each applied once, in order, and never changed afterwards.

A file is named ``0001_outbox.sql``. What was applied is kept in the table ``schema_migrations`` with the SHA-256 of
the file, so that a store of another or of a newer agent is refused instead of being bent.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from ocn_permission_agent.errors import StoreMismatch

#: number, name and checksum of a step that was taken
Applied = tuple[int, str, str]

_FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One step of the schema."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, hexadecimal."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def shipped_migrations(dialect: str) -> tuple[Migration, ...]:
    """The migrations of this version of the agent, in order.

    Args:
        dialect: ``sqlite`` or ``postgres``; number and name of each step are the same in both.

    Raises:
        ValueError: the package itself is broken: an odd file name, or numbers that are not 1, 2, 3 …
    """
    folder = resources.files("ocn_permission_agent.store").joinpath("migrations", dialect)
    found = []
    for file in folder.iterdir():
        named = _FILE_NAME.fullmatch(file.name)
        if named is None:
            raise ValueError(f"{file.name} is not the name of a migration: 0001_outbox.sql is meant")
        found.append(Migration(number=int(named[1]), name=named[2], sql=file.read_text(encoding="utf-8")))
    found.sort(key=lambda migration: migration.number)
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise ValueError("the numbers of the migrations are not 1, 2, 3 …")
    return tuple(found)


def compare(applied: Sequence[Applied], migrations: Sequence[Migration]) -> None:
    """Make sure that what a store was made by is what this agent begins with.

    Args:
        applied: of the store, in order.
        migrations: of this agent, in order.

    Raises:
        StoreMismatch: a step that differs from what was applied, or a newer schema.
    """
    if len(applied) > len(migrations):
        raise StoreMismatch(
            f"the store has schema {len(applied)}, this agent knows {len(migrations)}: a newer agent has used it"
        )
    for (number, name, checksum), migration in zip(applied, migrations, strict=False):
        if (number, name, checksum) != (migration.number, migration.name, migration.checksum):
            raise StoreMismatch(
                f"schema step {number} ({name}) of the store is not step {migration.number} ({migration.name}) "
                "of this agent: another version has made it"
            )
