"""`deliveries …` and `explain`: ask the running agent; when none runs, its store, by the same code."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from ocn_permission_agent import logs
from ocn_permission_agent.admin.caseload import BadChoice
from ocn_permission_agent.admin.clerk import Clerk
from ocn_permission_agent.app.casework import handle, look_up
from ocn_permission_agent.cli.asking import tell, where
from ocn_permission_agent.cli.deciding import whoever_asks
from ocn_permission_agent.cli.failing import CommandFailed
from ocn_permission_agent.cli.stored import demand_store
from ocn_permission_agent.config import load, load_admin_access
from ocn_permission_agent.errors import ConfigError

_Work = Callable[[Clerk], Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A bulk action: its path, its words, and where a preview counts for whom it can be done."""

    path: str
    verb: str
    possible: str
    done: str
    able: str


RETRY = Action(
    path="/api/v1/deliveries/retry", verb="Retry", possible="tried again", done="pending again", able="retriable"
)
DISCARD = Action(
    path="/api/v1/deliveries/discard", verb="Discard", possible="discarded", done="discarded", able="discardable"
)


def show_list(config_file: Path | None, *, as_json: bool, limit: int, choice: dict[str, str | None]) -> None:
    """Print the newest of a choice."""
    written = _given(choice) | {"limit": str(limit)}
    document = _ask(config_file, f"/api/v1/deliveries?{urlencode(written)}", lambda clerk: clerk.list(written))
    if as_json:
        _print(document)
        return
    from ocn_permission_agent.cli.delivery_tables import show_deliveries  # noqa: PLC0415  rich is not needed for JSON

    show_deliveries(document)


def show_one(config_file: Path | None, delivery_id: int, *, as_json: bool) -> None:
    """Print one delivery."""
    written = {"id": str(delivery_id)}
    document = _ask(config_file, f"/api/v1/deliveries/{delivery_id}", lambda clerk: clerk.show(written))
    if document is None:
        raise CommandFailed("There is no such delivery, or it is longer ago than is kept.")
    if as_json:
        _print(document)
        return
    from ocn_permission_agent.cli.delivery_tables import show_delivery  # noqa: PLC0415  rich is not needed for JSON

    show_delivery(document)


def explain(config_file: Path | None, correlation_id: str, *, as_json: bool) -> None:
    """Print the story of a request."""
    written = {"correlation_id": correlation_id}
    document = _ask(
        config_file, f"/api/v1/explain/{quote(correlation_id, safe='')}", lambda clerk: clerk.explain(written)
    )
    if as_json:
        _print(document)
        return
    from ocn_permission_agent.cli.delivery_tables import show_story  # noqa: PLC0415  rich is not needed for JSON

    show_story(document)


def act(
    config_file: Path | None,
    action: Action,
    *,
    ids: tuple[int, ...],
    everything: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    **choice: str | None,
) -> None:
    """Preview a bulk action, ask, and do it slice by slice under a progress bar.

    Raises:
        ConfigError: nothing was chosen.
    """
    written = _given(choice) | ({"ids": ",".join(map(str, ids))} if ids else {})
    if not written and not everything:
        raise ConfigError(["Choose some deliveries by id or by an option, or say --all."])
    preview = _ask(
        config_file, f"/api/v1/deliveries/preview?{urlencode(written)}", lambda clerk: clerk.preview(written)
    )
    able = preview[action.able]
    if dry_run or not able:
        _print(preview) if as_json else print(_counted(action, preview))
        return
    if not yes:
        click.confirm(f"{_counted(action, preview)} Go on?", abort=True, err=True)
    signed = written | {"by": whoever_asks()} | ({"all": "yes"} if everything else {})
    done, passed_over = _in_slices(config_file, action, signed, able)
    if as_json:
        _print({"done": done, "passed_over": passed_over})
    else:
        rest = f"; {passed_over} could not be (no payload, or under way)" if passed_over else ""
        print(f"{_many(done)} {action.done}{rest}.")


def _in_slices(config_file: Path | None, action: Action, written: dict[str, str], able: int) -> tuple[int, int]:
    done = passed_over = 0
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(action.verb, total=able)
        after: int | None = 0
        while after is not None:
            fields = written | {"after": str(after)}
            step = _tell(config_file, action, fields)
            done, passed_over, after = done + step["done"], passed_over + step["passed_over"], step["next"]
            bar.update(task, completed=done)
    return done, passed_over


def _tell(config_file: Path | None, action: Action, fields: dict[str, str]) -> dict[str, Any]:
    access = load_admin_access(config_file)
    if access.admin.token is not None:
        try:
            return tell(access.admin, "POST", action.path, fields, timeout_seconds=60)
        except ConnectionRefusedError:
            pass
    demand_store(access.store)
    config = load(config_file)
    logs.configure(config.log, secrets=config.secrets)

    def work(clerk: Clerk) -> Awaitable[Any]:
        return clerk.retry(fields) if action is RETRY else clerk.discard(fields)

    step: dict[str, Any] = _understood(handle(config, work))
    return step


def _ask(config_file: Path | None, path: str, work: _Work) -> Any:
    """The answer of the running agent, or of its store."""
    access = load_admin_access(config_file)
    if access.admin.token is None:
        note = "There is no admin token to ask a running agent with (admin.token_file); this is what its store holds."
    else:
        try:
            return tell(access.admin, "GET", path)
        except ConnectionRefusedError:
            note = f"No agent runs at {where(access.admin)}; this is what its store holds."
    demand_store(access.store)
    print(note, file=sys.stderr)
    return _understood(look_up(access.store, work))


def _understood(answer: Any) -> Any:
    try:
        return asyncio.run(answer)
    except BadChoice as error:
        raise CommandFailed(str(error)) from None


def _given(choice: dict[str, str | None]) -> dict[str, str]:
    return {name: text for name, text in choice.items() if text is not None}


def _counted(action: Action, preview: dict[str, Any]) -> str:
    states = ", ".join(f"{count} {state}" for state, count in preview["by_state"].items()) or "none"
    count = preview[action.able] or "None"
    return f"Chosen: {states}. {count} of them can be {action.possible}."


def _many(count: int) -> str:
    return "1 delivery is" if count == 1 else f"{count} deliveries are"


def _print(document: object) -> None:
    print(json.dumps(document, indent=2))
