"""`status`: ask the running agent; when none runs, read its store."""

import json
import sys
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from ocn_permission_agent.admin.settings import AdminSettings
from ocn_permission_agent.admin.status import status_document
from ocn_permission_agent.cli.failing import CommandFailed
from ocn_permission_agent.cli.stored import stored_status
from ocn_permission_agent.config import AdminAccess, load_admin_access

#: where to call a listener that listens everywhere
_NEAREST = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  called, not listened on
_TIMEOUT_SECONDS = 5.0


def status(config_file: Path | None, *, as_json: bool) -> None:
    """Print the status document, as tables or as JSON."""
    document, note = _document(load_admin_access(config_file))
    document["source"] = "store" if note else "agent"
    if note:
        print(note, file=sys.stderr)
    if as_json:
        print(json.dumps(document, indent=2))
    else:
        from ocn_permission_agent.cli.tables import show_status  # noqa: PLC0415  rich is not needed for JSON

        show_status(document)


def _document(access: AdminAccess) -> tuple[dict[str, Any], str]:
    """The status document, and what to say about where it comes from."""
    if access.admin.token is None:
        note = "There is no admin token to ask a running agent with (admin.token_file); this is what its store holds."
        return status_document(stored_status(access.store)), note
    try:
        return ask(access.admin), ""
    except ConnectionRefusedError:
        document = status_document(stored_status(access.store))
        return document, f"No agent runs at {where(access.admin)}; this is what its store holds."


def ask(admin: AdminSettings, path: str = "/api/v1/status") -> dict[str, Any]:
    """A document of the running agent; raises as `tell`."""
    return tell(admin, "GET", path)


def tell(
    admin: AdminSettings,
    method: str,
    path: str,
    fields: Mapping[str, str] | None = None,
    *,
    timeout_seconds: float = _TIMEOUT_SECONDS,
) -> dict[str, Any]:
    """What the running agent answers.

    Raises:
        ConnectionRefusedError: nobody listens there.
        CommandFailed: somebody listens, but refuses, or gives no such document.
    """
    host = _NEAREST.get(admin.listen_host, admin.listen_host)
    connection = HTTPConnection(host, admin.listen_port, timeout=timeout_seconds)
    try:
        body = None if fields is None else json.dumps(fields)
        connection.request(method, path, body=body, headers={"Authorization": f"Bearer {admin.token}"})
        answer = connection.getresponse()
        text = answer.read()
    except ConnectionRefusedError:
        raise
    except (OSError, HTTPException) as error:
        raise CommandFailed(f"The admin listener at {where(admin)} does not answer: {error}.") from error
    finally:
        connection.close()
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise CommandFailed(f"What listens at {where(admin)} is no OCN permission agent (HTTP {answer.status}).")
    if answer.status == 401:
        raise CommandFailed(f"The agent at {where(admin)} does not accept the token of admin.token_file.")
    if answer.status in {400, 404} and "error" in document:
        raise CommandFailed(str(document["error"]))
    if answer.status not in {200, 201}:
        raise CommandFailed(f"The agent at {where(admin)} gives no answer: {document.get('error', answer.status)}")
    return document


def where(admin: AdminSettings) -> str:
    """Where the agent should listen."""
    return f"{admin.listen_host}:{admin.listen_port}"
