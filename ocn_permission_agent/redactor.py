"""Takes secrets out of log lines: by the name of a field, by the shape of a text, and by value."""

import re
import sys
from collections.abc import Iterable
from enum import Enum, auto

from structlog.typing import EventDict, WrappedLogger

from ocn_permission_agent.hiding import REDACTED, all_forms, finder

#: fields whose value is never shown, whatever it is
_FIELDS = frozenset(
    {
        "api_key", "authorization", "body", "key", "ocn_signature", "operator_key", "password", "payload",
        "private_key", "secret", "signature", "token",
    }
)  # fmt: skip
_FIELD_ENDS = ("_password", "_secret", "_token", "_private_key")
#: fields with an address of a chain endpoint: only scheme and host are shown, its path may be a key
_ENDPOINT_FIELDS = frozenset({"rpc_url", "rpc_urls", "endpoint", "endpoints"})
_HEADER = re.compile(r"(?i)(authorization)(\W{1,6})(?:(?:token|bearer|basic)\s+)?[^\s'\",;\\]+")
_SCHEME = re.compile(r"\b(Token|Bearer|Basic|TOKEN|BEARER|BASIC|token(?=\s+\S{16})|bearer)(\s+)[^\s'\",;\\]+")
_USERINFO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^/\s@'\"]+@")
_BEYOND_HOST = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^/\s?#'\"]+)[/?#][^\s'\",]*")
#: not in most values; without it, and not long, there is no room for a scheme, a header or a URL
_TELLING = re.compile(r"[^A-Za-z0-9*_.:+-]")
_LONGEST_PLAIN = 80
#: types of what is shown as it is
_PLAIN = frozenset({int, float, bool, type(None)})
_DEEPEST = 6
_NAMES_REMEMBERED = 1_000
#: texts that hold nothing; most are the same in line after line
_TEXTS_REMEMBERED = 2_000
_LONGEST_REMEMBERED = 100


class Redactor:
    """Takes secrets out of a log line.

    By field name (`authorization`, `token`, `key`, …), by the shape of text (``Token …``, ``https://user:pass@…``), and
    by value: every secret that was loaded is known here and is replaced wherever it appears. Hex of 64 digits is not
    taken for a key by its looks: transaction hashes have the same shape and must stay readable.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = all_forms(secrets)
        self._known = finder(known)
        #: the same in lower case: ASCII that has none of these in it has none in any letter case, and is sooner looked
        #: through than by `_known`; None if some are not ASCII, as then more letters are alike than two
        self._lower = [form.lower() for form in known] if all(form.isascii() for form in known) else None
        #: nothing shorter can hold a secret that is known
        self._shortest = len(known[-1]) if known else sys.maxsize
        self._handling: dict[object, _Handling] = {}
        self._harmless: set[str] = set()

    def __call__(self, _logger: WrappedLogger, _method: str, event_dict: EventDict, /) -> EventDict:
        """Clean one line; a structlog processor."""
        return self.line(event_dict)

    def line(self, fields: EventDict) -> EventDict:
        """One line, cleaned."""
        harmless, plain, handling = self._harmless, _PLAIN, self._handling
        by_looks = _Handling.BY_LOOKS
        return {
            name: value
            if (type(value) in plain or (type(value) is str and value in harmless)) and handling.get(name) is by_looks
            else self._field(name, value)
            for name, value in fields.items()
        }

    def text(self, text: str) -> str:
        """The text without what looks like a secret or is known to be one."""
        cleaned = self._without_secrets(text)
        if cleaned == text and len(text) <= _LONGEST_REMEMBERED:
            if len(self._harmless) >= _TEXTS_REMEMBERED:
                self._harmless.clear()
            self._harmless.add(text)
        return cleaned

    def _without_secrets(self, text: str) -> str:
        if self._known is not None and len(text) >= self._shortest and self._may_hold_known(text):
            text = self._known.sub(REDACTED, text)
        if len(text) <= _LONGEST_PLAIN and _TELLING.search(text) is None:
            return text
        if "://" in text:
            text = _USERINFO.sub(rf"\1{REDACTED}@", text)
        text = _HEADER.sub(rf"\1\2{REDACTED}", text)
        return _SCHEME.sub(rf"\1\2{REDACTED}", text)

    def _may_hold_known(self, text: str) -> bool:
        if self._lower is None or not text.isascii():
            return True
        folded = text.lower()
        return any(form in folded for form in self._lower)

    def _field(self, name: object, value: object, depth: int = 0) -> object:
        handling = self._handling.get(name) or self._learn(name)
        if handling is _Handling.BY_LOOKS:
            kind = type(value)
            if kind is str:
                return self.text(value)  # type: ignore[arg-type]
            if kind in _PLAIN:
                return value
        else:
            if handling is _Handling.NEVER_SHOWN:
                return value if value is None or isinstance(value, bool) else REDACTED
            if isinstance(value, str):
                return _BEYOND_HOST.sub(r"\1", self.text(value))
        if value is None or isinstance(value, (bool, int, float)):
            return value
        if isinstance(value, dict) and depth < _DEEPEST:
            return {key: self._field(key, each, depth + 1) for key, each in value.items()}
        if isinstance(value, list | tuple | set | frozenset) and depth < _DEEPEST:
            return [self._field(name, each, depth + 1) for each in value]
        return self.text(value.decode("latin-1") if isinstance(value, bytes) else str(value))

    def _learn(self, name: object) -> "_Handling":
        """What is done with fields of a name; remembered for names that lines really have."""
        handling = _handling_of(name)
        if len(self._handling) < _NAMES_REMEMBERED:
            self._handling[name] = handling
        return handling


class _Handling(Enum):
    """What is done with a field, by its name."""

    NEVER_SHOWN = auto()
    ENDPOINT = auto()
    BY_LOOKS = auto()


def _handling_of(name: object) -> _Handling:
    if isinstance(name, str):
        folded = name.lower().replace("-", "_")
        if folded in _FIELDS or folded.endswith(_FIELD_ENDS):
            return _Handling.NEVER_SHOWN
        if folded in _ENDPOINT_FIELDS:
            return _Handling.ENDPOINT
    return _Handling.BY_LOOKS
