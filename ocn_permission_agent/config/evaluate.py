"""From what was given to typed values: secrets are read, every value is checked, nothing stops at the first problem."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ocn_permission_agent.config.keys import REQUIRED, Key, environment_name
from ocn_permission_agent.config.secrets import passwords, read_secret, readable_by_everybody, secret_parts
from ocn_permission_agent.config.source import Given, Sources
from ocn_permission_agent.ocpi.party import Party


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """Values by `Key.path`; a key with a problem has none.

    `named` is what sentences call a key; `services` have a section of their own; `secrets` must never be shown.
    """

    values: Mapping[str, Any]
    named: Mapping[str, str]
    services: tuple[Party, ...]
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    secrets: frozenset[str] = field(repr=False)


def evaluate(sources: Sources, *, folder: Path) -> Evaluated:
    """Read every key.

    Args:
        sources: what was given.
        folder: what relative paths start from.
    """
    values: dict[str, Any] = {}
    named: dict[str, str] = {}
    problems = list(sources.problems)
    warnings: list[str] = []
    for key in sources.keys:
        given = sources.given.get(key.path)
        named[key.path] = key.path if given is None else given.named
        if given is None:
            if key.default is REQUIRED:
                problems.append(_missing(key))
            else:
                values[key.path] = key.default
            continue
        try:
            values[key.path] = _value(given, folder=folder)
        except ValueError as error:
            problems.append(f"{given.named}: {error}.")
        if given.in_file and key.path == "operator.key" and readable_by_everybody(folder / str(given.raw)):
            warnings.append(f"{given.named}: every account of this machine may read the key; chmod 600 it.")
    return Evaluated(
        values=values,
        named=named,
        services=sources.services,
        problems=tuple(problems),
        warnings=tuple(warnings),
        secrets=_secrets(sources, values),
    )


def _value(given: Given, *, folder: Path) -> object:
    raw, kind = given.raw, given.key.kind
    if given.in_file:
        if not isinstance(raw, str) or not raw.strip():
            raise ValueError("must be the path of a file")
        raw = read_secret(folder / raw.strip())
    elif given.key.secret and not str(raw).strip():
        raise ValueError("is empty")
    if isinstance(raw, str) and (given.from_environment or given.in_file):
        return kind.read(kind.from_text(raw))
    return kind.read(raw)


def _missing(key: Key) -> str:
    return f"{key.section}.{key.file_name}: is missing; give it in the file or as {_variables(key)}."


def _variables(key: Key) -> str:
    name = environment_name(key)
    return f"{name} or {name}_FILE" if key.secret or key.private else name


def _secrets(sources: Sources, values: Mapping[str, Any]) -> frozenset[str]:
    found: set[str] = set()
    for key in sources.keys:
        value = values.get(key.path)
        if key.secret and isinstance(value, str):
            found |= {value, value.removeprefix("0x")}
        elif key.private and isinstance(value, tuple):
            found |= {part for url in value for part in secret_parts(url)}
        elif key.private and isinstance(value, str):
            found |= passwords(value)
    return frozenset(found)
