"""What the agent costs, beside well-known programs that do part of the same, all in one run.

    python -m benchmarks [--rounds 3] [--seconds 5] [--only pass some all]

Prints one table and keeps every round as JSON. Ends with 1 if a bar is missed, with 2 if nginx or wrk is not installed.
`--only` measures throughput alone: of what passes through, of what is copied in part, of what is copied.
"""

import argparse
import asyncio
import sys
from pathlib import Path

import uvloop

from benchmarks import beside_nginx, canonical, figures, nginx, per_message, wrk

_FOLDER = Path(".cache/bench")


async def _main(rounds: int, seconds: float, only: list[str]) -> list[figures.Figure]:
    found = await beside_nginx.measure(rounds=rounds, seconds=seconds, only=only)
    if only:
        return found
    return [*found, *await per_message.measure(), *canonical.measure()]


def main() -> int:
    """Measure and tell; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="alternating rounds of each kind; medians count")
    parser.add_argument("--seconds", type=float, default=5.0, help="of one round")
    parser.add_argument("--only", nargs="+", choices=beside_nginx.THROUGHPUTS, default=[], help="throughput alone")
    given = parser.parse_args()
    try:
        nginx.version()
        wrk.binary()
    except FileNotFoundError as error:
        sys.stderr.write(f"The benchmark needs {error}: install nginx and wrk (on Debian: nginx-light wrk).\n")
        return 2
    machine_line = figures.machine()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(_main(given.rounds, given.seconds, given.only))
    kept = figures.keep(found, machine_line=machine_line, folder=_FOLDER)
    print(machine_line)
    print(figures.table(found))
    print(f"All rounds are in {kept}.")
    return 0 if all(each.holds for each in found) else 1


if __name__ == "__main__":
    sys.exit(main())
