"""`services`, `agreements`, `parties`: ask the running agent; when none runs, read its store."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from ocn_permission_agent.admin.asked import Asked, BadQuestion, Question, read_question
from ocn_permission_agent.cli.asking import ask, where
from ocn_permission_agent.cli.failing import CommandFailed
from ocn_permission_agent.cli.stored import demand_store
from ocn_permission_agent.config import AdminAccess, load, load_admin_access
from ocn_permission_agent.errors import ConfigError


def show(config_file: Path | None, kind: Asked, *, as_json: bool, **written: str | None) -> None:
    """Print the answer, as tables or as JSON.

    Args:
        config_file: of the agent.
        kind: what is asked.
        as_json: print the document itself.
        written: names and choices as they were put; None for what was left out.
    """
    try:
        question = read_question(kind, {name: text for name, text in written.items() if text is not None})
    except BadQuestion as error:
        raise ConfigError([str(error)]) from None
    document, note = _document(config_file, load_admin_access(config_file), question)
    document["source"] = "store" if note else "agent"
    if note:
        print(note, file=sys.stderr)
    if as_json:
        print(json.dumps(document, indent=2))
        return
    from ocn_permission_agent.cli.index_tables import show_document  # noqa: PLC0415  rich is not needed for JSON

    show_document(kind, document)


def _document(config_file: Path | None, access: AdminAccess, question: Question) -> tuple[dict[str, Any], str]:
    """The answer, and what to say about where it comes from."""
    if access.admin.token is None:
        note = "There is no admin token to ask a running agent with (admin.token_file); this is what its store holds."
        return _from_store(config_file, access, question), note
    try:
        return ask(access.admin, question.path), ""
    except ConnectionRefusedError:
        note = f"No agent runs at {where(access.admin)}; this is what its store holds."
        return _from_store(config_file, access, question), note


def _from_store(config_file: Path | None, access: AdminAccess, question: Question) -> dict[str, Any]:
    """The answer by the rules of the agent, for which all of its configuration is needed."""
    demand_store(access.store)
    from ocn_permission_agent.app.stored import stored_index  # noqa: PLC0415  half of the agent

    index = asyncio.run(stored_index(load(config_file)))
    document = question.answer(index, fresh=False)
    if document is None:
        raise CommandFailed(question.nobody)
    return document
