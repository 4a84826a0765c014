"""Named parameters for PostgreSQL, which knows only numbered ones. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

# Comments and literals are left alone; two colons are a cast.
_TOKEN = re.compile(r"--[^\n]*|'(?:[^']|'')*'|::|:([a-z_][a-z0-9_]*)")
_GIVES_ROWS = re.compile(r"\A(?:SELECT|VALUES|WITH|SHOW|EXPLAIN)\b|\bRETURNING\b", re.IGNORECASE)
#: how a statement begins to take its rows as columns
_FOR_MANY = re.compile(r"\bunnest\(\$1::\w+\[\]")
_COMMENT = re.compile(r"--[^\n]*")


@dataclass(frozen=True, slots=True)
class Numbered:
    """A statement with ``$1, $2 …``; `names` tells which parameter each of them is.

    `gives_rows` is false for what only changes something: then the number of changed rows is of interest. One that is
    `for_many` takes many rows at once, each column of them as an array.
    """

    sql: str
    names: tuple[str, ...]
    gives_rows: bool
    for_many: bool

    def values(self, given: Mapping[str, object] | Sequence[object]) -> tuple[object, ...]:
        """The values in the order of their numbers; a sequence is in that order already.

        Raises:
            KeyError: one is missing.
        """
        if isinstance(given, Mapping):
            return tuple([given[name] for name in self.names])
        return tuple(given)


@lru_cache(maxsize=1024)
def numbered(sql: str) -> Numbered:
    """Translate a statement; ``:name`` is numbered by where it appears first."""
    names: dict[str, int] = {}

    def number(match: re.Match[str]) -> str:
        name = match[1]
        return match[0] if name is None else f"${names.setdefault(name, len(names) + 1)}"

    text = _TOKEN.sub(number, sql)
    bare = _COMMENT.sub("", text).strip()
    return Numbered(
        text,
        tuple(names),
        gives_rows=_GIVES_ROWS.search(bare) is not None,
        for_many=_FOR_MANY.search(bare) is not None,
    )
