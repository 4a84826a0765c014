"""Named SQL statements, read from ``.sql`` files that ship with the package beside their user.

A file is a row of blocks. Each begins with a line ``-- name: claim_due`` and runs to the next such line; what stands
before the first name may only be comment. What SQLite and PostgreSQL are told in the same words stands in
``both.sql``, all else in ``sqlite.sql`` and ``postgres.sql``.
"""

import re
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType

_NAME = re.compile(r"^-- name: ([a-z][a-z0-9_]*)\s*$", re.MULTILINE)


def parse_statements(text: str) -> Mapping[str, str]:
    """Split the text of a file, or of several, into its statements.

    Raises:
        ValueError: a name twice, a block without a statement, or SQL before the first name.
    """
    pieces = _NAME.split(text)
    if _bare(pieces[0]):
        raise ValueError("there is SQL before the first '-- name:' line")
    statements: dict[str, str] = {}
    for name, body in zip(pieces[1::2], pieces[2::2], strict=True):
        if name in statements:
            raise ValueError(f"two statements are named {name}")
        if not _bare(body):
            raise ValueError(f"the statement {name} is empty")
        statements[name] = body.strip()
    return MappingProxyType(statements)


def load_statements(package: str, dialect: str, part: str = "") -> Mapping[str, str]:
    """Read what an engine is told, of the installed package.

    Args:
        package: dotted name of the package the files lie in, such as ``ocn_permission_agent.outbox``.
        dialect: ``sqlite`` or ``postgres``.
        part: of the package, which has files of its own: ``sql/sqlite_gaps.sql``.

    Raises:
        ValueError: as `parse_statements`, also for a name in both files.
    """
    folder = resources.files(package).joinpath("sql")
    suffix = f"_{part}.sql" if part else ".sql"
    texts = [folder.joinpath(dialect + suffix).read_text(encoding="utf-8")]
    shared = folder.joinpath("both" + suffix)
    if shared.is_file():
        texts.insert(0, shared.read_text(encoding="utf-8"))
    return parse_statements("\n".join(texts))


def _bare(sql: str) -> str:
    """The text without comment lines and blank space."""
    return "\n".join(line for line in sql.splitlines() if not line.lstrip().startswith("--")).strip()
