"""The vectors of the protocol facts; where they come from: tests/vectors/README.md."""

import json
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parents[2] / "vectors"


def vectors(name: str) -> Any:
    return json.loads((_FOLDER / f"{name}.json").read_text("utf-8"))


def named(cases: list[dict[str, Any]]) -> dict[str, Any]:
    """Arguments for `parametrize`: the cases, each under its own name."""
    return {"argvalues": cases, "ids": [case["name"] for case in cases]}
