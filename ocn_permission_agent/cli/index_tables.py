"""Services, agreements and parties as aligned tables. Texts were escaped where they were read."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ocn_permission_agent.admin.asked import Asked

Row = dict[str, Any]
#: what is printed when there is no such thing
_NONE = "–"


def show_document(kind: Asked, document: Row, *, console: Console | None = None) -> None:
    """Print an answer."""
    out = console or Console(highlight=False, markup=False, emoji=False)
    out.print(Text(_head(document)))
    match kind:
        case Asked.SERVICES:
            out.print(_services(document["services"]))
        case Asked.SERVICE:
            for service in document["services"]:
                out.print(_facts(_about_service(service)))
            _print_agreements(out, "Agreements", document["agreements"])
        case Asked.AGREEMENTS:
            out.print(_agreements(document["agreements"]))
        case Asked.AGREEMENT:
            for agreement in document["agreements"]:
                out.print(_facts(_about_agreement(agreement)))
                out.print()
                out.print(_interfaces(agreement["interfaces"]))
        case Asked.PARTY:
            for party in document["parties"]:
                out.print(_facts(_about_party(party)))
            _print_agreements(out, "As customer", document["as_customer"])
            _print_agreements(out, "As provider", document["as_provider"])


def _head(document: Row) -> str:
    if document["block"] is None:
        return "The chain was not read yet: nobody is known."
    said = f"Block {document['block']} of {document['block_time']}"
    if document["distrust"]:
        return f"{said}; everything is held (C12): {document['distrust']}"
    if document["doubt"]:
        return f"{said}; everything is held (C8): {document['doubt']}"
    return said if document["fresh"] else f"{said}, not fresh: what is open is held until it is (C8)"


def _services(services: Iterable[Row]) -> Table:
    table = _table("Provider", "Address", "Name", "URL", "Permissions", "State")
    for service in services:
        _add(
            table,
            service["party"],
            service["address"],
            service["name"],
            service["url"],
            _ids(service),
            _state(service),
        )
    return table


def _agreements(agreements: Iterable[Row]) -> Table:
    table = _table("Customer", "Provider", "Standing", "Rule", "Reason", "Agreed in", "Block")
    for agreement in agreements:
        _add(
            table,
            agreement["customer"] or agreement["customer_address"],
            agreement["provider"] or agreement["provider_address"],
            agreement["standing"],
            agreement["rule"],
            agreement["reason"],
            _block(agreement["agreed_in"]),
            agreement["block"],
        )
    return table


def _interfaces(interfaces: Iterable[Row]) -> Table:
    table = _table("Module", "Interface", "Standing", "Rule", "Reason")
    for each in interfaces:
        _add(table, each["module"], each["role"], each["standing"], each["rule"], each["reason"])
    return table


def _print_agreements(out: Console, title: str, agreements: list[Row]) -> None:
    out.print(Text(f"\n{title}: {len(agreements) or 'none'}"))
    if agreements:
        out.print(_agreements(agreements))


def _about_service(service: Row) -> dict[str, object]:
    asks_for = [f"{number} {words}" for number, words in zip(service["permissions"], service["asks_for"], strict=True)]
    return {
        "Provider": service["party"],
        "Address": service["address"],
        "Name": service["name"],
        "URL": service["url"],
        "State": _state(service),
        "Asks for": "\n".join(asks_for),
        "Unknown ids": service["unknown_ids"] or None,
    }


#: how the agreement was made, for people (C6)
_SENT = {
    "direct": "by the customer's own transaction",
    "relayed": "relayed with a signature of the customer",
    "inner": "through another contract",
    "unknown": "by a transaction that cannot be looked up",
}


def _about_agreement(agreement: Row) -> dict[str, object]:
    agreed = agreement["agreed"]
    return {
        "Customer": _both(agreement["customer"], agreement["customer_address"]),
        "Provider": _both(agreement["provider"], agreement["provider_address"]),
        "Standing": agreement["standing"],
        "Reason": f"{agreement['rule']}: {agreement['reason']}",
        "What can be done": agreement["remedy"] or None,
        "Seen in": _place(agreement),
        "Agreed in": _place(agreement["agreed_in"]),
        "Sent": _SENT[agreement["sent"]],
        "Agreed to": "not known" if agreed is None else ", ".join(map(str, agreed)),
    }


def _about_party(party: Row) -> dict[str, object]:
    finds = party["registry_finds"]
    return {
        "Party": party["party"],
        "Address": party["address"],
        "Registry finds": "this address" if finds == party["address"] else finds,
        "Operator": party["operator"],
        "Node": party["domain"],
        "On this node": {True: "yes", False: "no", None: None}[party["own_node"]],
        "Registered": _place(party["registered"]),
        "Redirected": _place(party["redirected"]),
        "Renamed": _place(party["renamed"]),
        "Left": _place(party["left"]),
        "Quarantined": party["doubt"],
    }


def _facts(facts: dict[str, object]) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in facts.items():
        _add(table, name, value)
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(
            column, overflow="fold", no_wrap=column == "Address", min_width=42 if column == "Address" else None
        )
    return table


def _add(table: Table, *cells: object) -> None:
    """A row of plain text: what strangers wrote is no markup."""
    table.add_row(*(Text(_NONE if cell is None or cell == "" else str(cell)) for cell in cells))


def _ids(service: Row) -> str:
    others = [f"+{service['unknown_ids']} unknown"] if service["unknown_ids"] else []
    return ",".join(map(str, service["permissions"])) + " ".join(others)


def _state(service: Row) -> str:
    if service["doubt"]:
        return f"quarantined: {service['doubt']}"
    return "listed" if service["listed"] else "deleted"


def _both(party: str | None, account: str) -> str:
    return f"{party} {account}" if party else f"{account} (not registered)"


def _block(evidence: Row | None) -> object:
    return None if evidence is None else evidence["block"]


def _place(evidence: Row | None) -> str | None:
    if evidence is None or evidence["block"] is None:
        return None
    seen = evidence["transaction"] or "seen in the state"
    return f"block {evidence['block']}, {seen}"
