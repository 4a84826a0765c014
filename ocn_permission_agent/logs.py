"""Log lines: one per unit of work, named ``noun.past_participle``, flat, without any secret.

Everything goes one way: our own lines (structlog), those of libraries (aiohttp, asyncio), warnings, and what Python
itself would print of a crash, of a thread's crash, or of a line that cannot be written, all pass `Redactor` before they
are rendered.
"""

import asyncio
import contextlib
import logging
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, TextIO

import orjson
import structlog
from structlog.typing import EventDict

from ocn_permission_agent.clock import SystemClock
from ocn_permission_agent.redactor import Redactor

#: what a line calls its level
_LEVELS = {getattr(logging, name): name.lower() for name in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")}


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """``[log]``: `format` is ``json`` or ``console``, `level` is ``debug``, ``info``, ``warning`` or ``error``."""

    format: str = "json"
    level: str = "info"


class _Handler(logging.StreamHandler[TextIO]):
    """Writes lines; one that cannot be written is told without its content, which logging itself would print.

    What an event loop tells in one of its turns is written at once when the turn is over, or as soon as somebody else
    writes, something is wrong, or the process ends: the order stays, and only a process that is killed owes a line.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._losing = False
        self._waiting: list[str] = []
        #: the loop that will see to it that what waits is written
        self._promised: asyncio.AbstractEventLoop | None = None

    def put(self, line: str, *, now: bool) -> None:
        """Write a line, with `now` at once."""
        with self.lock or contextlib.nullcontext():
            self._waiting.append(line)
        if now or not self._will_be_written():
            self.flush()

    def flush(self) -> None:
        """Write what waits; called by `logging` too, when the process ends."""
        try:
            with self.lock or contextlib.nullcontext():
                self._promised = None
                waiting, self._waiting = self._waiting, []
                if waiting:
                    waiting.append("")
                    self.stream.write("\n".join(waiting))
                    super().flush()
        except Exception:  # noqa: BLE001  as `emit` does
            self.tell_lost("")

    def _will_be_written(self) -> bool:
        """Whether there is an event loop that sees to what waits."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return False
        if loop is not self._promised:
            self._promised = loop
            loop.call_soon(self.flush)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`."""
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001  as `logging.StreamHandler.emit` does
            self.handleError(record)
            return
        self.put(line, now=True)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  logging's own name
        """Say that there was a line; where not even that can be written, nothing."""
        self.tell_lost(f"{record.filename}:{record.lineno}")

    def tell_lost(self, line: str) -> None:
        """The same, called where the error is caught.

        Args:
            line: which one it was, in words that hold nothing of it; empty where that is not known.
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

    Neither the detour over `logging` nor structlog's chain of processors: each takes longer than all else about a line.
    """

    def __init__(self, handler: _Handler, *, redactor: Redactor, render: Callable[[EventDict], str]) -> None:
        self._handler = handler
        self._redactor = redactor
        self._render = render
        self._clock = SystemClock()

    def tell(self, level: int, event: str, fields: EventDict) -> None:
        """Write one, or tell that it is lost; whoever tells something is never hurt by it."""
        try:
            if "exc_info" in fields:
                fields = dict(structlog.processors.format_exc_info(self, "", fields))
            fields["event"] = event
            line = self._redactor.line(fields)
            line["level"] = _LEVELS[level]
            line["time"] = self._clock.now()
            text = self._render(line)
        except Exception:  # noqa: BLE001  as `logging.Handler.emit` does
            self._handler.tell_lost(event)
            return
        self._handler.put(text, now=level >= logging.WARNING)


def _logger_from(level: int) -> type[structlog.BoundLoggerBase]:
    """A structlog logger (see `log.Log`) that tells lines of a level and above."""

    class Logger(structlog.BoundLoggerBase):
        def debug(self, event: str, **fields: Any) -> None:
            self._tell(logging.DEBUG, event, fields)

        def info(self, event: str, **fields: Any) -> None:
            self._tell(logging.INFO, event, fields)

        def warning(self, event: str, **fields: Any) -> None:
            self._tell(logging.WARNING, event, fields)

        def error(self, event: str, **fields: Any) -> None:
            self._tell(logging.ERROR, event, fields)

        def critical(self, event: str, **fields: Any) -> None:
            self._tell(logging.CRITICAL, event, fields)

        def exception(self, event: str, **fields: Any) -> None:
            self._tell(logging.ERROR, event, {"exc_info": True, **fields})

        def _tell(self, of: int, event: str, fields: dict[str, Any]) -> None:
            if of >= level:
                self._logger.tell(of, event, {**self._context, **fields} if self._context else fields)

    return Logger


def configure(settings: LogSettings, *, secrets: Iterable[str] = (), stream: TextIO | None = None) -> None:
    """Set up logging of the whole process; called once by whoever starts it, again by tests.

    Args:
        settings: `[log]` of the configuration.
        secrets: every secret that was loaded; none of them will appear in any line.
        stream: where lines go; standard error by default.
    """
    redactor = Redactor(secrets)
    out = sys.stderr if stream is None else stream
    render = _renderer(settings.format, colors=out.isatty())
    handler = _Handler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
                structlog.processors.StackInfoRenderer(),
                structlog.processors.format_exc_info,
                structlog.stdlib.add_logger_name,
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                redactor,
                lambda _logger, _method, line: render(line),
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
        processors=[],
        wrapper_class=_logger_from(level),
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


def _to_json(line: EventDict) -> str:
    try:
        return orjson.dumps(line, default=str, option=orjson.OPT_UTC_Z).decode()
    except orjson.JSONEncodeError:
        # seldom is a key no text, and being ready for one takes as long as all else
        return orjson.dumps(line, default=str, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS).decode()


def _renderer(form: str, *, colors: bool) -> Callable[[EventDict], str]:
    if form == "console":
        console = structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)
        return lambda line: console(None, "", {**line, "time": _instant(line["time"])})
    return _to_json


def _instant(time: object) -> str:
    """As the lines of libraries have it already."""
    return time.isoformat().replace("+00:00", "Z") if isinstance(time, datetime) else str(time)
