"""The reference names everything that there is, and nothing else: keys, metrics, commands, log events, reasons."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from prometheus_client import Counter, Gauge, Histogram

from ocn_permission_agent.cli.main import commands
from ocn_permission_agent.config.keys import KEYS, REQUIRED, Key, environment_name, service_keys
from ocn_permission_agent.errors import Refusal
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.proxy.copying import NotCopied

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "docs" / "reference"
PACKAGE = ROOT / "ocn_permission_agent"
ALL_KEYS = (*KEYS, *service_keys("DE*PAY"))
EVENT = re.compile(r"[a-z]+\.[a-z_]+")
#: whose first argument is an event: a logger's methods, and what stands before one of them
TELLING = {"debug", "info", "warning", "error", "critical", "tell", "_alarm"}
#: whose arguments name the reason of a gap
GAP_METHODS = {"missed", "_missed", "_gap"}


def page(name: str) -> str:
    return (REFERENCE / f"{name}.md").read_text()


def rows(text: str) -> Iterator[list[str]]:
    """Cells of every table row that begins with something in code quotes."""
    for line in text.splitlines():
        if line.startswith("| `"):
            yield [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def sections(text: str) -> dict[str, str]:
    """What stands below each heading of any level, by heading."""
    pieces = re.split(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


# --- configuration ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ALL_KEYS, ids=lambda key: key.path)
def test_every_key_is_explained_with_default_and_variables(key: Key) -> None:
    table = {quoted(row[0])[0]: row for row in rows(sections(page("configuration"))[f"[{key.section}]"])}
    _, default, meaning, variables = table[key.file_name]

    assert meaning
    named = [environment_name(key), f"{environment_name(key)}_FILE"] if key.secret or key.private else []
    assert quoted(variables) == (named or [environment_name(key)])
    if key.default is REQUIRED:
        assert default == "**needed**"
    elif key.default is None:
        assert default == "none"
    else:
        assert key.kind.read(tomllib.loads(f"value = {quoted(default)[0]}")["value"]) == key.default


def test_no_key_is_explained_that_there_is_not() -> None:
    explained = {
        (heading.strip("[]"), quoted(row[0])[0])
        for heading, text in sections(page("configuration")).items()
        if heading.startswith("[")
        for row in rows(text)
    }

    assert explained == {(key.section, key.file_name) for key in ALL_KEYS}


# --- metrics ----------------------------------------------------------------------------------------------------------


def test_every_metric_is_explained_with_its_labels_and_no_other() -> None:
    told = {
        quoted(row[0])[0]: (row[1], quoted(row[2])) for row in rows(sections(page("metrics"))["Metrics"]) if row[3:]
    }
    found: dict[str, tuple[str, list[str]]] = {}
    for instrument in vars(Metrics()).values():
        if isinstance(instrument, Counter | Gauge | Histogram):
            kind = type(instrument).__name__.lower()
            name = f"{instrument._name}_total" if isinstance(instrument, Counter) else instrument._name
            found[name] = (kind, list(instrument._labelnames))

    assert told == found


# --- commands ---------------------------------------------------------------------------------------------------------


def leaves(group: click.Group, above: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, f"{above}{name} ")
        else:
            yield f"{above}{name}", command


@pytest.mark.parametrize(
    ("name", "command"), sorted(leaves(commands), key=str), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_command_is_explained_with_its_options(name: str, command: click.Command) -> None:
    told = sections(page("commands"))
    group = next(
        (text for heading, text in told.items() if " " in name and f"`{name.partition(' ')[0]}`" in heading), ""
    )
    text = told[f"`{name}`"]
    missing = [
        option.opts[0]
        for option in command.params
        if isinstance(option, click.Option) and not option.hidden and f"`{option.opts[0]}" not in text + group
    ]

    assert missing == []


def test_no_command_is_explained_that_there_is_not() -> None:
    told = {quoted(heading)[0] for heading in sections(page("commands")) if re.fullmatch(r"`[^`]+`", heading)}

    assert told == {name for name, _ in leaves(commands)}


# --- what the code says of itself -------------------------------------------------------------------------------------


def gap_reasons() -> set[str]:
    """What gaps are made with: ``Gap(reason="…")``."""
    calls_of_gap = (
        node
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Gap"
    )
    given = (keyword.value for node in calls_of_gap for keyword in node.keywords if keyword.arg == "reason")
    return {value.value for value in given if isinstance(value, ast.Constant) and isinstance(value.value, str)}


def calls() -> Iterator[tuple[str, list[str], list[str]]]:
    """(function, texts among its positional arguments, keywords) of every call in the agent."""
    for file in PACKAGE.rglob("*.py"):
        if "sandbox" in file.parts:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call):
                function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                texts = [each.value for each in node.args if isinstance(each, ast.Constant)]
                keywords = [keyword.arg for keyword in node.keywords if keyword.arg]
                yield function, [text for text in texts if isinstance(text, str)], keywords


def logged() -> dict[str, set[str]]:
    """Fields by event, as far as they stand in the call itself."""
    found: dict[str, set[str]] = {}
    for function, texts, keywords in calls():
        if function in TELLING and texts and EVENT.fullmatch(texts[0]):
            found.setdefault(texts[0], set()).update(set(keywords) - {"exc_info"})
    return found


def test_every_log_event_is_explained_and_no_other() -> None:
    told = {quoted(row[0])[0] for row in rows(page("log-events"))}

    assert told == set(logged())


@pytest.mark.parametrize(("event", "fields"), sorted(logged().items()), ids=sorted(logged()))
def test_every_field_of_a_log_event_is_named(event: str, fields: set[str]) -> None:
    told = next(row for row in rows(page("log-events")) if quoted(row[0])[0] == event)

    assert fields <= set(quoted(told[2]))


def test_every_field_of_the_lines_about_deliveries_is_named_and_no_other() -> None:
    told = {quoted(row[0])[0]: set(quoted(row[2])) for row in rows(page("log-events"))}
    found = logged()

    for event in ("delivery.attempted", "delivery.settled"):
        assert found[event] == told[event]


def test_every_cause_of_a_refusal_is_explained_with_its_status() -> None:
    told = {quoted(row[0])[0]: row[1] for row in rows(sections(page("proxy"))["Refusals"])}

    assert told == {cause.label: str(cause.http_status or "–") for cause in Refusal}


def test_every_reason_of_the_proxy_is_explained_and_no_other() -> None:
    told = sections(page("proxy"))
    gaps = {text for function, texts, _ in calls() if function in GAP_METHODS for text in texts}
    gaps |= {reason.value for reason in NotCopied if reason.is_gap} | gap_reasons()

    assert {quoted(row[0])[0] for row in rows(told["Gaps"])} == gaps
    assert {quoted(row[0])[0] for row in rows(told["Not copied"])} == {
        reason.value for reason in NotCopied if not reason.is_gap
    }
