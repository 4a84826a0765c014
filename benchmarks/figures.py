"""A figure, the bar it is held against, and how both are shown and kept."""

import json
import os
import platform
import sqlite3
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import nginx
from ocn_permission_agent.compiled import is_compiled


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Something of ours, measured: mostly as a ratio to something else that was measured in the same run.

    `rounds` has all values of ours, `others` those of what it is compared with, if it is. `value` is the ratio of the
    medians, or the median itself. `bar` is the most it may be, or the least if `at_least`; None if there is none.
    """

    name: str
    unit: str
    rounds: tuple[float, ...]
    others: tuple[float, ...] = ()
    bar: float | None = None
    at_least: bool = False
    note: str = field(default="")

    @property
    def ours(self) -> float:
        """The median."""
        return statistics.median(self.rounds)

    @property
    def theirs(self) -> float | None:
        """The median of what it is compared with."""
        return statistics.median(self.others) if self.others else None

    @property
    def value(self) -> float:
        """What the bar is about."""
        return self.ours if self.theirs is None else self.ours / self.theirs

    @property
    def holds(self) -> bool:
        """Whether the bar is kept; true where there is none."""
        if self.bar is None:
            return True
        return self.value >= self.bar if self.at_least else self.value <= self.bar


def shown(value: float) -> str:
    """Three digits that mean something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(figures: Sequence[Figure]) -> str:
    """One line per figure."""
    lines = [f"{'':62}{'ours':>9}{'other':>9} {'unit':<11}{'ratio':>9}  bar"]
    for each in figures:
        other = "" if each.theirs is None else shown(each.theirs)
        ratio = "" if each.theirs is None else shown(each.value)
        bar = "" if each.bar is None else f"{'≥' if each.at_least else '≤'} {each.bar:g}"
        line = f"{each.name:62}{shown(each.ours):>9}{other:>9} {each.unit:<11}{ratio:>9}  {bar:8}"
        lines.append(line + ("" if each.holds else " MISSED") + (f"  {each.note}" if each.note else ""))
    return "\n".join(lines)


def machine() -> str:
    """What the figures were taken on, in one line."""
    cores = len(os.sched_getaffinity(0))
    models = {
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    }
    load = os.getloadavg()[0]
    return (
        f"{cores} cores ({', '.join(sorted(models)) or platform.machine()}), load {load:.1f} before the start, "
        f"Linux {platform.release()}, Python {platform.python_version()}, "
        f"the agent {'compiled' if is_compiled() else 'pure Python'}, SQLite {sqlite3.sqlite_version}, "
        f"{nginx.version()}"
    )


def keep(figures: Sequence[Figure], *, machine_line: str, folder: Path) -> Path:
    """Write all rounds of all figures into a new JSON file."""
    folder.mkdir(parents=True, exist_ok=True)
    at = datetime.now(UTC)
    path = folder / f"bench-{at:%Y%m%dT%H%M%SZ}.json"
    content = {
        "at": at.isoformat(),
        "machine": machine_line,
        "command": sys.argv,
        "figures": [
            asdict(each) | {"ours": each.ours, "theirs": each.theirs, "value": each.value, "holds": each.holds}
            for each in figures
        ],
    }
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False))
    return path
