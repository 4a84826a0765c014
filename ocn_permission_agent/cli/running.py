"""`run` and `sync`: hand the configuration to the composition root."""

import asyncio
from pathlib import Path

import structlog
import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ocn_permission_agent import app, config, logs
from ocn_permission_agent.chain.scan import SyncProgress
from ocn_permission_agent.config import Config


def run(config_file: Path | None) -> None:
    """Run the agent until it is told to stop."""
    prepared = _prepared(config_file)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(app.run(prepared))


def sync(config_file: Path | None) -> None:
    """Do the first complete sync: under a progress bar on a terminal, with a log line for each range elsewhere."""
    prepared = _prepared(config_file)
    console, log = Console(stderr=True), structlog.get_logger()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("blocks", total=None)

        def progress(read: SyncProgress) -> None:
            if not console.is_terminal:
                log.info("range.committed", scanned_to=read.scanned_to, until=read.until, events=read.events)
            total = read.until - read.first_block + 1
            bar.update(task, completed=read.scanned_to - read.first_block + 1, total=total)

        asyncio.run(app.sync(prepared, progress))
    print("The chain is read; the proxy can be put into the path.")


def _prepared(config_file: Path | None) -> Config:
    """The configuration, with logging set up and its doubts told."""
    loaded = config.load(config_file)
    logs.configure(loaded.log, secrets=loaded.secrets)
    for doubt in loaded.warnings:
        structlog.get_logger().warning("configuration.doubted", reason=doubt)
    return loaded
