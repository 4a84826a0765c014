"""`check-config`: every problem at once."""

import json
import sys
from pathlib import Path

from ocn_permission_agent import config
from ocn_permission_agent.cli.failing import MISCONFIGURED
from ocn_permission_agent.errors import ConfigError


def check_config(config_file: Path | None, *, as_json: bool) -> None:
    """Print problems and warnings; leaves with 2 when there is a problem."""
    problems: list[str] = []
    warnings: tuple[str, ...] = ()
    try:
        warnings = config.load(config_file).warnings
    except ConfigError as error:
        problems = error.problems
    if as_json:
        print(json.dumps({"problems": problems, "warnings": list(warnings)}, indent=2))
    else:
        for problem in problems:
            print(problem, file=sys.stderr)
        for warning in warnings:
            print(f"Warning: {warning}", file=sys.stderr)
        if not problems:
            print(f"{config_file or 'The environment'}: the configuration is fine.")
    if problems:
        sys.exit(MISCONFIGURED)
