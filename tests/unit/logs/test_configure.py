"""Every line of the process goes one way."""

import io
import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterator

import pytest
import structlog

from ocn_permission_agent.logs import REDACTED, LogSettings, configure

Lines = Callable[[], list[dict[str, object]]]


@pytest.fixture
def restored() -> Iterator[None]:
    """Logging is the process's own: leave it as it was found."""
    root = logging.getLogger()
    handlers, level, hook = root.handlers[:], root.level, sys.excepthook
    with warnings.catch_warnings():
        yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    sys.excepthook = hook
    structlog.reset_defaults()


@pytest.fixture
def stream(restored: None) -> io.StringIO:
    stream = io.StringIO()
    configure(LogSettings(), secrets={"s3cret-token"}, stream=stream)
    return stream


@pytest.fixture
def lines(stream: io.StringIO) -> Lines:
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_flat_fields(lines: Lines) -> None:
    structlog.get_logger().info("delivery.attempted", provider="DE*PAY", attempts=2)

    [line] = lines()
    assert str(line.pop("time")).endswith("Z")
    assert line == {"event": "delivery.attempted", "level": "info", "provider": "DE*PAY", "attempts": 2}


def test_lines_of_libraries_are_redacted_too(lines: Lines) -> None:
    logging.getLogger("aiohttp.server").error("Error handling request %r", b"Authorization: Token abcdef")

    [line] = lines()
    assert line["logger"] == "aiohttp.server"
    assert line["event"] == f"Error handling request b'Authorization: {REDACTED}'"


def test_a_traceback_is_redacted_too(lines: Lines, stream: io.StringIO) -> None:
    for log in (structlog.get_logger(), logging.getLogger("asyncio")):
        try:
            int("with s3cret-token inside")
        except ValueError:
            log.exception("loop.failed")

    assert "s3cret-token" not in stream.getvalue()
    assert [f"with {REDACTED} inside" in str(line["exception"]) for line in lines()] == [True, True]


def test_crash_text_is_redacted_too(lines: Lines) -> None:
    error = RuntimeError("Bearer abcdef")

    sys.excepthook(RuntimeError, error, None)

    [line] = lines()
    assert line["event"] == "process.crashed"
    assert f"RuntimeError: Bearer {REDACTED}" in str(line["exception"])


def test_warnings_become_lines(lines: Lines) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("about s3cret-token", stacklevel=1)

    [line] = lines()
    assert line["level"] == "warning"
    assert REDACTED in str(line["event"])


def test_lines_below_the_level_are_not_written(restored: None) -> None:
    stream = io.StringIO()
    configure(LogSettings(level="warning"), stream=stream)

    structlog.get_logger().info("request.proxied")
    logging.getLogger("aiohttp.access").info("GET /")

    assert stream.getvalue() == ""


def test_the_console_form_is_for_people_and_redacted(restored: None) -> None:
    stream = io.StringIO()
    configure(LogSettings(format="console"), secrets={"s3cret-token"}, stream=stream)

    structlog.get_logger().info("range.committed", head=12, detail="s3cret-token")

    assert "range.committed" in stream.getvalue()
    assert "head=12" in stream.getvalue()
    assert "s3cret-token" not in stream.getvalue()
