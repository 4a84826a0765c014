"""A copy of this folder with the extension modules of a compiled wheel beside their sources (`hatch_build.py`).

    python -m tests.compiled_tree python -m pytest     # runs it there

There, tests and benchmarks meet the compiled modules wherever they start a process, as this folder's never do.
It is in .cache/compiled, which git ignores; compiled anew when a source or the Python has changed, copied anew always.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

from hatch_build import what_is_missing

ROOT = Path(__file__).parents[1]
PACKAGE = "ocn_permission_agent"
FOLDER = ROOT / ".cache" / "compiled"
TREE = FOLDER / "tree"
#: hidden, and yet part of the project
_KEPT = {".ci", ".dockerignore", ".gitignore"}
_LIMIT_SECONDS = 600


class NotCompiled(Exception):
    """The wheel could not be compiled; what the compiler said is in the message."""


def modules() -> list[str]:
    """The names of those that a compiled wheel has compiled."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    found: list[str] = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["modules"]
    return found


def wheel() -> Path:
    """A compiled wheel of the sources as they are.

    Raises:
        NotCompiled: see there.
    """
    folder = FOLDER / _fingerprint()
    if not list(folder.glob("*.whl")):
        shutil.rmtree(FOLDER, ignore_errors=True)
        build(folder, compiled=True)
    return next(folder.glob("*.whl"))


def build(folder: Path, *, compiled: bool, environ: dict[str, str] | None = None) -> None:
    """Make a wheel with what is installed here.

    Args:
        folder: where it will be.
        compiled: whether to ask for that.
        environ: what is different in the environment.

    Raises:
        NotCompiled: it failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        capture_output=True,
        text=True,
        timeout=_LIMIT_SECONDS,
        check=False,
        env=os.environ | {"HATCH_BUILD_HOOK_ENABLE_CUSTOM": "1" if compiled else "0"} | (environ or {}),
    )
    if done.returncode != 0:
        raise NotCompiled(done.stdout + done.stderr)


def make_tree() -> Path:
    """The copy, up to date; raises as `wheel` does."""
    made = wheel()
    shutil.rmtree(TREE, ignore_errors=True)
    TREE.mkdir()
    for each in ROOT.iterdir():
        if each.name.startswith(".") and each.name not in _KEPT:
            continue
        if each.is_dir():
            shutil.copytree(each, TREE / each.name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(each, TREE)
    with zipfile.ZipFile(made) as archive:
        archive.extractall(TREE, [name for name in archive.namelist() if name.endswith(".so")])
    # what tests have fetched or made once, and what lies beside a checkout
    (TREE / ".cache").symlink_to(ROOT / ".cache")
    beside = FOLDER / "shared"
    if (ROOT.parent / "shared").is_dir() and not beside.is_symlink():
        beside.symlink_to(ROOT.parent / "shared")
    _refuse_another_package()
    return TREE


def _refuse_another_package() -> None:
    asked = "from ocn_permission_agent.compiled import is_compiled; raise SystemExit(0 if is_compiled() else 1)"
    if subprocess.run([sys.executable, "-c", asked], cwd=TREE, env=environ(), check=False).returncode != 0:
        raise NotCompiled(f"what {TREE} runs is not compiled")


def environ() -> dict[str, str]:
    """With it, every process that is started there takes the package from there, in whatever folder it runs."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return own | {"PYTHONPATH": str(TREE)}


def _fingerprint() -> str:
    summed = hashlib.sha256(sys.version.encode())
    for path in _sources():
        summed.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return summed.hexdigest()[:16]


def _sources() -> Iterator[Path]:
    yield from (ROOT / name for name in ("pyproject.toml", "hatch_build.py", "requirements/dev.txt"))
    yield from sorted((ROOT / PACKAGE).rglob("*.py"))


def main() -> int:
    """Run the command there; its exit code."""
    lacks = what_is_missing()
    if lacks is not None:
        sys.stderr.write(f"The compiled modules need {lacks}.\n")
        return 2
    try:
        tree = make_tree()
    except NotCompiled as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return subprocess.run(sys.argv[1:], cwd=tree, env=environ(), check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
