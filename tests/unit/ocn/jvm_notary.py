"""The notary of the nodes (Java), for tests: what it would sign and accept (ocn-protocol.md d.3, d.4).

Numbers are printed as Java prints them; verification reads them with another parser, which takes decimals of more than
18 characters for exact ones. Headers are walked in one fixed order, and only those known.
"""

from decimal import Decimal
from typing import Any

from eth_hash.auto import keccak

from ocn_permission_agent.ocn.java_double import double_text
from ocn_permission_agent.ocn.literal_path import MISSING, leaves_of, value_at, with_value
from ocn_permission_agent.ocn.notary import Notary
from ocn_permission_agent.ocn.version import NodeVersion

HEADERS = (
    "x-correlation-id",
    "ocpi-from-country-code",
    "ocpi-from-party-id",
    "ocpi-to-country-code",
    "ocpi-to-party-id",
    "x-limit",
    "x-total-count",
    "link",
    "location",
)


class CannotSign(Exception):
    """The library throws: a whole number beyond 64 bits falls into its branch for objects."""


def signed_message(values: dict[str, Any], version: NodeVersion) -> tuple[list[str], str]:
    """The paths and the text that it would sign."""
    headers = values.get("headers") or {}
    ordered = {
        "headers": {name: headers[name] for name in HEADERS if name in headers},
        "params": values.get("params"),
        "body": values.get("body"),
    }
    leaves = list(leaves_of(ordered))
    return [path for path, _ in leaves], "".join(_signed_text(value, version) for _, value in leaves)


def verified_message(
    values: dict[str, Any], fields: list[str] | tuple[str, ...], version: NodeVersion, *, rewritten: bool = False
) -> str:
    """The text that it rebuilds from a signature's paths."""
    texts = []
    for field in fields:
        value = value_at(values, field.lower())
        if value is MISSING or value is None:
            texts.append("" if rewritten else "null")
        else:
            texts.append(_verified_text(value, version))
    return "".join(texts)


def hash_of(message: str) -> str:
    return "0x" + keccak(message.encode()).hex()


def hashes_hold(notary: Notary, values: dict[str, Any], version: NodeVersion) -> tuple[bool, list[bool]]:
    """Whether the outer hash holds, and those of the rewrites, newest first."""
    outer = hash_of(verified_message(values, notary.fields, version)) == notary.hash
    inner = []
    current: Any = values
    for rewrite in reversed(notary.rewrites):
        for path, old in rewrite.rewritten_fields:
            current = with_value(current, path, old)
        inner.append(hash_of(verified_message(current, notary.fields, version, rewritten=True)) == rewrite.hash)
    return outer, inner


def _signed_text(value: Any, version: NodeVersion) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise CannotSign
    return double_text(value, version) if isinstance(value, float) else str(value)


def _verified_text(value: Any, version: NodeVersion) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        text = double_text(value, version)
        return str(Decimal(text)) if len(text) > 18 else text
    return str(value)
