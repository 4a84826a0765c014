"""Where configuration comes from: one TOML file, and the environment, which wins.

Nothing is interpreted here; the outcome says for each known key what was given and where, and what nobody knows.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from ocn_permission_agent.config.keys import KEYS, SERVICES, Key, environment_name, service_keys
from ocn_permission_agent.errors import ConfigError
from ocn_permission_agent.ocpi.party import Party

PREFIX = "OCN_AGENT_"
#: names the configuration file itself; read by the CLI
CONFIG_VARIABLE = "OCN_AGENT_CONFIG"
#: keys of those who write to the contracts; read by the CLI, never by the agent
WALLET_VARIABLES = frozenset(
    f"OCN_AGENT_WALLET_{name}{suffix}" for name in ("KEY", "PASSWORD") for suffix in ("", "_FILE")
)
#: Kubernetes and Docker links put these beside a service called "ocn-agent…"; they are nobody's mistake
_ORCHESTRATOR = re.compile(r"OCN_AGENT_(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?)")
_SERVICE_VARIABLE = re.compile(r"OCN_AGENT_DELIVERY_SERVICES_([A-Z0-9]{2})_([A-Z0-9]{3})_[A-Z_]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What was given for one key.

    `named` is what sentences call it (``chain.poll_seconds``, with the variable's name when it came from there).
    `raw` is TOML's value or the variable's text; with `in_file` it is the path of the file that holds the value.
    """

    key: Key
    named: str
    raw: object
    from_environment: bool = False
    in_file: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Everything that was given, by `Key.path`; `keys` are all that may be given, services included."""

    keys: tuple[Key, ...]
    services: tuple[Party, ...]
    given: dict[str, Given]
    problems: tuple[str, ...]


def read_document(path: Path) -> dict[str, object]:
    """The TOML file as nested dicts.

    Raises:
        ConfigError: it cannot be read, or is no TOML (the sentence names line and column).
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError([f"There is no configuration file {path}."]) from None
    except OSError as error:
        raise ConfigError([f"The configuration file {path} cannot be read: {error.strerror}."]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([f"The configuration file {path} is not UTF-8 text (byte {error.start})."]) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"The configuration file {path} is not valid TOML: {error}."]) from None


def collect(document: Mapping[str, object], environ: Mapping[str, str]) -> Sources:
    """Match what was given with the known keys."""
    problems: list[str] = []
    tables = _tables(document, problems)
    services = _services(tables, environ, problems)
    keys = (*KEYS, *(key for party in services for key in service_keys(str(party))))
    given = _from_document(tables, keys, problems) | _from_environment(environ, keys, problems)
    return Sources(keys=keys, services=services, given=given, problems=tuple(problems))


def _tables(document: Mapping[str, object], problems: list[str]) -> dict[str, dict[str, object]]:
    """Sections by full name: ``delivery.services."DE*PAY"`` too. Unknown sections become problems."""
    known = dict.fromkeys(key.section for key in KEYS)
    found: dict[str, dict[str, object]] = {}
    for name, content in document.items():
        if name not in known:
            problems.append(_unknown(f"[{name}]" if isinstance(content, dict) else name, name, known, "section"))
        elif not isinstance(content, dict):
            problems.append(f"{name}: is a section and needs keys of its own, written under [{name}].")
        else:
            found[name] = dict(content)
    delivery = found.get("delivery", {})
    for name in ("windows", "services"):
        content = delivery.pop(name, None)
        if isinstance(content, dict):
            found[f"delivery.{name}"] = dict(content)
        elif content is not None:
            problems.append(
                f"delivery.{name}: is a section and needs keys of its own, written under [delivery.{name}]."
            )
    return found


def _services(
    tables: dict[str, dict[str, object]], environ: Mapping[str, str], problems: list[str]
) -> tuple[Party, ...]:
    """Parties with a section of their own; their tables are renamed to the folded spelling."""
    parties: dict[Party, None] = {}
    for name, content in tables.pop(SERVICES, {}).items():
        try:
            party = Party.parse(name).folded
        except ValueError:
            problems.append(f'{SERVICES}."{name}": must be named after a party, as in [{SERVICES}."DE*PAY"].')
            continue
        if not isinstance(content, dict):
            problems.append(f'{SERVICES}."{name}": is a section and needs keys of its own.')
        elif party in parties:
            problems.append(f'{SERVICES}."{name}": names a party that has a section already (letter case is ignored).')
        else:
            parties[party] = None
            tables[f'{SERVICES}."{party}"'] = dict(content)
    for match in filter(None, map(_SERVICE_VARIABLE.fullmatch, environ)):
        parties[Party(match[1], match[2])] = None
    return tuple(parties)


def _from_document(
    tables: Mapping[str, Mapping[str, object]], keys: Iterable[Key], problems: list[str]
) -> dict[str, Given]:
    known = {(key.section, key.file_name): key for key in keys}
    secret = {(key.section, key.name): key for key in keys if key.secret}
    given: dict[str, Given] = {}
    for section, content in tables.items():
        for name, raw in content.items():
            key = known.get((section, name))
            if key is not None:
                given[key.path] = Given(key=key, named=f"{section}.{name}", raw=raw, in_file=key.secret)
            elif (section, name) in secret:
                problems.append(
                    f"{section}.{name}: a secret does not belong into this file; "
                    f"name a file with {section}.{name}_file, or set {environment_name(secret[section, name])}."
                )
            else:
                names = [known_name for known_section, known_name in known if known_section == section]
                problems.append(_unknown(f"{section}.{name}", name, names, "key"))
    return given


def _from_environment(environ: Mapping[str, str], keys: Iterable[Key], problems: list[str]) -> dict[str, Given]:
    known: dict[str, tuple[Key, bool]] = {}
    for key in keys:
        known[environment_name(key)] = (key, False)
        if key.secret or key.private:
            known[environment_name(key) + "_FILE"] = (key, True)
    given: dict[str, Given] = {}
    for variable, raw in environ.items():
        if not variable.startswith(PREFIX) or variable == CONFIG_VARIABLE or _ORCHESTRATOR.fullmatch(variable):
            continue
        if variable in WALLET_VARIABLES:
            continue
        if variable.endswith("_PORT") and raw.startswith(("tcp://", "udp://")):
            continue
        if variable not in known:
            problems.append(_unknown(variable, variable, known, "variable"))
            continue
        key, in_file = known[variable]
        if not raw.strip() and not in_file and f"{variable}_FILE" in environ and f"{variable}_FILE" in known:
            continue  # emptied in favour of the file, where an image or a unit has a value of its own
        if key.path in given:
            problems.append(f"{key.path}: is given twice, by {given[key.path].named} and by {variable}.")
        named = f"{key.section}.{key.name}{'_file' if in_file else ''} ({variable})"
        given[key.path] = Given(key=key, named=named, raw=raw, from_environment=True, in_file=in_file)
    return given


def _unknown(shown: str, name: str, known: Iterable[str], what: str) -> str:
    close = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"{shown}: there is no such {what}{f'; did you mean {close[0]}?' if close else '.'}"
