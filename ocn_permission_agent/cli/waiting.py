"""Waiting for a transaction: a bar on a terminal, one line elsewhere."""

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn


class ConfirmationBar:
    """Shows blocks on top of a transaction's own, up to `needed`; a context manager."""

    def __init__(self, needed: int) -> None:
        self._needed = needed
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._on_terminal = console.is_terminal
        self._bar = Progress(*columns, console=console, disable=not self._on_terminal)
        self._task = self._bar.add_task("waiting for a block", total=needed)
        self._told = False

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def report(self, above: int | None) -> None:
        """Tell how many blocks are above; None while the transaction is in no block."""
        description = "waiting for a block" if above is None else "confirmations"
        self._bar.update(self._task, description=description, completed=min(above or 0, self._needed))
        if above is not None and not self._told and not self._on_terminal:
            self._told = True
            print(f"It is in a block; waiting for {self._needed} on top of it.", file=sys.stderr)
