"""Every line of the process goes one way."""

import asyncio
import io
import json
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from ocn_permission_agent.hiding import REDACTED
from ocn_permission_agent.logs import LogSettings, configure

Lines = Callable[[], list[dict[str, object]]]


@pytest.fixture
def restored() -> Iterator[None]:
    """Logging is the process's own: leave it as it was found."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    hooks = sys.excepthook, sys.unraisablehook, threading.excepthook
    with warnings.catch_warnings():
        yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    sys.excepthook, sys.unraisablehook, threading.excepthook = hooks
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


def test_a_key_that_is_no_text_becomes_one(lines: Lines) -> None:
    structlog.get_logger().info("delivery.attempted", tries={200: 1, None: 2, "other": Path("there")})

    [line] = lines()
    assert line["tries"] == {"200": 1, "null": 2, "other": "there"}


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


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_nobody_could_catch_is_redacted_too(lines: Lines) -> None:
    class Fragile:
        def __del__(self) -> None:
            raise ValueError("with s3cret-token inside")

    Fragile()

    [line] = lines()
    assert line["event"] == "exception.unraisable"
    assert f"with {REDACTED} inside" in str(line["exception"])


def test_the_crash_of_a_thread_is_redacted_too(lines: Lines) -> None:
    def crash() -> None:
        raise ValueError("with s3cret-token inside")

    thread = threading.Thread(target=crash)
    thread.start()
    thread.join()

    [line] = lines()
    assert line["event"] == "thread.crashed"
    assert f"with {REDACTED} inside" in str(line["exception"])


def test_what_a_loop_tells_of_its_callbacks_is_redacted_too(lines: Lines) -> None:
    def crash(text: str) -> None:
        raise ValueError(text)

    async def work() -> None:
        asyncio.get_running_loop().call_soon(crash, "with s3cret-token inside")
        await asyncio.sleep(0)

    asyncio.run(work())

    [line] = lines()
    assert line["logger"] == "asyncio"
    assert "s3cret" not in json.dumps(line)
    assert f"with {REDACTED} inside" in str(line["exception"])


def test_a_line_that_cannot_be_written_is_told_without_its_content(
    lines: Lines, stream: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    # pytest has handlers of its own, which would fail for such a line
    log = logging.Logger("aiohttp.server")  # noqa: LOG001  one that nobody else listens to
    log.addHandler(next(each for each in logging.getLogger().handlers if getattr(each, "stream", None) is stream))

    log.error("%d requests of s3cret-token", "s3cret-token")

    [line] = lines()
    assert (line["event"], line["error"]) == ("line.lost", "TypeError")
    assert str(line["line"]).startswith("test_configure.py:")
    assert "s3cret" not in json.dumps(line) + capsys.readouterr().err


def test_a_stream_that_is_gone_is_no_trouble(restored: None, capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    configure(LogSettings(), secrets={"s3cret-token"}, stream=stream)
    stream.close()

    structlog.get_logger().error("loop.failed", reason="s3cret-token")

    assert "s3cret" not in capsys.readouterr().err


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


def test_what_a_loop_tells_in_a_turn_is_written_when_the_turn_is_over(lines: Lines) -> None:
    async def work() -> list[int]:
        log, seen = structlog.get_logger(), []
        log.info("copy.recorded", number=1)
        log.info("copy.recorded", number=2)
        seen.append(len(lines()))
        await asyncio.sleep(0)
        seen.append(len(lines()))
        return seen

    assert asyncio.run(work()) == [0, 2]
    assert [line["number"] for line in lines()] == [1, 2]


def test_nothing_overtakes_what_waits_for_the_end_of_the_turn(lines: Lines) -> None:
    def tell_in_a_thread() -> None:
        structlog.get_logger().info("thread.told")

    async def work() -> list[object]:
        log = structlog.get_logger()
        log.info("range.committed")
        logging.getLogger("aiohttp.server").error("of a library")
        log.info("request.proxied")
        thread = threading.Thread(target=tell_in_a_thread)
        thread.start()
        thread.join()
        log.info("delivery.attempted")
        log.warning("provider.paused")
        return [line["event"] for line in lines()]

    assert asyncio.run(work()) == [
        "range.committed", "of a library", "request.proxied", "thread.told", "delivery.attempted", "provider.paused",
    ]  # fmt: skip


def test_a_turn_that_never_ends_owes_no_line_once_the_process_has_ended(tmp_path: Path) -> None:
    program = """
import asyncio, sys
import structlog
from ocn_permission_agent.logs import LogSettings, configure
configure(LogSettings(), stream=open(sys.argv[1], "w"))
loop = asyncio.new_event_loop()
def tell():
    structlog.get_logger().info("range.committed")
    loop.stop()
loop.call_soon(tell)
loop.run_forever()
"""
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "log")], check=True)

    [line] = (tmp_path / "log").read_text().splitlines()
    assert json.loads(line)["event"] == "range.committed"


def test_a_loop_that_was_stopped_in_its_turn_does_not_hold_up_the_lines_of_another(lines: Lines) -> None:
    first = asyncio.new_event_loop()
    first.call_soon(lambda: (structlog.get_logger().info("range.committed"), first.stop()))
    first.run_forever()
    first.close()

    async def work() -> None:
        structlog.get_logger().info("request.proxied")

    asyncio.run(work())

    assert [line["event"] for line in lines()] == ["range.committed", "request.proxied"]
