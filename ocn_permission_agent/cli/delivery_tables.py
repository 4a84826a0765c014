"""Deliveries as aligned tables, and the story of a request. Texts were escaped where they were read."""

import os
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

Row = dict[str, Any]
_NONE = "–"
#: columns; longer than any line
_UNBROKEN = 2_000
#: why a request was not copied, for people
_WHY_NOT = {
    "receiver_refused": "the node or the receiver said no to it",
    "provider_takes_part": "every service that might hear it is its sender or its receiver",
    "own_party": "it was addressed to the node's own party, which the node answers without looking at the token",
    "unclear_path": "its path may mean something else to the node than to the agent",
    "read": "it only reads, and reads are not copied (consent.copy_reads)",
    "not_covered": "no agreement of its sender covers this interface, or no service asks for it any more",
}


def show_deliveries(document: Row, *, console: Console | None = None) -> None:
    """Print a list."""
    out = console or _console()
    if not document["deliveries"]:
        out.print(Text("There are none."))
        return
    table = _table("Id", "State", "Customer", "Provider", "Recorded (UTC)", "Tries", folded="Object, and why")
    for each in document["deliveries"]:
        said = f"{each['method']} {each['module']} {each['object_id']}"
        _add(
            table,
            each["id"],
            _state(each),
            each["customer"],
            each["provider"],
            _time(each["recorded_at"]),
            each["attempts"],
            said if each["reason"] is None else f"{said}: {each['reason']}",
        )
    out.print(table)
    if document["next"] is not None:
        out.print(Text("There are older ones: choose by --until, or ask for more with --limit."))


def show_delivery(document: Row, *, console: Console | None = None) -> None:
    """Print one delivery with its attempts."""
    out = console or _console()
    facts = Table(show_header=False, box=None, pad_edge=False)
    facts.add_column(no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in _facts(document):
        if value is not None:
            _add(facts, name, value)
    out.print(facts)
    if document["tries"]:
        out.print()
        out.print(_tries(document["tries"]))


def show_story(document: Row, *, console: Console | None = None) -> None:
    """Print the story of a request."""
    out = console or _console()
    known = False
    for each in document["copies"]:
        known = True
        out.print(Text(_matched(each)))
        show_delivery(each, console=out)
        out.print()
    for each in document["repeated"]:
        known = True
        out.print(
            Text(
                f"Not sent to {each['provider']} again at {_moment(each['noted_at'])}: it repeated delivery "
                f"{each['delivery']} (this time it was said to {each['receiver']})."
            )
        )
    for each in document["not_copied"]:
        known = True
        why = _WHY_NOT.get(each["reason"], each["reason"])
        out.print(Text(f"Not copied: {each['method']} {each['module']} at {_moment(each['noted_at'])}, because {why}."))
    for each in document["gaps"]:
        known = True
        out.print(Text(f"A gap: it could not be recorded at {_moment(each['at'])} ({each['reason']})."))
    if not known:
        out.print(
            Text(
                "Nothing is known of it: its sender had no agreement that covers it, it only read something, or it is "
                "longer ago than is kept."
            )
        )


def _facts(document: Row) -> Iterable[tuple[str, object]]:
    state = document["state"]
    for flag, words in (("in_flight", "under way"), ("held", "held"), ("paused", "paused")):
        if state == "pending" and document[flag]:
            state += f", {words}" + (f": {document[flag]}" if flag == "paused" else "")
    yield "Delivery", document["id"]
    yield "State", state
    yield "Reason", document["reason"]
    yield "Request", f"{document['method']} {document['module']} {document['url_path'] or document['object_id']}"
    yield "Sent as", document["sent_as"]
    yield "Customer", f"{document['customer']} {document['customer_address']}"
    yield "Said to", document["receiver"]
    yield "Provider", f"{document['provider']} {document['provider_address']}"
    yield "Agreement", f"{document['agreement']['transaction_hash']} log {document['agreement']['log_index']}"
    yield "Correlation id", document["correlation_id"]
    yield "Recorded", _moment(document["recorded_at"])
    yield "Ended", _moment(document["ended_at"])
    yield "Next try", _moment(document["next_attempt_at"])
    yield "Window ends", _moment(document["expires_at"])
    yield "Payload", "kept" if document["payload_kept"] else "erased"


def _tries(tries: Iterable[Row]) -> Table:
    table = _table("Try", "Began (UTC)", "Took", "Verdict", "HTTP", "OCPI", folded="Detail")
    for each in tries:
        _add(
            table,
            each["number"],
            _time(each["started_at"]),
            _took(each),
            each["verdict"],
            each["http_status"],
            each["ocpi_status"],
            each["detail"] or None,
        )
    return table


def _matched(document: Row) -> str:
    agreement = document["agreement"]
    block = f" in block {agreement['block']}" if agreement["block"] else ""
    return (
        f"Copied to {document['provider']}: {document['customer']} agreed to {document['module']}, "
        f"{document['interface_role']} interface (permission {document['permission']}, or a wider one), by transaction "
        f"{agreement['transaction_hash']}{block}."
    )


def _state(document: Row) -> str:
    """The state; of what a person could still decide about, whether it is too late for that."""
    state: str = document["state"]
    waits_for_a_person = state in {"parked", "unconfirmed", "refused"}
    return f"{state}, erased" if waits_for_a_person and not document["payload_kept"] else state


def _time(text: str | None) -> str | None:
    """``2026-03-01 10:00:00`` below a heading that names the zone."""
    return None if text is None else text[:19].replace("T", " ")


def _moment(text: str | None) -> str | None:
    """``2026-03-01 10:00:00 UTC``."""
    return None if text is None else f"{_time(text)} UTC"


def _took(tried: Row) -> str | None:
    if tried["ended_at"] is None:
        return None
    began, ended = (datetime.fromisoformat(tried[name]) for name in ("started_at", "ended_at"))
    return f"{(ended - began).total_seconds():.3f} s"


def _console() -> Console:
    """As wide as the terminal; where there is none, lines are not broken, for those who search in them."""
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _UNBROKEN
    return console


def _table(*columns: str, folded: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=True)
    table.add_column(folded, overflow="fold")
    return table


def _add(table: Table, *cells: object) -> None:
    table.add_row(*(Text(_NONE if cell is None else str(cell)) for cell in cells))
