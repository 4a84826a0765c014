"""`stop …` and `… confirm`: tell the running agent; when none runs, decide on its store, by the same code."""

import asyncio
import getpass
import json
import os
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from ocn_permission_agent import app, logs
from ocn_permission_agent.admin.desk import Desk, Document, Written
from ocn_permission_agent.cli.asking import tell, where
from ocn_permission_agent.cli.failing import CommandFailed
from ocn_permission_agent.cli.stored import demand_store
from ocn_permission_agent.config import load, load_admin_access
from ocn_permission_agent.consent.deciding import DecisionRefused

_OnDesk = Callable[[Desk], Awaitable[Document]]


def add_stop(config_file: Path | None, *, as_json: bool, **written: str | None) -> None:
    """Put a stop on the list."""
    fields = _signed(written)
    done = _decide(config_file, ("POST", "/api/v1/stops", fields), lambda desk: desk.add_stop(fields))
    withdrawn = done["withdrawn"]
    _print(done, as_json, f"Stopped, as number {done['number']}; {withdrawn} pending copies were withdrawn.")


def remove_stop(config_file: Path | None, *, as_json: bool, **written: str | None) -> None:
    """Take a stop off the list."""
    fields = _signed(written)
    path = f"/api/v1/stops?{urlencode(fields)}"
    done = _decide(config_file, ("DELETE", path, None), lambda desk: desk.remove_stop(fields))
    _print(done, as_json, f"Stop {done['stop']} is off the list; what it withdrew stays withdrawn.")


def confirm_agreement(config_file: Path | None, *, as_json: bool, **written: str | None) -> None:
    """Confirm one transaction for one pair."""
    fields = _signed(written)
    done = _decide(
        config_file, ("POST", "/api/v1/agreements/confirm", fields), lambda desk: desk.confirm_agreement(fields)
    )
    _print(done, as_json, f"Confirmed, as number {done['number']}; `agreements show` tells how the agreement stands.")


def confirm_party(config_file: Path | None, *, as_json: bool, **written: str | None) -> None:
    """Confirm the address of one party."""
    fields = _signed(written)
    done = _decide(config_file, ("POST", "/api/v1/parties/confirm", fields), lambda desk: desk.confirm_party(fields))
    _print(done, as_json, f"Confirmed, as number {done['number']}: {done['party']} is at {done['address']}.")


def show(config_file: Path | None, *, audit: bool, as_json: bool) -> None:
    """Print the stops that hold, or all decisions."""
    path, on_desk = ("/api/v1/decisions", Desk.history) if audit else ("/api/v1/stops", Desk.stops)
    document = _decide(config_file, ("GET", path, None), on_desk)
    if as_json:
        print(json.dumps(document, indent=2))
        return
    from ocn_permission_agent.cli.tables import show_decisions, show_stops  # noqa: PLC0415  rich is not needed for JSON

    if audit:
        show_decisions(document["decisions"])
    else:
        show_stops(document["stops"])


def _signed(written: dict[str, str | None]) -> dict[str, str]:
    """What was written, and who wrote it, for the audit."""
    fields = {name: text for name, text in written.items() if text is not None}
    return fields | {"by": whoever_asks()}


def whoever_asks() -> str:
    """Who calls the command, for the audit."""
    return f"{os.environ.get('SUDO_USER') or _user()}@{socket.gethostname()}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in many containers
        return f"uid-{os.getuid()}"


def _decide(config_file: Path | None, asked: tuple[str, str, Written | None], on_desk: _OnDesk) -> dict[str, Any]:
    """What came of it, from the agent or from its store.

    Raises:
        CommandFailed: it was refused; the message says why.
    """
    access = load_admin_access(config_file)
    if access.admin.token is not None:
        method, path, fields = asked
        try:
            return tell(access.admin, method, path, fields)
        except ConnectionRefusedError:
            note = f"No agent runs at {where(access.admin)}: this is decided on its store."
    else:
        note = "There is no admin token (admin.token_file): this is decided on the store, which no agent may be using."
    demand_store(access.store)
    print(note, file=sys.stderr)
    config = load(config_file)
    logs.configure(config.log, secrets=config.secrets)
    try:
        return asyncio.run(app.decide(config, on_desk))
    except DecisionRefused as refusal:
        raise CommandFailed(str(refusal)) from None


def _print(document: dict[str, Any], as_json: bool, sentence: str) -> None:
    print(json.dumps(document, indent=2) if as_json else sentence)
