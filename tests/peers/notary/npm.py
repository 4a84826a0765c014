"""The npm package @shareandcharge/ocn-notary 1.0.0 as a long-lived program that answers questions.

Installed once, by the committed lock file, into .cache/npm/notary, which git ignores. Nothing of it is committed.
"""

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests import npm_cache
from tests.npm_cache import NpmMissing, alone_in, run_npm

FOLDER = Path(__file__).parent
CACHE = npm_cache.CACHE / "notary"
_PACKAGE = CACHE / "node_modules" / "@shareandcharge" / "ocn-notary" / "package.json"


class NpmNotary:
    """The program; use it as a context manager."""

    def __init__(self) -> None:
        node = install()
        self._process = subprocess.Popen(
            [node, str(FOLDER / "peer.js"), str(CACHE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )

    def sign(self, values: str, key: str) -> str:
        """The OCN-Signature of values, given as JSON text."""
        return str(self._ask({"op": "sign", "values": values, "key": key})["header"])

    def verdict(self, values: str, header: str) -> dict[str, Any]:
        """``{"isValid": True}``, or why not."""
        return dict(self._ask({"op": "verify", "values": values, "header": header})["verdict"])

    def resign(self, values: str, header: str, key: str, stash: Mapping[str, Any]) -> str:
        """The OCN-Signature after old values were stashed and the new ones signed."""
        question = {"op": "resign", "values": values, "header": header, "key": key, "stash": dict(stash)}
        return str(self._ask(question)["header"])

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(question) + "\n")
        stdin.flush()
        line = stdout.readline()
        if not line:
            raise RuntimeError("the npm notary has ended; its words are on stderr")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is not None:
            stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if stdout is not None:
            stdout.close()


def install() -> str:
    """Install the package unless it is there; returns the path of Node.js.

    Raises:
        NpmMissing: it cannot be had on this machine.
    """
    node = shutil.which("node")
    if node is None:
        raise NpmMissing("Node.js is not on this machine")
    with alone_in(CACHE):
        if not _PACKAGE.exists():
            for name in ("package.json", "package-lock.json"):
                shutil.copy(FOLDER / name, CACHE / name)
            run_npm("ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=CACHE)
    return node
