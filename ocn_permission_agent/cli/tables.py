"""Aligned tables for people."""

from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text


def show_status(document: dict[str, Any], *, console: Console | None = None) -> None:
    """Print the status document: the chain and what we know of it, then every delivery by state."""
    out = console or Console(highlight=False)
    out.print(_facts(document))
    out.print(_deliveries(document["deliveries"]))
    for line in _waiting(document.get("providers") or []):
        out.print(Text(line))


def show_stops(stops: list[dict[str, Any]], *, console: Console | None = None) -> None:
    """Print the stop list."""
    if not stops:
        print("Nobody is on the stop list.")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("Number", "Customer", "Provider", "Module", "Since", "By"):
        table.add_column(column)
    for stop in stops:
        customer = stop["customer"] or stop["customer_address"] or "everybody"
        provider = stop["provider"] or stop["provider_address"] or "everybody"
        cells = (str(stop["number"]), customer, provider, stop["module"] or "all", stop["at"], stop["by"])
        table.add_row(*map(Text, cells))
    (console or Console(highlight=False)).print(table)


def show_decisions(decisions: list[dict[str, Any]], *, console: Console | None = None) -> None:
    """Print everything that was decided."""
    table = Table(box=None, pad_edge=False)
    for column in ("Number", "At", "By", "What", "About"):
        table.add_column(column)
    for decided in decisions:
        known = {"number", "at", "by", "what"}
        about = "  ".join(f"{name} {value}" for name, value in decided.items() if name not in known and value)
        table.add_row(*map(Text, (str(decided["number"]), decided["at"], decided["by"], decided["what"], about)))
    (console or Console(highlight=False)).print(table)


def _facts(document: dict[str, Any]) -> Table:
    chain = document["chain"]
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_row("Chain head", _block(chain))
    table.add_row("Fresh", _freshness(chain))
    if chain.get("held"):
        table.add_row("Held", f"every copy: {chain['held']}")
    for endpoint in chain["endpoints"]:
        state = "reachable" if endpoint["reachable"] else "not reachable"
        if endpoint.get("followed"):
            state += ", followed"
        if endpoint.get("complaint"):
            state += f", holds all copies: {endpoint['complaint']}"
        table.add_row("Endpoint", f"{endpoint['name']}: {state}, head {_known(endpoint['head'])}")
    table.add_row("Services", _known(document["services"]))
    table.add_row("Agreements", _known(document["agreements"]))
    table.add_row("Gaps", _gaps(document))
    for agent in document.get("agents") or []:
        table.add_row("Agent", _agent(agent))
    return table


def _agent(agent: dict[str, Any]) -> Text:
    told = f"{agent['host']} ({agent['id']}), seen {_minute(agent['seen_at'])}"
    if agent["watches"]:
        told += ", watches the chain"
    if agent["spool_bytes"]:
        told += f", {agent['spool_bytes']} bytes in its spool"
    return Text(told)


def _deliveries(counts: dict[str, int]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("Deliveries")
    table.add_column("", justify="right")
    for state, count in counts.items():
        indent = "  of these " if state in {"held", "paused"} else ""
        table.add_row(f"{indent}{state}", str(count))
    return table


def _waiting(providers: Iterable[dict[str, Any]]) -> Iterator[str]:
    """A line for each provider that is owed something, and for what of it is paused."""
    for each in providers:
        if each["pending"]:
            yield f"{each['provider']} is owed {each['pending']}, the oldest of {_minute(each['oldest'])}"
        if each["paused_since"]:
            yield f"{each['provider']} is paused since {_pause(each)}"
        for module in each["paused_modules"]:
            yield f"{each['provider']}: {module['module']} are paused since {_pause(module)}"


def _pause(paused: dict[str, Any]) -> str:
    return f"{_minute(paused['paused_since'])}, next try {_minute(paused['probe_at'])}: {paused['reason']}"


def _minute(text: str) -> str:
    """``2026-03-01 10:00 UTC``."""
    return f"{text[:16].replace('T', ' ')} UTC"


def _block(chain: dict[str, Any]) -> str:
    if chain["head"] is None:
        return "not read yet"
    return f"{chain['head']} of {chain['head_time']}" if chain.get("head_time") else str(chain["head"])


def _freshness(chain: dict[str, Any]) -> str:
    age = chain.get("age_seconds")
    since = "" if age is None else f", {age:.0f} s old"
    return f"yes{since}" if chain["fresh"] else f"no{since}: copies are held back"


def _gaps(document: dict[str, Any]) -> str:
    reasons = document.get("gaps_by_reason") or {}
    if not reasons:
        return _known(document["gaps"])
    since = min(each["first_at"] for each in reasons.values())
    return f"{document['gaps']} since {since}: " + ", ".join(f"{n} {each['count']}" for n, each in reasons.items())


def _known(value: object) -> str:
    return "not known" if value is None else str(value)
