"""Telling the story: numbered steps with times, claims that hold or do not, tables of who received what."""

from collections.abc import Sequence
from typing import Protocol

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ocn_permission_agent.clock import Clock


class ClaimFailed(Exception):
    """What the story promised did not happen; the message is the claim, with what was seen instead."""


class Telling(Protocol):
    """Where a story goes."""

    def step(self, title: str) -> None:
        """A new chapter."""
        ...

    def says(self, line: str) -> None:
        """A plain line."""
        ...

    def claims(self, claim: str, *, held: bool, seen: object = None) -> None:
        """Something that must be so; raises ClaimFailed if it is not."""
        ...

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table."""
        ...


class ConsoleTelling:
    """Tells it to a terminal or a pipe."""

    def __init__(self, *, console: Console, clock: Clock) -> None:
        self._console = console
        self._clock = clock
        self._started = clock.monotonic()
        self._steps = 0
        self.claims_held = 0

    @property
    def elapsed_seconds(self) -> float:
        """Since the telling began."""
        return self._clock.monotonic() - self._started

    def step(self, title: str) -> None:
        """See `Telling.step`."""
        self._steps += 1
        self._console.print()
        self._line(Text(f"{self._steps}. {title}", style="bold"))

    def says(self, line: str) -> None:
        """See `Telling.says`."""
        self._line(Text(f"   {line}", style="default"))

    def claims(self, claim: str, *, held: bool, seen: object = None) -> None:
        """See `Telling.claims`."""
        mark = Text("   ✓ ", style="green") if held else Text("   ✗ ", style="bold red")
        self._line(mark + Text(claim))
        if not held:
            raise ClaimFailed(claim if seen is None else f"{claim}; seen: {seen}")
        self.claims_held += 1

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """See `Telling.table`."""
        table = Table(title=title, title_justify="left", title_style="italic", header_style="bold", box=SIMPLE_HEAD)
        for index, column in enumerate(columns):
            table.add_column(column, justify="left" if index == 0 else "right")
        for row in rows:
            table.add_row(*row)
        self._console.print()
        self._console.print(table)

    def _line(self, text: Text) -> None:
        stamp = Text(f"{self.elapsed_seconds:6.1f} s  ", style="dim")
        self._console.print(stamp + text, soft_wrap=True)
