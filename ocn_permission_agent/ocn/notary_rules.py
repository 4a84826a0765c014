"""Where the notaries differ: how a value becomes text, how names are compared (ocn-protocol.md d.3, d.4)."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from ocn_permission_agent.ocn.java_double import double_text
from ocn_permission_agent.ocn.js_number import js_number_text
from ocn_permission_agent.ocn.json_text import JsonValue
from ocn_permission_agent.ocn.version import NodeVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """One notary's habits."""

    number_text: Callable[[int | float], str]
    #: what a path that leads nowhere adds to the message
    missing: str
    #: whether the signatory of an earlier signature must be spelled with its checksum
    exact_signatory: bool

    def text_of(self, value: object) -> str:
        """The text of a value in the message that is hashed."""
        if isinstance(value, str):
            return value
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int | float):
            return self.number_text(value)
        if isinstance(value, list):
            return ",".join("" if item is None else self.text_of(item) for item in value)
        return "[object Object]"

    def same_signatory(self, claimed: str, actual: str) -> bool:
        """Whether an earlier signatory is who it says; `actual` has its checksum."""
        return claimed == actual if self.exact_signatory else claimed.lower() == actual.lower()


def node_rules(version: NodeVersion) -> Rules:
    """What the notary of a receiving node reads out of a message, for choosing spellings that it will accept.

    It prints numbers as Java does. Decimals longer than 18 characters it takes for exact ones, so that its own
    signatures over them do not hold; what counts here is how it verifies.
    """

    def number_text(number: float) -> str:
        if isinstance(number, int):
            return str(number)
        text = double_text(number, version)
        return str(Decimal(text)) if len(text) > 18 else text

    return Rules(number_text=number_text, missing="null", exact_signatory=False)


#: the npm package that platforms use
JS_RULES = Rules(number_text=js_number_text, missing="", exact_signatory=True)


def respelled(value: JsonValue, spelling: Callable[[float], JsonValue]) -> JsonValue:
    """The value with every number (no booleans) put through `spelling`; no recursion, any depth."""
    root: list[JsonValue] = [value]
    unfinished: list[dict[str, JsonValue] | list[JsonValue]] = [root]
    while unfinished:
        container = unfinished.pop()
        for place, child in list(container.items() if isinstance(container, dict) else enumerate(container)):
            fresh: JsonValue
            if isinstance(child, dict | list):
                fresh = dict(child) if isinstance(child, dict) else list(child)
                unfinished.append(fresh)
            elif isinstance(child, int | float) and not isinstance(child, bool):
                fresh = spelling(child)
            else:
                continue
            container[place] = fresh  # type: ignore[call-overload, index]  # place comes from this very container
    return root[0]
