"""Log lines: one per unit of work, named ``noun.past_participle``, flat, without any secret.

Everything goes one way: our own lines (structlog), those of libraries (aiohttp, asyncio), warnings, and what Python
itself would print of a crash, of a thread's crash, or of a line that cannot be written, all pass `Redactor` before they
are rendered.
"""

import contextlib
import logging
import re
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from types import TracebackType
from typing import TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

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
#: what most values are: no room in it for a scheme, a header or a URL
_HARMLESS = re.compile(r"[A-Za-z0-9*_.:+-]{0,80}")
#: types of what is shown as it is
_PLAIN = frozenset({int, float, bool, type(None)})
_DEEPEST = 6
_NAMES_REMEMBERED = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """``[log]``: `format` is ``json`` or ``console``, `level` is ``debug``, ``info``, ``warning`` or ``error``."""

    format: str = "json"
    level: str = "info"


class Redactor:
    """Takes secrets out of a log line.

    By field name (`authorization`, `token`, `key`, …), by the shape of text (``Token …``, ``https://user:pass@…``), and
    by value: every secret that was loaded is known here and is replaced wherever it appears. Hex of 64 digits is not
    taken for a key by its looks: transaction hashes have the same shape and must stay readable.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = all_forms(secrets)
        self._known = finder(known)
        #: nothing shorter can hold a secret that is known
        self._shortest = len(known[-1]) if known else sys.maxsize
        self._handling: dict[object, _Handling] = {}

    def __call__(self, _logger: WrappedLogger, _method: str, event_dict: EventDict, /) -> EventDict:
        """Clean one line; a structlog processor."""
        return {name: self._field(name, value) for name, value in event_dict.items()}

    def text(self, text: str) -> str:
        """The text without what looks like a secret or is known to be one."""
        if self._known is not None and len(text) >= self._shortest:
            text = self._known.sub(REDACTED, text)
        if _HARMLESS.fullmatch(text):
            return text
        if "://" in text:
            text = _USERINFO.sub(rf"\1{REDACTED}@", text)
        text = _HEADER.sub(rf"\1\2{REDACTED}", text)
        return _SCHEME.sub(rf"\1\2{REDACTED}", text)

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


class _Handler(logging.StreamHandler[TextIO]):
    """Writes lines; one that cannot be written is told without its content, which logging itself would print."""

    _losing = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  logging's own name
        """Say that there was a line; where not even that can be written, nothing."""
        self.tell_lost(f"{record.filename}:{record.lineno}")

    def tell_lost(self, line: str) -> None:
        """The same, called where the error is caught.

        Args:
            line: which one it was, in words that hold nothing of it.
        """
        if self._losing:
            return
        kind = sys.exc_info()[0]
        self._losing = True
        try:
            structlog.get_logger().error("line.lost", error="" if kind is None else kind.__name__, line=line)
        finally:
            self._losing = False


class _Lines:
    """Where our own lines end: redacted, and written by the same handler as those of libraries.

    The detour over `logging` takes longer than everything else about a line.
    """

    def __init__(self, handler: _Handler, *, redactor: Redactor, render: Processor) -> None:
        self._handler = handler
        self._redactor = redactor
        self._render = render

    def write(self, line: EventDict) -> None:
        """Write one, or tell that it is lost; whoever tells something is never hurt by it."""
        handler = self._handler
        name = str(line.get("event"))
        try:
            text = self._render(self, "", self._redactor(self, "", line))
            with handler.lock or contextlib.nullcontext():
                handler.stream.write(str(text) + "\n")
                handler.flush()
        except Exception:  # noqa: BLE001  as `logging.Handler.emit` does
            handler.tell_lost(name)

    debug = info = warning = error = critical = write


def _as_it_is(_logger: WrappedLogger, _method: str, line: EventDict) -> tuple[tuple[EventDict], dict[str, object]]:
    """What `_Lines` is called with."""
    return (line,), {}


def configure(settings: LogSettings, *, secrets: Iterable[str] = (), stream: TextIO | None = None) -> None:
    """Set up logging of the whole process; called once by whoever starts it, again by tests.

    Args:
        settings: `[log]` of the configuration.
        secrets: every secret that was loaded; none of them will appear in any line.
        stream: where lines go; standard error by default.
    """
    redactor = Redactor(secrets)
    stamp: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    out = sys.stderr if stream is None else stream
    render = _renderer(settings.format, colors=out.isatty())
    handler = _Handler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*stamp, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                redactor,
                render,
            ],
        )
    )
    level = getattr(logging, settings.level.upper())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Connection noise of libraries is of no use below warning, and every line costs time.
    for name in ("asyncio", "aiohttp.access", "aiohttp.client", "aiohttp.internal", "web3", "urllib3"):
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[*stamp, _as_it_is],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _Lines(handler, redactor=redactor, render=render),
        cache_logger_on_first_use=False,
    )
    sys.excepthook = _tell_crash
    sys.unraisablehook = _tell_unraisable
    threading.excepthook = _tell_thread


def _tell_unraisable(crash: "sys.UnraisableHookArgs") -> None:
    """What went wrong where nobody could catch it, such as in `__del__`."""
    structlog.get_logger().error(
        "exception.unraisable",
        where=type(crash.object).__name__,
        exc_info=(crash.exc_type, crash.exc_value, crash.exc_traceback),
    )


def _tell_thread(crash: threading.ExceptHookArgs) -> None:
    """A thread ended by what nobody foresaw."""
    if crash.exc_value is not None:
        structlog.get_logger().critical(
            "thread.crashed", exc_info=(crash.exc_type, crash.exc_value, crash.exc_traceback)
        )


def _tell_crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Crash text goes through the redactor too, instead of straight to standard error."""
    if issubclass(kind, KeyboardInterrupt):
        return
    structlog.get_logger().critical("process.crashed", exc_info=(kind, error, trace))


def _to_json(line: EventDict, **_: object) -> str:
    return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _renderer(form: str, *, colors: bool) -> Processor:
    if form == "console":
        return structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)
    return structlog.processors.JSONRenderer(serializer=_to_json)
