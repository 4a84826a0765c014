"""Named SQL statements, read from ``.sql`` files that ship with the package beside their user.

A file is a row of blocks. Each begins with a line ``-- name: claim_due`` and runs to the next such line; what stands
before the first name may only be comment.
"""

import re
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType

_NAME = re.compile(r"^-- name: ([a-z][a-z0-9_]*)\s*$", re.MULTILINE)


def parse_statements(text: str) -> Mapping[str, str]:
    """Split the text of a file into its statements.

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


def load_statements(package: str, file: str) -> Mapping[str, str]:
    """Read a file of the installed package.

    Args:
        package: dotted name of the package the file lies in, such as ``ocn_permission_agent.outbox``.
        file: path below it, such as ``sql/sqlite.sql``.
    """
    return parse_statements(resources.files(package).joinpath(*file.split("/")).read_text(encoding="utf-8"))


def _bare(sql: str) -> str:
    """The text without comment lines and blank space."""
    return "\n".join(line for line in sql.splitlines() if not line.lstrip().startswith("--")).strip()
