"""Deliveries as aligned tables, and the story of a request. Texts were escaped where they were read."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

Row = dict[str, Any]
_NONE = "–"
#: why a request was not copied, for people
_WHY_NOT = {
    "receiver_refused": "the node or the receiver said no to it",
    "provider_takes_part": "every service that might hear it is its sender or its receiver",
    "own_party": "it was addressed to the node's own party, which the node answers without looking at the token",
    "unclear_path": "its path may mean something else to the node than to the agent",
    "read": "it only reads, and reads are not copied (consent.copy_reads)",
    "command_not_named": "commands go only to services that name them, or that the operator names",
}


def show_deliveries(document: Row, *, console: Console | None = None) -> None:
    """Print a list."""
    out = console or _console()
    table = _table("Id", "State", "Customer", "Provider", "Object", "Recorded", "Tries", "Reason")
    for each in document["deliveries"]:
        _add(
            table,
            each["id"],
            each["state"] + ("" if each["payload_kept"] else ", erased"),
            each["customer"],
            each["provider"],
            f"{each['method']} {each['module']} {each['object_id']}",
            each["recorded_at"],
            each["attempts"],
            each["reason"],
        )
    out.print(table)
    if document["next"] is not None:
        out.print(Text("There are older ones: choose by time, or ask for more with --limit."))


def show_delivery(document: Row, *, console: Console | None = None) -> None:
    """Print one delivery with its attempts."""
    out = console or _console()
    facts = Table(show_header=False, box=None, pad_edge=False)
    for name, value in _facts(document):
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
        agreement = each["agreement"]
        block = f" in block {agreement['block']}" if agreement["block"] else ""
        matched = f"{each['module']}/{each['interface_role']}"
        out.print(
            Text(
                f"Copied to {each['provider']}: {matched} is covered by the agreement of transaction "
                f"{agreement['transaction_hash']}{block}."
            )
        )
        show_delivery(each, console=out)
        out.print()
    for each in document["repeated"]:
        known = True
        out.print(
            Text(
                f"Not sent to {each['provider']} again at {each['noted_at']}: it repeated delivery {each['delivery']} "
                f"(this time it went to {each['receiver']})."
            )
        )
    for each in document["not_copied"]:
        known = True
        why = _WHY_NOT.get(each["reason"], each["reason"])
        out.print(Text(f"Not copied: {each['method']} {each['module']} at {each['noted_at']}, because {why}."))
    for each in document["gaps"]:
        known = True
        out.print(Text(f"A gap: it could not be recorded at {each['at']} ({each['reason']})."))
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
    yield "Recorded", document["recorded_at"]
    yield "Ended", document["ended_at"]
    yield "Next try", document["next_attempt_at"]
    yield "Window ends", document["expires_at"]
    yield "Payload", "kept" if document["payload_kept"] else "erased"


def _tries(tries: Iterable[Row]) -> Table:
    table = _table("Try", "Began", "Ended", "Verdict", "HTTP", "OCPI", "Detail")
    for each in tries:
        _add(
            table,
            each["number"],
            each["started_at"],
            each["ended_at"],
            each["verdict"],
            each["http_status"],
            each["ocpi_status"],
            each["detail"],
        )
    return table


def _console() -> Console:
    return Console(highlight=False, markup=False, emoji=False)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _add(table: Table, *cells: object) -> None:
    table.add_row(*(Text(_NONE if cell is None else str(cell)) for cell in cells))
